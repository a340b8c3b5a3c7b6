// An engine as its callers see it: ids in, ids out, one sink a sequence.
#ifndef ENGINE_SERVER_ENGINE_H_
#define ENGINE_SERVER_ENGINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/sample/sampler.h"
#include "engine/sample/sampling.h"
#include "engine/schedule/scheduler.h"
#include "engine/server/constraints.h"

namespace spotinference {

struct EngineRequest {
  SequenceSpec sequence;
  SamplingParams sampling;
  std::optional<ConstraintSpec> constraint;
  std::vector<uint32_t> stop_ids;
};

// One id of an answer. Spans hold during the call that brings it.
struct TokenEvent {
  uint32_t index;  // in the answer
  uint32_t id;
  enum class Finish { kNone, kStop, kLength } finish;
  float logprob;                                // where asked for
  absl::Span<const TokenLogprob> top_logprobs;
  uint32_t cached_tokens;                       // of the prompt
  absl::Duration waited = absl::ZeroDuration();  // from Submit to the sequence's first step
};

// Where a sequence's ids go. Called on the engine's thread, but for an end that HandOver brings; one call at a time.
// Must not block.
class TokenSink {
 public:
  virtual ~TokenSink() = default;

  // False: no more for now, until Engine::Resume. The sequence keeps its place but takes no part in steps. Ids of the step
  // under way still come, a few at most.
  virtual bool OnToken(const TokenEvent& event) = 0;

  // The last call: OK after an event with a finish, else why the sequence ended early. None comes for a sequence that was
  // cancelled, except one that was under way at that moment.
  virtual void OnEnd(const absl::Status& status) = 0;
};

struct EngineStats {
  SchedulerStats scheduler;
  int32_t kv_blocks_total = 0, kv_blocks_used = 0, kv_blocks_cached = 0;
  uint64_t kv_blocks_restored = 0;  // read from the volume
  bool volume_full = false;         // nothing more is kept on it
  uint64_t weight_bytes = 0;
  uint64_t programs_compiled = 0;  // Device::compiled
  uint64_t steps = 0;
  // Of a device that selects: output rows whose ids were picked from candidates, and those of these that it had to look
  // at again, since the first candidates did not tell.
  uint64_t selected_rows = 0, looked_again_rows = 0;
  absl::Duration busy;  // time in which at least one sequence ran
  bool draining = false;
  uint32_t active_sequences = 0;
};

// What is served.
struct EngineInfo {
  std::string model_hash;
  std::string numerics_id;
  std::string backend;
  std::string device;
  uint32_t context_tokens = 0;
  uint32_t vocabulary_size = 0;
};

// Thread-safe. A call may be made from inside a TokenSink.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const EngineInfo& info() const = 0;

  // Whether Submit would read from the volume, which may take seconds. Itself takes some 5 us a block of the request's ids.
  virtual bool ReadsVolume(const EngineRequest& request) const = 0;

  // Statuses as in engine.proto's Generate. The sink is held until the sequence has ended.
  virtual absl::StatusOr<SequenceId> Submit(EngineRequest request, std::shared_ptr<TokenSink> sink) = 0;

  // These ignore a sequence that has ended.
  virtual void Cancel(SequenceId id) = 0;
  virtual void Resume(SequenceId id) = 0;

  // Admits no more. `done` runs once, when no sequence is left or at the deadline, with the number of those that were cut.
  virtual void Drain(absl::Duration deadline, absl::AnyInvocable<void(uint32_t ended_early)> done) = 0;

  // Every live sequence ends with `why` before this returns, without waiting for the step under way, and until Admit
  // every Submit fails with it. Returns how many ended. The one call that may not be made from inside a TokenSink.
  virtual uint32_t HandOver(const absl::Status& why) = 0;

  // Takes HandOver back; a Drain goes on.
  virtual void Admit() = 0;

  virtual EngineStats Stats() const = 0;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_ENGINE_H_
