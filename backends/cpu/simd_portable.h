// Sixteen lanes in plain C++: what simd_avx2.h and simd_avx512.h mean, and what runs on any processor.
#ifndef BACKENDS_CPU_SIMD_PORTABLE_H_
#define BACKENDS_CPU_SIMD_PORTABLE_H_

#include <cstdint>
#include <cstring>

namespace {

struct Simd {
  static constexpr int kLanes = 16;
  static constexpr bool kManyRows = false;  // plain C++ has no registers to share, and would take a minute to compile
  static constexpr int kTileRows = 0;
  struct F { float v[16]; };
  struct I { int32_t v[16]; };

  template <typename Fn>
  static F Each(Fn fn) {
    F r;
    for (int i = 0; i < 16; ++i) r.v[i] = fn(i);
    return r;
  }
  static F Zero() { return Set(0); }
  static F Set(float x) { return Each([&](int) { return x; }); }
  static F Load(const float* p) { return Each([&](int i) { return p[i]; }); }
  static void Store(float* p, F a) { memcpy(p, a.v, sizeof(a.v)); }
  static F LoadHalf(const uint16_t* p) { return Each([&](int i) { return Half(p[i]); }); }
  static F LoadBfloat(const uint16_t* p) {
    return Each([&](int i) { return Bits(static_cast<uint32_t>(p[i]) << 16); });
  }
  static void StoreHalf(uint16_t* p, F a) {
    for (int i = 0; i < 16; ++i) p[i] = ToHalf(a.v[i]);
  }
  static F Fma(F a, F b, F c) {
    return Each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
  }
  static F Add(F a, F b) { return Each([&](int i) { return a.v[i] + b.v[i]; }); }
  static F Sub(F a, F b) { return Each([&](int i) { return a.v[i] - b.v[i]; }); }
  static F Mul(F a, F b) { return Each([&](int i) { return a.v[i] * b.v[i]; }); }
  static F Div(F a, F b) { return Each([&](int i) { return a.v[i] / b.v[i]; }); }
  // `b` where either is NaN, as x86 has it.
  static F Max(F a, F b) { return Each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; }); }
  static F Min(F a, F b) { return Each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; }); }
  static F Abs(F a) { return Each([&](int i) { return __builtin_fabsf(a.v[i]); }); }
  // a < b ? 0 : c
  static F ZeroIfLess(F a, F b, F c) { return Each([&](int i) { return a.v[i] < b.v[i] ? 0.0f : c.v[i]; }); }
  static F ToFloat(I a) { return Each([&](int i) { return static_cast<float>(a.v[i]); }); }
  // a · 2^n, where n is held in the low bits of `magic` = n + 1.5 · 2^23.
  static F ScaleByPower(F a, F magic) {
    return Each([&](int i) { return a.v[i] * Bits((Word(magic.v[i]) + 127) << 23); });
  }
  // To int8: nearest, ties to even; |a| ≤ 127.
  static void StoreInt8(int8_t* p, F a) {
    for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(__builtin_rintf(a.v[i]));
  }

  // Four bytes of each of 16 outputs a lane.
  static I LoadBytes(const uint8_t* p) {
    I r;
    memcpy(r.v, p, sizeof(r.v));
    return r;
  }
  static void StoreBytes(uint8_t* p, I a) { memcpy(p, a.v, sizeof(a.v)); }
  template <int kMask>
  static I Mask(I a) {
    return Words([&](int i) { return a.v[i] & (kMask * 0x01010101); });
  }
  // Bits go over to the neighbouring byte, from where a mask takes them.
  template <int kBits>
  static I ShiftRight(I a) {
    return Words([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) >> kBits); });
  }
  template <int kBits>
  static I ShiftLeft(I a) {
    return Words([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) << kBits); });
  }
  static I Or(I a, I b) {
    return Words([&](int i) { return a.v[i] | b.v[i]; });
  }
  static I LookUp(const int8_t* table, I a) {
    return Words([&](int i) {
      uint32_t word = 0;
      for (int k = 0; k < 4; ++k) word |= static_cast<uint32_t>(static_cast<uint8_t>(table[Byte(a, i, k)])) << (8 * k);
      return static_cast<int32_t>(word);
    });
  }

  // A hint to keep `a` in a register.
  static I Pinned(I a) { return a; }

  // Lanes of 32 bits, except that products may be held as two sums of 16 bits a lane until Widen or Scaled.
  static I ZeroInt() { return I{}; }
  static I AddInt(I a, I b) {
    return Words([&](int i) { return a.v[i] + b.v[i]; });
  }
  // Four activations in every lane.
  static I Broadcast4(const int8_t* p) {
    int32_t word;
    memcpy(&word, p, 4);
    return Words([&](int) { return word; });
  }
  static I SetPair(int low, int high) {
    return Words([&](int) { return Pair(low, high); });
  }
  // sum + Σ bytes · q over the four of a lane; bytes unsigned, q signed.
  static I AddProducts(I bytes, I q, I sum) {
    return Words([&](int i) {
      int s = sum.v[i];
      for (int k = 0; k < 4; ++k) s += Byte(bytes, i, k) * static_cast<int8_t>(Byte(q, i, k));
      return s;
    });
  }
  static I Widen(I sum) { return sum; }
  static I Scaled(I sum, I scale) {
    return Words([&](int i) { return sum.v[i] * scale.v[i]; });
  }
  // What a sum starts with so that it comes out as Σ (bytes − 2^kLogZero) · q. `s`: Σ q over what will be added, of the even
  // and of the odd pairs.
  template <int kLogZero>
  static I ZeroStart(const int16_t* s) {
    return Words([&](int) { return -(1 << kLogZero) * (s[0] + s[1]); });
  }
  // The same for signed bytes, whose sums start with this. `s`: as above, of both halves of a block.
  static I SignedStart(const int16_t* /*s*/) { return I{}; }
  static I AddSignedProducts(I bytes, I q, I sum) {
    return Words([&](int i) {
      int s = sum.v[i];
      for (int k = 0; k < 4; ++k) s += static_cast<int8_t>(Byte(bytes, i, k)) * static_cast<int8_t>(Byte(q, i, k));
      return s;
    });
  }

  // Two bytes of each output, as two numbers of 16 bits a lane.
  static I BytePairs(const uint8_t* p) {
    return Words([&](int i) { return p[2 * i] | p[2 * i + 1] << 16; });
  }
  static I SignedBytePairs(const uint8_t* p) {
    return Words([&](int i) { return Pair(static_cast<int8_t>(p[2 * i]), static_cast<int8_t>(p[2 * i + 1])); });
  }
  // One of the two, as Scaled() wants it.
  static I PairLow(I a) {
    return Words([&](int i) { return static_cast<int16_t>(a.v[i]); });
  }
  static I PairHigh(I a) {
    return Words([&](int i) { return a.v[i] >> 16; });
  }
  // As a number, which is not negative.
  static I LowerHalf(I a) { return PairLow(a); }
  static I UpperHalf(I a) { return PairHigh(a); }
  // low · low + high · high
  static I MulAddPairs(I a, I b) {
    return Words([&](int i) {
      return static_cast<int16_t>(a.v[i]) * static_cast<int16_t>(b.v[i]) + (a.v[i] >> 16) * (b.v[i] >> 16);
    });
  }
  static F LoadInt8(const uint8_t* p) {
    return Each([&](int i) { return static_cast<float>(static_cast<int8_t>(p[i])); });
  }
  // Σ q over the even and over the odd pairs of sixteen.
  static void StorePairSums(int16_t* to, const int8_t* q) {
    int sums[2] = {};
    for (int i = 0; i < 16; ++i) sums[i / 2 % 2] += q[i];
    for (int p = 0; p < 2; ++p) to[p] = static_cast<int16_t>(sums[p]);
  }
  // Of lanes that are numbers and not negative.
  static float LargestLane(F a) {
    float m = a.v[0];
    for (const float lane : a.v) m = lane > m ? lane : m;
    return m;
  }
  // Folds 16 lanes, held in 16 / kLanes parts: i with i + 8, then + 4, + 2, + 1.
  static float Sum16(const F* part) {
    float v[16];
    memcpy(v, part[0].v, sizeof(v));
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) v[i] += v[i + half];
    }
    return v[0];
  }

 private:
  template <typename Fn>
  static I Words(Fn fn) {
    I r;
    for (int i = 0; i < 16; ++i) r.v[i] = fn(i);
    return r;
  }
  static int Byte(I a, int i, int k) { return static_cast<uint32_t>(a.v[i]) >> (8 * k) & 255; }
  static int32_t Pair(int low, int high) {
    return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xffff) | static_cast<uint32_t>(high) << 16);
  }
  static float Bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return f;
  }
  static uint32_t Word(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
  }
  static float Half(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
    const uint32_t exponent = (h >> 10) & 31;
    if (exponent == 0) {
      const float small = static_cast<float>(h & 0x3ff) * 0x1p-24f;
      return sign ? -small : small;
    }
    return Bits(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | (h & 0x3ffu) << 13);
  }
  static uint16_t ToHalf(float value) {
    const uint32_t bits = Word(value), magnitude = bits & 0x7fffffff;
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
    if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >> 13) & 0x1ff);
    if (magnitude >= 0x477ff000) return sign | 0x7c00;
    if (magnitude < 0x38800000) return sign | static_cast<uint16_t>(Word(Bits(magnitude) + 0.5f) - 0x3f000000);
    return sign | static_cast<uint16_t>((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  }
};

}  // namespace

#endif  // BACKENDS_CPU_SIMD_PORTABLE_H_
