#include "backends/reference/reference_device.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "backends/reference/reference_ops.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

using reference::KvCache;
using reference::Matrix;

size_t Bytes(const Matrix& matrix) { return matrix.values.size() * sizeof(float); }

struct WeightBuffer : Buffer {
  explicit WeightBuffer(Matrix matrix, bool rounds_input)
      : matrix(std::move(matrix)), rounds_input(rounds_input) {}
  size_t size_bytes() const override { return Bytes(matrix); }

  const Matrix matrix;
  const bool rounds_input;
};

struct KvBuffer : Buffer {
  explicit KvBuffer(KvCache kv) : kv(std::move(kv)) {}
  size_t size_bytes() const override { return Bytes(kv.keys) + Bytes(kv.values); }

  KvCache kv;
};

const Matrix* Bias(const Op& op) {
  return op.bias == nullptr ? nullptr : &static_cast<const WeightBuffer&>(*op.bias).matrix;
}
const WeightBuffer& Weight(const Op& op) { return static_cast<const WeightBuffer&>(*op.weight); }
KvCache& Kv(const Op& op) { return static_cast<KvBuffer&>(*op.kv).kv; }

bool RopeFits(const Graph& graph, const Op& op) {
  if (op.rope < 0 || op.rope >= graph.ropes.size()) return false;
  const RopeAttributes& rope = graph.ropes[op.rope];
  const TensorSpec& tensor = graph.tensors[op.a];
  return op.out == op.a && tensor.rows == Rows::kTokens && rope.head_dim > 0 &&
         tensor.width % rope.head_dim == 0 && 2 * rope.pairs() <= rope.head_dim;
}

absl::Status CheckOp(const Graph& graph, const Op& op) {
  const auto width = [&](TensorId id) { return graph.tensors[id].width; };
  const auto known = [&](TensorId id) { return id >= 0 && id < graph.tensors.size(); };
  const auto weight_is = [&](int rows, int columns) {
    return op.weight != nullptr && Weight(op).matrix.rows == rows &&
           Weight(op).matrix.columns == columns;
  };
  const bool has_out = op.kind != OpKind::kStoreKv;
  const bool has_b =
      op.kind == OpKind::kStoreKv || op.kind == OpKind::kGate || op.kind == OpKind::kAdd;
  bool fits = known(op.out) == has_out && known(op.a) == (op.kind != OpKind::kEmbed) &&
              known(op.b) == has_b;
  if (fits && has_out && op.a != kNoTensor && op.kind != OpKind::kGatherRows) {
    fits = graph.tensors[op.out].rows == graph.tensors[op.a].rows;
  }
  const AttentionAttributes& shape = op.attention;
  const auto kv_fits = [&](TensorId id, int heads) {
    return op.kv != nullptr && shape.kv_heads > 0 &&
           Kv(op).keys.columns == shape.kv_heads * shape.head_dim &&
           width(id) == heads * shape.head_dim && graph.tensors[id].rows == Rows::kTokens;
  };
  if (fits) {
    switch (op.kind) {
      case OpKind::kEmbed:
        fits = weight_is(graph.vocabulary, width(op.out));
        break;
      case OpKind::kRmsNorm:
        fits = op.weight != nullptr && weight_is(1, Weight(op).matrix.columns) &&
               width(op.a) % Weight(op).matrix.columns == 0 && width(op.out) == width(op.a);
        break;
      case OpKind::kMatmul:
        fits = weight_is(width(op.out), width(op.a)) && op.out != op.a &&
               (op.bias == nullptr || Bias(op)->values.size() == width(op.out));
        break;
      case OpKind::kRope:
        fits = RopeFits(graph, op);
        break;
      case OpKind::kStoreKv:
        fits = kv_fits(op.a, shape.kv_heads) && kv_fits(op.b, shape.kv_heads);
        break;
      case OpKind::kAttention:
        fits = kv_fits(op.a, shape.heads) && shape.heads % shape.kv_heads == 0 &&
               width(op.out) == width(op.a) && op.out != op.a;
        break;
      case OpKind::kGate:
      case OpKind::kAdd:
        fits = width(op.a) == width(op.b) && width(op.out) == width(op.a) &&
               graph.tensors[op.a].rows == graph.tensors[op.b].rows;
        break;
      case OpKind::kGatherRows:
        fits = width(op.out) == width(op.a) && graph.tensors[op.out].rows == Rows::kOutputs &&
               graph.tensors[op.a].rows == Rows::kTokens;
        break;
    }
  }
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("operation ", &op - graph.ops.data(), " of kind ",
                                                 static_cast<int>(op.kind),
                                                 " does not fit its tensors and weight"));
}

class ReferenceProgram : public Program {
 public:
  ReferenceProgram(Graph graph, int threads) : graph_(std::move(graph)), threads_(threads) {}

  absl::Status Run(const StepInput& input, absl::Span<float> out) override {
    RETURN_IF_ERROR(Check(input, out));
    std::vector<Matrix> tensors;
    for (const TensorSpec& spec : graph_.tensors) {
      const auto rows =
          spec.rows == Rows::kTokens ? input.token_ids.size() : input.output_rows.size();
      tensors.emplace_back(static_cast<int>(rows), spec.width);
    }
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      tensors[graph_.inputs[i]].values.assign(input.inputs[i].begin(), input.inputs[i].end());
    }
    for (const Op& op : graph_.ops) RunOp(op, input, tensors);
    absl::c_copy(tensors[graph_.output].values, out.begin());
    return absl::OkStatus();
  }

 private:
  void RunOp(const Op& op, const StepInput& input, std::vector<Matrix>& tensors) const {
    Matrix none;
    const auto tensor = [&](TensorId id) -> Matrix& {
      return id == kNoTensor ? none : tensors[id];
    };
    Matrix &out = tensor(op.out), &a = tensor(op.a), &b = tensor(op.b);
    switch (op.kind) {
      case OpKind::kEmbed:
        return reference::Embed(Weight(op).matrix, input.token_ids, op.embedding_scale, out);
      case OpKind::kRmsNorm:
        return reference::RmsNorm(a, Weight(op).matrix, op.epsilon, out);
      case OpKind::kMatmul:
        if (Weight(op).rounds_input) {
          Matrix rounded = a;
          reference::RoundToInt8(rounded);
          return reference::Matmul(rounded, Weight(op).matrix, Bias(op), threads_, out);
        }
        return reference::Matmul(a, Weight(op).matrix, Bias(op), threads_, out);
      case OpKind::kRope:
        return reference::Rope(graph_.ropes[op.rope], input.positions, a);
      case OpKind::kStoreKv:
        return reference::StoreKv(a, b, input, Kv(op));
      case OpKind::kAttention:
        return reference::Attention(a, Kv(op), op.attention, input, threads_, out);
      case OpKind::kGate:
        return reference::Gate(op.activation, a, b, out);
      case OpKind::kAdd:
        return reference::Add(a, b, out);
      case OpKind::kGatherRows:
        return reference::GatherRows(a, input.output_rows, out);
    }
  }

  absl::Status Check(const StepInput& input, absl::Span<float> out) const {
    const auto in_range = [](absl::string_view what, int64_t value, int64_t end) {
      if (value >= 0 && value < end) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(what, " is ", value, ", outside of [0, ", end, ")"));
    };
    const auto size_is = [](absl::string_view what, size_t size, size_t expected) {
      if (size == expected) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(what, " has ", size, " elements, not ", expected));
    };
    const size_t tokens = input.token_ids.size();
    RETURN_IF_ERROR(in_range("the number of tokens", tokens, int64_t{graph_.max_tokens} + 1));
    RETURN_IF_ERROR(in_range("the number of output rows", input.output_rows.size(),
                             int64_t{graph_.max_outputs} + 1));
    RETURN_IF_ERROR(size_is("positions", input.positions.size(), tokens));
    RETURN_IF_ERROR(size_is("sequences", input.sequences.size(), tokens));
    RETURN_IF_ERROR(size_is("inputs", input.inputs.size(), graph_.inputs.size()));
    for (size_t i = 0; i < input.inputs.size(); ++i) {
      RETURN_IF_ERROR(size_is("an input", input.inputs[i].size(),
                              tokens * graph_.tensors[graph_.inputs[i]].width));
    }
    const TensorSpec& output = graph_.tensors[graph_.output];
    RETURN_IF_ERROR(
        size_is("out", out.size(),
                (output.rows == Rows::kTokens ? tokens : input.output_rows.size()) * output.width));
    for (int32_t row : input.output_rows) RETURN_IF_ERROR(in_range("an output row", row, tokens));
    for (int32_t id : input.token_ids)
      RETURN_IF_ERROR(in_range("a token id", id, graph_.vocabulary));
    int blocks = std::numeric_limits<int>::max();
    for (const Op& op : graph_.ops) {
      if (op.kv != nullptr) blocks = std::min(blocks, Kv(op).keys.rows / kBlockTokens);
    }
    if (blocks == std::numeric_limits<int>::max()) return absl::OkStatus();
    const int per_sequence = input.blocks_per_sequence;
    RETURN_IF_ERROR(in_range("blocks_per_sequence", per_sequence, blocks + 1));
    for (size_t t = 0; t < tokens; ++t) {
      RETURN_IF_ERROR(
          in_range("a position", input.positions[t], int64_t{per_sequence} * kBlockTokens));
      RETURN_IF_ERROR(
          in_range("a sequence", input.sequences[t], input.block_tables.size() / per_sequence));
      for (int b = 0; b <= input.positions[t] / kBlockTokens; ++b) {
        RETURN_IF_ERROR(
            in_range("a block", input.block_tables[input.sequences[t] * per_sequence + b], blocks));
      }
    }
    return absl::OkStatus();
  }

  const Graph graph_;
  const int threads_;
};

// The cpu backend multiplies all quantised types as integers.
bool HasIntegerKernel(DType type) { return Layout(type).block_elements > 1; }

class ReferenceDevice : public Device {
 public:
  ReferenceDevice(std::string backend, bool rounds_to_int8, int threads)
      : info_{backend, absl::StrCat("plain loops, ", threads, " threads"),
              absl::StrCat(backend, ": float32, sums in float64, 8 lanes"), "none"},
        rounds_to_int8_(rounds_to_int8),
        threads_(threads) {}

  const DeviceInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<Buffer>> LoadWeight(const TensorView& view,
                                                     WeightUse use, CompileCache*) override {
    if (view.rows > std::numeric_limits<int>::max() ||
        view.columns > std::numeric_limits<int>::max()) {
      return absl::UnimplementedError(absl::StrCat("tensor '", view.name, "': ", view.rows,
                                                   " rows of ", view.columns,
                                                   " elements; at most 2^31 - 1 each"));
    }
    Matrix matrix(static_cast<int>(view.rows), static_cast<int>(view.columns));
    for (int r = 0; r < matrix.rows; ++r)
      DequantizeRow(view, r, absl::MakeSpan(matrix.row(r), matrix.columns));
    return std::make_unique<WeightBuffer>(std::move(matrix), rounds_to_int8_ && HasIntegerKernel(view.type));
  }

  absl::StatusOr<std::unique_ptr<Buffer>> AllocateKv(const AttentionAttributes& shape,
                                                     int blocks) override {
    const int64_t rows = int64_t{blocks} * kBlockTokens,
                  columns = int64_t{shape.kv_heads} * shape.head_dim;
    if (blocks < 0 || rows > std::numeric_limits<int>::max()) {
      return absl::ResourceExhaustedError(absl::StrCat("a KV cache of ", blocks, " blocks"));
    }
    const Matrix empty(static_cast<int>(rows), static_cast<int>(columns));
    return std::make_unique<KvBuffer>(KvCache{empty, empty});
  }

  // Keys, then values.
  absl::Status ReadKv(absl::Span<const Buffer* const> layers, int block, absl::Span<std::byte> to) const override {
    const size_t half = to.size() / layers.size() / 2;
    std::byte* at = to.data();
    for (const Buffer* const layer : layers) {
      const KvCache& cache = static_cast<const KvBuffer*>(layer)->kv;
      std::memcpy(at, cache.keys.row(block * kBlockTokens), half);
      std::memcpy(at + half, cache.values.row(block * kBlockTokens), half);
      at += 2 * half;
    }
    return absl::OkStatus();
  }

  absl::Status WriteKv(absl::Span<Buffer* const> layers, int block, absl::Span<const std::byte> from) override {
    const size_t half = from.size() / layers.size() / 2;
    const std::byte* at = from.data();
    for (Buffer* const layer : layers) {
      KvCache& cache = static_cast<KvBuffer*>(layer)->kv;
      std::memcpy(cache.keys.row(block * kBlockTokens), at, half);
      std::memcpy(cache.values.row(block * kBlockTokens), at + half, half);
      at += 2 * half;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Program>> Compile(const Graph& graph, CompileCache*) override {
    for (const Op& op : graph.ops) RETURN_IF_ERROR(CheckOp(graph, op));
    ++compiled_;
    return std::make_unique<ReferenceProgram>(graph, threads_);
  }

  int64_t compiled() const override { return compiled_; }

 private:
  const DeviceInfo info_;
  const bool rounds_to_int8_;
  const int threads_;
  std::atomic<int64_t> compiled_{0};
};

Backend MakeBackend(std::string name, bool rounds_to_int8) {
  return {name, [] { return absl::OkStatus(); },
          [name, rounds_to_int8](int threads) -> absl::StatusOr<std::unique_ptr<Device>> {
            if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
            return std::make_unique<ReferenceDevice>(name, rounds_to_int8, threads);
          }};
}

}  // namespace

Backend ReferenceBackend() { return MakeBackend("reference", false); }
Backend ReferenceInt8Backend() { return MakeBackend("reference-int8", true); }

}  // namespace spotinference
