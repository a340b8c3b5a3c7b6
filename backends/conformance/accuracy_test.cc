// The cpu backend on real text. Arguments: a GGUF model whose matrices are all Q8_0 or Q4_1, a file
// of token ids.
//
// Against float32, mean divergence ≤ 0.006 and the same top token ≥ 94 %: what rounding activations
// to int8 costs. Against a reference with the same roundings, mean divergence ≤ 1e-5: what all the
// rest costs. "The same" is meant word for word: the reference's activations get the rounding
// errors that the cpu's got. Would it round its own, the least difference (another order of a sum)
// would decide some roundings otherwise, those would decide more, and after a few layers nothing
// but the rounding noise of two unrelated draws would be measured.
//
// Divergence is Kullback and Leibler's, in nats, of the next token's distribution, mean over the
// text.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"
#include "backends/reference/reference_ops.h"
#include "engine/base/status.h"
#include "engine/model/gguf.h"
#include "engine/model/model.h"
#include "engine/sample/perplexity.h"

namespace spotinference {
namespace {

// A model on a device, and one sequence: all tokens in one step, all of them outputs.
struct Loaded {
  std::unique_ptr<Device> device;
  std::unique_ptr<Model> model;
  Graph graph;
};

absl::StatusOr<Loaded> Load(const GgufFile& file, const Backend& backend, int tokens) {
  Loaded loaded;
  ASSIGN_OR_RETURN(loaded.device, backend.create(/*threads=*/0));
  ASSIGN_OR_RETURN(loaded.model, Model::Load(file, *loaded.device));
  RETURN_IF_ERROR(loaded.model->AllocateKv((tokens + kBlockTokens - 1) / kBlockTokens));
  loaded.graph = loaded.model->ForwardGraph(tokens, tokens);
  return loaded;
}

// Runs `graph` on the whole text. out: [tokens, width].
absl::StatusOr<std::vector<float>> Run(Device& device, const Graph& graph,
                                       const std::vector<int32_t>& ids,
                                       absl::Span<const absl::Span<const float>> inputs) {
  const int blocks = static_cast<int>((ids.size() + kBlockTokens - 1) / kBlockTokens);
  std::vector<int32_t> table(blocks), positions(ids.size());
  std::iota(table.begin(), table.end(), 0);
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<int32_t> sequences(ids.size(), 0);
  ASSIGN_OR_RETURN(const std::unique_ptr<Program> program, device.Compile(graph, nullptr));
  std::vector<float> out(ids.size() * graph.tensors[graph.output].width);
  RETURN_IF_ERROR(program->Run({.token_ids = ids,
                                .positions = positions,
                                .sequences = sequences,
                                .block_tables = table,
                                .blocks_per_sequence = blocks,
                                .output_rows = positions,
                                .inputs = inputs},
                               absl::MakeSpan(out)));
  return out;
}

// Walks a model's graph one operation at a time, with every tensor in sight.
class Walk {
 public:
  Walk(const Loaded& loaded, const std::vector<int32_t>& ids)
      : loaded_(loaded), ids_(ids), tensors_(loaded.graph.tensors.size()) {}

  std::vector<float>& tensor(TensorId id) { return tensors_[id]; }

  absl::Status Step(const Op& op) {
    if (op.kind == OpKind::kGatherRows) {  // all rows are asked for
      tensors_[op.out] = tensors_[op.a];
      return absl::OkStatus();
    }
    // Storing has no output of its own, so it goes with the attention that follows.
    pending_.push_back(op);
    if (op.kind == OpKind::kStoreKv) return absl::OkStatus();
    Graph graph{.vocabulary = loaded_.graph.vocabulary,
                .max_tokens = loaded_.graph.max_tokens,
                .max_outputs = loaded_.graph.max_outputs};
    graph.ropes = loaded_.graph.ropes;
    std::map<TensorId, TensorId> ids;  // in the whole graph to in this one
    std::vector<absl::Span<const float>> inputs;
    const auto add = [&](TensorId id, bool input) {
      if (id == kNoTensor) return kNoTensor;
      const auto [found, added] = ids.emplace(id, static_cast<TensorId>(graph.tensors.size()));
      if (added) graph.Add({loaded_.graph.tensors[id].width});
      if (added && input) graph.inputs.push_back(found->second), inputs.push_back(tensors_[id]);
      return found->second;
    };
    for (Op part : std::exchange(pending_, {})) {
      part.a = add(part.a, true);
      part.b = add(part.b, true);
      part.out = add(part.out, false);
      graph.ops.push_back(part);
    }
    graph.output = graph.ops.back().out;
    ASSIGN_OR_RETURN(tensors_[op.out], Run(*loaded_.device, graph, ids_, inputs));
    return absl::OkStatus();
  }

 private:
  const Loaded& loaded_;
  const std::vector<int32_t>& ids_;
  std::vector<std::vector<float>> tensors_;
  std::vector<Op> pending_;
};

// The logits of `plain` if every input of its matmuls had the rounding error that the same input of
// `cpu` has there. `cpu_logits`: what cpu's whole graph gave, which the walk has to meet bit for
// bit.
absl::StatusOr<std::vector<float>> LogitsWithSameRoundings(const Loaded& cpu, const Loaded& plain,
                                                           const std::vector<int32_t>& ids,
                                                           const std::vector<float>& cpu_logits) {
  Walk rounded(cpu, ids), exact(plain, ids);
  for (size_t i = 0; i < cpu.graph.ops.size(); ++i) {
    const Op& op = plain.graph.ops[i];
    std::vector<float> before;
    if (op.kind == OpKind::kMatmul) {
      const std::vector<float>& input = rounded.tensor(op.a);
      reference::Matrix int8(static_cast<int>(ids.size()), plain.graph.tensors[op.a].width);
      int8.values = input;
      reference::RoundToInt8(int8);
      before = exact.tensor(op.a);
      for (size_t k = 0; k < input.size(); ++k) exact.tensor(op.a)[k] += int8.values[k] - input[k];
    }
    RETURN_IF_ERROR(rounded.Step(cpu.graph.ops[i]));
    RETURN_IF_ERROR(exact.Step(op));
    if (op.kind == OpKind::kMatmul) exact.tensor(op.a) = std::move(before);
  }
  if (rounded.tensor(cpu.graph.output) != cpu_logits) {
    return absl::InternalError(
        "operation by operation, the cpu backend gives other bits than in one program");
  }
  return exact.tensor(plain.graph.output);
}

Divergence Compare(const char* what, absl::Span<const float> actual, absl::Span<const float> expected,
                   size_t tokens) {
  Divergence divergence;
  const size_t vocabulary = actual.size() / tokens;
  std::vector<double> p, q;
  for (size_t t = 0; t < tokens; ++t) {
    LogSoftmax(expected.subspan(t * vocabulary, vocabulary), p);
    LogSoftmax(actual.subspan(t * vocabulary, vocabulary), q);
    divergence.Add(p, q);
  }
  std::printf("%s: mean divergence %.2e, same top token %.2f %%\n", what, divergence.mean(),
              100 * divergence.same_top());
  return divergence;
}

absl::StatusOr<bool> Check(const char* model_path, const char* ids_path) {
  std::ifstream text(ids_path);
  const std::vector<int32_t> ids((std::istream_iterator<int32_t>(text)), {});
  const int tokens = static_cast<int>(ids.size());
  if (tokens < 512) return absl::InvalidArgumentError("fewer than 512 tokens");
  ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file, GgufFile::Open(model_path));
  for (const TensorView& tensor : file->tensors()) {
    if (tensor.rows > 1 && Layout(tensor.type).block_elements == 1) {
      return absl::InvalidArgumentError("a matrix that is not quantised: " + tensor.name);
    }
  }
  ASSIGN_OR_RETURN(const Loaded cpu, Load(*file, CpuBackend(), tokens));
  ASSIGN_OR_RETURN(const Loaded plain, Load(*file, ReferenceBackend(), tokens));
  ASSIGN_OR_RETURN(const std::vector<float> cpu_logits, Run(*cpu.device, cpu.graph, ids, {}));
  ASSIGN_OR_RETURN(const std::vector<float> plain_logits, Run(*plain.device, plain.graph, ids, {}));
  ASSIGN_OR_RETURN(const std::vector<float> same_roundings,
                   LogitsWithSameRoundings(cpu, plain, ids, cpu_logits));
  std::printf("%d tokens\n", tokens);
  const Divergence f32 = Compare("cpu to float32", cpu_logits, plain_logits, tokens);
  const Divergence rest =
      Compare("cpu to a reference with the same roundings", cpu_logits, same_roundings, tokens);
  return f32.mean() <= 0.006 && f32.same_top() >= 0.94 && rest.mean() <= 1e-5;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const absl::StatusOr<bool> good = spotinference::Check(argv[1], argv[2]);
  if (!good.ok()) std::printf("%s\n", good.status().ToString().c_str());
  return good.ok() && *good ? 0 : 1;
}
