// The engine's loop: the scheduler plans, the program runs, the sampler picks, the sinks hear of it.
#ifndef ENGINE_SERVER_MODEL_ENGINE_H_
#define ENGINE_SERVER_MODEL_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "engine/base/inbox.h"
#include "engine/base/snapshot.h"
#include "engine/base/thread_pool.h"
#include "engine/device/device.h"
#include "engine/kv/kv_cache.h"
#include "engine/sample/grammar/matcher.h"
#include "engine/sample/sampler.h"
#include "engine/sample/token_counts.h"
#include "engine/schedule/scheduler.h"
#include "engine/server/candidate_pick.h"
#include "engine/server/constraints.h"
#include "engine/server/engine.h"
#include "engine/volume/kv_store.h"

namespace spotinference {

// One thread of its own, the loop, runs everything that touches scheduler, blocks of KV, program and sampler. The public
// calls leave it messages, which it takes between two steps. A step in which no sequence begins or ends waits for no lock
// and allocates nothing, up to the sinks; a penalty's counts and a constraint's states grow with the answer.
class ModelEngine : public Engine {
 public:
  struct Options {
    Scheduler::Options scheduler;
    KvCache::Options kv;
    EngineInfo info;
    uint64_t weight_bytes = 0;
    std::function<int64_t()> programs_compiled;  // so far, that no cache had; from any thread
    std::function<bool()> volume_full;           // and nothing more is kept on it; from any thread
    int sampling_threads = 1;  // that pick ids of a step's rows
    // Where KV outlives the engine, and how its blocks get there and back; null: it does not. Outlives the engine.
    KvStore* kv_store = nullptr;
    uint64_t kv_block_bytes = 0;
    std::function<absl::Status(int32_t block, absl::Span<std::byte> to)> read_kv;
    std::function<absl::Status(int32_t block, absl::Span<const std::byte> from)> write_kv;
    // The device is lost, or a program failed: nothing can be served any more. On the engine's thread, once; all
    // sequences have ended UNAVAILABLE.
    std::function<void(const absl::Status&)> on_fatal;
  };

  // `program` gives logits [rows asked for, vocabulary] and was compiled for options.scheduler.step_tokens and
  // max_sequences. It, the constraints and the clock outlive the engine.
  ModelEngine(Options options, Program& program, Constraints& constraints, const Clock& clock);
  ~ModelEngine() override;  // live sequences end CANCELLED, drains as cut

  const EngineInfo& info() const override { return options_.info; }
  bool ReadsVolume(const EngineRequest& request) const override;
  absl::StatusOr<SequenceId> Submit(EngineRequest request, std::shared_ptr<TokenSink> sink) override;
  void Cancel(SequenceId id) override;
  void Resume(SequenceId id) override;
  void Drain(absl::Duration deadline, absl::AnyInvocable<void(uint32_t)> done) override;
  uint32_t HandOver(const absl::Status& why) override;
  void Admit() override;
  EngineStats Stats() const override;

  // Writes published blocks of KV to the store, those worth most first, for at most `budget`: what most sequences held
  // when they were cut, then what was let go of last. From any thread, at any time; for when the last sequence has ended.
  // Returns how many were written.
  size_t SaveKv(absl::Duration budget);

 private:
  struct Live {
    absl::Duration submitted;
    // The loop's.
    std::optional<absl::Duration> waited;  // until its first step
    SamplingParams sampling;
    std::vector<uint32_t> stop_ids;
    std::shared_ptr<TokenSink> sink;
    TokenCounts counts;
    std::optional<Matcher> matcher;
    uint32_t next_index = 0;  // in the answer
    uint32_t max_tokens = 0;
    // Who ends a sequence from another thread sets `gone` and waits while its sink hears an event; the loop, which sets
    // `delivering` before it looks at `gone`, never waits.
    std::atomic<bool> gone{false};
    std::atomic<bool> comes_back{false};  // set before `gone`: it was cut, and goes on somewhere
    std::atomic<bool> delivering{false};
    bool finished = false;  // the sink has had the last event; after `delivering`, whoever ends the sequence reads it
  };
  struct Picked {
    float logprob;
    std::vector<TokenLogprob> top_logprobs;
  };
  // An output row of the step under way.
  struct Row {
    std::vector<uint32_t> allowed;  // the constraint's mask; empty without one
    absl::Status masked;            // why there is none
    CandidatePick pick;             // of what the device selects
  };
  // A chunk with logit rows of the step under way, and what came of it.
  struct Sampling {
    SequenceId id;
    std::shared_ptr<Live> live;
    uint32_t cached_tokens = 0;
    absl::Span<const uint32_t> guesses;  // the row after guess i counts if row i said it
    size_t first_row = 0;                // of rows_
    absl::InlinedVector<uint32_t, 8> ids;
    std::vector<Picked> picked;  // of each id, what its event says beside it
    absl::Status status;
    bool device_failed = false;  // `status` is what it said
    bool stop = false;
    bool pause = false;
  };
  struct DrainWaiter {
    absl::Duration at;
    absl::AnyInvocable<void(uint32_t)> done;
  };

  // Blocks that continue a sequence, brought from the store but not yet published.
  struct Restored {
    KvSequence sequence;
    std::vector<uint32_t> ids;  // whose KV it holds
    size_t blocks;              // read from the store
  };

  // A sequence's full blocks that a later step need not compute, and whether each is in the store.
  struct Stored {
    std::vector<uint32_t> ids;  // of these blocks
    std::vector<BlockHash> hashes;
    std::vector<bool> here;
  };

  Stored FindStored(const SequenceSpec& spec) const;
  std::optional<Restored> RestoreKv(const SequenceSpec& spec);
  bool RunOnLoop(absl::Duration patience, absl::FunctionRef<void()> fn);
  absl::Status Refusal() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t EndAll(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);  // any thread; how many

  // The loop's.
  void Loop();
  void TakeMessages();
  void Begin(SequenceId id, std::shared_ptr<Live> live, SequenceSpec spec, std::optional<Restored> restored);
  void Forget(SequenceId id, bool comes_back);
  absl::Duration UntilNextDrain() const;
  void FinishDrains();
  void ListSamplings(const Plan& plan);
  void RunStep(const Plan& plan);
  void Complete();
  void End();
  void LoseDevice(const absl::Status& why);
  void BuildStep(const Plan& plan);
  absl::Status RunProgram();
  void ForEachSampling(absl::FunctionRef<void(Sampling& sampling, Sampler& sampler)> fn);
  void Select(Sampling& sampling);
  void Sample(Sampling& sampling, Sampler& sampler);
  absl::StatusOr<Sampled> Pick(Sampling& sampling, size_t guesses_held, Sampler& sampler);
  void Deliver(Sampling& sampling);
  void FillMask(const Live& live, std::optional<Matcher>& matcher, Row& row) const;
  void PublishStats();

  const Options options_;
  Program& program_;
  Constraints& constraints_;
  const Clock& clock_;

  Inbox<absl::AnyInvocable<void()>> inbox_;
  Snapshot<EngineStats> stats_;

  // Of the callers, and of the loop where sequences end.
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<SequenceId, std::shared_ptr<Live>> live_ ABSL_GUARDED_BY(mutex_);  // who takes one out ends it
  uint64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;  // the next SequenceId
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);  // of HandOver; OK: sequences are admitted

  // The loop's.
  KvCache kv_;
  Scheduler scheduler_;  // but for its Fits
  absl::flat_hash_map<SequenceId, std::shared_ptr<Live>> scheduled_;
  std::vector<DrainWaiter> drains_;
  bool stop_ = false;
  absl::Duration busy_;
  uint64_t steps_ = 0;
  uint64_t restored_blocks_ = 0;
  std::vector<std::pair<SequenceId, absl::Status>> ends_;  // of the step under way
  ThreadPool pool_;
  std::vector<Sampler> samplers_;  // by thread of the pool
  std::vector<int32_t> token_ids_, positions_, sequences_, block_tables_, output_rows_;
  int blocks_per_sequence_ = 0;
  std::vector<Row> rows_;              // [max_sequences]
  std::unique_ptr<float[]> logits_;    // [max_sequences, vocabulary], left untouched until rows are asked for
  Selector* const selector_;           // null: the host has all rows
  bool selects_ = false;               // in the step under way: logits_ has a row once it has been read
  std::vector<Selection> selections_;  // [max_sequences]
  std::vector<Selected> selected_;     // the same
  std::atomic<uint64_t> selected_rows_ = 0, looked_again_rows_ = 0;
  std::vector<Sampling> samplings_;  // the first sampling_count_ are of this step, the others keep their memory
  size_t sampling_count_ = 0;
  std::vector<Outcome> outcomes_;

  std::thread thread_;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_MODEL_ENGINE_H_
