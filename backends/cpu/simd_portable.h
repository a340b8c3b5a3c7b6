// Sixteen lanes in plain C++: what simd_avx2.h and simd_avx512.h mean, and what runs on any processor.
#ifndef BACKENDS_CPU_SIMD_PORTABLE_H_
#define BACKENDS_CPU_SIMD_PORTABLE_H_

#include <cstdint>
#include <cstring>

namespace {

struct Simd {
  static constexpr int kLanes = 16;
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

  // sum[r] = per output Σ_k w[k] · q[r][k] over a block of 32.
  template <int R>
  static void DotNibbles(const uint8_t* w, const int8_t* const* q, I* sum) {
    for (int r = 0; r < R; ++r) {
      for (int o = 0; o < 16; ++o) {
        int s = 0;
        for (int g = 0; g < 4; ++g) {
          for (int i = 0; i < 4; ++i) {
            const int byte = w[64 * g + 4 * o + i];
            s += (byte & 15) * q[r][4 * g + i] + (byte >> 4) * q[r][4 * g + i + 16];
          }
        }
        sum[r].v[o] = s;
      }
    }
  }
  template <int R>
  static void DotBytes(const uint8_t* w, const int8_t* const* q, const int32_t* /*q_sum*/, I* sum) {
    for (int r = 0; r < R; ++r) {
      for (int o = 0; o < 16; ++o) {
        int s = 0;
        for (int g = 0; g < 8; ++g) {
          for (int i = 0; i < 4; ++i) s += static_cast<int8_t>(w[64 * g + 4 * o + i]) * q[r][4 * g + i];
        }
        sum[r].v[o] = s;
      }
    }
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
