#include "backends/cpu/simd_avx512.h"
// Simd comes first.
#include "backends/cpu/kernels-inl.h"

namespace spotinference::cpu {

const Kernels* Avx512Kernels() {
  static constexpr Kernels kernels = MakeKernels("avx512");
  __builtin_cpu_init();
#ifdef SPOTINFERENCE_SIMDE
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : nullptr;
#else
  const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("f16c");
  return has ? &kernels : nullptr;
#endif
}

}  // namespace spotinference::cpu
