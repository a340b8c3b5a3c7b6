#include "backends/cpu/simd_portable.h"
// Simd comes first.
#include "backends/cpu/kernels-inl.h"

namespace spotinference::cpu {

const Kernels& PortableKernels() {
  static constexpr Kernels kernels = MakeKernels("portable");
  return kernels;
}

}  // namespace spotinference::cpu
