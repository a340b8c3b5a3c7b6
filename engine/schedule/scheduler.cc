#include "engine/schedule/scheduler.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/schedule/draft.h"

namespace spotinference {
namespace {

// Rows of a step that a matmul computes in one pass over a weight (the cpu backend's group of four; a GPU's least tile is
// larger). Past them a row costs its full arithmetic.
constexpr int32_t kCheapRows = 4;

}  // namespace

struct Scheduler::Sequence {
  SequenceId id;
  std::vector<uint32_t> ids;  // prompt and generated; while a step runs, `drafted` guesses behind them
  int32_t prompt_tokens;      // what the client sent; an earlier attempt's ids count as generated
  int32_t end;                // ids.size() at which max_tokens is used up
  KvSequence kv;

  int32_t computed = 0;       // tokens, from the first on, whose KV lies in kv's blocks
  int32_t ever_computed = 0;  // the most that `computed` was
  int32_t cached_tokens = 0;
  int32_t drafted = 0;
  DraftRecord draft_record;
  bool decodes = false;  // in this step
  bool paused = false;
  bool lost_blocks = false;  // since it last ran
  bool ended = false;        // to be removed when no step runs
  bool comes_back = false;   // it ended because it was cut

  int32_t outstanding() const { return static_cast<int32_t>(ids.size()) - computed; }
};

Scheduler::Scheduler(const Options& options, KvCache& kv) : options_(options), kv_(kv) {
  CHECK_GT(options_.max_sequences, 0);
  CHECK_GT(options_.step_tokens, options_.max_sequences)
      << "no token would be left for prompts beside the decoding";
  plan_.chunks.reserve(options_.max_sequences);
  seated_.reserve(options_.max_sequences);
  planned_.reserve(options_.max_sequences);
  finished_.reserve(options_.max_sequences);
  order_.reserve(options_.max_live);
}

Scheduler::~Scheduler() {
  for (const auto& sequence : order_) kv_.Release(sequence->kv);
}

absl::Status Scheduler::Fits(const SequenceSpec& spec) const {
  if (spec.prompt_ids.empty()) {
    return absl::InvalidArgumentError("prompt_ids is empty; it must hold at least one id");
  }
  if (spec.generated_ids.size() >= spec.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("max_tokens is ", spec.max_tokens, "; with ",
                                                   spec.generated_ids.size(),
                                                   " generated_ids it must be larger than that"));
  }
  const uint64_t total = uint64_t{spec.prompt_ids.size()} + spec.max_tokens;
  const uint64_t context = options_.context_tokens;
  const uint64_t pool = uint64_t{1} * kv_.total() * kv_.block_tokens();
  if (total > std::min(context, pool)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a prompt of ", spec.prompt_ids.size(), " tokens and max_tokens ", spec.max_tokens,
        " make ", total, ", more than the ", std::min(context, pool), " tokens of ",
        context <= pool ? "the model's context" : "this engine's KV memory"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SequenceId> Scheduler::Add(SequenceSpec spec) {
  RETURN_IF_ERROR(Fits(spec));
  if (order_.size() >= options_.max_live) {
    return absl::ResourceExhaustedError(
        absl::StrCat(order_.size(), " sequences run or wait already"));
  }
  const SequenceId id{added_++};
  const int32_t prompt_tokens = static_cast<int32_t>(spec.prompt_ids.size());
  const size_t total = spec.prompt_ids.size() + spec.max_tokens;
  std::vector<uint32_t> ids = std::move(spec.prompt_ids);
  ids.reserve(total);
  ids.insert(ids.end(), spec.generated_ids.begin(), spec.generated_ids.end());
  order_.push_back(std::make_unique<Sequence>(Sequence{.id = id,
                                                       .ids = std::move(ids),
                                                       .prompt_tokens = prompt_tokens,
                                                       .end = static_cast<int32_t>(total),
                                                       .kv = kv_.Open(spec.cache_salt, static_cast<int32_t>(total))}));
  by_id_[id] = order_.back().get();
  return id;
}

void Scheduler::Cancel(SequenceId id, bool comes_back) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  found->second->comes_back = comes_back;
  found->second->ended = true;
  if (planned_.empty()) RemoveEnded();
}

void Scheduler::Pause(SequenceId id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) found->second->paused = true;
}

void Scheduler::Resume(SequenceId id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || !found->second->paused) return;
  Sequence* const sequence = found->second;
  sequence->paused = false;
  if (!sequence->lost_blocks) return;
  const auto place = std::find_if(order_.begin(), order_.end(),
                                  [&](const auto& s) { return s.get() == sequence; });
  std::rotate(place, place + 1, order_.end());
}

const Plan& Scheduler::Next() {
  CHECK(planned_.empty()) << "the last plan has not been completed";
  plan_.chunks.clear();
  plan_.tokens = 0;
  seated_.clear();
  int32_t reserved = 0;  // one token for each sequence that decodes and has not had its turn
  for (const auto& sequence : order_) {
    if (seated_.size() == options_.max_sequences) break;
    if (sequence->paused) continue;
    seated_.push_back(sequence.get());
    sequence->decodes = sequence->outstanding() == 1;
    reserved += sequence->decodes;
  }
  drafts_of_each_ = DraftsOfEach();
  for (Sequence* const sequence : seated_) {
    reserved -= sequence->decodes;
    const int32_t budget = options_.step_tokens - plan_.tokens - reserved;
    if (budget > 0 && !PlanChunk(*sequence, budget)) break;
  }
  return plan_;
}

// Plans as many of the sequence's tokens as budget and blocks allow. False: not even one, for want
// of a block.
bool Scheduler::PlanChunk(Sequence& sequence, int32_t budget) {
  if (sequence.outstanding() > 1) {
    // All but the last token may come from the cache: its logits are wanted.
    const auto may_be_cached = absl::MakeConstSpan(sequence.ids).first(sequence.ids.size() - 1);
    sequence.computed = std::max(sequence.computed, kv_.Extend(sequence.kv, may_be_cached));
    const int32_t fresh =
        std::min(sequence.computed, sequence.prompt_tokens) - sequence.ever_computed;
    if (fresh > 0) {
      sequence.cached_tokens += fresh;
      totals_.cached_tokens += fresh;
    }
    sequence.ever_computed = std::max(sequence.ever_computed, sequence.computed);
  }
  const int32_t wanted = sequence.computed + std::min(sequence.outstanding(), budget);
  int32_t room = kv_.Reserve(sequence.kv, wanted);
  while (room < wanted && TakeBlockFor(sequence)) room = kv_.Reserve(sequence.kv, wanted);
  int32_t tokens = std::min(room, wanted) - sequence.computed;
  if (tokens == 0) return false;
  int32_t logit_rows = tokens == sequence.outstanding() ? 1 : 0;
  if (sequence.decodes && drafts_of_each_ > 0) {
    const int32_t drafted = AddDraft(sequence, drafts_of_each_);
    tokens += drafted;
    logit_rows += drafted;
  }
  plan_.chunks.push_back(
      {.sequence = sequence.id,
       .first_position = sequence.computed,
       .ids = absl::MakeConstSpan(sequence.ids).subspan(sequence.computed, tokens),
       .logit_rows = logit_rows,
       .block_table = sequence.kv.block_table(),
       .cached_tokens = sequence.cached_tokens});
  plan_.tokens += tokens;
  planned_.push_back(&sequence);
  sequence.lost_blocks = false;
  return true;
}

// Guesses that every sequence of this step may bring along.
int32_t Scheduler::DraftsOfEach() const {
  const int32_t sequences = static_cast<int32_t>(seated_.size());
  if (options_.draft_tokens == 0 || sequences == 0) return 0;
  for (const Sequence* sequence : seated_) {
    if (!sequence->decodes) return 0;
  }
  const int32_t rows = std::min(kCheapRows, options_.max_sequences);
  return std::min(options_.draft_tokens, rows / sequences - 1);
}

// Puts up to `most` guesses behind the sequence's ids, as many as find room in free blocks. How many.
int32_t Scheduler::AddDraft(Sequence& sequence, int32_t most) {
  const int32_t known = static_cast<int32_t>(sequence.ids.size());
  most = std::min(most, sequence.end - known - 1);  // the last id of an answer is not computed on
  if (most <= 0 || !sequence.draft_record.Pays()) return 0;
  const absl::Span<const uint32_t> draft = Draft(sequence.ids, most);
  if (draft.empty()) return 0;
  const int32_t room = kv_.Reserve(sequence.kv, known + static_cast<int32_t>(draft.size()));
  sequence.drafted = std::clamp(room - known, 0, static_cast<int32_t>(draft.size()));
  // Within capacity, so that `draft` and the spans of the plan stay where they are.
  for (int32_t i = 0; i < sequence.drafted; ++i) sequence.ids.push_back(draft[i]);
  totals_.drafted_tokens += sequence.drafted;
  return sequence.drafted;
}

// Makes somebody let go of a block. False: there is nobody to take from. The block may be one that
// others hold too.
bool Scheduler::TakeBlockFor(const Sequence& sequence) {
  Sequence* youngest = nullptr;
  bool is_younger = true;  // than `sequence`
  for (auto other = order_.rbegin(); other != order_.rend(); ++other) {
    if (other->get() == &sequence) is_younger = false;
    if ((*other)->kv.block_table().empty()) continue;
    if ((*other)->paused) {
      DropLastBlock(**other);
      return true;
    }
    if (is_younger && youngest == nullptr) youngest = other->get();
  }
  if (youngest == nullptr) return false;
  DropLastBlock(*youngest);
  return true;
}

void Scheduler::DropLastBlock(Sequence& victim) {
  totals_.preemptions += !victim.lost_blocks;
  victim.lost_blocks = true;
  victim.computed = std::min(victim.computed, kv_.DropLast(victim.kv));
}

absl::Span<const Finished> Scheduler::Complete(absl::Span<const Outcome> outcomes) {
  finished_.clear();
  for (size_t i = 0; i < planned_.size(); ++i) {
    Sequence& sequence = *planned_[i];
    const Chunk& chunk = plan_.chunks[i];
    const int32_t end = chunk.first_position + static_cast<int32_t>(chunk.ids.size()) - sequence.drafted;
    if (chunk.logit_rows == 0) {
      Computed(sequence, chunk.first_position, end);
      continue;
    }
    CHECK(!outcomes.empty() && outcomes.front().sequence == chunk.sequence)
        << "outcomes do not match the plan";
    const Outcome& outcome = outcomes.front();
    outcomes.remove_prefix(1);
    const int32_t drafted = std::exchange(sequence.drafted, 0);
    sequence.ids.resize(sequence.ids.size() - drafted);
    if (sequence.ended) {
      Computed(sequence, chunk.first_position, end);
      continue;
    }
    CHECK(!outcome.ids.empty() && outcome.ids.size() <= chunk.logit_rows) << "ids for other rows than were asked for";
    const int32_t accepted = static_cast<int32_t>(outcome.ids.size()) - 1;
    sequence.ids.insert(sequence.ids.end(), outcome.ids.begin(), outcome.ids.end());
    Computed(sequence, chunk.first_position, end + accepted);
    if (drafted > 0) sequence.draft_record.Verified(accepted);
    totals_.accepted_tokens += accepted;
    totals_.generated_tokens += outcome.ids.size();
    sequence.ended = outcome.stop || sequence.ids.size() == sequence.end;
    if (sequence.ended) {
      finished_.push_back(
          {sequence.id, outcome.stop ? FinishReason::kStop : FinishReason::kLength});
    }
  }
  CHECK(outcomes.empty()) << "more outcomes than chunks with logits";
  planned_.clear();
  RemoveEnded();
  return finished_;
}

// The KV of positions first … end lies in the blocks now.
void Scheduler::Computed(Sequence& sequence, int32_t first, int32_t end) {
  totals_.prompt_tokens +=
      std::max(0, std::min(end, sequence.prompt_tokens) - sequence.ever_computed);
  totals_.recomputed_tokens +=
      std::max(0, std::min(end, sequence.ever_computed) - first);
  sequence.computed = end;
  sequence.ever_computed = std::max(sequence.ever_computed, end);
  kv_.Publish(sequence.kv, absl::MakeConstSpan(sequence.ids).first(end));
}

void Scheduler::RemoveEnded() {
  std::erase_if(order_, [this](const std::unique_ptr<Sequence>& sequence) {
    if (!sequence->ended) return false;
    kv_.Release(sequence->kv, sequence->comes_back);
    by_id_.erase(sequence->id);
    return true;
  });
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = totals_;
  for (const auto& sequence : order_) stats.paused_sequences += sequence->paused;
  const int32_t ready = static_cast<int32_t>(order_.size()) - stats.paused_sequences;
  stats.running_sequences = std::min(ready, options_.max_sequences);
  stats.waiting_sequences = ready - stats.running_sequences;
  return stats;
}

}  // namespace spotinference
