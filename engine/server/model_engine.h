// The engine's loop: the scheduler plans, the program runs, the sampler picks, the sinks hear of it.
#ifndef ENGINE_SERVER_MODEL_ENGINE_H_
#define ENGINE_SERVER_MODEL_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "engine/base/thread_pool.h"
#include "engine/device/device.h"
#include "engine/kv/kv_cache.h"
#include "engine/sample/grammar/matcher.h"
#include "engine/sample/sampler.h"
#include "engine/sample/token_counts.h"
#include "engine/schedule/scheduler.h"
#include "engine/server/constraints.h"
#include "engine/server/engine.h"
#include "engine/volume/kv_store.h"

namespace spotinference {

// One thread of its own runs everything that touches scheduler, program and sampler; the public calls leave it a message.
class ModelEngine : public Engine {
 public:
  struct Options {
    Scheduler::Options scheduler;
    KvCache::Options kv;
    EngineInfo info;
    uint64_t weight_bytes = 0;
    uint64_t programs_compiled = 0;  // that no cache had
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
  absl::StatusOr<SequenceId> Submit(EngineRequest request, std::shared_ptr<TokenSink> sink) override;
  void Cancel(SequenceId id) override;
  void Resume(SequenceId id) override;
  void Drain(absl::Duration deadline, absl::AnyInvocable<void(uint32_t)> done) override;
  uint32_t HandOver(const absl::Status& why) override;
  void Admit() override;
  EngineStats Stats() const override;

  // Writes published blocks of KV to the store, those worth most first, for at most `budget`. From any thread, at any time;
  // for when the last sequence has ended. Returns how many were written.
  size_t SaveKv(absl::Duration budget);

 private:
  struct Live {
    SamplingParams sampling;
    std::vector<uint32_t> stop_ids;
    std::shared_ptr<TokenSink> sink;
    TokenCounts counts;
    std::optional<Matcher> matcher;
    std::vector<uint32_t> allowed;  // the mask of the row being sampled; empty without a matcher
    uint32_t next_index = 0;  // in the answer
    uint32_t max_tokens = 0;
    bool resumed = false;     // since its last step began; guarded by the engine's mutex
    std::atomic<bool> gone{false};  // cancelled, or ended by EndAll: its sink hears no more
    absl::Mutex delivering;         // held while its sink hears an event, so that an end comes after it
    bool finished ABSL_GUARDED_BY(delivering) = false;  // the sink has had the last event
  };
  struct Picked {
    float logprob;
    std::vector<TokenLogprob> top_logprobs;
  };
  // A chunk with logit rows of the step under way, and what came of it.
  struct Sampling {
    SequenceId id;
    std::shared_ptr<Live> live;
    uint32_t cached_tokens = 0;
    absl::Span<const uint32_t> guesses;  // the row after guess i counts if row i said it
    size_t first_row = 0;                // of logits_
    absl::InlinedVector<uint32_t, 8> ids;
    std::vector<Picked> picked;  // of each id, what its event says beside it
    absl::Status status;
    bool stop = false;
    bool pause = false;
  };
  struct DrainWaiter {
    absl::Duration at;
    absl::AnyInvocable<void(uint32_t)> done;
  };

  std::optional<KvSequence> RestoreKv(const SequenceSpec& spec);
  void Loop();
  void WaitForEvent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishDrains();
  void RunStep(const Plan& plan, absl::Duration start);
  void LoseDevice(const absl::Status& why);
  void BuildStep(const Plan& plan);
  void SampleAll();
  void Sample(Sampling& sampling, Sampler& sampler);
  void Deliver(Sampling& sampling);
  absl::Status FillAllowed(Live& live) const;
  uint32_t EndAll(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);  // any thread; how many

  const Options options_;
  Program& program_;
  Constraints& constraints_;
  const Clock& clock_;

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  // Callers reach the scheduler directly, also while a step runs, which the scheduler allows.
  KvCache kv_ ABSL_GUARDED_BY(mutex_);
  Scheduler scheduler_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<SequenceId, std::shared_ptr<Live>> live_ ABSL_GUARDED_BY(mutex_);
  std::vector<DrainWaiter> drains_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);  // of HandOver; OK: sequences are admitted
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration busy_ ABSL_GUARDED_BY(mutex_);
  uint64_t steps_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t restored_blocks_ ABSL_GUARDED_BY(mutex_) = 0;

  // The engine's thread only; kept so that a step allocates nothing.
  ThreadPool pool_;
  std::vector<Sampler> samplers_;  // by thread of the pool
  std::vector<int32_t> token_ids_, positions_, sequences_, block_tables_, output_rows_;
  int blocks_per_sequence_ = 0;
  std::unique_ptr<float[]> logits_;  // [max_sequences, vocabulary], left untouched until rows are asked for
  std::vector<Sampling> samplings_;  // the first sampling_count_ are of this step, the others keep their memory
  size_t sampling_count_ = 0;
  std::vector<Outcome> outcomes_;

  std::thread thread_;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_MODEL_ENGINE_H_
