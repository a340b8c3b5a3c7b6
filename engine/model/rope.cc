#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>

namespace spotinference {
namespace {

constexpr double kTurn = 2 * M_PI;

// A pair turns `turns` times in the original context where i = rotated · ln(context / (2π · turns)) / (2 ln base).
// Both ends of the blend are whole pairs.
double YarnFrequency(double frequency, int i, int rotated, double base, const RopeScaling& scaling) {
  const auto pair = [&](double turns) {
    return rotated * std::log(scaling.original_context_tokens / (kTurn * turns)) / (2 * std::log(base));
  };
  const double first = std::max(std::floor(pair(scaling.beta_fast)), 0.0);
  const double last = std::min(std::ceil(pair(scaling.beta_slow)), rotated - 1.0);
  const double stretched = std::clamp((i - first) / (last == first ? 0.001 : last - first), 0.0, 1.0);
  return (1 - stretched) * frequency + stretched * frequency / scaling.factor;
}

double Llama3Frequency(double frequency, const RopeScaling& scaling) {
  const double context_turns = scaling.original_context_tokens * frequency / kTurn;
  if (context_turns > scaling.high_frequency_factor) return frequency;
  if (context_turns < scaling.low_frequency_factor) return frequency / scaling.factor;
  const double kept = (context_turns - scaling.low_frequency_factor) /
                      (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

}  // namespace

RopeAttributes MakeRope(int head_dim, int rotated, bool interleaved, double base, const RopeScaling& scaling,
                        absl::Span<const float> divisors) {
  RopeAttributes rope{.head_dim = head_dim, .interleaved = interleaved};
  double magnitude = scaling.attention_factor;
  if (scaling.kind == RopeScalingKind::kYarn && scaling.factor > 1) magnitude *= 1 + 0.1 * std::log(scaling.factor);
  rope.magnitude = static_cast<float>(magnitude);
  for (int i = 0; i < rotated / 2; ++i) {
    double frequency = std::pow(base, -2.0 * i / rotated);
    switch (scaling.kind) {
      case RopeScalingKind::kNone:
        break;
      case RopeScalingKind::kLinear:
        frequency /= scaling.factor;
        break;
      case RopeScalingKind::kYarn:
        frequency = YarnFrequency(frequency, i, rotated, base, scaling);
        break;
      case RopeScalingKind::kLlama3:
        frequency = Llama3Frequency(frequency, scaling);
        break;
    }
    if (!divisors.empty()) frequency /= divisors[i];
    rope.frequencies.push_back(frequency);
  }
  return rope;
}

}  // namespace spotinference
