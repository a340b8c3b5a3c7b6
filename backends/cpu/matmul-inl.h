// Products of activations with packed weights; a part of kernels-inl.h.
//
// A quantised block is the same work for all types, which differ in how its quanta are unpacked (products-inl.h) and where
// its scales lie.
#ifndef BACKENDS_CPU_MATMUL_INL_H_
#define BACKENDS_CPU_MATMUL_INL_H_

#include <cstdint>
#include <cstring>

#include "backends/cpu/kernels.h"
#include "backends/cpu/products-inl.h"

namespace {

using spotinference::cpu::kTileOutputs;
using spotinference::cpu::MatmulWork;

// --- Blocks. A block has d and maybe m for each output, then Scales for each sub-block of 32 inputs. Add() takes one of them
// into the totals of R rows and N parts of the outputs; `w` are its quanta, packed or opened.

// d, maybe m, quanta.
template <typename PackedQuanta, bool kHasMinimum>
struct PlainBlock {
  using Quanta = PackedQuanta;
  static constexpr bool kMinimum = kHasMinimum;
  static constexpr bool kOpens = Quanta::kOpens;
  static constexpr int kSubBlocks = 1;
  static constexpr int kHeader = kMinimum ? 64 : 32;
  template <int N>
  struct Scales {
    void Load(const uint8_t* /*block*/, int /*j*/, const F* /*d*/, const F* /*m*/) {}
  };
  template <typename Q, int R, int N>
  static void Add(const Scales<N>&, const uint8_t* w, const F* d, const F* m, const Rows<R>& rows, F (*total)[R]) {
    I dot[N][R];
    if constexpr (kMinimum) {
      Products<Q, R, N, 0, 8>(w, rows.q, kNoStart, [](int, I sum) { return Simd::Widen(sum); }, dot);
    } else {
      SignedProducts<Q, R, N>(w, rows.q, rows.pair_sum, dot);
    }
    AddScaled<R, N>(rows, dot, d, total);
    if constexpr (kMinimum) AddMinimum<R, N>(rows, m, total);
  }
};

// d, m, 8 × [16 outputs][scale, minimum], 8 × quanta.
template <typename PackedQuanta>
struct BlockOf32s {
  using Quanta = PackedQuanta;
  static constexpr bool kMinimum = true;
  // With 16 lanes a mask and a shift run beside the products: opened, 16 rows took an eighth longer and 256 as long.
  static constexpr bool kOpens = Quanta::kOpens || kLanes < 16;
  static constexpr int kSubBlocks = 8;
  static constexpr int kHeader = 64 + 8 * 32;
  template <int N>
  struct Scales {
    F scale[N], minimum[N];
    void Load(const uint8_t* block, int j, const F* d, const F* m) {
      for (int p = 0; p < N; ++p) {  // exact: 11 + 6 bits
        const I pair = Simd::BytePairs(block + 64 + 32 * j + 2 * kLanes * p);
        scale[p] = Simd::Mul(d[p], Simd::ToFloat(Simd::LowerHalf(pair)));
        minimum[p] = Simd::Mul(m[p], Simd::ToFloat(Simd::UpperHalf(pair)));
      }
    }
  };
  template <typename Q, int R, int N>
  static void Add(const Scales<N>& scales, const uint8_t* w, const F* /*d*/, const F* /*m*/, const Rows<R>& rows,
                  F (*total)[R]) {
    I dot[N][R];
    Products<Q, R, N, 0, 8>(w, rows.q, kNoStart, [](int, I sum) { return Simd::Widen(sum); }, dot);
    AddScaled<R, N>(rows, dot, scales.scale, total);
    AddMinimum<R, N>(rows, scales.minimum, total);
  }
};

// Σ over both halves of their scale · Σ (w − zero) · q, where zero is 1 << kLogZero, or 0.
template <typename Quanta, int kLogZero, int R, int N>
inline __attribute__((always_inline)) void ProductsOf16s(const uint8_t* w, const Rows<R>& rows, const I* low, const I* high,
                                                         I (*sum)[R]) {
  const auto start = [&](int r, int half) {
    return kLogZero < 0 ? Simd::ZeroInt() : Simd::ZeroStart<kLogZero < 0 ? 0 : kLogZero>(rows.pair_sum[r] + 2 * half);
  };
  Products<Quanta, R, N, 0, 4>(w, rows.q, [&](int r) { return start(r, 0); },
                               [&](int p, I half) { return Simd::Scaled(half, low[p]); }, sum);
  Products<Quanta, R, N, 4, 8>(w, rows.q, [&](int r) { return start(r, 1); },
                               [&](int p, I half) { return Simd::Scaled(half, high[p]); }, sum);
}

// d, 8 × [16 outputs][scale of 16 inputs, of the next 16], 8 × quanta that are 1 << kLogZero too large.
template <typename PackedQuanta, int kLogZero>
struct BlockOf16s {
  using Quanta = PackedQuanta;
  static constexpr bool kMinimum = false;
  static constexpr bool kOpens = true;
  static constexpr int kSubBlocks = 8;
  static constexpr int kHeader = 32 + 8 * 32;
  template <int N>
  struct Scales {
    I low[N], high[N];
    void Load(const uint8_t* block, int j, const F* /*d*/, const F* /*m*/) {
      for (int p = 0; p < N; ++p) {
        const I pair = Simd::SignedBytePairs(block + 32 + 32 * j + 2 * kLanes * p);
        low[p] = Simd::PairLow(pair);
        high[p] = Simd::PairHigh(pair);
      }
    }
  };
  template <typename Q, int R, int N>
  static void Add(const Scales<N>& scales, const uint8_t* w, const F* d, const F* /*m*/, const Rows<R>& rows,
                  F (*total)[R]) {
    I dot[N][R];
    ProductsOf16s<Q, kLogZero, R, N>(w, rows, scales.low, scales.high, dot);
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
  using Quanta = TwoBits;
  static constexpr bool kMinimum = true;
  static constexpr bool kOpens = true;
  static constexpr int kSubBlocks = 8;
  static constexpr int kHeader = 64 + 16 * 32;
  template <int N>
  struct Scales {
    I low[N], high[N], minima[N];
    void Load(const uint8_t* block, int j, const F* /*d*/, const F* /*m*/) {
      for (int p = 0; p < N; ++p) {
        const uint8_t* const at = block + 64 + 32 * j + 2 * kLanes * p;
        const I pair = Simd::BytePairs(at);
        low[p] = Simd::PairLow(pair);
        high[p] = Simd::PairHigh(pair);
        minima[p] = Simd::BytePairs(at + 8 * 32);
      }
    }
  };
  template <typename Q, int R, int N>
  static void Add(const Scales<N>& scales, const uint8_t* w, const F* d, const F* m, const Rows<R>& rows, F (*total)[R]) {
    I dot[N][R];
    ProductsOf16s<Q, -1, R, N>(w, rows, scales.low, scales.high, dot);
    AddScaled<R, N>(rows, dot, d, total);
    for (int r = 0; r < R; ++r) {
      const int16_t* const s = rows.pair_sum[r];
      const I sums = Simd::SetPair(s[0] + s[1], s[2] + s[3]);
      for (int p = 0; p < N; ++p) dot[p][r] = Simd::MulAddPairs(scales.minima[p], sums);
    }
    AddScaled<R, N>(rows, dot, m, total);
  }
};

// d, 8 × [16 outputs] scale, 8 × quanta.
struct IQ4_XS {
  using Quanta = Codebook;
  static constexpr bool kMinimum = false;
  static constexpr bool kOpens = true;
  static constexpr int kSubBlocks = 8;
  static constexpr int kHeader = 32 + 8 * 16;
  template <int N>
  struct Scales {
    F scale[N];
    void Load(const uint8_t* block, int j, const F* d, const F* /*m*/) {
      for (int p = 0; p < N; ++p) {  // exact: 11 + 6 bits
        scale[p] = Simd::Mul(d[p], Simd::LoadInt8(block + 32 + 16 * j + kLanes * p));
      }
    }
  };
  template <typename Q, int R, int N>
  static void Add(const Scales<N>& scales, const uint8_t* w, const F* /*d*/, const F* /*m*/, const Rows<R>& rows,
                  F (*total)[R]) {
    I dot[N][R];
    SignedProducts<Q, R, N>(w, rows.q, rows.pair_sum, dot);
    AddScaled<R, N>(rows, dot, scales.scale, total);
  }
};

// --- Matmul

template <typename Block>
constexpr int kBlockBytes = Block::kHeader + Block::kSubBlocks * Block::Quanta::kBytes;
template <typename Block>
constexpr int kBlockColumns = kQuantBlock * Block::kSubBlocks;

// d and m of all parts.
template <typename Block>
struct Halves {
  F d[kParts], m[kParts];

  explicit Halves(const uint8_t* block) {
    for (int p = 0; p < kParts; ++p) {
      const uint16_t* const at = reinterpret_cast<const uint16_t*>(block) + kLanes * p;
      d[p] = Simd::LoadHalf(at);
      if constexpr (Block::kMinimum) m[p] = Simd::LoadHalf(at + 16);
    }
  }
};

// A weight comes from memory once a step, for the first rows that use it.
//
// Where these are all rows, the processor's own prefetcher keeps up with the one stream that it sees: to ask for lines beside
// it cost a sixth. Where bytes are gone through several times, the first pass would wait for memory and the others leave it
// idle. So each asks for its share of the next as many: those sub-blocks whose number leaves `pass` when divided by `passes`.
//
// Past the last tile it reads nothing and cannot fault.
struct Ahead {
  int pass = 0, passes = 0;  // fewer than two: nothing is asked for
  size_t distance = 0;

  // Always inline: GCC takes a function that only prefetches for one without effect, and drops calls of it.
  [[gnu::always_inline]] void Prefetch(const uint8_t* p, int bytes, int sub_block) const {
    if (passes < 2 || sub_block % passes != pass) return;
    for (int line = 0; line < bytes; line += 64) __builtin_prefetch(p + distance + line);
  }
};

// Sub-block j of the block at `block`, unpacked as it is used.
template <typename Block, int R>
inline __attribute__((always_inline)) void AddPacked(const uint8_t* block, int j, const Halves<Block>& halves,
                                                     const Rows<R>& rows, F (*total)[R]) {
  using Quanta = typename Block::Quanta;
  typename Block::template Scales<kParts> scales;
  scales.Load(block, j, halves.d, halves.m);
  Block::template Add<Quanta, R, kParts>(scales, block + Block::kHeader + j * Quanta::kBytes, halves.d, halves.m, rows,
                                         total);
}

// R rows from `row` of one tile.
template <typename Block, int R>
void PackedTile(const MatmulInput& in, const uint8_t* tile, int row, Ahead ahead, float (*out)[kTileOutputs]) {
  constexpr int kSubBytes = kBlockBytes<Block> / Block::kSubBlocks;
  Rows<R> rows(in, row, 0);
  F total[kParts][R];
  for (int p = 0; p < kParts; ++p) {
    for (int r = 0; r < R; ++r) total[p][r] = Simd::Zero();
  }
  for (int b = 0; b < in.columns / kBlockColumns<Block>; ++b, tile += kBlockBytes<Block>) {
    const Halves<Block> halves(tile);
    for (int j = 0; j < Block::kSubBlocks; ++j, rows.Next()) {
      ahead.Prefetch(tile + j * kSubBytes, kSubBytes, b * Block::kSubBlocks + j);
      AddPacked<Block, R>(tile, j, halves, rows, total);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < kParts; ++p) Simd::Store(out[r] + kLanes * p, total[p][r]);
  }
}

// Many rows go through a tile 256 inputs at a time, so that what they go through lies in L1. Where it takes more than a mask
// to unpack them, they are opened for all rows: quanta to 4 KiB of bytes, and scales as Add() wants them. To unpack six bits
// takes eight instructions of some forty that four rows need. Totals wait in memory meanwhile: 64 rows are 4 KiB more of L1,
// and opening costs them a sixteenth.
constexpr int kStripColumns = 256;
constexpr int kStripRows = 64;

template <typename Block>
constexpr bool kOpened = Block::kOpens || Simd::kTileRows > 0;
// Blocks of 32 inputs that are not opened: a pass is faster over a whole tile than over eight of them.
template <typename Block>
constexpr bool kInStrips = kOpened<Block> || Block::kSubBlocks > 1;

template <typename Block>
struct OpenedBlocks {
  alignas(64) uint8_t quanta[kStripColumns / kQuantBlock][512];
  typename Block::template Scales<kParts> scales[kStripColumns / kQuantBlock];

  void Open(const uint8_t* tile, int blocks) {
    using Quanta = typename Block::Quanta;
    for (int at = 0; at < blocks * Block::kSubBlocks; tile += kBlockBytes<Block>) {
      const Halves<Block> halves(tile);
      for (int j = 0; j < Block::kSubBlocks; ++j, ++at) {
        scales[at].Load(tile, j, halves.d, halves.m);
        const uint8_t* const w = tile + Block::kHeader + j * Quanta::kBytes;
        For<0, 8 * kParts>([&](auto i) {
          constexpr int f = i.value / kParts, part = i.value % kParts * 4 * kLanes;
          Simd::StoreBytes(quanta[at] + 64 * f + part, Quanta::template Operand<f>(w + part));
        });
      }
    }
  }
};

// Adds `blocks` blocks, which begin at `tile` and at `column`, to out[R].
template <typename Block, int R>
void AddStrip(const MatmulInput& in, const uint8_t* tile, const OpenedBlocks<Block>& opened, int column, int blocks,
               int row, Ahead ahead, float (*out)[kTileOutputs]) {
  constexpr int kSubBytes = kBlockBytes<Block> / Block::kSubBlocks;
  Rows<R> rows(in, row, column);
  F total[kParts][R];
  for (int p = 0; p < kParts; ++p) {
    for (int r = 0; r < R; ++r) total[p][r] = column == 0 ? Simd::Zero() : Simd::Load(out[r] + kLanes * p);
  }
  for (int at = 0; at < blocks * Block::kSubBlocks; tile += kBlockBytes<Block>) {
    const Halves<Block> halves(tile);
    for (int j = 0; j < Block::kSubBlocks; ++j, ++at, rows.Next()) {
      ahead.Prefetch(tile + j * kSubBytes, kSubBytes, at);
      if constexpr (kOpened<Block>) {
        Block::template Add<Opened<typename Block::Quanta>, R, kParts>(opened.scales[at], opened.quanta[at], halves.d,
                                                                       halves.m, rows, total);
      } else {
        AddPacked<Block, R>(tile, j, halves, rows, total);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < kParts; ++p) Simd::Store(out[r] + kLanes * p, total[p][r]);
  }
}

// Rows `row` … row + rows, whole fours.
template <typename Block>
void TileInStrips(const MatmulInput& in, const uint8_t* tile, int row, int rows, float (*out)[kTileOutputs]) {
  OpenedBlocks<Block> opened;
  const int wide = Simd::kTileRows > 0 ? rows / 16 : 0;
  const int passes = row > 0 ? 0 : wide + (rows - 16 * wide) / 4;
  for (int column = 0; column < in.columns; column += kStripColumns) {
    const int blocks = Smaller(kStripColumns, in.columns - column) / kBlockColumns<Block>;
    const size_t bytes = blocks * kBlockBytes<Block>;
    if constexpr (kOpened<Block>) opened.Open(tile, blocks);
    int r = 0, pass = 0;
    const auto add = [&](auto count) {
      constexpr int kRows = decltype(count)::value;
      AddStrip<Block, kRows>(in, tile, opened, column, blocks, row + r, {pass++, passes, bytes}, out + r);
      r += kRows;
    };
    if constexpr (Simd::kTileRows > 0) {
      while (r + 16 <= rows) add(Int<16>{});
    }
    while (r < rows) add(Int<4>{});
    tile += bytes;
  }
}

void StoreTile(const float (*tile)[kTileOutputs], int rows, int row, int t, const MatmulWork& work) {
  const int outputs = Smaller(kTileOutputs, work.outputs - t * kTileOutputs);
  for (int r = 0; r < rows; ++r) {
    float* const out = work.out + (row + r) * work.stride + t * kTileOutputs;
    if (work.bias == nullptr && outputs == kTileOutputs) {
      memcpy(out, tile[r], sizeof tile[r]);  // without a call
    } else if (work.bias == nullptr) {
      memcpy(out, tile[r], outputs * sizeof(float));
    } else {
      for (int o = 0; o < outputs; ++o) out[o] = tile[r][o] + work.bias[t * kTileOutputs + o];
    }
  }
}

// Four rows share each unpacked weight, and both parts each broadcast input: with 8 lanes 8 sums, 2 operands, an input and
// a product in 16 registers. Totals are touched once a block and may lie on the stack.
template <typename Block>
void QuantizedMatmul(const MatmulInput& in, const MatmulWork& work) {
  constexpr bool kTiles = Simd::kTileRows > 0;
  if constexpr (kTiles) {
    if (in.rows >= 16) TilesBegin<Block>();
  }
  for (int t = work.begin; t < work.end; ++t) {
    const uint8_t* tile = reinterpret_cast<const uint8_t*>(work.tiles) + t * work.tile_bytes;
    float out[kStripRows][kTileOutputs];
    int row = 0;
    if constexpr (Simd::kManyRows) {
      if constexpr (kInStrips<Block>) {
        while (in.rows - row >= 8) {
          const int rows = Smaller(kStripRows, (in.rows - row) / 4 * 4);
          TileInStrips<Block>(in, tile, row, rows, out);
          StoreTile(out, rows, row, t, work);
          row += rows;
        }
      }
    }
    int pass = 0;
    const int left = in.rows - row;
    const int passes = row > 0 ? 0 : Simd::kManyRows ? left / 4 + left % 4 / 2 + left % 2 : left;
    const auto add = [&](auto rows) {
      constexpr int kRows = decltype(rows)::value;
      PackedTile<Block, kRows>(in, tile, row, {pass++, passes, work.tile_bytes}, out);
      StoreTile(out, kRows, row, t, work);
      row += kRows;
    };
    if constexpr (Simd::kManyRows) {
      while (in.rows - row >= 4) add(Int<4>{});
      if (in.rows - row >= 2) add(Int<2>{});
    }
    while (row < in.rows) add(Int<1>{});
  }
  if constexpr (kTiles) {
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
