// SIMDe's AVX-512 in plain C, with the three intrinsics that Debian's version lacks.
#ifndef BACKENDS_CPU_SIMDE_AVX512_H_
#define BACKENDS_CPU_SIMDE_AVX512_H_

#define SIMDE_ENABLE_NATIVE_ALIASES
#include "simde/x86/avx512.h"
#include "simde/x86/f16c.h"
#include "simde/x86/fma.h"

inline __m512 Emulated_cvtepi32_ps(__m512i a) {
  int32_t in[16];
  float out[16];
  _mm512_storeu_si512(in, a);
  for (int i = 0; i < 16; ++i) out[i] = static_cast<float>(in[i]);
  return _mm512_loadu_ps(out);
}

inline __m512i Emulated_cvtps_epi32(__m512 a) {
  float in[16];
  int32_t out[16];
  _mm512_storeu_ps(in, a);
  for (int i = 0; i < 16; ++i) out[i] = static_cast<int32_t>(__builtin_rintf(in[i]));
  return _mm512_loadu_si512(out);
}

inline __m512i Emulated_cvtepu16_epi32(__m256i a) {
  uint16_t in[16];
  int32_t out[16];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(in), a);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  return _mm512_loadu_si512(out);
}

#define _mm512_cvtepi32_ps Emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 Emulated_cvtps_epi32
#define _mm512_cvtepu16_epi32 Emulated_cvtepu16_epi32

#endif  // BACKENDS_CPU_SIMDE_AVX512_H_
