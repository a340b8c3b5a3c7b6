// What an engine says of its work and its machine (engine.proto's Stats and Health): of one engine, or summed over a
// model's.
#ifndef FLEET_API_ENGINE_FIGURES_H_
#define FLEET_API_ENGINE_FIGURES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace spotinference::fleet {

// Counted since the engine's start.
struct EngineTotals {
  int64_t programs_compiled = 0;
  int64_t prompt_tokens = 0;  // computed, not counting cached ones
  int64_t cached_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;
  int64_t drafted_tokens = 0;   // guesses verified beside the next token
  int64_t accepted_tokens = 0;  // of those, the ones that held
  int64_t kv_blocks_restored = 0;  // read from the volume
  absl::Duration busy;  // at least one sequence ran

  EngineTotals& operator+=(const EngineTotals& other) {
    programs_compiled += other.programs_compiled;
    prompt_tokens += other.prompt_tokens;
    cached_tokens += other.cached_tokens;
    generated_tokens += other.generated_tokens;
    preemptions += other.preemptions;
    drafted_tokens += other.drafted_tokens;
    accepted_tokens += other.accepted_tokens;
    kv_blocks_restored += other.kv_blocks_restored;
    busy += other.busy;
    return *this;
  }
};

// What the engine heard of its machine's future.
struct EngineNotice {
  std::string source;   // "aws", "local", …
  bool stops = false;   // the machine will be taken away; else it is at risk
  bool serves_on = false;  // until it is asked to hand over, or little time is left; else the engine drains
  absl::Duration left;  // until then, as the engine answered
  std::string reason;   // the source's own word
};

struct EngineFigures {
  EngineTotals totals;
  int64_t steps = 0;  // of the engine's loop
  // As they are now.
  int64_t running_sequences = 0;  // the rows of its batch
  int64_t waiting_sequences = 0;
  int64_t kv_blocks_total = 0;
  int64_t kv_blocks_used = 0;    // by live sequences
  int64_t kv_blocks_cached = 0;  // by no one, kept for their prefix
  int64_t weights_bytes = 0;
  int64_t volumes_full = 0;  // engines that keep nothing more on theirs
  std::optional<EngineNotice> notice;  // of one engine; a sum has none
  uint64_t notices = 0;                // the same: how often that has changed

  int64_t kv_blocks_free() const { return kv_blocks_total - kv_blocks_used - kv_blocks_cached; }

  EngineFigures& operator+=(const EngineFigures& other) {
    totals += other.totals;
    steps += other.steps;
    running_sequences += other.running_sequences;
    waiting_sequences += other.waiting_sequences;
    kv_blocks_total += other.kv_blocks_total;
    kv_blocks_used += other.kv_blocks_used;
    kv_blocks_cached += other.kv_blocks_cached;
    weights_bytes += other.weights_bytes;
    volumes_full += other.volumes_full;
    return *this;
  }
};

}  // namespace spotinference::fleet

#endif  // FLEET_API_ENGINE_FIGURES_H_
