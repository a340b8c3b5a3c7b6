// What the sampler does with a single logit, whether it has the row or candidates of it.
#ifndef ENGINE_SAMPLE_LOGIT_H_
#define ENGINE_SAMPLE_LOGIT_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/sample/exp_log.h"
#include "engine/sample/sampling.h"

namespace spotinference {

inline constexpr float kLowestLogit = -std::numeric_limits<float>::infinity();

// By one comparison, so that it vectorises: infinity - infinity is not a number.
inline float FiniteOrLowest(float x) { return x - x == 0 ? x : kLowestLogit; }

// Steps 2 and 3 of sampler.h for an id of prompt or answer, generated `times` times.
inline float Penalised(float logit, const SamplingParams& params, uint32_t times) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  if (FiniteOrLowest(logit) == kLowestLogit) return logit;
  const float repetition = params.repetition_penalty == 0 ? 1 : params.repetition_penalty;
  logit = std::clamp(logit > 0 ? logit / repetition : logit * repetition, -kLargest, kLargest);
  if (times > 0) logit -= params.presence_penalty + params.frequency_penalty * static_cast<float>(times);
  return logit;
}

// Of a finite row, or of the part of it that a constraint allows, this is never the case.
inline absl::Status NoIdError(size_t vocabulary, bool constrained) {
  if (constrained) return absl::AbortedError("none of the tokens that the answer's constraint allows can be picked");
  return absl::DataLossError(absl::StrCat("none of ", vocabulary, " logits is finite"));
}

// Step 4. What is nearer to zero than the smallest normal float is zero: some devices take it for that.
inline float NormalOrZero(float x) { return std::abs(x) < std::numeric_limits<float>::min() ? 0.0f : x; }
inline float Scaled(float logit, float largest, float inverse_temperature) {
  const float below = NormalOrZero(NormalOrZero(logit) - NormalOrZero(largest));
  return NormalOrZero(below * inverse_temperature);
}

// e^z in whole units, so that a sum is the same in any order. Finer than a top_p of float can tell,
// and the sum of a vocabulary fits.
inline constexpr float kWeightOfLikeliest = 0x1p40f;
inline int64_t Weight(float z) { return static_cast<int64_t>(ExpOfNegative(z) * kWeightOfLikeliest); }

// Of a top_p below 1: what the fewest likeliest must weigh together.
inline int64_t WeightOfNucleus(float top_p, int64_t total) {
  return std::max<int64_t>(1, static_cast<int64_t>(double{top_p} * static_cast<double>(total)));
}

// The least z that min_p > 0 keeps.
inline float LeastZ(float min_p) {
  const double log_min_p = Log(min_p);
  const float least = static_cast<float>(log_min_p);
  return least < log_min_p ? std::nextafter(least, 1.0f) : least;
}

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_LOGIT_H_
