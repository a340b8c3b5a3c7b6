// SIMDe's AVX-512 in plain C, with the intrinsics that Debian's version lacks or has wrong.
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

inline __m512i Emulated_madd_epi16(__m512i a, __m512i b) {
  int16_t x[32], y[32];
  int32_t out[16];
  _mm512_storeu_si512(x, a);
  _mm512_storeu_si512(y, b);
  for (int i = 0; i < 16; ++i) out[i] = x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
  return _mm512_loadu_si512(out);
}

inline __m512i Emulated_cvtepu8_epi16(__m256i a) {
  uint8_t in[32];
  int16_t out[32];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(in), a);
  for (int i = 0; i < 32; ++i) out[i] = in[i];
  return _mm512_loadu_si512(out);
}

inline __m512i Emulated_cvtepi8_epi32(__m128i a) {
  int8_t in[16];
  int32_t out[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(in), a);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  return _mm512_loadu_si512(out);
}

inline __m512 Emulated_cvtph_ps(__m256i a) {
  uint16_t in[16];
  float out[16];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(in), a);
  for (int i = 0; i < 16; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  }
  return _mm512_loadu_ps(out);
}

inline __m256i Emulated_cvtps_ph(__m512 a, int /*rounding: to nearest*/) {
  float in[16];
  uint16_t out[16];
  _mm512_storeu_ps(in, a);
  for (int i = 0; i < 16; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), 0));
  }
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(out));
}

#undef _mm512_madd_epi16  // a macro of another function's arguments
#define _mm512_madd_epi16 Emulated_madd_epi16
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#define _mm512_cvtph_ps Emulated_cvtph_ps
#define _mm512_cvtps_ph Emulated_cvtps_ph
#define _mm512_cvtepi32_ps Emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 Emulated_cvtps_epi32
#define _mm512_cvtepu8_epi16 Emulated_cvtepu8_epi16
#define _mm512_cvtepi8_epi32 Emulated_cvtepi8_epi32
#define _mm512_cvtepu16_epi32 Emulated_cvtepu16_epi32

#endif  // BACKENDS_CPU_SIMDE_AVX512_H_
