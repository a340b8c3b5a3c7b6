#include "engine/model/model.h"

#include <glog/logging.h>

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {

absl::StatusOr<std::unique_ptr<Model>> Model::Load(const Checkpoint& checkpoint, Device& device) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(checkpoint));
  std::unique_ptr<Model> model(new Model(config, device));
  RETURN_IF_ERROR(model->LoadWeights(checkpoint));
  return model;
}

absl::Status Model::LoadWeights(const Checkpoint& checkpoint) {
  absl::flat_hash_set<const TensorView*> loaded;
  const auto load = [&](const std::string& name, int rows, int columns, WeightUse use,
                        std::unique_ptr<Buffer>& to) -> absl::Status {
    const TensorView* const view = checkpoint.FindTensor(name);
    if (view == nullptr) {
      return absl::NotFoundError(absl::StrCat("tensor '", checkpoint.TensorName(name), "' is missing"));
    }
    if (view->rows != rows || view->columns != columns) {
      return absl::InvalidArgumentError(absl::StrCat("tensor '", absl::CHexEscape(view->name), "': ", view->rows,
                                                     " rows of ", view->columns, " elements; ",
                                                     rows, " rows of ", columns, " are expected"));
    }
    ASSIGN_OR_RETURN(to, device_.LoadWeight(*view, use));
    checkpoint.ReleasePages(view->data);
    loaded.insert(view);
    weight_bytes_ += to->size_bytes();
    return absl::OkStatus();
  };

  const ModelConfig& c = config_;
  RETURN_IF_ERROR(load("token_embd.weight", c.vocabulary, c.width,
                       {.embed = true, .matmul = c.tied_output}, embedding_));
  layers_.resize(c.layers);
  for (int layer = 0; layer < c.layers; ++layer) {
    for (const LayerStep& step : c.family->layer) {
      std::unique_ptr<Buffer>& weight = layers_[layer].emplace_back();
      if (step.weight.empty()) continue;
      const bool vector = step.kind == OpKind::kRmsNorm;
      RETURN_IF_ERROR(load(absl::StrCat("blk.", layer, ".", step.weight, ".weight"),
                           vector ? 1 : c.SlotWidth(step.out), c.SlotWidth(step.a),
                           {.matmul = !vector, .vector = vector}, weight));
    }
  }
  RETURN_IF_ERROR(load("output_norm.weight", 1, c.width, {.vector = true}, output_norm_));
  if (!c.tied_output)
    RETURN_IF_ERROR(load("output.weight", c.vocabulary, c.width, {.matmul = true}, output_));

  // A tensor left over (a bias, rope_freqs, …) says that this is another variant of the family.
  for (const TensorView& view : checkpoint.tensors()) {
    if (!loaded.contains(&view)) {
      return absl::UnimplementedError(absl::StrCat("tensor '", absl::CHexEscape(view.name),
                                                   "': architecture ", c.family->architecture,
                                                   " with it is not supported"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> Model::KvBlockBytes() const {
  ASSIGN_OR_RETURN(const std::unique_ptr<Buffer> one, device_.AllocateKv(config_.attention, 1));
  return one->size_bytes() * config_.layers;
}

absl::Status Model::AllocateKv(int blocks) {
  kv_.clear();
  for (int layer = 0; layer < config_.layers; ++layer) {
    ASSIGN_OR_RETURN(kv_.emplace_back(), device_.AllocateKv(config_.attention, blocks));
  }
  return absl::OkStatus();
}

Graph Model::ForwardGraph(int max_tokens, int max_outputs) const {
  CHECK_EQ(kv_.size(), config_.layers) << "AllocateKv comes first";
  Graph graph;
  graph.vocabulary = config_.vocabulary;
  graph.max_tokens = max_tokens;
  graph.max_outputs = max_outputs;

  TensorId tensors[2][kSlots];
  for (auto& of_rows : tensors) std::fill(std::begin(of_rows), std::end(of_rows), kNoTensor);
  const auto tensor = [&](Slot slot, Rows rows) {
    TensorId& id = tensors[static_cast<int>(rows)][static_cast<int>(slot)];
    if (id == kNoTensor && slot != Slot::kNone) id = graph.Add({config_.SlotWidth(slot), rows});
    return id;
  };
  const auto gather = [&](Slot slot) {
    graph.ops.push_back({.kind = OpKind::kGatherRows,
                         .out = tensor(slot, Rows::kOutputs),
                         .a = tensor(slot, Rows::kTokens)});
  };

  graph.ops.push_back({.kind = OpKind::kEmbed,
                       .out = tensor(Slot::kResidual, Rows::kTokens),
                       .weight = embedding_.get()});
  Rows rows = Rows::kTokens;
  for (int layer = 0; layer < config_.layers; ++layer) {
    for (size_t i = 0; i < config_.family->layer.size(); ++i) {
      const LayerStep& step = config_.family->layer[i];
      Op op{.kind = step.kind,
            .out = tensor(step.out, rows),
            .a = tensor(step.a, rows),
            .b = tensor(step.b, rows)};
      op.weight = layers_[layer][i].get();
      if (op.kind == OpKind::kRmsNorm) op.epsilon = config_.norm_epsilon;
      if (op.kind == OpKind::kRope) op.rope = config_.rope;
      if (op.kind == OpKind::kStoreKv || op.kind == OpKind::kAttention) {
        op.attention = config_.attention;
        op.kv = kv_[layer].get();
      }
      graph.ops.push_back(op);
      if (op.kind == OpKind::kAttention && layer + 1 == config_.layers) {
        // Past the last attention a row without an output is of no use to anyone.
        gather(Slot::kResidual);
        gather(step.out);
        rows = Rows::kOutputs;
      }
    }
  }
  const TensorId normed = tensor(Slot::kBranch, rows);
  graph.output = graph.Add({config_.vocabulary, rows});
  graph.ops.push_back({.kind = OpKind::kRmsNorm,
                       .out = normed,
                       .a = tensor(Slot::kResidual, rows),
                       .weight = output_norm_.get(),
                       .epsilon = config_.norm_epsilon});
  graph.ops.push_back({.kind = OpKind::kMatmul,
                       .out = graph.output,
                       .a = normed,
                       .weight = config_.tied_output ? embedding_.get() : output_.get()});
  return graph;
}

}  // namespace spotinference
