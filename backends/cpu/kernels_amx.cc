#include "backends/cpu/simd_avx512.h"
// Simd comes first.
#include "backends/cpu/kernels-inl.h"
#include "backends/cpu/tiles_amx.h"

#ifndef SPOTINFERENCE_SIMDE
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace spotinference::cpu {
namespace {

// Whether the processor has AMX with int8, and the system lets this process use it.
bool HasTiles() {
#ifdef SPOTINFERENCE_SIMDE
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTile) == 0 || (d & kInt8) == 0) return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#endif
}

}  // namespace

const Kernels* AmxKernels() {
  static constexpr Kernels kernels = MakeKernels("amx");
  static const bool has = Avx512Kernels() != nullptr && HasTiles();
  return has ? &kernels : nullptr;
}

}  // namespace spotinference::cpu
