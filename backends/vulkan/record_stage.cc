#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "backends/vulkan/vulkan_program.h"
#include "engine/base/status.h"

namespace spotinference::vulkan {

Pipelines::Key VulkanProgram::PipelineOf(const Stage& stage, int bucket) const {
  const Op& op = stage.op();
  switch (op.kind) {
    case OpKind::kEmbed:
      return {Shader::kEmbed, {static_cast<uint32_t>(Weight(op).type)}};
    case OpKind::kRmsNorm:
      return {tuning_.sums_subgroups ? Shader::kRmsNormSubgroups : Shader::kRmsNorm, {kGroup}};
    case OpKind::kMatmul: {
      return {UsesMatrices(bucket)       ? tuning_.many_rows
              : UsesIntegers(op, bucket) ? Shader::kMatmulIntegers
                                         : Shader::kMatmul,
              {static_cast<uint32_t>(Weight(op).type), RowsOfGroup(stage, bucket), MatmulOutputs(stage, bucket),
               tuning_.splits, IsGated(stage), IsGated(stage) ? static_cast<uint32_t>(stage.then->activation) : 0}};
    }
    case OpKind::kRope:
      return {Shader::kRope, {}};
    case OpKind::kStoreKv:
      return {Shader::kStoreKv, {}};
    case OpKind::kAttention:
      return {tuning_.sums_subgroups ? Shader::kAttentionSubgroups : Shader::kAttention,
              {static_cast<uint32_t>(op.attention.head_dim / 2), HeadGroup(op)}};
    case OpKind::kGate:
      return {Shader::kGate, {static_cast<uint32_t>(op.activation)}};
    case OpKind::kAdd:
      return {Shader::kAdd, {}};
    case OpKind::kGatherRows:
      return {Shader::kGatherRows, {}};
  }
  return {};
}

Recorder::GroupCounts VulkanProgram::CountGroups(const Stage& stage, const BucketRows& rows) const {
  const OpKind kind = stage.op().kind;
  const auto down = static_cast<uint32_t>(RowsOf(ShapeOf(stage.op()), rows));
  return {GroupsAcross(stage, rows),
          kind == OpKind::kMatmul ? Groups(down, RowsOfGroup(stage, static_cast<int>(down))) : down,
          kind == OpKind::kAttention && rows.splits_attention() ? static_cast<uint32_t>(rows.ranges) : 1};
}

uint32_t VulkanProgram::GroupsAcross(const Stage& stage, const BucketRows& rows) const {
  const Op& op = stage.op();
  const int width = Width(ShapeOf(op));
  switch (op.kind) {
    case OpKind::kEmbed:
      return Groups(width, 4 * kGroup);
    case OpKind::kRmsNorm:
      return static_cast<uint32_t>(width / Weight(op).columns);
    case OpKind::kMatmul: {
      const uint32_t outputs = MatmulOutputs(stage, RowsOf(op.out, rows));
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

absl::Status VulkanProgram::CheckGroups(const Stage& stage, const BucketRows& rows) const {
  const uint32_t* const most = gpu_.physical().properties.limits.maxComputeWorkGroupCount;
  const Recorder::GroupCounts groups = CountGroups(stage, rows);
  if (groups.x <= most[0] && groups.y <= most[1] && groups.z <= most[2]) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat("graph: operation ", &stage.op() - graph_.ops.data(), ": ", groups.x,
                                               " x ", groups.y, " x ", groups.z, " groups; the device takes ", most[0],
                                               " x ", most[1], " x ", most[2]));
}

absl::Status VulkanProgram::RecordQuantize(const Op& matmul, const BucketRows& rows, Recorder& recorder) {
  ASSIGN_OR_RETURN(const VkPipeline pipeline, pipelines_.Get({Shader::kQuantize, {}}));
  const auto chunks = static_cast<uint32_t>(Weight(matmul).columns / kChunk);
  const struct {
    VkDeviceAddress step, x, chunks_;
    uint32_t domain, chunks;
  } push{step_->address(), Address(matmul.a), chunks_->address(), static_cast<uint32_t>(Domain(matmul.a)), chunks};
  const auto down = static_cast<uint32_t>(RowsOf(matmul.a, rows));
  recorder.DispatchBefore(pipeline, push, {Groups(chunks, kGroup), down}, {At(matmul.a)}, {chunks_.get()});
  return absl::OkStatus();
}

absl::Status VulkanProgram::RecordMatmul(const Stage& stage, const BucketRows& rows, VkPipeline pipeline,
                                         Recorder& recorder) {
  const Op& op = stage.op();
  const bool integers = UsesIntegers(op, RowsOf(op.out, rows));
  if (integers) RETURN_IF_ERROR(RecordQuantize(op, rows, recorder));
  const WeightBuffer& weight = Weight(op);
  struct {
    VkDeviceAddress step, x, weights[3], outs[3], biases[3];
    uint32_t outputs[3], flags, domain, columns, row_words, apart;
  } push{.step = step_->address(),
         .x = integers ? chunks_->address() : Address(op.a),
         .domain = static_cast<uint32_t>(Domain(op.a)),
         .columns = static_cast<uint32_t>(weight.columns),
         .row_words = weight.layout.row_words,
         .apart = weight.layout.apart};
  absl::InlinedVector<const Region*, 2> reads{integers ? chunks_.get() : At(op.a)};
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
  recorder.Dispatch(pipeline, push, CountGroups(stage, rows), reads, writes);
  return absl::OkStatus();
}

void VulkanProgram::RecordRope(const Stage& stage, const BucketRows& rows, VkPipeline pipeline, Recorder& recorder) {
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
  recorder.Dispatch(pipeline, push, CountGroups(stage, rows), {}, turned);
}

void VulkanProgram::RecordStoreKv(const Stage& stage, const BucketRows& rows, VkPipeline pipeline, Recorder& recorder) {
  const Op& op = stage.op();
  const KvBuffer& kv = Kv(op);
  const uint32_t head_words = kv.head_dim / 2, words = kv.kv_heads * head_words;
  const struct {
    VkDeviceAddress step, keys, values, kv;
    uint32_t words, head_words;
  } push{step_->address(), Address(op.a), Address(op.b), kv.pages->address(), words, head_words};
  recorder.Dispatch(pipeline, push, CountGroups(stage, rows), {At(op.a), At(op.b)}, {kv.pages.get()});
}

absl::Status VulkanProgram::RecordAttention(const Stage& stage, const BucketRows& rows, VkPipeline pipeline,
                                            Recorder& recorder) {
  const Op& op = stage.op();
  const KvBuffer& kv = Kv(op);
  const bool split = rows.splits_attention();
  const Region* const to = split ? parts_.get() : At(op.out);
  const struct {
    VkDeviceAddress step, a, out, kv;
    uint32_t heads, kv_heads, window;
    float scale;
    uint32_t ranges;
  } push{step_->address(),
         Address(op.a),
         to->address(),
         kv.pages->address(),
         static_cast<uint32_t>(op.attention.heads),
         static_cast<uint32_t>(kv.kv_heads),
         static_cast<uint32_t>(op.attention.window),
         op.attention.scale,
         split ? static_cast<uint32_t>(rows.ranges) : 0};
  recorder.Dispatch(pipeline, push, CountGroups(stage, rows), {At(op.a), kv.pages.get()}, {to});
  if (!split) return absl::OkStatus();
  ASSIGN_OR_RETURN(const VkPipeline join, pipelines_.Get(JoinPipeline(op)));
  const struct {
    VkDeviceAddress step, parts, out;
    uint32_t window, ranges;
  } joined{step_->address(), parts_->address(), Address(op.out), push.window, push.ranges};
  recorder.DispatchWhole(join, joined, {push.heads, static_cast<uint32_t>(rows.tokens)}, {parts_.get()}, {At(op.out)});
  return absl::OkStatus();
}

absl::Status VulkanProgram::RecordSelect(const BucketRows& rows, Recorder& recorder) {
  ASSIGN_OR_RETURN(const VkPipeline pipeline, pipelines_.Get({Shader::kSelect, {}}));
  const TensorId output = graph_.output;
  const struct {
    VkDeviceAddress step, rows, selections, allowed, asked, parts, answers;
    uint32_t width;
  } push{step_->address(),    Address(output),     selection_->selections(), selection_->allowed(),
         selection_->asked(), selection_->parts(), selection_->answers(),    static_cast<uint32_t>(Width(output))};
  recorder.DispatchWhole(pipeline, push, {selection_->parts_of_row(), static_cast<uint32_t>(rows.outputs)},
                         {At(output)}, {&selection_->found()});
  return absl::OkStatus();
}

absl::Status VulkanProgram::RecordWeigh(const BucketRows& rows, Recorder& recorder) {
  ASSIGN_OR_RETURN(const VkPipeline pipeline, pipelines_.Get({Shader::kWeigh, {}}));
  const TensorId output = graph_.output;
  const struct {
    VkDeviceAddress step, rows, selections, allowed, bounds, sums;
    uint32_t width;
  } push{step_->address(),      Address(output),      selection_->selections(),            selection_->allowed(),
         selection_->bounds(), selection_->sums(), static_cast<uint32_t>(Width(output))};
  recorder.DispatchWhole(pipeline, push, {selection_->parts_of_row(), static_cast<uint32_t>(rows.outputs)},
                         {At(output)}, {&selection_->found()});
  return absl::OkStatus();
}

absl::Status VulkanProgram::RecordStage(const Stage& stage, const BucketRows& bucket_rows, Recorder& recorder) {
  const Op& op = stage.op();
  const TensorId shape = ShapeOf(op);
  const int rows = RowsOf(shape, bucket_rows);
  const auto domain = static_cast<uint32_t>(Domain(shape)), columns = static_cast<uint32_t>(Width(shape));
  ASSIGN_OR_RETURN(const VkPipeline pipeline, pipelines_.Get(PipelineOf(stage, rows)));
  const Recorder::GroupCounts groups = CountGroups(stage, bucket_rows);
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
      recorder.Dispatch(pipeline, push, groups, {}, {At(op.out)});
      break;
    }
    case OpKind::kRmsNorm: {
      const struct {
        VkDeviceAddress step, a, weight, out;
        uint32_t domain, width;
        float epsilon;
      } push{step, Address(op.a), Weight(op).vector->address(), Address(op.out), domain,
             static_cast<uint32_t>(Weight(op).columns), op.epsilon};
      recorder.Dispatch(pipeline, push, groups, {At(op.a)}, {At(op.out)});
      break;
    }
    case OpKind::kMatmul:
      return RecordMatmul(stage, bucket_rows, pipeline, recorder);
    case OpKind::kRope:
      RecordRope(stage, bucket_rows, pipeline, recorder);
      break;
    case OpKind::kStoreKv:
      RecordStoreKv(stage, bucket_rows, pipeline, recorder);
      break;
    case OpKind::kAttention:
      return RecordAttention(stage, bucket_rows, pipeline, recorder);
    case OpKind::kGate:
    case OpKind::kAdd: {
      const struct {
        VkDeviceAddress step, a, b, out;
        uint32_t domain, width;
      } push{step, Address(op.a), Address(op.b), Address(op.out), domain, columns};
      recorder.Dispatch(pipeline, push, groups, {At(op.a), At(op.b)}, {At(op.out)});
      break;
    }
    case OpKind::kGatherRows: {
      const struct {
        VkDeviceAddress step, a, out;
        uint32_t width;
      } push{step, Address(op.a), Address(op.out), columns};
      recorder.Dispatch(pipeline, push, groups, {At(op.a)}, {At(op.out)});
      break;
    }
  }
  return absl::OkStatus();
}

}  // namespace spotinference::vulkan
