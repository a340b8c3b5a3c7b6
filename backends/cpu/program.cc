#include "backends/cpu/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/cpu/buffers.h"
#include "backends/cpu/packed.h"
#include "engine/base/status.h"
#include "engine/device/check_step.h"

namespace spotinference::cpu {
namespace {

// Rows of one attention item: with 3 query heads a key head they make 24 queries, which share each load of K and V.
constexpr int kAttentionRows = 8;

enum class StageKind { kRows, kMatmul, kAttention };

// Something that is done to every row by itself: an operation, or the rounding of `a` to int8 (op == nullptr).
struct RowStep {
  const Op* op = nullptr;
  TensorId a = kNoTensor;
};

struct Stage {
  StageKind kind;
  Rows domain;
  std::vector<RowStep> steps;     // kRows
  std::vector<const Op*> ops;     // kMatmul: with one input; kAttention: one
  bool quantized = false;         // kMatmul: the input has been rounded
  int64_t tiles = 0;              // kMatmul: of all ops
  int first_op = 0;               // its index in the graph
};

const WeightBuffer& Weight(const Op& op) { return *static_cast<const WeightBuffer*>(op.weight); }
const std::vector<float>& Bias(const Op& op) { return static_cast<const WeightBuffer*>(op.bias)->vector; }
const KvBuffer& Kv(const Op& op) { return *static_cast<const KvBuffer*>(op.kv); }

// Consecutive tokens of one sequence.
struct TokenRun {
  int first = 0, count = 0;
};

class CpuProgram : public Program {
 public:
  CpuProgram(const Graph& graph, const Kernels& kernels, ThreadPool& pool)
      : graph_(graph), kernels_(kernels), pool_(pool) {}

  absl::Status Build();
  absl::Status Run(const StepInput& input, absl::Span<float> out) override;

 private:
  absl::Status CheckOp(const Op& op) const;
  void AddRowStep(RowStep step, Rows domain, bool alone);
  void AddMatmul(const Op& op);
  struct Place;
  bool MayShare(const Place& a, const Place& b) const;
  void PlaceTensors();
  void FindRuns(const StepInput& input);

  void PlanPieces();
  int HeadsPerItem(const Stage& stage) const;
  void RunPiece(const StepInput& input, int stage, int piece, int thread);
  void RunRowStep(const StepInput& input, const RowStep& step, int row);
  void FillRopes(const StepInput& input, int row);
  void RunTiles(const Stage& stage, int64_t begin, int64_t end);
  void RunAttention(const StepInput& input, const Op& op, int64_t item, int heads_per_item, float* scratch);

  int Count(Rows domain) const { return domain == Rows::kTokens ? tokens_ : outputs_; }
  int Width(TensorId id) const { return graph_.tensors[id].width; }
  float* Row(TensorId id, int row) const { return base_[id] + static_cast<int64_t>(row) * Width(id); }

  const Graph graph_;
  const Kernels& kernels_;
  ThreadPool& pool_;
  std::vector<Stage> stages_;
  std::vector<int> stage_of_;  // by operation
  int kv_blocks_ = 0;          // of the caches; 0: none

  // Memory, sized by the graph's largest step.
  std::unique_ptr<Pages> memory_;
  std::vector<float*> base_;  // by tensor
  std::vector<int8_t> q_;     // the one rounded input that is alive at a time
  std::vector<float> q_scale_;
  std::vector<float> q_scaled_sum_;
  std::vector<int16_t> q_pair_sum_;
  std::vector<std::vector<float>> rope_tables_;  // by Graph::ropes: [max_tokens, pairs, 2]
  std::vector<std::vector<float>> scratch_;      // by thread

  // This step's.
  int tokens_ = 0, outputs_ = 0;
  std::vector<TokenRun> runs_;
  // By stage: how its rows, tiles or attention items are dealt out.
  struct Deal {
    int64_t items = 0;
    int64_t large = 0;  // items of a piece, of the first `threads` pieces
    int64_t step = 1;   // of those after them
  };
  std::vector<Deal> deals_;
  std::vector<int> pieces_;
};

absl::Status CpuProgram::CheckOp(const Op& op) const {
  const auto bad = [](absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("graph: ", what)); };
  for (const TensorId id : {op.out, op.a, op.b}) {
    if (id < kNoTensor || id >= static_cast<TensorId>(graph_.tensors.size())) return bad("a tensor is out of range");
  }
  switch (op.kind) {
    case OpKind::kEmbed:
      if (Weight(op).rows_view.data.empty() && Weight(op).tiles.empty()) return bad("an embedding was not loaded for it");
      if (Weight(op).columns != Width(op.out)) return bad("an embedding's width is not its output's");
      return absl::OkStatus();
    case OpKind::kMatmul:
      if (Weight(op).tiles.data() == nullptr) return bad("a matmul's weight was not loaded for it");
      if (Weight(op).columns != Width(op.a) || Weight(op).rows != Width(op.out)) {
        return bad("a matmul's weight does not fit its tensors");
      }
      if (op.bias != nullptr && Bias(op).size() != static_cast<size_t>(Width(op.out))) {
        return bad("a matmul's bias does not fit its output");
      }
      return absl::OkStatus();
    case OpKind::kRmsNorm:
      if (Weight(op).vector.empty() || Width(op.a) % Weight(op).columns != 0) return bad("a norm's weight does not fit");
      return absl::OkStatus();
    case OpKind::kRope:
      if (op.rope < 0 || op.rope >= static_cast<int>(graph_.ropes.size())) return bad("a rope is out of range");
      if (const RopeAttributes& rope = graph_.ropes[op.rope];
          rope.head_dim <= 0 || Width(op.a) % rope.head_dim != 0 || 2 * rope.pairs() > rope.head_dim) {
        return bad("a rope does not fit its tensor");
      }
      return absl::OkStatus();
    case OpKind::kAttention:
      if (op.attention.heads % op.attention.kv_heads != 0) return bad("heads are no multiple of key heads");
      if (op.attention.heads / op.attention.kv_heads > kMaxQueries) {
        return absl::UnimplementedError(absl::StrCat("more than ", kMaxQueries, " query heads a key head"));
      }
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

void CpuProgram::AddRowStep(RowStep step, Rows domain, bool alone) {
  if (alone || stages_.empty() || stages_.back().kind != StageKind::kRows || stages_.back().domain != domain) {
    stages_.push_back({StageKind::kRows, domain});
  }
  stages_.back().steps.push_back(step);
}

void CpuProgram::AddMatmul(const Op& op) {
  const bool quantized = IsQuantized(Weight(op).packing);
  const Rows domain = graph_.tensors[op.a].rows;
  const bool joins = !stages_.empty() && stages_.back().kind == StageKind::kMatmul &&
                     stages_.back().ops[0]->a == op.a && stages_.back().quantized >= quantized;
  if (!joins) {
    if (quantized) AddRowStep({nullptr, op.a}, domain, false);
    stages_.push_back({StageKind::kMatmul, domain});
    stages_.back().quantized = quantized;
  }
  stages_.back().ops.push_back(&op);
  stages_.back().tiles += TileCount(Weight(op).rows);
}

// Where a tensor lies in memory, and from when to when: twice the index of an operation, + 1 where it writes what it has read.
struct CpuProgram::Place {
  TensorId id;
  int begin = 0, end = -1;  // of its life
  int first_stage = 0, last_stage = -1;
  size_t at = 0, bytes = 0;
};

// Within a stage of rows the threads are at different ones, so that only tensors of one width, where a row keeps its place,
// may follow each other in the same memory; past its end any may.
bool CpuProgram::MayShare(const Place& a, const Place& b) const {
  if (a.begin <= b.end && b.begin <= a.end) return false;
  if (a.last_stage < b.first_stage || b.last_stage < a.first_stage) return true;
  const int both = a.end < b.begin ? a.last_stage : b.last_stage;
  if (both >= 0 && stages_[both].kind != StageKind::kRows) return false;  // a matmul's threads write each other's rows
  const TensorSpec &x = graph_.tensors[a.id], &y = graph_.tensors[b.id];
  return a.at == b.at && x.width == y.width && x.rows == y.rows;
}

// The largest first, each as low as those before it allow.
void CpuProgram::PlaceTensors() {
  std::vector<Place> lives(graph_.tensors.size());
  for (int i = 0; i < static_cast<int>(graph_.ops.size()); ++i) {
    const Op& op = graph_.ops[i];
    const bool in_place = op.kind == OpKind::kRmsNorm || op.kind == OpKind::kGate || op.kind == OpKind::kAdd;
    const auto lives_at = [&](TensorId id, int when, int stage) {
      if (id == kNoTensor) return;
      Place& place = lives[id];
      if (place.bytes == 0) {
        const TensorSpec& spec = graph_.tensors[id];
        const size_t rows = spec.rows == Rows::kTokens ? graph_.max_tokens : graph_.max_outputs;
        const bool is_input = std::count(graph_.inputs.begin(), graph_.inputs.end(), id) > 0;
        place = {.id = id, .begin = is_input ? -1 : when, .first_stage = is_input ? -1 : stage};
        place.bytes = (rows * spec.width * sizeof(float) + 63) / 64 * 64;
      }
      place.end = std::max(place.end, when);
      place.last_stage = std::max(place.last_stage, stage);
    };
    if (op.kind == OpKind::kMatmul && IsQuantized(Weight(op).packing)) {  // it has been rounded in the stage before
      lives_at(op.a, 2 * stages_[stage_of_[i]].first_op - 1, stage_of_[i] - 1);
    } else {
      for (const TensorId id : {op.a, op.b}) lives_at(id, 2 * i, stage_of_[i]);
    }
    lives_at(op.out, 2 * i + (in_place ? 1 : 0), stage_of_[i]);
  }
  std::erase_if(lives, [&](const Place& place) { return place.bytes == 0 || place.id == graph_.output; });
  std::stable_sort(lives.begin(), lives.end(), [](const Place& a, const Place& b) { return a.bytes > b.bytes; });
  size_t total = 0;
  for (size_t i = 0; i < lives.size(); ++i) {
    for (size_t before = 0; before < i;) {
      const Place& other = lives[before];
      const bool meets = lives[i].at < other.at + other.bytes && other.at < lives[i].at + lives[i].bytes;
      if (!meets || MayShare(lives[i], other)) {
        ++before;
      } else {
        lives[i].at = other.at + other.bytes;
        before = 0;
      }
    }
    total = std::max(total, lives[i].at + lives[i].bytes);
  }
  memory_ = std::make_unique<Pages>(total, Pages::Size::kSmall);
  base_.assign(graph_.tensors.size(), nullptr);
  if (memory_->data() == nullptr) return;
  for (const Place& place : lives) base_[place.id] = reinterpret_cast<float*>(memory_->data() + place.at);
}

absl::Status CpuProgram::Build() {
  int widest = 0;
  for (const Op& op : graph_.ops) {
    RETURN_IF_ERROR(CheckOp(op));
    RowStep step{&op};
    switch (op.kind) {
      case OpKind::kMatmul:
        AddMatmul(op);
        widest = std::max(widest, Width(op.a));
        break;
      case OpKind::kAttention:
        stages_.push_back({StageKind::kAttention, Rows::kTokens});
        stages_.back().ops.push_back(&op);
        kv_blocks_ = Kv(op).blocks;
        break;
      case OpKind::kStoreKv:
        AddRowStep(step, Rows::kTokens, false);
        break;
      default:
        // Gathering reads other rows than its own: it waits for them all.
        AddRowStep(step, graph_.tensors[op.out].rows, op.kind == OpKind::kGatherRows);
    }
    stage_of_.push_back(static_cast<int>(stages_.size()) - 1);
    if (stage_of_.size() == 1 || stage_of_.end()[-2] != stage_of_.back()) {
      stages_.back().first_op = static_cast<int>(stage_of_.size()) - 1;
    }
  }
  PlaceTensors();
  if (memory_->size() > 0 && memory_->data() == nullptr) return absl::ResourceExhaustedError("no memory for activations");
  const int64_t rows = std::max(graph_.max_tokens, graph_.max_outputs);
  q_.resize(rows * widest);
  q_scale_.resize(rows * widest / kQuantBlock);
  q_scaled_sum_.resize(rows * widest / kQuantBlock);
  q_pair_sum_.resize(4 * rows * widest / kQuantBlock);
  for (const RopeAttributes& rope : graph_.ropes) {
    rope_tables_.emplace_back(static_cast<int64_t>(graph_.max_tokens) * rope.pairs() * 2);
  }
  size_t scratch = 0;
  for (const Op& op : graph_.ops) {
    if (op.kind == OpKind::kAttention) scratch = std::max(scratch, AttentionScratch(op.attention.head_dim));
  }
  scratch_.assign(pool_.size(), std::vector<float>(scratch));
  if (stages_.size() >= ThreadPool::kMaxStages) {
    return absl::UnimplementedError(absl::StrCat("a graph of ", stages_.size(), " stages"));
  }
  deals_.resize(stages_.size() + 1);
  pieces_.resize(stages_.size() + 1);
  return absl::OkStatus();
}

void CpuProgram::FindRuns(const StepInput& in) {
  runs_.clear();
  for (int t = 0; t < tokens_; ++t) {
    const bool follows = t > 0 && in.sequences[t] == in.sequences[t - 1] &&
                         in.positions[t] == in.positions[t - 1] + 1 && runs_.back().count < kAttentionRows;
    if (follows) {
      ++runs_.back().count;
    } else {
      runs_.push_back({t, 1});
    }
  }
}

absl::Status CpuProgram::Run(const StepInput& input, absl::Span<float> out) {
  RETURN_IF_ERROR(CheckStep(graph_, input, kv_blocks_, out.size()));
  tokens_ = static_cast<int>(input.positions.size());
  outputs_ = static_cast<int>(input.output_rows.size());
  base_[graph_.output] = out.data();
  FindRuns(input);
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    std::memcpy(base_[graph_.inputs[i]], input.inputs[i].data(), input.inputs[i].size() * sizeof(float));
  }
  PlanPieces();
  pool_.Run(pieces_, [&](int stage, int piece, int thread) { RunPiece(input, stage, piece, thread); });
  return absl::OkStatus();
}

// How many items of a stage a thread takes at once: enough pieces that all threads end together, few enough that taking
// them costs nothing.
//
// Of a matmul every thread first takes one large piece: each change of place costs the memory's stream, and a page fetched
// ahead in vain (at two threads, decoding with Q4_K: 127 tok/s in pieces of a sixteenth, 154 in halves). The rest, a quarter,
// lets the threads end together.
void CpuProgram::PlanPieces() {
  const int64_t threads = pool_.size();
  const auto plan = [&](size_t stage, int64_t items, int64_t step, int64_t large = 0) {
    deals_[stage] = {items, large, step};
    const int64_t rest = items - threads * large;
    pieces_[stage] = static_cast<int>((large > 0 ? threads : 0) + (rest + step - 1) / step);
  };
  plan(0, graph_.ropes.empty() ? 0 : tokens_, 16);
  for (size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    const int64_t rows = Count(stage.domain);
    switch (stage.kind) {
      case StageKind::kRows:
        plan(s + 1, rows, std::clamp<int64_t>(rows / (4 * threads), 1, 16));
        break;
      case StageKind::kMatmul:
        plan(s + 1, rows > 0 ? stage.tiles : 0, std::clamp<int64_t>(stage.tiles / (16 * threads), 1, 16),
             rows > 0 ? stage.tiles * 3 / (4 * threads) : 0);
        break;
      case StageKind::kAttention:
        plan(s + 1, static_cast<int64_t>(runs_.size()) * stage.ops[0]->attention.heads / HeadsPerItem(stage), 1);
        break;
    }
  }
}

// Query heads of one key head share its loads, unless that leaves threads idle. An item of n heads takes about 4 + 3n: two
// loads and two conversions of 8 keys whoever asks, a broadcast and two products a head. The sum over the threads' rounds
// decides.
int CpuProgram::HeadsPerItem(const Stage& stage) const {
  const AttentionAttributes& shape = stage.ops[0]->attention;
  const int group = shape.heads / shape.kv_heads;
  const auto rounds = [&](int64_t heads) {
    const int64_t items = static_cast<int64_t>(runs_.size()) * heads;
    return (items + pool_.size() - 1) / pool_.size();
  };
  return rounds(shape.kv_heads) * (4 + 3 * group) <= rounds(shape.heads) * (4 + 3) ? group : 1;
}

// Stage 0 fills the tables of rotations, the others are stages_.
void CpuProgram::RunPiece(const StepInput& input, int stage_index, int piece, int thread) {
  const Deal& deal = deals_[stage_index];
  const int64_t threads = deal.large > 0 ? pool_.size() : 0;
  const bool large = piece < threads;
  const int64_t begin = large ? piece * deal.large : threads * deal.large + (piece - threads) * deal.step;
  const int64_t end = std::min(begin + (large ? deal.large : deal.step), deal.items);
  if (stage_index == 0) {
    for (int64_t row = begin; row < end; ++row) FillRopes(input, static_cast<int>(row));
    return;
  }
  const Stage& stage = stages_[stage_index - 1];
  switch (stage.kind) {
    case StageKind::kRows:
      for (int64_t row = begin; row < end; ++row) {
        for (const RowStep& step : stage.steps) RunRowStep(input, step, static_cast<int>(row));
      }
      return;
    case StageKind::kMatmul:
      RunTiles(stage, begin, end);
      return;
    case StageKind::kAttention:
      RunAttention(input, *stage.ops[0], begin, HeadsPerItem(stage), scratch_[thread].data());
      return;
  }
}

void CpuProgram::FillRopes(const StepInput& input, int row) {
  for (size_t r = 0; r < graph_.ropes.size(); ++r) {
    const RopeAttributes& rope = graph_.ropes[r];
    float* table = rope_tables_[r].data() + static_cast<int64_t>(row) * rope.pairs() * 2;
    for (const double frequency : rope.frequencies) {
      const double angle = input.positions[row] * frequency;
      *table++ = static_cast<float>(std::cos(angle) * rope.magnitude);
      *table++ = static_cast<float>(std::sin(angle) * rope.magnitude);
    }
  }
}

void CpuProgram::RunRowStep(const StepInput& input, const RowStep& step, int row) {
  if (step.op == nullptr) {
    const int64_t width = Width(step.a), at = row * width, block = at / kQuantBlock;
    kernels_.quantize(Row(step.a, row), static_cast<int>(width),
                      {&q_[at], &q_scale_[block], &q_scaled_sum_[block], &q_pair_sum_[4 * block]});
    return;
  }
  const Op& op = *step.op;
  switch (op.kind) {
    case OpKind::kEmbed: {
      const auto out = absl::MakeSpan(Row(op.out, row), Width(op.out));
      if (Weight(op).tiles.empty()) {
        DequantizeRow(Weight(op).rows_view, input.token_ids[row], out);
      } else {
        UnpackRow(Weight(op).type, Weight(op).tiles.data(), input.token_ids[row], out);
      }
      for (float& x : out) x *= op.embedding_scale;
      return;
    }
    case OpKind::kRmsNorm: {
      const WeightBuffer& weight = Weight(op);
      const int width = static_cast<int>(weight.columns);
      for (int at = 0; at < Width(op.a); at += width) {
        kernels_.rms_norm(Row(op.a, row) + at, weight.vector.data(), width, op.epsilon, Row(op.out, row) + at);
      }
      return;
    }
    case OpKind::kRope: {
      const RopeAttributes& rope = graph_.ropes[op.rope];
      const float* table = rope_tables_[op.rope].data() + static_cast<int64_t>(row) * rope.pairs() * 2;
      for (int at = 0; at < Width(op.a); at += rope.head_dim) {
        kernels_.rope(Row(op.a, row) + at, table, rope.pairs(), rope.interleaved);
      }
      return;
    }
    case OpKind::kStoreKv: {
      const int32_t position = input.positions[row];
      const int64_t table = static_cast<int64_t>(input.sequences[row]) * input.blocks_per_sequence;
      kernels_.store_kv(Kv(op).pages, input.block_tables[table + position / kBlockTokens], position % kBlockTokens,
                        Row(op.a, row), Row(op.b, row));
      return;
    }
    case OpKind::kGate: {
      const auto gate = op.activation == Activation::kSilu ? kernels_.silu_gate : kernels_.gelu_gate;
      gate(Row(op.a, row), Row(op.b, row), Width(op.out), Row(op.out, row));
      return;
    }
    case OpKind::kAdd:
      kernels_.add(Row(op.a, row), Row(op.b, row), Width(op.out), Row(op.out, row));
      return;
    case OpKind::kGatherRows:
      std::memcpy(Row(op.out, row), Row(op.a, input.output_rows[row]), Width(op.out) * sizeof(float));
      return;
    case OpKind::kMatmul:
    case OpKind::kAttention:
      return;  // stages of their own
  }
}

void CpuProgram::RunTiles(const Stage& stage, int64_t begin, int64_t end) {
  int64_t first = 0;  // tile of the stage at which the op's tiles start
  for (const Op* op : stage.ops) {
    const WeightBuffer& weight = Weight(*op);
    const int64_t tiles = TileCount(weight.rows);
    MatmulWork work;
    work.begin = static_cast<int>(std::max<int64_t>(begin - first, 0));
    work.end = static_cast<int>(std::min(end - first, tiles));
    first += tiles;
    if (work.begin >= work.end) continue;
    work.tiles = weight.tiles.data();
    work.tile_bytes = TileBytes(weight.packing, weight.columns);
    work.outputs = static_cast<int>(weight.rows);
    work.out = base_[op->out];
    work.stride = Width(op->out);
    if (op->bias != nullptr) work.bias = Bias(*op).data();
    const MatmulInput in{base_[op->a],         q_.data(), q_scale_.data(), q_scaled_sum_.data(),
                         q_pair_sum_.data(), Count(stage.domain), Width(op->a)};
    kernels_.matmul[static_cast<int>(weight.packing)](in, work);
  }
}

void CpuProgram::RunAttention(const StepInput& input, const Op& op, int64_t item, int heads_per_item, float* scratch) {
  const AttentionAttributes& shape = op.attention;
  const int items_per_run = shape.heads / heads_per_item;
  // The longest ones first: they are what the others would wait for at the end.
  const TokenRun& run = runs_[runs_.size() - 1 - item / items_per_run];
  const int first_head = static_cast<int>(item % items_per_run) * heads_per_item;
  const int group = shape.heads / shape.kv_heads;
  AttentionWork work;
  work.scale = shape.scale;
  work.window = shape.window;
  work.stride = Width(op.a);
  work.first_head = first_head;
  work.heads = heads_per_item;
  work.kv_head = first_head / group;
  work.block_table = input.block_tables.data() +
                     static_cast<int64_t>(input.sequences[run.first]) * input.blocks_per_sequence;
  const int rows_at_once = std::max(1, kMaxQueries / heads_per_item);
  for (int row = 0; row < run.count; row += rows_at_once) {
    work.q = Row(op.a, run.first + row);
    work.out = Row(op.out, run.first + row);
    work.rows = std::min(rows_at_once, run.count - row);
    work.first_position = input.positions[run.first + row];
    kernels_.attention(Kv(op).pages, work, scratch);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> CompileProgram(const Graph& graph, const Kernels& kernels, ThreadPool& pool) {
  auto program = std::make_unique<CpuProgram>(graph, kernels, pool);
  RETURN_IF_ERROR(program->Build());
  return program;
}

}  // namespace spotinference::cpu
