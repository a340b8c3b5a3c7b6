// Rounding of activations, and products of them with packed weights; a part of kernels-inl.h.
//
// A quantised block is the same work for all types: its quanta come as eight operands of bytes, operand f with inputs
// 4f … 4f + 3 of 32 for every output; integer products are summed, exactly, over a sub-block; scales turn the sums into
// floats, which are added in ascending order. The types differ in how an operand is unpacked and where scales lie.
#ifndef BACKENDS_CPU_MATMUL_INL_H_
#define BACKENDS_CPU_MATMUL_INL_H_

#include <cstdint>
#include <cstring>

#include "backends/cpu/kernels.h"
#include "engine/device/codebook.h"

namespace {

using spotinference::cpu::kQuantBlock;
using spotinference::cpu::kTileOutputs;
using spotinference::cpu::MatmulInput;
using spotinference::cpu::MatmulWork;
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
  float v[kLanes];
  F best = Simd::Zero();
  for (int i = 0; i < n; i += kLanes) best = Simd::Max(Simd::Abs(Simd::Load(x + i)), best);
  Simd::Store(v, best);
  float m = 0;
  for (int i = 0; i < kLanes; ++i) m = v[i] > m ? v[i] : m;
  return m;
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
    int sum[2] = {};
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 16; ++i) sum[half] += q[16 * half + i];
      to.half_sum[2 * b + half] = static_cast<int16_t>(sum[half]);
    }
    to.scaled_sum[b] = d * static_cast<float>(sum[0] + sum[1]);
  }
}

// --- Quanta: operand f of the 32 inputs whose bytes begin at `w`. kChain products may be added up before they are widened:
// in pairs to 16 bits, where the processor does so, they stay below 2^15.

struct FourBits {
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
  static constexpr int kBytes = 256 + 64, kChain = 4;  // 4 · 2 · 31 · 127 = 31,496
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Or(FourBits::Operand<f>(w), OneBit<f, 4>(w + 256));
  }
};

struct SixBits {
  static constexpr int kBytes = 256 + 128, kChain = 2;  // 2 · 2 · 63 · 127 = 32,004
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
  static constexpr int kBytes = 128, kChain = 8;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Mask<3>(Simd::ShiftRight<2 * (f % 4)>(Simd::LoadBytes(w + 64 * (f / 4))));
  }
};

struct ThreeBits {
  static constexpr int kBytes = 128 + 64, kChain = 8;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::Or(TwoBits::Operand<f>(w), OneBit<f, 2>(w + 128));
  }
};

// Signed ones.
struct EightBits {
  static constexpr int kBytes = 512;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::LoadBytes(w + 64 * f);
  }
};

struct Codebook {
  static constexpr int kBytes = 256;
  template <int f>
  static I Operand(const uint8_t* w) {
    return Simd::LookUp(spotinference::kCodebook4, FourBits::Operand<f>(w));
  }
};

// --- Sums of products: sum[p][r] = Σ w · q[r] for the outputs of part p of N.

// sum[r] = Σ over operands kBegin … kEnd for sixteen rows that follow each other in memory; where Simd::kTileRows is 16. See
// tiles_amx.h.
template <typename Quanta, int kBegin, int kEnd>
void TileProducts(const uint8_t* w, const int8_t* const* q, I* sum);
// Round the matmuls of a thread. Templates so that kernels without tiles need not define them.
template <typename Block>
void TilesBegin();
template <typename Block>
void TilesEnd();

// Over operands kBegin … kEnd, each partial sum turned to 32 bits by widen(p, sum).
template <typename Quanta, int R, int N, int kBegin, int kEnd, typename Widen>
inline __attribute__((always_inline)) void Products(const uint8_t* w, const int8_t* const* q, Widen widen,
                                                    I (*sum)[R]) {
  if constexpr (R == 16) {
    I wide[R];
    TileProducts<Quanta, kBegin, kEnd>(w, q, wide);
    for (int r = 0; r < R; ++r) {
      const I scaled = widen(0, wide[r]);
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
#pragma GCC unroll 2
        for (int p = 0; p < N; ++p) {
          pairs[p][r] = Simd::AddProducts(operand[p], inputs, f.value == kFirst ? Simd::ZeroInt() : pairs[p][r]);
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
                                                          const int16_t* const* half_sum, I (*sum)[R]) {
  if constexpr (R == 16) return TileProducts<Quanta, 0, 8>(w, q, sum[0]);
  for (int p = 0; p < N; ++p) {
    for (int r = 0; r < R; ++r) sum[p][r] = Simd::SignedStart(half_sum[r][0] + half_sum[r][1]);
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
  const int16_t* half_sum[R];

  Rows(const MatmulInput& in, int row) {
    const int64_t blocks = in.columns / kQuantBlock;
    for (int r = 0; r < R; ++r) {
      const int64_t at = (row + r) * blocks;
      q[r] = in.q + at * kQuantBlock;
      scale[r] = in.scale + at;
      scaled_sum[r] = in.scaled_sum + at;
      half_sum[r] = in.half_sum + 2 * at;
    }
  }
  void Next() {
    for (int r = 0; r < R; ++r) {
      q[r] += kQuantBlock;
      ++scale[r];
      ++scaled_sum[r];
      half_sum[r] += 2;
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

// --- Blocks. Add() takes sub-block `j` of 32 inputs into the totals of R rows and N parts of the outputs from `part`;
// d[p] and m[p] are the block's own of these outputs.

// d, maybe m, quanta.
template <typename Quanta, bool kHasMinimum>
struct PlainBlock {
  static constexpr bool kMinimum = kHasMinimum;
  static constexpr int kSubBlocks = 1;
  static constexpr int kHeader = kMinimum ? 64 : 32;
  static constexpr int kBytes = kHeader + Quanta::kBytes;
  template <int R, int N>
  static void Add(const uint8_t* block, int /*j*/, int part, const F* d, const F* m, const Rows<R>& rows,
                  F (*total)[R]) {
    I dot[N][R];
    const uint8_t* const w = block + kHeader + 4 * kLanes * part;
    if constexpr (kMinimum) {
      Products<Quanta, R, N, 0, 8>(w, rows.q, [](int, I sum) { return Simd::Widen(sum); }, dot);
    } else {
      SignedProducts<Quanta, R, N>(w, rows.q, rows.half_sum, dot);
    }
    AddScaled<R, N>(rows, dot, d, total);
    if constexpr (kMinimum) AddMinimum<R, N>(rows, m, total);
  }
};

// d, m, 8 × [16 outputs][scale, minimum], 8 × quanta.
template <typename Quanta>
struct BlockOf32s {
  static constexpr bool kMinimum = true;
  static constexpr int kSubBlocks = 8;
  static constexpr int kBytes = 64 + 8 * (32 + Quanta::kBytes);
  template <int R, int N>
  static void Add(const uint8_t* block, int j, int part, const F* d, const F* m, const Rows<R>& rows, F (*total)[R]) {
    I scale[N], dot[N][R];
    F minimum[N];
    for (int p = 0; p < N; ++p) {
      const I pair = Simd::BytePairs(block + 64 + 32 * j + 2 * kLanes * (part + p));
      scale[p] = Simd::PairLow(pair);
      minimum[p] = Simd::Mul(m[p], Simd::ToFloat(Simd::UpperHalf(pair)));  // exact: 11 + 6 bits
    }
    Products<Quanta, R, N, 0, 8>(block + 64 + 8 * 32 + j * Quanta::kBytes + 4 * kLanes * part, rows.q,
                                 [&](int p, I sum) { return Simd::Scaled(sum, scale[p]); }, dot);
    AddScaled<R, N>(rows, dot, d, total);
    AddMinimum<R, N>(rows, minimum, total);
  }
};

// The two scales of 32 inputs, of 16 each.
template <int N>
struct ScalesOf16s {
  I low[N], high[N];

  void Set(int p, I pair) {
    low[p] = Simd::PairLow(pair);
    high[p] = Simd::PairHigh(pair);
  }
};

// Σ over both halves of scale · Σ w · q
template <typename Quanta, int R, int N>
inline __attribute__((always_inline)) void ProductsOf16s(const uint8_t* w, const int8_t* const* q,
                                                         const ScalesOf16s<N>& scales, I (*sum)[R]) {
  Products<Quanta, R, N, 0, 4>(w, q, [&](int p, I half) { return Simd::Scaled(half, scales.low[p]); }, sum);
  Products<Quanta, R, N, 4, 8>(w, q, [&](int p, I half) { return Simd::Scaled(half, scales.high[p]); }, sum);
}

// d, 8 × [16 outputs][scale of 16 inputs, of the next 16], 8 × quanta that are 1 << kLogZero too large.
template <typename Quanta, int kLogZero>
struct BlockOf16s {
  static constexpr bool kMinimum = false;
  static constexpr int kSubBlocks = 8;
  static constexpr int kBytes = 32 + 8 * (32 + Quanta::kBytes);
  template <int R, int N>
  static void Add(const uint8_t* block, int j, int part, const F* d, const F* /*m*/, const Rows<R>& rows,
                  F (*total)[R]) {
    I pair[N], dot[N][R];
    ScalesOf16s<N> scales;
    for (int p = 0; p < N; ++p) {
      pair[p] = Simd::SignedBytePairs(block + 32 + 32 * j + 2 * kLanes * (part + p));
      scales.Set(p, pair[p]);
    }
    ProductsOf16s<Quanta, R, N>(block + 32 + 8 * 32 + j * Quanta::kBytes + 4 * kLanes * part, rows.q, scales, dot);
    for (int r = 0; r < R; ++r) {
      const I sums = Simd::BroadcastPair(rows.half_sum[r]);
      for (int p = 0; p < N; ++p) {
        dot[p][r] = Simd::SubInt(dot[p][r], Simd::ShiftWordsLeft<kLogZero>(Simd::MulAddPairs(pair[p], sums)));
      }
    }
    AddScaled<R, N>(rows, dot, d, total);
  }
};

// --- Types

using Q4_1 = PlainBlock<FourBits, true>;
using Q5_1 = PlainBlock<FiveBits, true>;
using Q8_0 = PlainBlock<EightBits, false>;
using IQ4_NL = PlainBlock<Codebook, false>;
using Q4_K = BlockOf32s<FourBits>;
using Q5_K = BlockOf32s<FiveBits>;
using Q3_K = BlockOf16s<ThreeBits, 2>;
using Q6_K = BlockOf16s<SixBits, 5>;

// d, m, 8 × [16 outputs][two scales], 8 × [16 outputs][two minima], 8 × quanta.
struct Q2_K {
  static constexpr bool kMinimum = true;
  static constexpr int kSubBlocks = 8;
  static constexpr int kBytes = 64 + 8 * (32 + 32 + TwoBits::kBytes);
  template <int R, int N>
  static void Add(const uint8_t* block, int j, int part, const F* d, const F* m, const Rows<R>& rows, F (*total)[R]) {
    I minima[N], dot[N][R];
    ScalesOf16s<N> scales;
    for (int p = 0; p < N; ++p) {
      const uint8_t* const at = block + 64 + 32 * j + 2 * kLanes * (part + p);
      scales.Set(p, Simd::BytePairs(at));
      minima[p] = Simd::BytePairs(at + 8 * 32);
    }
    ProductsOf16s<TwoBits, R, N>(block + 64 + 16 * 32 + j * TwoBits::kBytes + 4 * kLanes * part, rows.q, scales, dot);
    AddScaled<R, N>(rows, dot, d, total);
    for (int r = 0; r < R; ++r) {
      const I sums = Simd::BroadcastPair(rows.half_sum[r]);
      for (int p = 0; p < N; ++p) dot[p][r] = Simd::MulAddPairs(minima[p], sums);
    }
    AddScaled<R, N>(rows, dot, m, total);
  }
};

// d, 8 × [16 outputs] scale, 8 × quanta.
struct IQ4_XS {
  static constexpr bool kMinimum = false;
  static constexpr int kSubBlocks = 8;
  static constexpr int kBytes = 32 + 8 * (16 + Codebook::kBytes);
  template <int R, int N>
  static void Add(const uint8_t* block, int j, int part, const F* d, const F* /*m*/, const Rows<R>& rows,
                  F (*total)[R]) {
    I dot[N][R];
    SignedProducts<Codebook, R, N>(block + 32 + 8 * 16 + j * Codebook::kBytes + 4 * kLanes * part, rows.q,
                                   rows.half_sum, dot);
    F scale[N];
    for (int p = 0; p < N; ++p) {  // exact: 11 + 6 bits
      scale[p] = Simd::Mul(d[p], Simd::LoadInt8(block + 32 + 16 * j + kLanes * (part + p)));
    }
    AddScaled<R, N>(rows, dot, scale, total);
  }
};

// --- Matmul

// A weight comes from memory for the first rows of a step. 10 GB/s a core · 100 ns are 1 KB under way, which the
// processor's own prefetcher keeps up except where it stops: at the end of each 4 KiB page. One page ahead has the next one's
// beginning there in time. Past the last tile it reads nothing and cannot fault.
constexpr int kPrefetchAhead = 4096;

// R rows from `row`, N parts from `part` of one tile.
template <typename Block, int R, int N>
void QuantizedTile(const MatmulInput& in, const uint8_t* tile, int row, int part, float (*out)[kTileOutputs]) {
  const bool from_memory = row == 0;
  constexpr int kSubBytes = Block::kBytes / Block::kSubBlocks;
  Rows<R> rows(in, row);
  F total[N][R];
  for (int p = 0; p < N; ++p) {
    for (int r = 0; r < R; ++r) total[p][r] = Simd::Zero();
  }
  for (int b = in.columns / (kQuantBlock * Block::kSubBlocks); b > 0; --b, tile += Block::kBytes) {
    F d[N], m[N];
    for (int p = 0; p < N; ++p) {
      const uint16_t* const at = reinterpret_cast<const uint16_t*>(tile) + kLanes * (part + p);
      d[p] = Simd::LoadHalf(at);
      if constexpr (Block::kMinimum) m[p] = Simd::LoadHalf(at + 16);
    }
    for (int j = 0; j < Block::kSubBlocks; ++j, rows.Next()) {
      if (from_memory) {
        for (int line = 0; line < kSubBytes; line += 64) {
          __builtin_prefetch(tile + kPrefetchAhead + j * kSubBytes + line);
        }
      }
      Block::template Add<R, N>(tile, j, part, d, m, rows, total);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < N; ++p) Simd::Store(out[r] + kLanes * (part + p), total[p][r]);
  }
}

void StoreTile(const float (*tile)[kTileOutputs], int rows, int row, int t, const MatmulWork& work) {
  const int outputs = Smaller(kTileOutputs, work.outputs - t * kTileOutputs);
  for (int r = 0; r < rows; ++r) {
    float* const out = work.out + (row + r) * work.stride + t * kTileOutputs;
    if (work.bias == nullptr) {
      memcpy(out, tile[r], outputs * sizeof(float));
    } else {
      for (int o = 0; o < outputs; ++o) out[o] = tile[r][o] + work.bias[t * kTileOutputs + o];
    }
  }
}

// Four rows share each unpacked weight, and both parts each broadcast input: with 8 lanes 8 sums, 2 operands, an input and
// a product in 16 registers. Totals are touched once a block and may lie on the stack. Against one part at a time: Q4_1
// 120 → 180 GOP/s, the other types between as much and a third more (kernels_benchmark, one Zen 3 core).
template <typename Block>
void QuantizedMatmul(const MatmulInput& in, const MatmulWork& work) {
  if constexpr (Simd::kTileRows > 0) {
    if (in.rows >= 16) TilesBegin<Block>();
  }
  for (int t = work.begin; t < work.end; ++t) {
    const uint8_t* tile = reinterpret_cast<const uint8_t*>(work.tiles) + t * work.tile_bytes;
    float out[16][kTileOutputs];
    int row = 0;
    if constexpr (Simd::kTileRows > 0) {
      for (; row + 16 <= in.rows; row += 16) {
        QuantizedTile<Block, 16, 1>(in, tile, row, 0, out);
        StoreTile(out, 16, row, t, work);
      }
    }
    if constexpr (Simd::kManyRows) {
      for (; row + 4 <= in.rows; row += 4) {
        QuantizedTile<Block, 4, kParts>(in, tile, row, 0, out);
        StoreTile(out, 4, row, t, work);
      }
      for (; row + 2 <= in.rows; row += 2) {
        QuantizedTile<Block, 2, kParts>(in, tile, row, 0, out);
        StoreTile(out, 2, row, t, work);
      }
    }
    for (; row < in.rows; ++row) {
      QuantizedTile<Block, 1, kParts>(in, tile, row, 0, out);
      StoreTile(out, 1, row, t, work);
    }
  }
  if constexpr (Simd::kTileRows > 0) {
    if (in.rows >= 16) TilesEnd<Block>();
  }
}

// Weights as [columns, 16 outputs] of T.
struct F32Weight {
  using T = float;
  static F Load(const T* p) { return Simd::Load(p); }
};
struct F16Weight {
  using T = uint16_t;
  static F Load(const T* p) { return Simd::LoadHalf(p); }
};
struct Bf16Weight {
  using T = uint16_t;
  static F Load(const T* p) { return Simd::LoadBfloat(p); }
};

template <typename W, int R>
void FloatTile(const MatmulInput& in, const typename W::T* w, int row, float (*out)[kTileOutputs]) {
  F total[R][kParts];
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < kParts; ++p) total[r][p] = Simd::Zero();
  }
  const float* x = in.x + static_cast<int64_t>(row) * in.columns;
  for (int i = 0; i < in.columns; ++i, w += kTileOutputs) {
    for (int p = 0; p < kParts; ++p) {
      const F weight = W::Load(w + kLanes * p);
      for (int r = 0; r < R; ++r) {
        total[r][p] = Simd::Fma(weight, Simd::Set(x[static_cast<int64_t>(r) * in.columns + i]), total[r][p]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < kParts; ++p) Simd::Store(out[r] + kLanes * p, total[r][p]);
  }
}

template <typename W>
void FloatMatmul(const MatmulInput& in, const MatmulWork& work) {
  for (int t = work.begin; t < work.end; ++t) {
    const auto* tile =
        reinterpret_cast<const typename W::T*>(reinterpret_cast<const uint8_t*>(work.tiles) + t * work.tile_bytes);
    float out[4][kTileOutputs];
    int row = 0;
    for (; row + 4 <= in.rows; row += 4) {
      FloatTile<W, 4>(in, tile, row, out);
      StoreTile(out, 4, row, t, work);
    }
    for (; row < in.rows; ++row) {
      FloatTile<W, 1>(in, tile, row, out);
      StoreTile(out, 1, row, t, work);
    }
  }
}

}  // namespace

#endif  // BACKENDS_CPU_MATMUL_INL_H_
