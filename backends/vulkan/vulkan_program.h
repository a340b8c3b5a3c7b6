// The vulkan backend's Program: program.cc has its life, record_stage.cc what each stage of it becomes on the device.
#ifndef BACKENDS_VULKAN_VULKAN_PROGRAM_H_
#define BACKENDS_VULKAN_VULKAN_PROGRAM_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "backends/vulkan/buffers.h"
#include "backends/vulkan/fuse.h"
#include "backends/vulkan/program.h"
#include "backends/vulkan/recorder.h"
#include "backends/vulkan/selection_buffer.h"
#include "backends/vulkan/step_buffer.h"

namespace spotinference::vulkan {

inline constexpr uint32_t kGroup = 32;  // invocations of a group of most shaders

inline uint32_t Groups(int64_t items, int64_t of_a_group) {
  return static_cast<uint32_t>((items + of_a_group - 1) / of_a_group);
}

// Rows that a recorded command buffer has room for: 0, 1, 4, and powers of two from there.
inline int Bucket(int rows) {
  if (rows <= 1) return rows;
  int bucket = 4;
  while (bucket < rows) bucket *= 2;
  return bucket;
}

// Query heads that share a group of shaders/attention.comp, all of one key head.
inline uint32_t HeadGroup(const Op& op) {
  const int of_key_head = op.attention.heads / op.attention.kv_heads;
  for (int group = 4; group > 1; --group) {
    if (of_key_head % group == 0) return group;
  }
  return 1;
}

// The tensor whose rows it runs over.
inline TensorId ShapeOf(const Op& op) { return op.out != kNoTensor ? op.out : op.a; }

inline bool IsGated(const Stage& stage) { return stage.then != nullptr && stage.then->kind == OpKind::kGate; }

// Rows of an invocation of the matmul: one of kTileRowCounts, as buckets are.
inline int MatmulRows(int bucket) { return std::clamp(bucket, 1, 8); }

// Rows of a group of shaders/matmul_matrix.comp. Of 64, and of 32 and two weights, the sums take 128 of a lane's 255 registers.
inline int MatrixRows(int bucket, bool gated) { return std::clamp(bucket, 16, gated ? 32 : 64); }

inline constexpr int kChunk = 32, kChunkBytes = 48;  // shaders/chunks.glsl
inline constexpr int kRange = 256;  // RANGE of shaders/softmax.glsl
// Tokens of a step whose attention is split by ranges. More keep a device busy without.
inline constexpr int kSplitTokens = 8;

inline Pipelines::Key JoinPipeline(const Op& attention) {
  return {Shader::kAttentionJoin, {static_cast<uint32_t>(attention.attention.head_dim / 2)}};
}

class VulkanProgram : public Program, public Selector {
 public:
  VulkanProgram(const Graph& graph, const Tuning& tuning, Gpu& gpu, Pipelines& pipelines)
      : graph_(graph), tuning_(tuning), gpu_(gpu), pipelines_(pipelines) {}
  ~VulkanProgram() override { FreeAll(); }

  absl::Status Allocate();
  // Measures what `tiles` lacks and this program will use.
  absl::Status MeasureTiles(TileChoices& tiles);
  absl::Status Warm();
  absl::Status Run(const StepInput& input, absl::Span<float> out) override;
  Selector* selector() override { return selection_ != nullptr ? this : nullptr; }
  absl::Status RunSelecting(const StepInput& input, absl::Span<const Selection> selections,
                            absl::Span<Selected> selected) override;
  absl::Status Look(int row, const Selection& selection, Selected& selected) override;
  absl::Status ReadRow(int row, absl::Span<float> out) override;

 private:
  struct BucketRows {
    int tokens, outputs;
    int ranges = 1;        // of positions that a token sees, at most
    bool selects = false;  // output rows stay on the device (shaders/select.comp)
    bool operator<(const BucketRows& other) const {
      return std::tie(tokens, outputs, ranges, selects) <
             std::tie(other.tokens, other.outputs, other.ranges, other.selects);
    }
    // Whether attention has a group a range: few tokens, each far into its sequence.
    bool splits_attention() const { return ranges > 1 && tokens <= kSplitTokens; }
  };

  // Bucket of ranges of a step: 1, 4, 16 … up to most_ranges_.
  int Ranges(const StepInput& input) const;
  absl::Status AllocateParts();

  // How long the matmul takes with `rows` rows and the tuning as it is; the best of some.
  absl::StatusOr<absl::Duration> TimeMatmul(const Op& op, int rows);
  // A matmul's pipelines of all choices that there are for `rows` rows.
  void AddChoices(const Op& op, int rows, std::set<Pipelines::Key>& keys);
  // Whether a matmul's input is rounded to int8.
  bool UsesIntegers(const Op& op, int rows) const {
    return tuning_.integers && Layout(Weight(op).type).block_elements > 1 && !UsesMatrices(rows);
  }
  bool UsesMatrices(int rows) const { return rows >= 16 && tuning_.many_rows != Shader::kMatmul; }
  // Of a matmul.
  uint32_t RowsOfGroup(const Stage& stage, int rows) const {
    return UsesMatrices(rows) ? MatrixRows(rows, IsGated(stage)) : MatmulRows(rows);
  }
  // Outputs of an invocation: gate and up in turn, where there is a gate.
  uint32_t MatmulOutputs(const Stage& stage, int rows) const {
    if (UsesMatrices(rows)) return IsGated(stage) ? 2 : 1;
    const uint32_t outputs = tuning_.tiles.outputs(Weight(stage.op()).type, MatmulRows(rows));
    return IsGated(stage) ? std::max(outputs, 2u) : outputs;
  }
  Pipelines::Key PipelineOf(const Stage& stage, int bucket) const;
  using Commands = std::vector<VkCommandBuffer>;  // a submission each

  const std::vector<Stage>& StagesOf(const BucketRows& rows) const { return rows.tokens > 1 ? wide_stages_ : stages_; }
  absl::StatusOr<const Commands*> CommandsFor(const BucketRows& rows);
  // Of StagesOf(rows), those from `first` on.
  absl::Status RecordPart(size_t first, size_t end, const BucketRows& rows, GroupShare share, Commands& commands);
  void Free(const Commands& commands) {
    for (const VkCommandBuffer one : commands) gpu_.FreeCommands(one);
  }
  void FreeAll() {
    for (const auto& [rows, commands] : commands_) Free(commands);
    commands_.clear();
  }
  // Multiply-adds, about; never fewer.
  double Work(const Stage& stage, const BucketRows& rows) const;
  double Work(const Op& op, const BucketRows& rows) const;
  // Of its dispatch, and of them those along x.
  Recorder::GroupCounts CountGroups(const Stage& stage, const BucketRows& rows) const;
  uint32_t GroupsAcross(const Stage& stage, const BucketRows& rows) const;
  absl::Status CheckGroups(const Stage& stage, const BucketRows& rows) const;
  absl::Status RecordStage(const Stage& stage, const BucketRows& rows, Recorder& recorder);
  absl::Status RecordQuantize(const Op& matmul, const BucketRows& rows, Recorder& recorder);
  absl::Status RecordMatmul(const Stage& stage, const BucketRows& rows, VkPipeline pipeline, Recorder& recorder);
  void RecordRope(const Stage& stage, const BucketRows& rows, VkPipeline pipeline, Recorder& recorder);
  void RecordStoreKv(const Stage& stage, const BucketRows& rows, VkPipeline pipeline, Recorder& recorder);
  absl::Status RecordAttention(const Stage& stage, const BucketRows& rows, VkPipeline pipeline, Recorder& recorder);
  absl::Status RecordSelect(const BucketRows& rows, Recorder& recorder);
  absl::Status RecordWeigh(const BucketRows& rows, Recorder& recorder);
  // Of a step with so many output rows, a bucket of them, of which the one that something is wanted of is looked at.
  absl::StatusOr<const Commands*> LookCommandsFor(int outputs);
  // Runs a checked step; outputs are on the device, and, where it does not select, in readback_.
  absl::Status RunStep(const StepInput& input, bool selects);

  int Width(TensorId id) const { return graph_.tensors[id].width; }
  Rows Domain(TensorId id) const { return graph_.tensors[id].rows; }
  int RowsOf(TensorId id, const BucketRows& rows) const {
    return Domain(id) == Rows::kTokens ? rows.tokens : rows.outputs;
  }
  const Region* At(TensorId id) const { return tensors_[id].get(); }
  VkDeviceAddress Address(TensorId id) const { return tensors_[id]->address(); }

  const Graph graph_;
  std::vector<Stage> stages_, wide_stages_;  // of steps of one row, and of more
  Tuning tuning_;
  Gpu& gpu_;
  Pipelines& pipelines_;
  int kv_blocks_ = 0;  // of the smallest cache; 0: none
  int most_ranges_ = 1;
  std::unique_ptr<Region> chunks_;  // the input at hand, in int8 (shaders/chunks.glsl); null where none is rounded
  std::unique_ptr<Region> parts_;  // of attention split by ranges; null where there is one range
  std::vector<std::unique_ptr<Region>> tensors_;  // by TensorId, for the largest step
  std::vector<std::unique_ptr<Region>> inputs_;   // by Graph::inputs
  std::unique_ptr<Region> readback_;
  std::unique_ptr<SelectionBuffer> selection_;  // null: outputs are no Rows::kOutputs
  std::unique_ptr<StepBuffer> step_;
  std::map<BucketRows, Commands> commands_;
  absl::Mutex look_mutex_;  // of looks at one step's rows
  int last_outputs_ = 0;    // of the last step
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_VULKAN_PROGRAM_H_
