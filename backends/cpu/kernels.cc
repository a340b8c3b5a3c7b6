#include "backends/cpu/kernels.h"

namespace spotinference::cpu {

const Kernels& BestKernels() {
  if (const Kernels* kernels = AmxKernels()) return *kernels;
  if (const Kernels* kernels = Avx512Kernels()) return *kernels;
  if (const Kernels* kernels = Avx2Kernels()) return *kernels;
  return PortableKernels();
}

}  // namespace spotinference::cpu
