#include "backends/cpu/simd_avx2.h"
// Simd comes first.
#include "backends/cpu/kernels-inl.h"

namespace spotinference::cpu {

const Kernels* Avx2Kernels() {
  static constexpr Kernels kernels = MakeKernels("avx2");
  __builtin_cpu_init();
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  return has ? &kernels : nullptr;
}

}  // namespace spotinference::cpu
