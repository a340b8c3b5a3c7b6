#include "engine/model/model.h"

#include <glog/logging.h>

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/rope.h"

namespace spotinference {

absl::StatusOr<std::unique_ptr<Model>> Model::Load(const Checkpoint& checkpoint, Device& device,
                                                   int served_tokens, CompileCache* cache) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(checkpoint, served_tokens));
  std::unique_ptr<Model> model(new Model(config, device));
  RETURN_IF_ERROR(model->LoadWeights(checkpoint, cache));
  return model;
}

// Finds tensors, checks their shapes, and puts them on the device.
class Model::WeightLoader {
 public:
  WeightLoader(const Checkpoint& checkpoint, Device& device, CompileCache* cache)
      : checkpoint_(checkpoint), device_(device), cache_(cache) {}

  // Rows first … first + count of a matrix of `rows` rows.
  absl::Status Matrix(const std::string& name, int rows, int first, int count, int columns, WeightUse use,
                      std::unique_ptr<Buffer>& to) {
    ASSIGN_OR_RETURN(TensorView view, Find(name, rows, columns));
    const int64_t row_bytes = RowBytes(view.type, view.columns);
    if (count != rows) absl::StrAppend(&view.name, " rows ", first, "-", first + count - 1);
    view.rows = count;
    view.data = view.data.subspan(first * row_bytes, count * row_bytes);
    return Put(view, use, to);
  }

  // Elements first … first + count of a vector of `columns` elements.
  absl::Status Vector(const std::string& name, int columns, int first, int count, std::unique_ptr<Buffer>& to) {
    ASSIGN_OR_RETURN(TensorView view, Find(name, 1, columns));
    const DTypeLayout& layout = Layout(view.type);
    if (layout.block_elements > 1) {
      return absl::UnimplementedError(absl::StrCat("tensor '", absl::CHexEscape(view.name), "': type ", layout.name,
                                                   " for a vector; F32, F16 and BF16 are supported"));
    }
    view.columns = count;
    view.data = view.data.subspan(int64_t{first} * layout.block_bytes, int64_t{count} * layout.block_bytes);
    return Put(view, {.vector = true}, to);
  }

  bool Has(const std::string& name) const { return checkpoint_.FindTensor(name) != nullptr; }
  // Reading it is somebody else's.
  void Take(absl::string_view name) { taken_.insert(checkpoint_.FindTensor(name)); }
  // The first tensor of the file that was not taken; null when all were.
  const TensorView* LeftOver() const {
    for (const TensorView& view : checkpoint_.tensors()) {
      if (!taken_.contains(&view)) return &view;
    }
    return nullptr;
  }
  size_t loaded_bytes() const { return loaded_bytes_; }

 private:
  absl::StatusOr<TensorView> Find(const std::string& name, int rows, int columns) {
    const TensorView* const view = checkpoint_.FindTensor(name);
    if (view == nullptr) {
      return absl::NotFoundError(absl::StrCat("tensor '", checkpoint_.TensorName(name), "' is missing"));
    }
    if (view->rows != rows || view->columns != columns) {
      return absl::InvalidArgumentError(absl::StrCat("tensor '", absl::CHexEscape(view->name), "': ", view->rows,
                                                     " rows of ", view->columns, " elements; ", rows, " rows of ",
                                                     columns, " are expected"));
    }
    taken_.insert(view);
    return *view;
  }

  absl::Status Put(const TensorView& view, WeightUse use, std::unique_ptr<Buffer>& to) {
    ASSIGN_OR_RETURN(to, device_.LoadWeight(view, use, cache_));
    checkpoint_.ReleasePages(view.data);
    loaded_bytes_ += to->size_bytes();
    return absl::OkStatus();
  }

  const Checkpoint& checkpoint_;
  Device& device_;
  CompileCache* const cache_;
  absl::flat_hash_set<const TensorView*> taken_;
  size_t loaded_bytes_ = 0;
};

absl::Status Model::LoadLayer(WeightLoader& loader, int layer) {
  const ModelConfig& c = config_;
  layers_[layer].resize(c.family->layer.size());
  for (size_t i = 0; i < c.family->layer.size(); ++i) {
    const LayerStep& step = c.family->layer[i];
    if (step.weight.empty()) continue;
    StepWeights& to = layers_[layer][i];
    const std::string name = absl::StrCat("blk.", layer, ".", step.weight, ".");
    if (step.kind == OpKind::kRmsNorm) {
      const int width = c.NormWidth(step.a);
      RETURN_IF_ERROR(loader.Vector(name + "weight", width, 0, width, to.weight));
      continue;
    }
    int rows = 0, first = 0;  // of the tensor, and where this step's begin
    for (const LayerStep& other : c.family->layer) {
      if (other.weight != step.weight) continue;
      if (&other == &step) first = rows;
      rows += c.SlotWidth(other.out);
    }
    const int count = c.SlotWidth(step.out);
    RETURN_IF_ERROR(
        loader.Matrix(name + "weight", rows, first, count, c.SlotWidth(step.a), {.matmul = true}, to.weight));
    if (step.bias || loader.Has(name + "bias")) {
      RETURN_IF_ERROR(loader.Vector(name + "bias", rows, first, count, to.bias));
    }
  }
  return absl::OkStatus();
}

absl::Status Model::LoadWeights(const Checkpoint& checkpoint, CompileCache* cache) {
  const ModelConfig& c = config_;
  WeightLoader loader(checkpoint, device_, cache);
  RETURN_IF_ERROR(loader.Matrix("token_embd.weight", c.vocabulary, 0, c.vocabulary, c.width,
                                {.embed = true, .matmul = c.tied_output}, embedding_));
  layers_.resize(c.layers);
  for (int layer = 0; layer < c.layers; ++layer) RETURN_IF_ERROR(LoadLayer(loader, layer));
  RETURN_IF_ERROR(loader.Vector("output_norm.weight", c.width, 0, c.width, output_norm_));
  if (!c.tied_output) {
    RETURN_IF_ERROR(
        loader.Matrix("output.weight", c.vocabulary, 0, c.vocabulary, c.width, {.matmul = true}, output_));
  }
  // Reading one tensor brought pages of its neighbours back.
  for (const TensorView& view : checkpoint.tensors()) checkpoint.ReleasePages(view.data);
  weight_bytes_ = loader.loaded_bytes();
  for (const auto name : {kRopeDivisors, kLongRopeDivisors, kShortRopeDivisors}) loader.Take(name);  // in config_

  // A tensor left over says that this is another variant of the family.
  if (const TensorView* const left = loader.LeftOver()) {
    return absl::UnimplementedError(absl::StrCat("tensor '", absl::CHexEscape(left->name), "': architecture ",
                                                 c.family->architecture, " with it is not supported"));
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

namespace {

template <typename T>
std::vector<T*> Pointers(const std::vector<std::unique_ptr<Buffer>>& buffers) {
  std::vector<T*> pointers;
  for (const std::unique_ptr<Buffer>& buffer : buffers) pointers.push_back(buffer.get());
  return pointers;
}

}  // namespace

absl::Status Model::ReadKvBlock(int block, absl::Span<std::byte> to) const {
  const std::vector<const Buffer*> layers = Pointers<const Buffer>(kv_);
  return device_.ReadKv(layers, block, to);
}

absl::Status Model::WriteKvBlock(int block, absl::Span<const std::byte> from) {
  const std::vector<Buffer*> layers = Pointers<Buffer>(kv_);
  return device_.WriteKv(layers, block, from);
}

Op Model::StepOp(int layer, size_t step) const {
  Op op{.kind = config_.family->layer[step].kind};
  op.weight = layers_[layer][step].weight.get();
  op.bias = layers_[layer][step].bias.get();
  switch (op.kind) {
    case OpKind::kRmsNorm:
      op.epsilon = config_.norm_epsilon;
      break;
    case OpKind::kRope:
      op.rope = config_.HasWindow(layer) && config_.HasWindowRope() ? 1 : 0;  // see ForwardGraph
      break;
    case OpKind::kStoreKv:
    case OpKind::kAttention:
      op.attention = config_.LayerAttention(layer);
      op.kv = kv_[layer].get();
      break;
    case OpKind::kGate:
      op.activation = config_.family->activation;
      break;
    default:
      break;
  }
  return op;
}

Graph Model::ForwardGraph(int max_tokens, int max_outputs) const {
  CHECK_EQ(kv_.size(), config_.layers) << "AllocateKv comes first";
  Graph graph;
  graph.vocabulary = config_.vocabulary;
  graph.max_tokens = max_tokens;
  graph.max_outputs = max_outputs;
  graph.max_positions = config_.context_tokens;
  graph.ropes = {config_.rope};
  if (config_.HasWindowRope()) graph.ropes.push_back(config_.window_rope);

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
                       .weight = embedding_.get(),
                       .embedding_scale = config_.embedding_scale});
  Rows rows = Rows::kTokens;
  for (int layer = 0; layer < config_.layers; ++layer) {
    for (size_t i = 0; i < config_.family->layer.size(); ++i) {
      const LayerStep& step = config_.family->layer[i];
      Op op = StepOp(layer, i);
      op.out = tensor(step.out, rows);
      op.a = tensor(step.a, rows);
      op.b = tensor(step.b, rows);
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
