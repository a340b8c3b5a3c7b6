#include "backends/vulkan/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "backends/vulkan/buffers.h"
#include "backends/vulkan/check_graph.h"
#include "backends/vulkan/fuse.h"
#include "backends/vulkan/recorder.h"
#include "backends/vulkan/step_buffer.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/device/check_step.h"

namespace spotinference::vulkan {
namespace {

constexpr uint32_t kGroup = 32;  // invocations of a group of most shaders

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

// The tensor whose rows it runs over.
TensorId ShapeOf(const Op& op) { return op.out != kNoTensor ? op.out : op.a; }

bool IsGated(const Stage& stage) { return stage.then != nullptr && stage.then->kind == OpKind::kGate; }

// More would be fewer groups than even a small card has room for.
constexpr double kMaxShares = 256;

// Whether its dispatch may be dealt out by groups (Pipelines).
bool CanBeShared(const Op& op) { return op.kind == OpKind::kMatmul || op.kind == OpKind::kAttention; }

// Rows of an invocation of the matmul: one of kTileRowCounts, as buckets are.
int MatmulRows(int bucket) { return std::clamp(bucket, 1, 8); }

class VulkanProgram : public Program {
 public:
  VulkanProgram(const Graph& graph, const Tuning& tuning, Gpu& gpu, Pipelines& pipelines)
      : graph_(graph), tuning_(tuning), gpu_(gpu), pipelines_(pipelines) {}
  ~VulkanProgram() override {
    for (const auto& [rows, commands] : commands_) Free(commands);
  }

  absl::Status Allocate();
  // Measures what `tiles` lacks and this program will use.
  absl::Status MeasureTiles(TileChoices& tiles);
  absl::Status Warm();
  absl::Status Run(const StepInput& input, absl::Span<float> out) override;

 private:
  struct BucketRows {
    int tokens, outputs;
    bool operator<(const BucketRows& other) const {
      return std::tie(tokens, outputs) < std::tie(other.tokens, other.outputs);
    }
  };

  // How long the matmul takes with `rows` rows and the tuning as it is; the best of some.
  absl::StatusOr<absl::Duration> TimeMatmul(const Op& op, int rows);
  // A matmul's pipelines of all choices that there are for `rows` rows.
  void AddChoices(const Op& op, int rows, std::set<Pipelines::Key>& keys);
  // Outputs of an invocation: gate and up in turn, where there is a gate.
  uint32_t MatmulOutputs(const Stage& stage, int rows) const {
    const uint32_t outputs = tuning_.tiles.outputs(Weight(stage.op()).type, MatmulRows(rows));
    return IsGated(stage) ? std::max(outputs, 2u) : outputs;
  }
  Pipelines::Key PipelineOf(const Stage& stage, int bucket) const;
  using Commands = std::vector<VkCommandBuffer>;  // a submission each

  absl::StatusOr<const Commands*> CommandsFor(const BucketRows& rows);
  absl::Status RecordPart(size_t first, size_t end, const BucketRows& rows, GroupShare share, Commands& commands);
  void Free(const Commands& commands) {
    for (const VkCommandBuffer one : commands) gpu_.FreeCommands(one);
  }
  // Multiply-adds, about; never fewer.
  double Work(const Stage& stage, const BucketRows& rows) const;
  double Work(const Op& op, const BucketRows& rows) const;
  // Of its dispatch, along x and y.
  uint32_t GroupsAcross(const Stage& stage, int rows) const;
  static uint32_t GroupsDown(const Stage& stage, int rows) {
    return stage.op().kind == OpKind::kMatmul && rows > 0 ? Groups(rows, MatmulRows(rows)) : rows;
  }
  absl::Status CheckGroups(const Stage& stage, int rows) const;
  absl::Status RecordStage(const Stage& stage, const BucketRows& rows, Recorder& recorder);
  void RecordMatmul(const Stage& stage, int rows, VkPipeline pipeline, Recorder& recorder);
  void RecordRope(const Stage& stage, int rows, VkPipeline pipeline, Recorder& recorder);
  void RecordKv(const Stage& stage, int rows, VkPipeline pipeline, Recorder& recorder);

  int Width(TensorId id) const { return graph_.tensors[id].width; }
  Rows Domain(TensorId id) const { return graph_.tensors[id].rows; }
  int RowsOf(TensorId id, const BucketRows& rows) const {
    return Domain(id) == Rows::kTokens ? rows.tokens : rows.outputs;
  }
  const Region* At(TensorId id) const { return tensors_[id].get(); }
  VkDeviceAddress Address(TensorId id) const { return tensors_[id]->address(); }

  const Graph graph_;
  std::vector<Stage> stages_;
  Tuning tuning_;
  Gpu& gpu_;
  Pipelines& pipelines_;
  int kv_blocks_ = 0;  // of the smallest cache; 0: none
  std::vector<std::unique_ptr<Region>> tensors_;  // by TensorId, for the largest step
  std::vector<std::unique_ptr<Region>> inputs_;   // by Graph::inputs
  std::unique_ptr<Region> readback_;
  std::unique_ptr<StepBuffer> step_;
  std::map<BucketRows, Commands> commands_;
};

absl::Status VulkanProgram::Allocate() {
  for (const Op& op : graph_.ops) {
    RETURN_IF_ERROR(CheckOp(graph_, op));
    if (op.kv != nullptr) kv_blocks_ = kv_blocks_ == 0 ? Kv(op).blocks : std::min(kv_blocks_, Kv(op).blocks);
  }
  stages_ = Fuse(graph_);
  const BucketRows largest{Bucket(graph_.max_tokens), Bucket(graph_.max_outputs)};
  const auto bytes = [&](TensorId id) { return size_t{sizeof(float)} * RowsOf(id, largest) * Width(id); };
  for (TensorId id = 0; id < static_cast<TensorId>(graph_.tensors.size()); ++id) {
    RETURN_IF_ERROR(CheckAddressable(bytes(id), absl::StrCat("tensor ", id, " of the graph")));
    ASSIGN_OR_RETURN(tensors_.emplace_back(), gpu_.memory().Allocate(bytes(id), MemoryUse::kDevice));
  }
  for (const TensorId id : graph_.inputs) {
    ASSIGN_OR_RETURN(inputs_.emplace_back(), gpu_.memory().Allocate(bytes(id), MemoryUse::kUpload));
  }
  ASSIGN_OR_RETURN(readback_, gpu_.memory().Allocate(bytes(graph_.output), MemoryUse::kReadback));
  ASSIGN_OR_RETURN(step_, StepBuffer::Create(graph_, gpu_.memory()));
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> VulkanProgram::TimeMatmul(const Op& op, int rows) {
  constexpr int kDispatches = 4, kRuns = 4;  // the first run may compile
  absl::Status status;
  ASSIGN_OR_RETURN(const VkCommandBuffer commands, gpu_.Record([&](VkCommandBuffer buffer) {
    Recorder recorder(gpu_.api(), buffer, pipelines_.layout());
    for (int i = 0; i < kDispatches; ++i) status.Update(RecordStage({{&op}}, {rows, rows}, recorder));
    recorder.End();
  }));
  absl::Duration best = absl::InfiniteDuration();
  for (int run = 0; run < kRuns && status.ok(); ++run) {
    const absl::Duration start = RealClock().Elapsed();
    status = gpu_.Run({&commands, 1});
    best = std::min(best, RealClock().Elapsed() - start);
  }
  gpu_.FreeCommands(commands);
  RETURN_IF_ERROR(status);
  return best;
}

void VulkanProgram::AddChoices(const Op& op, int rows, std::set<Pipelines::Key>& keys) {
  const TileChoices kept = tuning_.tiles;
  for (const uint32_t outputs : kTileOutputs) {
    if (!IsTile(rows, outputs)) continue;
    tuning_.tiles.Set(Weight(op).type, rows, outputs);
    keys.insert(PipelineOf({{&op}}, rows));
  }
  tuning_.tiles = kept;
}

absl::Status VulkanProgram::MeasureTiles(TileChoices& tiles) {
  // One weight of each type stands for all: large enough to keep the device busy, if there is one, and soon done.
  constexpr int64_t kEnough = int64_t{1} << 22;
  std::map<DType, const Op*> samples;
  const auto distance = [&](const Op& op) { return std::abs(Weight(op).rows * Weight(op).columns - kEnough); };
  for (const Op& op : graph_.ops) {
    if (op.kind != OpKind::kMatmul) continue;
    const Op*& sample = samples[Weight(op).type];
    if (sample == nullptr || distance(op) < distance(*sample)) sample = &op;
  }
  const auto is_wanted = [&](DType type, int rows) {
    return !tiles.Has(type, rows) && rows <= std::min(graph_.max_tokens, graph_.max_outputs);
  };
  std::set<Pipelines::Key> keys;
  for (const auto& [type, op] : samples) {
    for (const int rows : kTileRowCounts) {
      if (is_wanted(type, rows)) AddChoices(*op, rows, keys);
    }
  }
  RETURN_IF_ERROR(pipelines_.Prepare(keys));
  const std::vector<int32_t> zeros(kTileRowCounts[std::size(kTileRowCounts) - 1]);
  for (const auto& [type, op] : samples) {
    for (const int rows : kTileRowCounts) {
      if (!is_wanted(type, rows)) continue;
      const absl::Span<const int32_t> some(zeros.data(), rows);
      RETURN_IF_ERROR(step_->Write({.positions = some, .sequences = some, .output_rows = some}));
      std::map<absl::Duration, uint32_t> times;
      for (const uint32_t outputs : kTileOutputs) {
        if (!IsTile(rows, outputs)) continue;
        tuning_.tiles.Set(type, rows, outputs);
        ASSIGN_OR_RETURN(const absl::Duration took, TimeMatmul(*op, rows));
        times.emplace(took, outputs);
      }
      tuning_.tiles.Set(type, rows, times.begin()->second);
      tiles.Set(type, rows, times.begin()->second);
    }
  }
  return absl::OkStatus();
}

absl::Status VulkanProgram::Warm() {
  std::vector<BucketRows> buckets;
  std::set<Pipelines::Key> keys;
  for (const int bucket : {1, 4, 8}) {
    buckets.push_back({Bucket(std::min(bucket, graph_.max_tokens)), Bucket(std::min(bucket, graph_.max_outputs))});
    for (const Stage& stage : stages_) keys.insert(PipelineOf(stage, RowsOf(ShapeOf(stage.op()), buckets.back())));
  }
  for (const Stage& stage : stages_) {
    const Rows domain = Domain(ShapeOf(stage.op()));
    RETURN_IF_ERROR(CheckGroups(stage, Bucket(domain == Rows::kTokens ? graph_.max_tokens : graph_.max_outputs)));
  }
  RETURN_IF_ERROR(pipelines_.Prepare(keys));
  RETURN_IF_ERROR(step_->Write({}));
  for (const BucketRows& rows : buckets) {
    ASSIGN_OR_RETURN(const Commands* const commands, CommandsFor(rows));
    RETURN_IF_ERROR(gpu_.Run(*commands));
  }
  return absl::OkStatus();
}

Pipelines::Key VulkanProgram::PipelineOf(const Stage& stage, int bucket) const {
  const Op& op = stage.op();
  switch (op.kind) {
    case OpKind::kEmbed:
      return {Shader::kEmbed, {static_cast<uint32_t>(Weight(op).type)}};
    case OpKind::kRmsNorm:
      return {Shader::kRmsNorm, {kGroup}};
    case OpKind::kMatmul:
      return {Shader::kMatmul,
              {static_cast<uint32_t>(Weight(op).type), static_cast<uint32_t>(MatmulRows(bucket)),
               MatmulOutputs(stage, bucket), tuning_.splits, IsGated(stage),
               IsGated(stage) ? static_cast<uint32_t>(stage.then->activation) : 0}};
    case OpKind::kRope:
      return {Shader::kRope, {}};
    case OpKind::kStoreKv:
      return {Shader::kStoreKv, {}};
    case OpKind::kAttention:
      return {Shader::kAttention, {static_cast<uint32_t>(op.attention.head_dim / 2), HeadGroup(op)}};
    case OpKind::kGate:
      return {Shader::kGate, {static_cast<uint32_t>(op.activation)}};
    case OpKind::kAdd:
      return {Shader::kAdd, {}};
    case OpKind::kGatherRows:
      return {Shader::kGatherRows, {}};
  }
  return {};
}

double VulkanProgram::Work(const Stage& stage, const BucketRows& rows) const {
  double work = 0;
  for (const Op* const op : stage.ops) work += Work(*op, rows);
  return work;
}

double VulkanProgram::Work(const Op& op, const BucketRows& rows) const {
  const double elements = double{1} * RowsOf(ShapeOf(op), rows) * Width(ShapeOf(op));
  if (op.kind == OpKind::kMatmul) return elements * Weight(op).columns;
  if (op.kind != OpKind::kAttention) return elements;
  int positions = Kv(op).blocks * kBlockTokens;
  if (graph_.max_positions > 0) positions = std::min(positions, graph_.max_positions);
  return elements * 2 * (op.attention.window > 0 ? std::min(positions, op.attention.window) : positions);
}

uint32_t VulkanProgram::GroupsAcross(const Stage& stage, int rows) const {
  const Op& op = stage.op();
  const int width = Width(ShapeOf(op));
  switch (op.kind) {
    case OpKind::kEmbed:
      return Groups(width, 4 * kGroup);
    case OpKind::kRmsNorm:
      return static_cast<uint32_t>(width / Weight(op).columns);
    case OpKind::kMatmul: {
      const uint32_t outputs = MatmulOutputs(stage, rows);
      if (IsGated(stage)) return Groups(Weight(op).rows, kTileRows * outputs / 2);
      uint32_t groups = 0;
      for (const Op* const one : stage.ops) groups += Groups(Weight(*one).rows, kTileRows * outputs);
      return groups;
    }
    case OpKind::kRope: {
      const RopeAttributes& rope = graph_.ropes[op.rope];
      int64_t heads = 0;
      for (const Op* const one : stage.ops) heads += Width(one->a) / rope.head_dim;
      return Groups(heads * rope.pairs(), kGroup);
    }
    case OpKind::kStoreKv:
      return Groups(int64_t{Kv(op).kv_heads} * Kv(op).head_dim / 2, kGroup);
    case OpKind::kAttention:
      return op.attention.heads / HeadGroup(op);
    case OpKind::kGate:
    case OpKind::kAdd:
    case OpKind::kGatherRows:
      return Groups(width, kGroup);
  }
  return 0;
}

absl::Status VulkanProgram::CheckGroups(const Stage& stage, int rows) const {
  const uint32_t* const most = gpu_.physical().properties.limits.maxComputeWorkGroupCount;
  const uint32_t across = GroupsAcross(stage, rows), down = GroupsDown(stage, rows);
  if (across <= most[0] && down <= most[1]) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat("graph: operation ", &stage.op() - graph_.ops.data(), ": ", across, " x ",
                                               down, " groups; the device takes ", most[0], " x ", most[1]));
}

// Stages go together up to the work of a submission; one that is more than that alone is dealt out.
absl::StatusOr<const VulkanProgram::Commands*> VulkanProgram::CommandsFor(const BucketRows& rows) {
  if (const auto found = commands_.find(rows); found != commands_.end()) return &found->second;
  Commands commands;
  absl::Status status;
  size_t first = 0;
  do {
    size_t end = first;
    double work = 0;
    for (; end < stages_.size(); ++end) {
      const double more = Work(stages_[end], rows);
      if (end > first && work + more > tuning_.submission_work) break;
      work += more;
    }
    uint32_t shares = 1;
    if (first < end && CanBeShared(stages_[first].op())) {
      const uint32_t groups = GroupsAcross(stages_[first], RowsOf(ShapeOf(stages_[first].op()), rows));
      const double most = std::min<double>(kMaxShares, groups);  // a share of no group would be a submission of nothing
      shares = static_cast<uint32_t>(std::max(1.0, std::min(most, std::ceil(work / tuning_.submission_work))));
    }
    for (uint32_t share = 0; share < shares && status.ok(); ++share) {
      status = RecordPart(first, end, rows, {share, shares}, commands);
    }
    first = end;
  } while (first < stages_.size() && status.ok());
  if (!status.ok()) {
    Free(commands);
    return status;
  }
  return &(commands_[rows] = std::move(commands));
}

absl::Status VulkanProgram::RecordPart(size_t first, size_t end, const BucketRows& rows, GroupShare share,
                                       Commands& commands) {
  absl::Status status;
  ASSIGN_OR_RETURN(commands.emplace_back(), gpu_.Record([&](VkCommandBuffer buffer) {
    Recorder recorder(gpu_.api(), buffer, pipelines_.layout(), share);
    for (size_t i = 0; first == 0 && i < inputs_.size(); ++i) {
      const TensorId id = graph_.inputs[i];
      recorder.Copy(*inputs_[i], *tensors_[id], sizeof(float) * RowsOf(id, rows) * Width(id));
    }
    for (size_t i = first; i < end; ++i) status.Update(RecordStage(stages_[i], rows, recorder));
    if (end == stages_.size()) {
      recorder.Copy(*tensors_[graph_.output], *readback_,
                    sizeof(float) * RowsOf(graph_.output, rows) * Width(graph_.output));
    }
    recorder.End();
  }));
  return status;
}

void VulkanProgram::RecordMatmul(const Stage& stage, int rows, VkPipeline pipeline, Recorder& recorder) {
  const Op& op = stage.op();
  const WeightBuffer& weight = Weight(op);
  struct {
    VkDeviceAddress step, x, weights[3], outs[3], biases[3];
    uint32_t outputs[3], flags, domain, columns, row_words, apart;
  } push{.step = step_->address(),
         .x = Address(op.a),
         .domain = static_cast<uint32_t>(Domain(op.a)),
         .columns = static_cast<uint32_t>(weight.columns),
         .row_words = weight.layout.row_words,
         .apart = weight.layout.apart};
  absl::InlinedVector<const Region*, 2> reads{At(op.a)};
  absl::InlinedVector<const Region*, 3> writes;
  for (size_t i = 0; i < stage.ops.size(); ++i) {
    const Op& one = *stage.ops[i];
    push.weights[i] = Weight(one).tiles->address();
    push.outs[i] = Address(one.out);
    push.outputs[i] = static_cast<uint32_t>(Weight(one).rows);
    writes.push_back(At(one.out));
    if (one.bias == nullptr) continue;
    push.flags |= 1u << i;
    push.biases[i] = static_cast<const WeightBuffer*>(one.bias)->vector->address();
  }
  if (stage.then != nullptr) {
    push.outs[0] = Address(stage.then->out);
    writes = {At(stage.then->out)};
  }
  if (stage.then != nullptr && stage.then->kind == OpKind::kAdd) {
    const TensorId added = stage.then->a == op.out ? stage.then->b : stage.then->a;
    push.flags |= 8;
    push.outs[1] = Address(added);
    reads.push_back(At(added));
  }
  recorder.Dispatch(pipeline, push, GroupsAcross(stage, rows), GroupsDown(stage, rows), reads, writes);
}

void VulkanProgram::RecordRope(const Stage& stage, int rows, VkPipeline pipeline, Recorder& recorder) {
  const RopeAttributes& rope = graph_.ropes[stage.op().rope];
  struct {
    VkDeviceAddress step, both[2], turns;
    uint32_t heads[2], head_dim, pairs, interleaved;
  } push{.step = step_->address(),
         .turns = step_->turns(stage.op().rope),
         .head_dim = static_cast<uint32_t>(rope.head_dim),
         .pairs = static_cast<uint32_t>(rope.pairs()),
         .interleaved = rope.interleaved};
  absl::InlinedVector<const Region*, 2> turned;
  for (size_t i = 0; i < stage.ops.size(); ++i) {
    const TensorId tensor = stage.ops[i]->a;
    push.both[i] = Address(tensor);
    push.heads[i] = static_cast<uint32_t>(Width(tensor) / rope.head_dim);
    turned.push_back(At(tensor));
  }
  recorder.Dispatch(pipeline, push, GroupsAcross(stage, rows), rows, {}, turned);
}

void VulkanProgram::RecordKv(const Stage& stage, int rows, VkPipeline pipeline, Recorder& recorder) {
  const Op& op = stage.op();
  const KvBuffer& kv = Kv(op);
  const uint32_t head_words = kv.head_dim / 2, words = kv.kv_heads * head_words, groups = GroupsAcross(stage, rows);
  if (op.kind == OpKind::kStoreKv) {
    const struct {
      VkDeviceAddress step, keys, values, kv;
      uint32_t words, head_words;
    } push{step_->address(), Address(op.a), Address(op.b), kv.pages->address(), words, head_words};
    recorder.Dispatch(pipeline, push, groups, rows, {At(op.a), At(op.b)}, {kv.pages.get()});
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
  recorder.Dispatch(pipeline, push, groups, rows, {At(op.a), kv.pages.get()}, {At(op.out)});
}

absl::Status VulkanProgram::RecordStage(const Stage& stage, const BucketRows& bucket_rows, Recorder& recorder) {
  const Op& op = stage.op();
  const TensorId shape = ShapeOf(op);
  const int rows = RowsOf(shape, bucket_rows);
  const auto domain = static_cast<uint32_t>(Domain(shape)), columns = static_cast<uint32_t>(Width(shape));
  ASSIGN_OR_RETURN(const VkPipeline pipeline, pipelines_.Get(PipelineOf(stage, rows)));
  const uint32_t groups = GroupsAcross(stage, rows);
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
      recorder.Dispatch(pipeline, push, groups, rows, {}, {At(op.out)});
      break;
    }
    case OpKind::kRmsNorm: {
      const struct {
        VkDeviceAddress step, a, weight, out;
        uint32_t domain, width;
        float epsilon;
      } push{step, Address(op.a), Weight(op).vector->address(), Address(op.out), domain,
             static_cast<uint32_t>(Weight(op).columns), op.epsilon};
      recorder.Dispatch(pipeline, push, groups, rows, {At(op.a)}, {At(op.out)});
      break;
    }
    case OpKind::kMatmul:
      RecordMatmul(stage, rows, pipeline, recorder);
      break;
    case OpKind::kRope:
      RecordRope(stage, rows, pipeline, recorder);
      break;
    case OpKind::kStoreKv:
    case OpKind::kAttention:
      RecordKv(stage, rows, pipeline, recorder);
      break;
    case OpKind::kGate:
    case OpKind::kAdd: {
      const struct {
        VkDeviceAddress step, a, b, out;
        uint32_t domain, width;
      } push{step, Address(op.a), Address(op.b), Address(op.out), domain, columns};
      recorder.Dispatch(pipeline, push, groups, rows, {At(op.a), At(op.b)}, {At(op.out)});
      break;
    }
    case OpKind::kGatherRows: {
      const struct {
        VkDeviceAddress step, a, out;
        uint32_t width;
      } push{step, Address(op.a), Address(op.out), columns};
      recorder.Dispatch(pipeline, push, groups, rows, {At(op.a)}, {At(op.out)});
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
  ASSIGN_OR_RETURN(const Commands* const commands, CommandsFor(rows));
  RETURN_IF_ERROR(gpu_.Run(*commands));
  if (!out.empty()) std::memcpy(out.data(), readback_->mapped(), out.size() * sizeof(float));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> CompileProgram(const Graph& graph, bool measure, Tuning& tuning, Gpu& gpu,
                                                        Pipelines& pipelines) {
  auto program = std::make_unique<VulkanProgram>(graph, tuning, gpu, pipelines);
  RETURN_IF_ERROR(program->Allocate());
  if (measure) RETURN_IF_ERROR(program->MeasureTiles(tuning.tiles));
  RETURN_IF_ERROR(program->Warm());
  return program;
}

}  // namespace spotinference::vulkan
