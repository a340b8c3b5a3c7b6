#include "backends/vulkan/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/vulkan/check_graph.h"
#include "backends/vulkan/vulkan_program.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/device/check_step.h"

namespace spotinference::vulkan {
namespace {

// More would be fewer groups than even a small card has room for.
constexpr double kMaxShares = 256;

// Whether its dispatch may be dealt out by groups (Pipelines).
bool CanBeShared(const Op& op) { return op.kind == OpKind::kMatmul || op.kind == OpKind::kAttention; }

}  // namespace

absl::Status VulkanProgram::Allocate() {
  for (const Op& op : graph_.ops) {
    RETURN_IF_ERROR(CheckOp(graph_, op));
    if (op.kv != nullptr) kv_blocks_ = kv_blocks_ == 0 ? Kv(op).blocks : std::min(kv_blocks_, Kv(op).blocks);
  }
  stages_ = Fuse(graph_);
  wide_stages_ = Fuse(graph_, /*gates=*/!tuning_.gates_apart);
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
  if (Domain(graph_.output) == Rows::kOutputs) {
    ASSIGN_OR_RETURN(selection_, SelectionBuffer::Create(largest.outputs, Width(graph_.output), gpu_.memory()));
  }
  size_t chunks = 0;
  for (const Op& op : graph_.ops) {
    if (op.kind != OpKind::kMatmul || !UsesIntegers(op, 1)) continue;
    chunks = std::max<size_t>(chunks, size_t{1} * RowsOf(op.a, largest) * Width(op.a) / kChunk);
  }
  if (chunks > 0) {
    RETURN_IF_ERROR(CheckAddressable(chunks * kChunkBytes, "a matmul's input"));
    ASSIGN_OR_RETURN(chunks_, gpu_.memory().Allocate(chunks * kChunkBytes, MemoryUse::kDevice));
  }
  ASSIGN_OR_RETURN(step_, StepBuffer::Create(graph_, gpu_.memory()));
  return AllocateParts();
}

absl::Status VulkanProgram::AllocateParts() {
  int64_t positions = int64_t{kv_blocks_} * kBlockTokens;
  if (graph_.max_positions > 0) positions = std::min<int64_t>(positions, graph_.max_positions);
  most_ranges_ = static_cast<int>(std::max<int64_t>(1, (positions + kRange - 1) / kRange));
  int64_t floats = 0;  // of a token and range
  for (const Op& op : graph_.ops) {
    if (op.kind == OpKind::kAttention) {
      floats = std::max<int64_t>(floats, int64_t{op.attention.heads} * (2 + op.attention.head_dim));
    }
  }
  if (most_ranges_ == 1 || floats == 0) return absl::OkStatus();
  const uint64_t bytes =
      sizeof(float) * floats * most_ranges_ * std::min(kSplitTokens, Bucket(graph_.max_tokens));
  RETURN_IF_ERROR(CheckAddressable(bytes, "attention's ranges"));
  ASSIGN_OR_RETURN(parts_, gpu_.memory().Allocate(bytes, MemoryUse::kDevice));
  return absl::OkStatus();
}

int VulkanProgram::Ranges(const StepInput& input) const {
  if (parts_ == nullptr || input.positions.empty()) return 1;
  const int ranges = *std::max_element(input.positions.begin(), input.positions.end()) / kRange + 1;
  if (ranges > most_ranges_) return 1;  // more than were expected: a group takes any number
  int bucket = 1;
  while (bucket < ranges) bucket *= 4;
  return std::min(bucket, most_ranges_);
}

absl::StatusOr<absl::Duration> VulkanProgram::TimeMatmul(const Op& op, int rows) {
  constexpr int kDispatches = 4, kRuns = 4;  // the first run may compile
  absl::Status status;
  ASSIGN_OR_RETURN(const VkCommandBuffer commands, gpu_.Record([&](VkCommandBuffer buffer) {
    Recorder recorder(gpu_.api(), buffer, pipelines_.layout());
    step_->RecordCopies(recorder);
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
      RETURN_IF_ERROR(step_->Write({.positions = some, .sequences = some, .output_rows = some}).status());
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
  std::vector<int> with_kernels_of_their_own{1, 4, 8};
  if (tuning_.many_rows != Shader::kMatmul) with_kernels_of_their_own.insert(with_kernels_of_their_own.end(), {16, 32, 64});
  for (const int bucket : with_kernels_of_their_own) {
    buckets.push_back({Bucket(std::min(bucket, graph_.max_tokens)), Bucket(std::min(bucket, graph_.max_outputs))});
    for (const Stage& stage : StagesOf(buckets.back())) {
      keys.insert(PipelineOf(stage, RowsOf(ShapeOf(stage.op()), buckets.back())));
    }
  }
  const BucketRows largest{Bucket(graph_.max_tokens), Bucket(graph_.max_outputs)};
  buckets.push_back({1, std::min(1, largest.outputs), most_ranges_, selection_ != nullptr});
  if (selection_ != nullptr) keys.insert({{Shader::kSelect, {}}, {Shader::kWeigh, {}}});
  for (const BucketRows& rows : {largest, buckets.back()}) {
    for (const Stage& stage : StagesOf(rows)) {
      RETURN_IF_ERROR(CheckGroups(stage, rows));
      if (rows.splits_attention() && stage.op().kind == OpKind::kAttention) keys.insert(JoinPipeline(stage.op()));
    }
  }
  if (chunks_ != nullptr) keys.insert({Shader::kQuantize, {}});
  RETURN_IF_ERROR(pipelines_.Prepare(keys));
  RETURN_IF_ERROR(step_->Write({}).status());
  for (const BucketRows& rows : buckets) {
    ASSIGN_OR_RETURN(const Commands* const commands, CommandsFor(rows));
    RETURN_IF_ERROR(gpu_.Run(*commands));
  }
  if (selection_ == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Commands* const look, LookCommandsFor(buckets.back().outputs));
  return gpu_.Run(*look);
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
  const int positions = rows.ranges * kRange;
  return elements * 2 * (op.attention.window > 0 ? std::min(positions, op.attention.window) : positions);
}

// Stages go together up to the work of a submission; one that is more than that alone is dealt out.
absl::StatusOr<const VulkanProgram::Commands*> VulkanProgram::CommandsFor(const BucketRows& rows) {
  const std::vector<Stage>& stages = StagesOf(rows);
  if (const auto found = commands_.find(rows); found != commands_.end()) return &found->second;
  Commands commands;
  absl::Status status;
  size_t first = 0;
  do {
    size_t end = first;
    double work = 0;
    for (; end < stages.size(); ++end) {
      const double more = Work(stages[end], rows);
      if (end > first && work + more > tuning_.submission_work) break;
      work += more;
    }
    uint32_t shares = 1;
    if (first < end && CanBeShared(stages[first].op())) {
      const uint32_t groups = GroupsAcross(stages[first], rows);
      const double most = std::min<double>(kMaxShares, groups);  // a share of no group would be a submission of nothing
      shares = static_cast<uint32_t>(std::max(1.0, std::min(most, std::ceil(work / tuning_.submission_work))));
    }
    for (uint32_t share = 0; share < shares && status.ok(); ++share) {
      status = RecordPart(first, end, rows, {share, shares}, commands);
    }
    first = end;
  } while (first < stages.size() && status.ok());
  if (!status.ok()) {
    Free(commands);
    return status;
  }
  return &(commands_[rows] = std::move(commands));
}

absl::Status VulkanProgram::RecordPart(size_t first, size_t end, const BucketRows& rows, GroupShare share,
                                       Commands& commands) {
  const std::vector<Stage>& stages = StagesOf(rows);
  absl::Status status;
  ASSIGN_OR_RETURN(commands.emplace_back(), gpu_.Record([&](VkCommandBuffer buffer) {
    Recorder recorder(gpu_.api(), buffer, pipelines_.layout(), share);
    if (first == 0 && share.index == 0) step_->RecordCopies(recorder);
    for (size_t i = 0; first == 0 && i < inputs_.size(); ++i) {
      const TensorId id = graph_.inputs[i];
      recorder.Copy(*inputs_[i], *tensors_[id], sizeof(float) * RowsOf(id, rows) * Width(id));
    }
    for (size_t i = first; i < end; ++i) status.Update(RecordStage(stages[i], rows, recorder));
    if (end == stages.size() && rows.selects) {
      status.Update(RecordSelect(rows, recorder));
    } else if (end == stages.size()) {
      recorder.Copy(*tensors_[graph_.output], *readback_,
                    sizeof(float) * RowsOf(graph_.output, rows) * Width(graph_.output));
    }
    recorder.End();
  }));
  return status;
}

absl::StatusOr<const VulkanProgram::Commands*> VulkanProgram::LookCommandsFor(int outputs) {
  const BucketRows rows{.tokens = 0, .outputs = outputs, .selects = true};
  if (const auto found = commands_.find(rows); found != commands_.end()) return &found->second;
  absl::Status status;
  ASSIGN_OR_RETURN(const VkCommandBuffer commands, gpu_.Record([&](VkCommandBuffer buffer) {
    Recorder recorder(gpu_.api(), buffer, pipelines_.layout());
    status.Update(RecordSelect(rows, recorder));
    status.Update(RecordWeigh(rows, recorder));
    recorder.End();
  }));
  if (!status.ok()) {
    gpu_.FreeCommands(commands);
    return status;
  }
  return &(commands_[rows] = {commands});
}

absl::Status VulkanProgram::RunStep(const StepInput& input, bool selects) {
  ASSIGN_OR_RETURN(const bool moved, step_->Write(input));
  if (moved) FreeAll();
  for (size_t i = 0; i < inputs_.size(); ++i) {
    std::memcpy(inputs_[i]->mapped(), input.inputs[i].data(), input.inputs[i].size() * sizeof(float));
  }
  const BucketRows rows{Bucket(static_cast<int>(input.positions.size())),
                        Bucket(static_cast<int>(input.output_rows.size())), Ranges(input), selects};
  last_outputs_ = static_cast<int>(input.output_rows.size());
  ASSIGN_OR_RETURN(const Commands* const commands, CommandsFor(rows));
  return gpu_.Run(*commands);
}

absl::Status VulkanProgram::Run(const StepInput& input, absl::Span<float> out) {
  RETURN_IF_ERROR(CheckStep(graph_, input, kv_blocks_, out.size()));
  RETURN_IF_ERROR(RunStep(input, /*selects=*/false));
  if (!out.empty()) std::memcpy(out.data(), readback_->mapped(), out.size() * sizeof(float));
  return absl::OkStatus();
}

absl::Status VulkanProgram::RunSelecting(const StepInput& input, absl::Span<const Selection> selections,
                                         absl::Span<Selected> selected) {
  const size_t outputs = input.output_rows.size(), width = Width(graph_.output);
  RETURN_IF_ERROR(CheckStep(graph_, input, kv_blocks_, outputs * width));
  RETURN_IF_ERROR(CheckSelections(selections, selected.size(), outputs, width));
  selection_->Write(selections);
  RETURN_IF_ERROR(RunStep(input, /*selects=*/true));
  RETURN_IF_ERROR(LookCommandsFor(Bucket(last_outputs_)).status());  // a look records nothing
  for (size_t o = 0; o < outputs; ++o) {
    if (selections[o].kind != Selection::Kind::kAll) selection_->Read(static_cast<int>(o), selections[o], selected[o]);
  }
  return absl::OkStatus();
}

absl::Status VulkanProgram::Look(int row, const Selection& selection, Selected& selected) {
  RETURN_IF_ERROR(CheckSelection(selection, Width(graph_.output)));
  if (row < 0 || row >= last_outputs_) return absl::InvalidArgumentError(absl::StrCat("output row ", row));
  absl::MutexLock lock(&look_mutex_);
  selection_->Write(row, last_outputs_, selection);
  ASSIGN_OR_RETURN(const Commands* const commands, LookCommandsFor(Bucket(last_outputs_)));
  RETURN_IF_ERROR(gpu_.Run(*commands));
  selection_->Read(row, selection, selected);
  return absl::OkStatus();
}

absl::Status VulkanProgram::ReadRow(int row, absl::Span<float> out) {
  const size_t row_bytes = Width(graph_.output) * sizeof(float);
  const Gpu::Piece piece{At(graph_.output), row * row_bytes, row_bytes};
  return gpu_.Read({&piece, 1}, reinterpret_cast<std::byte*>(out.data()));
}

absl::StatusOr<std::unique_ptr<Program>> CompileProgram(const Graph& graph, bool measure, Tuning& tuning, Gpu& gpu,
                                                        Pipelines& pipelines) {
  auto program = std::make_unique<VulkanProgram>(graph, tuning, gpu, pipelines);
  RETURN_IF_ERROR(program->Allocate());
  if (measure) RETURN_IF_ERROR(program->MeasureTiles(tuning.tiles));
  RETURN_IF_ERROR(program->Warm());
  return program;
}

}  // namespace spotinference::vulkan