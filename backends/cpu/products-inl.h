// What a quantised matmul is made of: rounding of activations, unpacking of quanta, sums of products; a part of matmul-inl.h.
//
// Quanta come as eight operands of bytes, operand f with inputs 4f … 4f + 3 of 32 for every output; integer products are
// summed, exactly, over 16 or 32 inputs; scales turn the sums into floats, which are added in ascending order.
#ifndef BACKENDS_CPU_PRODUCTS_INL_H_
#define BACKENDS_CPU_PRODUCTS_INL_H_

#include <cstdint>
#include <cstring>

#include "backends/cpu/kernels.h"
#include "engine/device/codebook.h"

namespace {

using spotinference::cpu::kQuantBlock;
using spotinference::cpu::MatmulInput;
using spotinference::cpu::QuantizedRow;

using F = Simd::F;
using I = Simd::I;
constexpr int kLanes = Simd::kLanes;
constexpr int kParts = 16 / kLanes;  // of a group of 16

int Smaller(int a, int b) { return a < b ? a : b; }

template <int V>
struct Int {
  static constexpr int value = V;
};
// fn(Int<begin>) … fn(Int<end − 1>): loops whose index is part of an instruction.
template <int kBegin, int kEnd, typename Fn>
inline __attribute__((always_inline)) void For(Fn fn) {
  if constexpr (kBegin < kEnd) {
    fn(Int<kBegin>{});
    For<kBegin + 1, kEnd>(fn);
  }
}

// --- Activations

float Largest(const float* x, int n) {  // max |x|; order does not matter
  F best = Simd::Zero();
  for (int i = 0; i < n; i += kLanes) best = Simd::Max(Simd::Abs(Simd::Load(x + i)), best);
  return Simd::LargestLane(best);
}

void Quantize(const float* x, int columns, const QuantizedRow& to) {
  int8_t* q = to.q;
  for (int b = 0; b < columns / kQuantBlock; ++b, x += kQuantBlock, q += kQuantBlock) {
    const float d = Largest(x, kQuantBlock) / 127.0f;
    to.scale[b] = d;
    const F divisor = Simd::Set(d > 0 ? d : 1.0f), limit = Simd::Set(127), low = Simd::Set(-127);
    for (int i = 0; i < kQuantBlock; i += kLanes) {
      // A block with NaN or infinity comes out wrong but bounded, and stays its own row's affair.
      const F y = Simd::Div(Simd::Load(x + i), divisor);
      Simd::StoreInt8(q + i, Simd::Max(Simd::Min(y, limit), low));
    }
    int16_t* const sums = to.pair_sum + 4 * b;
    for (int half = 0; half < 2; ++half) Simd::StorePairSums(sums + 2 * half, q + 16 * half);
    const int sum = sums[0] + sums[1] + sums[2] + sums[3];
    to.scaled_sum[b] = d * static_cast<float>(sum);
  }
}

// --- Quanta: operand f of the 32 inputs whose bytes begin at `w`. kChain products may be added up before they are widened:
// in pairs to 16 bits, where the processor does so, they stay below 2^15. kOpens: to unpack takes more than a mask, so that many
// rows open a block once; see OpenedBlocks.

struct FourBits {
  static constexpr bool kOpens = false;
  static constexpr int kBytes = 256, kChain = 8;  // 8 · 2 · 15 · 127 = 30,480
  template <int f>
  static I Operand(const uint8_t* w) {
    const I bytes = Simd::LoadBytes(w + 64 * (f % 4));
    return f < 4 ? Simd::Mask<15>(bytes) : Simd::Mask<15>(Simd::ShiftRight<4>(bytes));
  }
};

// Bit kTo of every byte from bit f of the bytes at `w`.
template <int f, int kTo>
I OneBit(const uint8_t* w) {
  const I bytes = Simd::LoadBytes(w);
  if constexpr (f < kTo) {
    return Simd::Mask<1 << kTo>(Simd::ShiftLeft<kTo - f>(bytes));
  } else {
    return Simd::Mask<1 << kTo>(Simd::ShiftRight<f - kTo>(bytes));
  }
}

struct FiveBits {
  static constexpr bool kOpens = true;
  static constexpr int kBytes = 256 + 64, kChain = 4;  // 4 · 2 · 31 · 127 = 31,496
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Or(FourBits::Operand<f>(w), OneBit<f, 4>(w + 256));
  }
};

struct SixBits {
  static constexpr bool kOpens = true;
  // A half block, which the sum of 16 bits is started 32 too low for: what comes out is Σ (w − 32) · q, at most
  // 4 · 2 · 32 · 127 = 32,512, and overflow on the way, which wraps, does no harm.
  static constexpr int kBytes = 256 + 128, kChain = 4;
  template <int f>
  static I Operand(const uint8_t* w) {
    const I bytes = Simd::LoadBytes(w + 256 + 64 * (f / 4));
    constexpr int k = f % 4;
    if constexpr (k < 2) {
      return Simd::Or(FourBits::Operand<f>(w), Simd::Mask<48>(Simd::ShiftLeft<4 - 2 * k>(bytes)));
    } else {
      return Simd::Or(FourBits::Operand<f>(w), Simd::Mask<48>(Simd::ShiftRight<2 * k - 4>(bytes)));
    }
  }
};

struct TwoBits {
  static constexpr bool kOpens = true;
  static constexpr int kBytes = 128, kChain = 8;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Mask<3>(Simd::ShiftRight<2 * (f % 4)>(Simd::LoadBytes(w + 64 * (f / 4))));
  }
};

struct ThreeBits {
  static constexpr bool kOpens = true;
  static constexpr int kBytes = 128 + 64, kChain = 8;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Or(TwoBits::Operand<f>(w), OneBit<f, 2>(w + 128));
  }
};

// Signed ones.
struct EightBits {
  static constexpr bool kOpens = false;
  static constexpr int kBytes = 512;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::LoadBytes(w + 64 * f);
  }
};

struct Codebook {
  static constexpr bool kOpens = true;
  static constexpr int kBytes = 256;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::LookUp(spotinference::kCodebook4, FourBits::Operand<f>(w));
  }
};

// Any of them as Open() leaves them: a byte each.
template <typename Quanta>
struct Opened : Quanta {
  static constexpr int kBytes = 512;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Pinned(Simd::LoadBytes(w + 64 * f));
  }
};

// --- Sums of products: sum[p][r] = Σ w · q[r] for the outputs of part p of N.

// sum[r] = Σ over operands kBegin … kEnd, opened to bytes, for sixteen rows that follow each other in memory; where
// Simd::kTileRows is 16. See tiles_amx.h.
template <int kBegin, int kEnd>
void TileProducts(const uint8_t* w, const int8_t* const* q, I* sum);
// Round the matmuls of a thread. Templates so that kernels without tiles need not define them.
template <typename Block>
void TilesBegin();
template <typename Block>
void TilesEnd();

// Over operands kBegin … kEnd. Each partial sum is turned to 32 bits by widen(p, sum); the first one of a row begins with
// start(r).
template <typename Quanta, int R, int N, int kBegin, int kEnd, typename Start, typename Widen>
inline __attribute__((always_inline)) void Products(const uint8_t* w, const int8_t* const* q, Start start, Widen widen,
                                                    I (*sum)[R]) {
  if constexpr (R == 16) {
    I wide[R];
    TileProducts<kBegin, kEnd>(w, q, wide);
    for (int r = 0; r < R; ++r) {
      const I scaled = widen(0, Simd::AddInt(wide[r], start(r)));
      sum[0][r] = kBegin == 0 ? scaled : Simd::AddInt(sum[0][r], scaled);
    }
    return;
  }
  constexpr int kChain = Quanta::kChain < kEnd - kBegin ? Quanta::kChain : kEnd - kBegin;
  For<0, (kEnd - kBegin) / kChain>([&](auto chain) {
    constexpr int kFirst = kBegin + chain.value * kChain;
    I pairs[N][R];
    For<kFirst, kFirst + kChain>([&](auto f) {
      I operand[N];
      for (int p = 0; p < N; ++p) operand[p] = Quanta::template Operand<f.value>(w + 4 * kLanes * p);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const I inputs = Simd::Broadcast4(q[r] + 4 * f.value);
        const I first = f.value == kBegin ? start(r) : Simd::ZeroInt();
#pragma GCC unroll 2
        for (int p = 0; p < N; ++p) {
          pairs[p][r] = Simd::AddProducts(operand[p], inputs, f.value == kFirst ? first : pairs[p][r]);
        }
      }
    });
    for (int p = 0; p < N; ++p) {
      for (int r = 0; r < R; ++r) {
        const I wide = widen(p, pairs[p][r]);
        sum[p][r] = chain.value == 0 && kBegin == 0 ? wide : Simd::AddInt(sum[p][r], wide);
      }
    }
  });
}

template <typename Quanta, int R, int N>
inline __attribute__((always_inline)) void SignedProducts(const uint8_t* w, const int8_t* const* q,
                                                          const int16_t* const* pair_sum, I (*sum)[R]) {
  if constexpr (R == 16) return TileProducts<0, 8>(w, q, sum[0]);
  for (int p = 0; p < N; ++p) {
    for (int r = 0; r < R; ++r) sum[p][r] = Simd::SignedStart(pair_sum[r]);
  }
  For<0, 8>([&](auto f) {
    I operand[N];
    for (int p = 0; p < N; ++p) operand[p] = Quanta::template Operand<f.value>(w + 4 * kLanes * p);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const I inputs = Simd::Broadcast4(q[r] + 4 * f.value);
#pragma GCC unroll 2
      for (int p = 0; p < N; ++p) sum[p][r] = Simd::AddSignedProducts(operand[p], inputs, sum[p][r]);
    }
  });
}

// R rows of activations, at the block of 32 that is next.
template <int R>
struct Rows {
  const int8_t* q[R];
  const float* scale[R];
  const float* scaled_sum[R];
  const int16_t* pair_sum[R];

  Rows(const MatmulInput& in, int row, int column) {
    const int64_t blocks = in.columns / kQuantBlock;
    for (int r = 0; r < R; ++r) {
      const int64_t at = (row + r) * blocks + column / kQuantBlock;
      q[r] = in.q + at * kQuantBlock;
      scale[r] = in.scale + at;
      scaled_sum[r] = in.scaled_sum + at;
      pair_sum[r] = in.pair_sum + 4 * at;
    }
  }
  void Next() {
    for (int r = 0; r < R; ++r) {
      q[r] += kQuantBlock;
      ++scale[r];
      ++scaled_sum[r];
      pair_sum[r] += 4;
    }
  }
};

template <int R, int N>
inline __attribute__((always_inline)) void AddScaled(const Rows<R>& rows, const I (*dot)[R], const F* d, F (*total)[R]) {
  for (int r = 0; r < R; ++r) {
    const F scale = Simd::Set(*rows.scale[r]);
    for (int p = 0; p < N; ++p) total[p][r] = Simd::Fma(Simd::ToFloat(dot[p][r]), Simd::Mul(d[p], scale), total[p][r]);
  }
}

// m times the sums of the activations themselves.
template <int R, int N>
inline __attribute__((always_inline)) void AddMinimum(const Rows<R>& rows, const F* m, F (*total)[R]) {
  for (int r = 0; r < R; ++r) {
    const F sum = Simd::Set(*rows.scaled_sum[r]);
    for (int p = 0; p < N; ++p) total[p][r] = Simd::Fma(m[p], sum, total[p][r]);
  }
}

constexpr auto kNoStart = [](int) { return Simd::ZeroInt(); };

}  // namespace

#endif  // BACKENDS_CPU_PRODUCTS_INL_H_
