// How to pick the next id: the parameters of one sequence, as in engine.proto, whose comment fixes
// the order in which they are applied.
#ifndef ENGINE_SAMPLE_SAMPLING_H_
#define ENGINE_SAMPLE_SAMPLING_H_

#include <cstdint>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"

namespace spotinference {

inline constexpr uint32_t kMaxTopLogprobs = 20;

// A temperature below this is as 0: nothing but equals would be drawn from.
inline constexpr float kLeastTemperature = 1e-20f;

// A field at its zero value, except temperature, asks for nothing.
struct SamplingParams {
  float temperature = 0;         // [0, 100]; below kLeastTemperature: the largest logit
  uint32_t top_k = 0;            // keep the k likeliest; any value, past the vocabulary it is off
  float top_p = 0;               // (0, 1]; 0 and 1: off
  float min_p = 0;               // [0, 1]
  float presence_penalty = 0;    // [-2, 2]
  float frequency_penalty = 0;   // [-2, 2]
  float repetition_penalty = 0;  // [0.01, 100]; 0 and 1: off
  absl::btree_map<uint32_t, float> logit_bias;  // [-100, 100] by id
  uint64_t seed = 0;
  uint32_t choice = 0;
  bool logprobs = false;
  uint32_t top_logprobs = 0;  // [0, kMaxTopLogprobs], only with logprobs

  bool draws() const { return temperature >= kLeastTemperature; }

  // Whether Sampler::Sample looks at the counts of ids so far.
  bool needs_counts() const {
    return presence_penalty != 0 || frequency_penalty != 0 ||
           (repetition_penalty != 0 && repetition_penalty != 1);
  }
};

// INVALID_ARGUMENT names the field, its value and what is allowed.
absl::Status Validate(const SamplingParams& params, uint32_t vocabulary_size);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_SAMPLING_H_
