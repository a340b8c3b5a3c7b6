// Eight lanes with AVX2, FMA and F16C; a group of sixteen is two parts. See simd_portable.h for what each one means.
#ifndef BACKENDS_CPU_SIMD_AVX2_H_
#define BACKENDS_CPU_SIMD_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace {

struct Simd {
  static constexpr int kLanes = 8;
  static constexpr bool kManyRows = true;
  static constexpr int kTileRows = 0;
  using F = __m256;
  using I = __m256i;

  static F Zero() { return _mm256_setzero_ps(); }
  static F Set(float x) { return _mm256_set1_ps(x); }
  static F Load(const float* p) { return _mm256_loadu_ps(p); }
  static void Store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static F LoadHalf(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static F LoadBfloat(const uint16_t* p) {
    const I wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static void StoreHalf(uint16_t* p, F a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
  static F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F Add(F a, F b) { return _mm256_add_ps(a, b); }
  static F Sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F Mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F Div(F a, F b) { return _mm256_div_ps(a, b); }
  static F Max(F a, F b) { return _mm256_max_ps(a, b); }
  static F Min(F a, F b) { return _mm256_min_ps(a, b); }
  static F Abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F ZeroIfLess(F a, F b, F c) { return _mm256_andnot_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), c); }
  static F ToFloat(I a) { return _mm256_cvtepi32_ps(a); }
  static F ScaleByPower(F a, F magic) {
    const I biased = _mm256_add_epi32(_mm256_castps_si256(magic), _mm256_set1_epi32(127));
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)));
  }
  static void StoreInt8(int8_t* p, F a) {
    const I words = _mm256_cvtps_epi32(a);
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(halves, halves));
  }

  static I LoadBytes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const I*>(p)); }
  static void StoreBytes(uint8_t* p, I a) { _mm256_storeu_si256(reinterpret_cast<I*>(p), a); }
  template <int kMask>
  static I Mask(I a) { return _mm256_and_si256(a, _mm256_set1_epi8(kMask)); }
  template <int kBits>
  static I ShiftRight(I a) { return _mm256_srli_epi16(a, kBits); }
  template <int kBits>
  static I ShiftLeft(I a) { return _mm256_slli_epi16(a, kBits); }
  static I Or(I a, I b) { return _mm256_or_si256(a, b); }
  static I LookUp(const int8_t* table, I a) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), a);
  }

  // Left alone, GCC 12 gathers all products of a block before it adds the first, and spills two of three to the stack; and it
  // loads a weight again for each row that it is multiplied with.
  static I Pinned(I a) {
    asm("" : "+x"(a));
    return a;
  }

  static I ZeroInt() { return _mm256_setzero_si256(); }
  static I AddInt(I a, I b) { return _mm256_add_epi32(a, b); }
  static I Broadcast4(const int8_t* p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
  }
  static I SetPair(int low, int high) { return _mm256_set1_epi32((low & 0xffff) | high << 16); }
  static I AddProducts(I bytes, I q, I pairs) {
    return Pinned(_mm256_add_epi16(pairs, _mm256_maddubs_epi16(bytes, q)));
  }
  static I Widen(I pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
  static I Scaled(I pairs, I scale) { return _mm256_madd_epi16(pairs, scale); }
  template <int kLogZero>
  static I ZeroStart(const int16_t* pair_sum) {
    return _mm256_mullo_epi16(Broadcast4(reinterpret_cast<const int8_t*>(pair_sum)), _mm256_set1_epi16(-(1 << kLogZero)));
  }
  static I SignedStart(const int16_t* /*pair_sum*/) { return _mm256_setzero_si256(); }
  // |w| · (q with w's sign): a pair sum is at most 2 · 128 · 127 = 32,512, so that each is widened by itself.
  static I AddSignedProducts(I bytes, I q, I sum) {
    const I pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(bytes), _mm256_sign_epi8(q, bytes));
    return Pinned(_mm256_add_epi32(sum, Widen(pairs)));
  }

  static I BytePairs(const uint8_t* p) { return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static I SignedBytePairs(const uint8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  // In both halves of a lane, for _mm256_madd_epi16.
  static I PairLow(I a) { return _mm256_or_si256(_mm256_slli_epi32(a, 16), _mm256_and_si256(a, _mm256_set1_epi32(0xffff))); }
  static I PairHigh(I a) {
    return _mm256_or_si256(_mm256_srli_epi32(a, 16), _mm256_andnot_si256(_mm256_set1_epi32(0xffff), a));
  }
  static I LowerHalf(I a) { return _mm256_and_si256(a, _mm256_set1_epi32(0xffff)); }
  static I UpperHalf(I a) { return _mm256_srli_epi32(a, 16); }
  static I MulAddPairs(I a, I b) { return _mm256_madd_epi16(a, b); }
  static F LoadInt8(const uint8_t* p) {
    return ToFloat(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
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
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float Sum16(const F* part) {
    const F eight = _mm256_add_ps(part[0], part[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

};

}  // namespace

#endif  // BACKENDS_CPU_SIMD_AVX2_H_
