// The arithmetic of the cpu backend, once per instruction set, behind a table of plain functions.
//
// Every table gives the same bits: kernels-inl.h is compiled three times over the small vector types of simd_*.h, each
// output has one accumulator, sums run in ascending order with fused multiply-adds written out, and a reduction across
// lanes is a fixed tree of 16. A test compares the tables to the bit.
//
// Weights come packed by packed.h in tiles of 16 outputs. Pure functions, any thread.
#ifndef BACKENDS_CPU_KERNELS_H_
#define BACKENDS_CPU_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace spotinference::cpu {

inline constexpr int kTileOutputs = 16;
inline constexpr int kQuantBlock = 32;  // activations share a scale, weights too
// Attention works through positions in pieces that start at multiples of this, whoever asks, so that a row's sums have
// one order. 256: the scores of 8 queries take 8 KiB of L1, and a merge costs 1/64 of the piece's own work.
inline constexpr int kAttentionSplit = 256;

// How a weight lies in its tiles; see packed.h.
enum class Packing : uint8_t { kF32, kF16, kBF16, kQ4_1, kQ5_1, kQ8_0, kIQ4_NL, kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K, kIQ4_XS };
inline constexpr int kPackings = 13;
// Quantised packings are multiplied with activations that are rounded to int8.
inline constexpr bool IsQuantized(Packing packing) { return packing >= Packing::kQ4_1; }

// A matmul's input rows: floats, or the same rounded to int8.
struct MatmulInput {
  const float* x = nullptr;           // [rows, columns]
  const int8_t* q = nullptr;          // [rows, columns]
  const float* scale = nullptr;       // [rows, columns / 32]
  const float* scaled_sum = nullptr;  // [rows, columns / 32] scale · Σ q
  const int16_t* pair_sum = nullptr;  // [rows, columns / 16, 2] Σ q of 16 inputs, of the even and of the odd pairs
  int rows = 0;
  int columns = 0;
};

// One row of it, to be written.
struct QuantizedRow {
  int8_t* q;
  float* scale;
  float* scaled_sum;
  int16_t* pair_sum;
};

// Tiles `begin` … `end` of one weight against all rows. out[r · stride + o] = Σ_i x[r][i] · w[o][i] + bias[o].
struct MatmulWork {
  const std::byte* tiles = nullptr;
  size_t tile_bytes = 0;
  int begin = 0, end = 0;
  int outputs = 0;  // of the whole weight; the last tile may have fewer than 16
  float* out = nullptr;
  int64_t stride = 0;
  const float* bias = nullptr;  // [outputs], or none
};

// One layer's cache. A page holds K as [kv_heads, head_dim, 16 tokens], then V as [kv_heads, 16 tokens, head_dim], halves.
struct KvPages {
  uint16_t* data = nullptr;
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 16
  int64_t page_elements() const { return int64_t{2} * kv_heads * head_dim * 16; }
};

// Query heads first_head … first_head + heads, all of key head `kv_head`, of `rows` consecutive tokens of one sequence.
struct AttentionWork {
  const float* q = nullptr;  // the first row's first element; row r at q + r · stride
  float* out = nullptr;      // the same shape
  int64_t stride = 0;
  int rows = 0;              // heads · rows ≤ kMaxQueries
  int first_position = 0;    // of the first row; the next rows follow it
  int first_head = 0, heads = 0, kv_head = 0;
  float scale = 0;
  const int32_t* block_table = nullptr;
  int window = 0;  // AttentionAttributes::window
};
inline constexpr int kMaxQueries = 32;
// Floats of scratch that attention needs.
inline constexpr size_t AttentionScratch(int head_dim) {
  return size_t{kMaxQueries} * (kAttentionSplit + 2 * head_dim + 2);
}

struct Kernels {
  const char* name;  // "avx2"
  // d = max|x| / 127, q = x / d to nearest, ties to even, in blocks of 32; the reference backend rounds the same way.
  void (*quantize)(const float* x, int columns, const QuantizedRow& to);
  void (*matmul[kPackings])(const MatmulInput&, const MatmulWork&);
  // out = x / sqrt(mean(x²) + epsilon) · w; `out` may be `x`
  void (*rms_norm)(const float* x, const float* w, int width, float epsilon, float* out);
  // In place on one head. cos_sin: [pairs][2].
  void (*rope)(float* head, const float* cos_sin, int pairs, bool interleaved);
  void (*add)(const float* a, const float* b, int n, float* out);
  void (*silu_gate)(const float* a, const float* b, int n, float* out);  // silu(a) · b
  void (*gelu_gate)(const float* a, const float* b, int n, float* out);  // gelu(a) · b, with tanh
  // One token's keys and values [kv_heads · head_dim] to slot `slot` (0–15) of `page`.
  void (*store_kv)(const KvPages&, int64_t page, int slot, const float* k, const float* v);
  void (*attention)(const KvPages&, const AttentionWork&, float* scratch);
};

const Kernels& PortableKernels();
// nullptr where the processor lacks what they need.
const Kernels* Avx2Kernels();
const Kernels* Avx512Kernels();
const Kernels* AmxKernels();  // those, with sixteen rows of a quantised matmul at a time on tiles of int8

// The fastest that this processor has.
const Kernels& BestKernels();

}  // namespace spotinference::cpu

#endif  // BACKENDS_CPU_KERNELS_H_
