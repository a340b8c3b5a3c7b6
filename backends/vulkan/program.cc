#include "backends/vulkan/program.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/vulkan/buffers.h"
#include "backends/vulkan/recorder.h"
#include "backends/vulkan/step_buffer.h"
#include "engine/base/status.h"
#include "engine/device/check_step.h"

namespace spotinference::vulkan {
namespace {

constexpr uint32_t kGroup = 32;         // invocations of a group of most shaders
constexpr uint32_t kMatmulOutputs = 2;  // of an invocation: OUTPUTS of shaders/matmul.comp

const WeightBuffer& Weight(const Op& op) { return *static_cast<const WeightBuffer*>(op.weight); }
const KvBuffer& Kv(const Op& op) { return *static_cast<const KvBuffer*>(op.kv); }

uint32_t Groups(int64_t items, int64_t of_a_group) {
  return static_cast<uint32_t>((items + of_a_group - 1) / of_a_group);
}

// Rows that a recorded command buffer has room for: 0, 1, 4, and powers of two from there.
int Bucket(int rows) {
  if (rows <= 1) return rows;
  int bucket = 4;
  while (bucket < rows) bucket *= 2;
  return bucket;
}

// Query heads that share a group of shaders/attention.comp, all of one key head.
uint32_t HeadGroup(const Op& op) {
  const int of_key_head = op.attention.heads / op.attention.kv_heads;
  for (int group = 4; group > 1; --group) {
    if (of_key_head % group == 0) return group;
  }
  return 1;
}

// Rows of an invocation of the matmul.
int MatmulRows(int bucket) { return std::min(bucket, 8); }

class VulkanProgram : public Program {
 public:
  VulkanProgram(const Graph& graph, const Tuning& tuning, Gpu& gpu, Pipelines& pipelines)
      : graph_(graph), tuning_(tuning), gpu_(gpu), pipelines_(pipelines) {}
  ~VulkanProgram() override {
    for (const auto& [rows, commands] : commands_) gpu_.FreeCommands(commands);
  }

  absl::Status Build();
  absl::Status Run(const StepInput& input, absl::Span<float> out) override;

 private:
  struct BucketRows {
    int tokens, outputs;
    bool operator<(const BucketRows& other) const {
      return std::tie(tokens, outputs) < std::tie(other.tokens, other.outputs);
    }
  };

  absl::Status CheckOp(const Op& op) const;
  absl::Status Warm();
  absl::StatusOr<VkPipeline> PipelineOf(const Op& op, int bucket);
  absl::StatusOr<VkCommandBuffer> CommandsFor(const BucketRows& rows);
  absl::Status RecordOp(const Op& op, const BucketRows& rows, Recorder& recorder);
  void RecordMatmul(const Op& op, int rows, VkPipeline pipeline, Recorder& recorder);
  void RecordKv(const Op& op, int rows, VkPipeline pipeline, Recorder& recorder);

  int Width(TensorId id) const { return graph_.tensors[id].width; }
  Rows Domain(TensorId id) const { return graph_.tensors[id].rows; }
  int RowsOf(TensorId id, const BucketRows& rows) const {
    return Domain(id) == Rows::kTokens ? rows.tokens : rows.outputs;
  }
  const Region* At(TensorId id) const { return tensors_[id].get(); }
  VkDeviceAddress Address(TensorId id) const { return tensors_[id]->address(); }

  const Graph graph_;
  const Tuning tuning_;
  Gpu& gpu_;
  Pipelines& pipelines_;
  int kv_blocks_ = 0;  // of the smallest cache; 0: none
  std::vector<std::unique_ptr<Region>> tensors_;  // by TensorId, for the largest step
  std::vector<std::unique_ptr<Region>> inputs_;   // by Graph::inputs
  std::unique_ptr<Region> readback_;
  std::unique_ptr<StepBuffer> step_;
  std::map<BucketRows, VkCommandBuffer> commands_;
};

absl::Status VulkanProgram::CheckOp(const Op& op) const {
  const auto bad = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("graph: operation ", &op - graph_.ops.data(), ": ", what));
  };
  for (const TensorId id : {op.out, op.a, op.b}) {
    if (id < kNoTensor || id >= static_cast<TensorId>(graph_.tensors.size())) return bad("a tensor is out of range");
  }
  switch (op.kind) {
    case OpKind::kEmbed:
      if (Weight(op).tiles == nullptr || Weight(op).columns != Width(op.out) || Weight(op).rows < graph_.vocabulary) {
        return bad("the embedding does not fit");
      }
      break;
    case OpKind::kMatmul:
      if (Weight(op).tiles == nullptr || Weight(op).columns != Width(op.a) || Weight(op).rows != Width(op.out)) {
        return bad("the weight does not fit its tensors");
      }
      if (op.bias != nullptr) {
        const auto& bias = *static_cast<const WeightBuffer*>(op.bias);
        if (bias.vector == nullptr || bias.columns != Width(op.out)) return bad("the bias does not fit its output");
      }
      break;
    case OpKind::kRmsNorm:
      if (Weight(op).vector == nullptr || Width(op.a) % Weight(op).columns != 0) {
        return bad("the norm's weight does not fit");
      }
      break;
    case OpKind::kRope:
      if (op.rope < 0 || op.rope >= static_cast<int>(graph_.ropes.size())) return bad("a rope is out of range");
      if (const RopeAttributes& rope = graph_.ropes[op.rope];
          rope.head_dim <= 0 || Width(op.a) % rope.head_dim != 0 || 2 * rope.pairs() > rope.head_dim) {
        return bad("a rope does not fit its tensor");
      }
      break;
    case OpKind::kStoreKv:
    case OpKind::kAttention: {
      const KvBuffer& kv = Kv(op);
      const int width = kv.kv_heads * kv.head_dim;
      const bool fits = op.kind == OpKind::kStoreKv ? Width(op.a) == width && Width(op.b) == width
                                                    : Width(op.a) == op.attention.heads * kv.head_dim &&
                                                          op.attention.heads % kv.kv_heads == 0;
      if (!fits) return bad("its tensors do not fit the cache");
      break;
    }
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status VulkanProgram::Build() {
  for (const Op& op : graph_.ops) {
    RETURN_IF_ERROR(CheckOp(op));
    if (op.kv != nullptr) kv_blocks_ = kv_blocks_ == 0 ? Kv(op).blocks : std::min(kv_blocks_, Kv(op).blocks);
  }
  const BucketRows largest{Bucket(graph_.max_tokens), Bucket(graph_.max_outputs)};
  const auto bytes = [&](TensorId id) { return size_t{sizeof(float)} * RowsOf(id, largest) * Width(id); };
  for (TensorId id = 0; id < static_cast<TensorId>(graph_.tensors.size()); ++id) {
    ASSIGN_OR_RETURN(tensors_.emplace_back(), gpu_.memory().Allocate(bytes(id), MemoryUse::kDevice));
  }
  for (const TensorId id : graph_.inputs) {
    ASSIGN_OR_RETURN(inputs_.emplace_back(), gpu_.memory().Allocate(bytes(id), MemoryUse::kUpload));
  }
  ASSIGN_OR_RETURN(readback_, gpu_.memory().Allocate(bytes(graph_.output), MemoryUse::kReadback));
  ASSIGN_OR_RETURN(step_, StepBuffer::Create(graph_, gpu_.memory()));
  return Warm();
}

absl::Status VulkanProgram::Warm() {
  RETURN_IF_ERROR(step_->Write({}));
  for (const int bucket : {1, 4, 8}) {
    const BucketRows rows{Bucket(std::min(bucket, graph_.max_tokens)), Bucket(std::min(bucket, graph_.max_outputs))};
    ASSIGN_OR_RETURN(const VkCommandBuffer commands, CommandsFor(rows));
    RETURN_IF_ERROR(gpu_.Run(commands));
  }
  return absl::OkStatus();
}

absl::StatusOr<VkPipeline> VulkanProgram::PipelineOf(const Op& op, int bucket) {
  switch (op.kind) {
    case OpKind::kEmbed:
      return pipelines_.Get(Shader::kEmbed, {static_cast<uint32_t>(Weight(op).type)});
    case OpKind::kRmsNorm:
      return pipelines_.Get(Shader::kRmsNorm, {kGroup});
    case OpKind::kMatmul:
      return pipelines_.Get(Shader::kMatmul,
                            {static_cast<uint32_t>(Weight(op).type), static_cast<uint32_t>(MatmulRows(bucket)),
                             kMatmulOutputs, tuning_.splits});
    case OpKind::kRope:
      return pipelines_.Get(Shader::kRope, {});
    case OpKind::kStoreKv:
      return pipelines_.Get(Shader::kStoreKv, {});
    case OpKind::kAttention:
      return pipelines_.Get(Shader::kAttention, {static_cast<uint32_t>(op.attention.head_dim / 2), HeadGroup(op)});
    case OpKind::kGate:
      return pipelines_.Get(Shader::kGate, {static_cast<uint32_t>(op.activation)});
    case OpKind::kAdd:
      return pipelines_.Get(Shader::kAdd, {});
    case OpKind::kGatherRows:
      return pipelines_.Get(Shader::kGatherRows, {});
  }
  return absl::InternalError("an operation without a shader");
}

absl::StatusOr<VkCommandBuffer> VulkanProgram::CommandsFor(const BucketRows& rows) {
  if (const auto found = commands_.find(rows); found != commands_.end()) return found->second;
  absl::Status status;
  ASSIGN_OR_RETURN(const VkCommandBuffer commands, gpu_.Record([&](VkCommandBuffer buffer) {
    Recorder recorder(gpu_.api(), buffer, pipelines_.layout());
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const TensorId id = graph_.inputs[i];
      recorder.Copy(*inputs_[i], *tensors_[id], sizeof(float) * RowsOf(id, rows) * Width(id));
    }
    for (const Op& op : graph_.ops) status.Update(RecordOp(op, rows, recorder));
    recorder.Copy(*tensors_[graph_.output], *readback_,
                  sizeof(float) * RowsOf(graph_.output, rows) * Width(graph_.output));
    recorder.End();
  }));
  if (!status.ok()) {
    gpu_.FreeCommands(commands);
    return status;
  }
  return commands_[rows] = commands;
}

void VulkanProgram::RecordMatmul(const Op& op, int rows, VkPipeline pipeline, Recorder& recorder) {
  const WeightBuffer& weight = Weight(op);
  const Region* const bias = op.bias != nullptr ? static_cast<const WeightBuffer*>(op.bias)->vector.get() : nullptr;
  const struct {
    VkDeviceAddress step, weight, x, out, bias;
    uint32_t has_bias, domain, outputs, columns, row_words, apart;
  } push{step_->address(),
         weight.tiles->address(),
         Address(op.a),
         Address(op.out),
         bias != nullptr ? bias->address() : 0,
         bias != nullptr,
         static_cast<uint32_t>(Domain(op.a)),
         static_cast<uint32_t>(weight.rows),
         static_cast<uint32_t>(weight.columns),
         weight.layout.row_words,
         weight.layout.apart};
  recorder.Dispatch(pipeline, push, Groups(weight.rows, kTileRows * kMatmulOutputs),
                    rows == 0 ? 0 : Groups(rows, MatmulRows(rows)), {At(op.a)}, {At(op.out)});
}

void VulkanProgram::RecordKv(const Op& op, int rows, VkPipeline pipeline, Recorder& recorder) {
  const KvBuffer& kv = Kv(op);
  const uint32_t head_words = kv.head_dim / 2, words = kv.kv_heads * head_words;
  if (op.kind == OpKind::kStoreKv) {
    const struct {
      VkDeviceAddress step, keys, values, kv;
      uint32_t words, head_words;
    } push{step_->address(), Address(op.a), Address(op.b), kv.pages->address(), words, head_words};
    recorder.Dispatch(pipeline, push, Groups(words, kGroup), rows, {At(op.a), At(op.b)}, {kv.pages.get()});
    return;
  }
  const struct {
    VkDeviceAddress step, a, out, kv;
    uint32_t heads, kv_heads, window;
    float scale;
  } push{step_->address(),
         Address(op.a),
         Address(op.out),
         kv.pages->address(),
         static_cast<uint32_t>(op.attention.heads),
         static_cast<uint32_t>(kv.kv_heads),
         static_cast<uint32_t>(op.attention.window),
         op.attention.scale};
  recorder.Dispatch(pipeline, push, push.heads / HeadGroup(op), rows, {At(op.a), kv.pages.get()}, {At(op.out)});
}

absl::Status VulkanProgram::RecordOp(const Op& op, const BucketRows& bucket_rows, Recorder& recorder) {
  const TensorId shape = op.out != kNoTensor ? op.out : op.a;
  const int rows = RowsOf(shape, bucket_rows), width = Width(shape);
  const auto domain = static_cast<uint32_t>(Domain(shape)), columns = static_cast<uint32_t>(width);
  ASSIGN_OR_RETURN(const VkPipeline pipeline, PipelineOf(op, std::max(rows, 1)));
  const VkDeviceAddress step = step_->address();
  switch (op.kind) {
    case OpKind::kEmbed: {
      const WeightBuffer& weight = Weight(op);
      const struct {
        VkDeviceAddress step, weight, out;
        float scale;
        uint32_t columns, row_words, apart;
      } push{step, weight.tiles->address(), Address(op.out), op.embedding_scale, columns, weight.layout.row_words,
             weight.layout.apart};
      recorder.Dispatch(pipeline, push, Groups(width, 4 * kGroup), rows, {}, {At(op.out)});
      break;
    }
    case OpKind::kRmsNorm: {
      const struct {
        VkDeviceAddress step, a, weight, out;
        uint32_t domain, width;
        float epsilon;
      } push{step, Address(op.a), Weight(op).vector->address(), Address(op.out), domain,
             static_cast<uint32_t>(Weight(op).columns), op.epsilon};
      recorder.Dispatch(pipeline, push, columns / push.width, rows, {At(op.a)}, {At(op.out)});
      break;
    }
    case OpKind::kMatmul:
      RecordMatmul(op, rows, pipeline, recorder);
      break;
    case OpKind::kRope: {
      const RopeAttributes& rope = graph_.ropes[op.rope];
      const uint32_t heads = width / rope.head_dim, pairs = rope.pairs();
      const struct {
        VkDeviceAddress step, a, turns;
        uint32_t heads, head_dim, pairs, interleaved;
      } push{step, Address(op.a), step_->turns(op.rope), heads, static_cast<uint32_t>(rope.head_dim), pairs,
             rope.interleaved};
      recorder.Dispatch(pipeline, push, Groups(heads * pairs, kGroup), rows, {}, {At(op.a)});
      break;
    }
    case OpKind::kStoreKv:
    case OpKind::kAttention:
      RecordKv(op, rows, pipeline, recorder);
      break;
    case OpKind::kGate:
    case OpKind::kAdd: {
      const struct {
        VkDeviceAddress step, a, b, out;
        uint32_t domain, width;
      } push{step, Address(op.a), Address(op.b), Address(op.out), domain, columns};
      recorder.Dispatch(pipeline, push, Groups(width, kGroup), rows, {At(op.a), At(op.b)}, {At(op.out)});
      break;
    }
    case OpKind::kGatherRows: {
      const struct {
        VkDeviceAddress step, a, out;
        uint32_t width;
      } push{step, Address(op.a), Address(op.out), columns};
      recorder.Dispatch(pipeline, push, Groups(width, kGroup), rows, {At(op.a)}, {At(op.out)});
      break;
    }
  }
  return absl::OkStatus();
}

absl::Status VulkanProgram::Run(const StepInput& input, absl::Span<float> out) {
  RETURN_IF_ERROR(CheckStep(graph_, input, kv_blocks_, out.size()));
  RETURN_IF_ERROR(step_->Write(input));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    std::memcpy(inputs_[i]->mapped(), input.inputs[i].data(), input.inputs[i].size() * sizeof(float));
  }
  const BucketRows rows{Bucket(static_cast<int>(input.positions.size())),
                        Bucket(static_cast<int>(input.output_rows.size()))};
  ASSIGN_OR_RETURN(const VkCommandBuffer commands, CommandsFor(rows));
  RETURN_IF_ERROR(gpu_.Run(commands));
  if (!out.empty()) std::memcpy(out.data(), readback_->mapped(), out.size() * sizeof(float));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> CompileProgram(const Graph& graph, const Tuning& tuning, Gpu& gpu,
                                                        Pipelines& pipelines) {
  auto program = std::make_unique<VulkanProgram>(graph, tuning, gpu, pipelines);
  RETURN_IF_ERROR(program->Build());
  return program;
}

}  // namespace spotinference::vulkan
