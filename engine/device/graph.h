// One forward pass as data: a list of typed operations over tensors. The model builds it once, a Device compiles it once
// (Device::Compile), and what changes from step to step comes in a StepInput, so that a Program is replayed and never rebuilt.
//
// Activations are float32 [rows, width]. Rows are the tokens of a step, of any mix of sequences and positions, except
// after kGatherRows, where they are the rows whose output was asked for.
#ifndef ENGINE_DEVICE_GRAPH_H_
#define ENGINE_DEVICE_GRAPH_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace spotinference {

class Buffer;  // device.h

// Tokens in one page of the KV cache, everywhere.
inline constexpr int kBlockTokens = 16;

enum class OpKind : uint8_t {
  kEmbed,       // out[t] = weight[token_ids[t]]
  kRmsNorm,     // out[t] = in[t] / sqrt(mean(in[t]²) + epsilon) · weight, over each `width` of the tensor
  kMatmul,      // out[t][o] = Σ_i in[t][i] · weight[o][i]
  kRope,        // in place on `a`: rotates pairs of each head by the token's position (RopeAttributes)
  kStoreKv,     // writes a = keys and b = values [rows, kv_heads · head_dim] to the token's slot of `kv`
  kAttention,   // out = softmax(scale · a · Kᵀ) · V per head over positions 0 … the token's own, read from `kv`
  kGate,        // out = silu(a) · b
  kAdd,         // out = a + b
  kGatherRows,  // out[i] = a[output_rows[i]]
};

// Index into Graph::tensors.
using TensorId = int32_t;
inline constexpr TensorId kNoTensor = -1;

struct RopeAttributes {
  int head_dim = 0;
  int rotated = 0;          // the first `rotated` elements of each head take part
  float base = 10000;       // pair i turns by position · base^(−2i / rotated)
  bool interleaved = true;  // pairs (2i, 2i+1), as GGUF's llama has them; else (i, i + rotated/2)
};

struct AttentionAttributes {
  int heads = 0;
  int kv_heads = 0;  // query head h reads key head h / (heads / kv_heads)
  int head_dim = 0;
  float scale = 0;
};

// Fields that an operation does not name stay at their defaults.
struct Op {
  OpKind kind;
  TensorId out = kNoTensor;  // may be equal to an input only for kAdd, kGate and kRope
  TensorId a = kNoTensor;
  TensorId b = kNoTensor;
  const Buffer* weight = nullptr;  // from Device::LoadWeight; kEmbed, kMatmul, kRmsNorm
  Buffer* kv = nullptr;            // one layer's cache, from Device::AllocateKv; kStoreKv, kAttention
  float epsilon = 0;               // kRmsNorm
  RopeAttributes rope;             // kRope
  AttentionAttributes attention;   // kStoreKv, kAttention
};

enum class Rows : uint8_t { kTokens, kOutputs };

struct TensorSpec {
  int width = 0;  // elements in a row
  Rows rows = Rows::kTokens;
};

struct Graph {
  std::vector<TensorSpec> tensors;
  std::vector<Op> ops;            // in an order in which they can run
  std::vector<TensorId> inputs;   // fed by StepInput::inputs; a language model has none, a test of one op has some
  TensorId output = kNoTensor;    // what Program::Run hands back
  int vocabulary = 0;             // rows of the embedding; token ids are below it
  int max_tokens = 0;             // of one step
  int max_outputs = 0;            // output rows of one step

  TensorId Add(TensorSpec spec) {
    tensors.push_back(spec);
    return static_cast<TensorId>(tensors.size()) - 1;
  }
};

// What one step feeds. Spans stay valid during Run. T tokens, S sequences, O output rows.
struct StepInput {
  absl::Span<const int32_t> token_ids;     // [T]
  absl::Span<const int32_t> positions;     // [T] position in the token's own sequence
  absl::Span<const int32_t> sequences;     // [T] row of block_tables
  absl::Span<const int32_t> block_tables;  // [S, blocks_per_sequence] block numbers; entry p / kBlockTokens holds position p
  int blocks_per_sequence = 0;
  absl::Span<const int32_t> output_rows;   // [O] tokens whose output is wanted
  absl::Span<const absl::Span<const float>> inputs;  // one per Graph::inputs, [T, width]
};

}  // namespace spotinference

#endif  // ENGINE_DEVICE_GRAPH_H_
