// Which tokens the device computes in the next step. Pure: state and events in, a plan out; no
// clock, no thread, no device. One thread at a time (the engine thread), which goes round
//
//   const Plan& plan = scheduler.Next();      // empty: nothing to do until an event
//   ... run the plan, sample one id for each chunk that has logit rows ...
//   for (const Finished& f : scheduler.Complete(outcomes)) ...
//
// and calls Add, Cancel, Pause and Resume between any two of these calls.
//
// The order of service is the order of arrival. In each step the first `max_sequences` sequences
// that are not paused have a seat. One that has a single token left to compute (it decodes) gets it
// for certain: the token budget of a step is larger than the number of seats. What is left of the
// budget goes to the others (they prefill) in order of arrival, so a long prompt is cut into chunks
// beside which the decoding goes on (Sarathi-Serve, arXiv:2403.02310).
//
// When blocks run out, a sequence takes them from others: from paused ones, then from those that
// arrived later, each time the youngest's last block. Who loses blocks keeps its ids, those
// generated too, and later computes again what was lost. That is preemption by recompute (vLLM,
// arXiv:2309.06180, section 4.5), but of no more than is needed. One that finds nobody to take from
// waits, and those that arrived later get no block before it.
//
// Nobody starves. The oldest sequence that is not paused loses nothing and computes at least one
// token in each step, a whole chunk of `step_tokens - max_sequences + 1` tokens while it prefills;
// it fits in the blocks, as Add makes sure. So a sequence ends, while it is not paused, within the
// sum over itself and those ahead of it of
//   (ceil(total / chunk) + max_tokens) * (1 + pauses)   steps, total = prompt + max_tokens.
// While few sequences decode and nobody prefills, a step has room that costs little: a sequence that decodes then brings
// guesses at its next ids along (draft.h), in blocks that are free. Outcomes say how many held.
//
// A paused sequence has no seat. If it lost blocks by the time it is resumed, it queues anew, at
// the end: a client that reads slowly never takes anything from others.
#ifndef ENGINE_SCHEDULE_SCHEDULER_H_
#define ENGINE_SCHEDULE_SCHEDULER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/kv_cache.h"

namespace spotinference {

enum class SequenceId : uint64_t {};

struct SequenceSpec {
  std::vector<uint32_t> prompt_ids;
  std::vector<uint32_t> generated_ids;  // of an earlier attempt; the next one follows the last
  uint32_t max_tokens = 0;              // of the whole answer, generated_ids included
  std::string cache_salt;
};

// A run of one sequence's tokens to compute.
struct Chunk {
  SequenceId sequence;
  int32_t first_position;          // in the sequence, prompt included
  absl::Span<const uint32_t> ids;  // [tokens], at first_position and on; the last logit_rows - 1 are guesses
  int32_t logit_rows;              // of how many of the last tokens the logits are wanted
  absl::Span<const int32_t> block_table;  // covers [0, first_position + tokens)
  int32_t cached_tokens;  // of the prompt so far: found in the prefix cache, not computed
};

struct Plan {
  std::vector<Chunk> chunks;  // at most one of a sequence, in order of arrival
  int32_t tokens = 0;         // of all chunks
};

// What became of a chunk with logit rows.
struct Outcome {
  SequenceId sequence;
  absl::Span<const uint32_t> ids;  // sampled: at least one, at most logit_rows; all but the last are the guesses
  bool stop;  // the last id ends the sequence; which ids do is the caller's knowledge
};

enum class FinishReason { kStop, kLength };

struct Finished {
  SequenceId sequence;
  FinishReason reason;
};

struct SchedulerStats {
  int32_t running_sequences = 0;  // have a seat
  int32_t waiting_sequences = 0;
  int32_t paused_sequences = 0;
  // Totals.
  uint64_t prompt_tokens = 0;      // computed for the first time
  uint64_t cached_tokens = 0;      // of prompts, taken from the prefix cache
  uint64_t generated_tokens = 0;   // sampled
  uint64_t recomputed_tokens = 0;  // computed once more after a preemption
  uint64_t drafted_tokens = 0;     // guesses computed
  uint64_t accepted_tokens = 0;    // guesses that held
  uint64_t preemptions = 0;        // times that a sequence lost computed tokens
};

class Scheduler {
 public:
  struct Options {
    int32_t step_tokens = 0;     // computed in one step at most; more than max_sequences
    int32_t max_sequences = 0;   // in one step
    int32_t max_live = 0;        // running, waiting and paused
    int32_t context_tokens = 0;  // of the model
    int32_t draft_tokens = 0;    // guesses of one sequence in a step at most; 0: none are made
  };

  // `kv` outlives the scheduler and is used by it alone.
  Scheduler(const Options& options, KvCache& kv);
  ~Scheduler();

  // INVALID_ARGUMENT: can never run; the message says why. From any thread.
  absl::Status Fits(const SequenceSpec& spec) const;

  // INVALID_ARGUMENT: does not fit. RESOURCE_EXHAUSTED: max_live sequences live already. Ids count up from 0.
  absl::StatusOr<SequenceId> Add(SequenceSpec spec);

  // Ends a sequence without a word. While its step runs, its blocks stay until Complete; its
  // outcome is ignored. `comes_back`: as KvCache::Release has it. These three ignore a sequence that has ended.
  void Cancel(SequenceId id, bool comes_back = false);
  void Pause(SequenceId id);
  void Resume(SequenceId id);

  // Not empty while a sequence lives that is not paused. The plan and its spans hold until
  // Complete, which must follow when there is anything in it.
  const Plan& Next();

  // The plan has run. `outcomes`: one for each chunk with logit rows, in the plan's order. Returns
  // the sequences that ended by it; the span holds until the next call.
  absl::Span<const Finished> Complete(absl::Span<const Outcome> outcomes);

  SchedulerStats stats() const;

 private:
  struct Sequence;

  bool PlanChunk(Sequence& sequence, int32_t budget);
  int32_t DraftsOfEach() const;
  int32_t AddDraft(Sequence& sequence, int32_t most);
  bool TakeBlockFor(const Sequence& sequence);
  void DropLastBlock(Sequence& victim);
  void Computed(Sequence& sequence, int32_t first, int32_t end);
  void RemoveEnded();

  const Options options_;
  KvCache& kv_;
  std::vector<std::unique_ptr<Sequence>> order_;  // of arrival
  absl::flat_hash_map<SequenceId, Sequence*> by_id_;
  uint64_t added_ = 0;
  Plan plan_;
  std::vector<Sequence*> seated_;   // in this step, in order of arrival
  std::vector<Sequence*> planned_;  // of plan_.chunks, at the same index; empty while no step runs
  int32_t drafts_of_each_ = 0;  // in this step
  std::vector<Finished> finished_;
  SchedulerStats totals_;
};

}  // namespace spotinference

#endif  // ENGINE_SCHEDULE_SCHEDULER_H_
