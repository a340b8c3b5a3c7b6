// Sixteen lanes with AVX-512 (F, BW, DQ, VL) and VNNI. See simd_portable.h for what each one means.
#ifndef BACKENDS_CPU_SIMD_AVX512_H_
#define BACKENDS_CPU_SIMD_AVX512_H_

#include <cstdint>

#ifdef SPOTINFERENCE_SIMDE  // the same intrinsics in plain C, for a test on a processor without them
#include "backends/cpu/simde_avx512.h"
#else
#include <immintrin.h>
#endif

namespace {

struct Simd {
  static constexpr int kLanes = 16;
  static constexpr bool kManyRows = true;
#ifdef SPOTINFERENCE_AMX
  static constexpr int kTileRows = 16;
#else
  static constexpr int kTileRows = 0;
#endif
  using F = __m512;
  using I = __m512i;

  static F Zero() { return _mm512_setzero_ps(); }
  static F Set(float x) { return _mm512_set1_ps(x); }
  static F Load(const float* p) { return _mm512_loadu_ps(p); }
  static void Store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static F LoadHalf(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F LoadBfloat(const uint16_t* p) {
    const I wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static void StoreHalf(uint16_t* p, F a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a, 0));
  }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm512_div_ps(a, b); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static F Abs(F a) { return _mm512_abs_ps(a); }
  static F ZeroIfLess(F a, F b, F c) {
    return _mm512_mask_mov_ps(c, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), _mm512_setzero_ps());
  }
  static F ToFloat(I a) { return _mm512_cvtepi32_ps(a); }
  static F ScaleByPower(F a, F magic) {
    const I biased = _mm512_add_epi32(_mm512_castps_si512(magic), _mm512_set1_epi32(127));
    return _mm512_mul_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23)));
  }
  static void StoreInt8(int8_t* p, F a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a)));
  }

  static I LoadBytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void StoreBytes(uint8_t* p, I a) { _mm512_storeu_si512(p, a); }
  template <int kMask>
  static I Mask(I a) { return _mm512_and_si512(a, _mm512_set1_epi8(kMask)); }
  template <int kBits>
  static I ShiftRight(I a) { return _mm512_srli_epi16(a, kBits); }
  template <int kBits>
  static I ShiftLeft(I a) { return _mm512_slli_epi16(a, kBits); }
  static I Or(I a, I b) { return _mm512_or_si512(a, b); }
  static I LookUp(const int8_t* table, I a) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), a);
  }

  static I Pinned(I a) { return a; }

  static I ZeroInt() { return _mm512_setzero_si512(); }
  static I AddInt(I a, I b) { return _mm512_add_epi32(a, b); }
  static I Broadcast4(const int8_t* p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
  }
  static I SetPair(int low, int high) { return _mm512_set1_epi32((low & 0xffff) | high << 16); }
  static I AddProducts(I bytes, I q, I sum) { return _mm512_dpbusd_epi32(sum, bytes, q); }
  static I Widen(I sum) { return sum; }
  static I Scaled(I sum, I scale) { return _mm512_mullo_epi32(sum, scale); }
  template <int kLogZero>
  static I ZeroStart(const int16_t* s) { return _mm512_set1_epi32(-(1 << kLogZero) * (s[0] + s[1])); }
  // VNNI wants one side unsigned: Σ (w + 128) · q − 128 · Σ q.
  static I SignedStart(const int16_t* s) { return _mm512_set1_epi32(-128 * (s[0] + s[1] + s[2] + s[3])); }
  static I AddSignedProducts(I bytes, I q, I sum) {
    return AddProducts(_mm512_xor_si512(bytes, _mm512_set1_epi8(static_cast<char>(0x80))), q, sum);
  }

  static I BytePairs(const uint8_t* p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static I SignedBytePairs(const uint8_t* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static I PairLow(I a) { return MulAddPairs(a, _mm512_set1_epi32(1)); }
  static I PairHigh(I a) { return MulAddPairs(a, _mm512_set1_epi32(1 << 16)); }
  static I LowerHalf(I a) { return _mm512_and_si512(a, _mm512_set1_epi32(0xffff)); }
  static I UpperHalf(I a) { return _mm512_srli_epi32(a, 16); }
  static I MulAddPairs(I a, I b) { return _mm512_madd_epi16(a, b); }
  static F LoadInt8(const uint8_t* p) {
    return ToFloat(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static void StorePairSums(int16_t* to, const int8_t* q) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
    __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), bytes);
    pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 0x4e));
    pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 0xb1));
    const int32_t both = _mm_cvtsi128_si32(pairs);
    __builtin_memcpy(to, &both, sizeof both);
  }
  static float LargestLane(F a) {
    const __m256 eight = _mm256_max_ps(Low(a), High(a));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float Sum16(const F* part) {
    const __m256 eight = _mm256_add_ps(Low(part[0]), High(part[0]));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

 private:
  static __m256 Low(F a) { return _mm512_castps512_ps256(a); }
  static __m256 High(F a) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
  }
};

}  // namespace

#endif  // BACKENDS_CPU_SIMD_AVX512_H_
