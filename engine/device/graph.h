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
  kEmbed,       // out[t] = embedding_scale · weight[token_ids[t]]
  kRmsNorm,     // out = a / sqrt(mean(a²) + epsilon) · weight, over each part of a row as long as the weight: row or head
  kMatmul,      // out[t][o] = Σ_i a[t][i] · weight[o][i] + bias[o]
  kRope,        // in place on `a`: rotates pairs of each head by the token's position (RopeAttributes)
  kStoreKv,     // writes a = keys and b = values [rows, kv_heads · head_dim] to the token's slot of `kv`
  kAttention,   // out = softmax(scale · a · Kᵀ) · V per head over the positions that the token sees, read from `kv`
  kGate,        // out = activation(a) · b
  kAdd,         // out = a + b
  kGatherRows,  // out[i] = a[output_rows[i]]
};

// Index into Graph::tensors.
using TensorId = int32_t;
inline constexpr TensorId kNoTensor = -1;

// Pair i of each head turns by position · frequencies[i]. The first 2 · pairs elements of a head take part.
struct RopeAttributes {
  int head_dim = 0;
  bool interleaved = true;          // pairs (2i, 2i+1), as GGUF's llama has them; else (i, i + pairs)
  std::vector<double> frequencies;  // [pairs] radians a position
  float magnitude = 1;              // a turned pair is longer by this: YaRN's attention factor

  int pairs() const { return static_cast<int>(frequencies.size()); }
};

struct AttentionAttributes {
  int heads = 0;
  int kv_heads = 0;  // query head h reads key head h / (heads / kv_heads)
  int head_dim = 0;
  float scale = 0;
  int window = 0;  // a token sees its own position and window − 1 before it; 0: all before it
};

enum class Activation : uint8_t {
  kSilu,      // x / (1 + e^−x)
  kGeluTanh,  // x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
};

// Fields that an operation does not name stay at their defaults.
struct Op {
  OpKind kind;
  TensorId out = kNoTensor;  // may be equal to an input only for kAdd, kGate, kRmsNorm and kRope
  TensorId a = kNoTensor;
  TensorId b = kNoTensor;
  const Buffer* weight = nullptr;  // from Device::LoadWeight; kEmbed, kMatmul, kRmsNorm
  const Buffer* bias = nullptr;    // the same; kMatmul, null for none
  Buffer* kv = nullptr;            // one layer's cache, from Device::AllocateKv; kStoreKv, kAttention
  float embedding_scale = 1;       // kEmbed
  float epsilon = 0;               // kRmsNorm
  int rope = 0;                    // kRope: index into Graph::ropes
  AttentionAttributes attention;   // kStoreKv, kAttention
  Activation activation = Activation::kSilu;  // kGate
};

enum class Rows : uint8_t { kTokens, kOutputs };

struct TensorSpec {
  int width = 0;  // elements in a row
  Rows rows = Rows::kTokens;
};

struct Graph {
  std::vector<TensorSpec> tensors;
  std::vector<Op> ops;            // in an order in which they can run
  std::vector<RopeAttributes> ropes;
  std::vector<TensorId> inputs;   // fed by StepInput::inputs; a language model has none, a test of one op has some
  TensorId output = kNoTensor;    // what Program::Run hands back
  int vocabulary = 0;             // rows of the embedding; token ids are below it
  int max_tokens = 0;             // of one step
  int max_outputs = 0;            // output rows of one step
  int max_positions = 0;          // that a sequence is expected to have; 0: as many as its cache holds

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
