#include "engine/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/sample/exp_log.h"
#include "engine/sample/logit.h"

namespace spotinference {
namespace {

constexpr float kLowest = kLowestLogit;
constexpr float kLargest = std::numeric_limits<float>::max();

// Of the loops that the compiler vectorises. It orders the sums, so it is the same everywhere.
constexpr size_t kLanes = 32;

float Max(absl::Span<const float> values) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kLowest);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    const float* const row = &values[i];
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float x = FiniteOrLowest(row[lane]);
      lanes[lane] = x > lanes[lane] ? x : lanes[lane];
    }
  }
  for (; i < values.size(); ++i) lanes[0] = std::max(lanes[0], FiniteOrLowest(values[i]));
  return *std::max_element(lanes, lanes + kLanes);
}

// Sum of e^(x - largest): in float each, added up in double.
double SumExp(absl::Span<const float> values, float largest) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    const float* const row = &values[i];
    float exp[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) {
      exp[lane] = ExpOfNegative(FiniteOrLowest(row[lane]) - largest);
    }
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += exp[lane];
  }
  for (; i < values.size(); ++i) {
    lanes[i % kLanes] += ExpOfNegative(FiniteOrLowest(values[i]) - largest);
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

int64_t SumWeights(absl::Span<const float> z) {
  int64_t sum = 0;
  for (size_t first = 0; first < z.size(); first += Noise::kBlock) {
    const float* const row = &z[first];
    float weights[Noise::kBlock];
    for (size_t i = 0; i < Noise::kBlock; ++i) {
      weights[i] = ExpOfNegative(row[i]) * kWeightOfLikeliest;
    }
    for (const float weight : weights) sum += static_cast<int64_t>(weight);
  }
  return sum;
}

}  // namespace

Sampler::Sampler(size_t vocabulary) {
  const size_t padded = (vocabulary + Noise::kBlock - 1) / Noise::kBlock * Noise::kBlock;
  adjusted_.reserve(vocabulary);
  z_.reserve(padded);
  top_.reserve(padded);
  top_logprobs_.reserve(kMaxTopLogprobs);
}

absl::StatusOr<Sampled> Sampler::Sample(absl::Span<const float> logits,
                                        const SamplingParams& params, const TokenCounts& counts,
                                        uint32_t position,
                                        absl::Span<const uint32_t> allowed) {
  absl::Span<const float> row = logits;
  if (!params.logit_bias.empty() || params.needs_counts() || !allowed.empty()) {
    Adjust(logits, params, counts);
    if (!allowed.empty()) Restrict(allowed);
    row = adjusted_;
  }
  const Token likeliest = ArgMax(row);
  if (likeliest.value == kLowest) return NoIdError(logits.size(), !allowed.empty());
  Sampled sampled{.id = likeliest.id};
  if (params.draws()) {
    Scale(row, likeliest.value, params.temperature);
    sampled.id = Draw(Filter(params), likeliest.id, Noise(params.seed, params.choice, position));
  }
  if (params.logprobs) FillLogprobs(logits, params.top_logprobs, sampled);
  return sampled;
}

void Sampler::Adjust(absl::Span<const float> logits, const SamplingParams& params,
                     const TokenCounts& counts) {
  adjusted_.assign(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias) adjusted_[id] += bias;
  if (!params.needs_counts()) return;
  for (const auto& [id, times] : counts.generated()) adjusted_[id] = Penalised(adjusted_[id], params, times);
}

// A word of the mask at a time: where it is all ones, nothing is to be done.
void Sampler::Restrict(absl::Span<const uint32_t> allowed) {
  for (size_t first = 0; first < adjusted_.size(); first += 32) {
    const uint32_t word = allowed[first / 32];
    if (word == 0xffffffff) continue;
    float* const row = &adjusted_[first];
    const size_t count = std::min<size_t>(32, adjusted_.size() - first);
    for (size_t i = 0; i < count; ++i) row[i] = (word >> i & 1) != 0 ? row[i] : kLowest;
  }
}

Sampler::Token Sampler::ArgMax(absl::Span<const float> logits) {
  const float largest = Max(logits);
  constexpr size_t kBlock = 64;
  for (size_t first = 0; first < logits.size(); first += kBlock) {
    const auto block = logits.subspan(first, kBlock);
    int here = 0;
    for (const float x : block) here |= x == largest;
    if (!here) continue;
    const size_t i = std::find(block.begin(), block.end(), largest) - block.begin();
    return {static_cast<uint32_t>(first + i), largest};
  }
  return {0, kLowest};
}

void Sampler::Scale(absl::Span<const float> logits, float largest, float temperature) {
  const float inverse = 1 / temperature;
  z_.resize((logits.size() + Noise::kBlock - 1) / Noise::kBlock * Noise::kBlock);
  for (size_t i = 0; i < logits.size(); ++i) {
    z_[i] = Scaled(FiniteOrLowest(logits[i]), largest, inverse);
  }
  std::fill(z_.begin() + logits.size(), z_.end(), kLowest);
}

// top_ = the k largest finite values, the least of them last where there are k; in no other order.
// A buffer of twice the size is cut back whenever it is full: what is not above the least of the k
// then kept cannot be among the k, since its id is larger.
void Sampler::SelectTop(absl::Span<const float> values, size_t k) {
  top_.clear();
  const size_t full = k + std::max<size_t>(k, 64);
  float least = kLowest;
  const auto cut_back = [&] {
    std::nth_element(top_.begin(), top_.begin() + k - 1, top_.end(), Likelier);
    top_.resize(k);
    least = top_.back().value;
  };
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] > least && values[i] <= kLargest)) continue;
    top_.push_back({static_cast<uint32_t>(i), values[i]});
    if (top_.size() == full) cut_back();
  }
  if (top_.size() >= k) cut_back();
}

Sampler::Cut Sampler::Filter(const SamplingParams& params) {
  constexpr uint32_t kAnyId = std::numeric_limits<uint32_t>::max();
  Cut cut{kLowest, kAnyId};
  const bool by_k = params.top_k > 0 && params.top_k < z_.size();
  if (by_k) {
    SelectTop(z_, params.top_k);
    if (top_.size() == params.top_k) cut = {top_.back().value, top_.back().id};
  }
  if (params.top_p > 0 && params.top_p < 1) {
    int64_t total = 0;
    if (by_k) {
      for (const Token& token : top_) total += Weight(token.value);
    } else {
      total = SumWeights(z_);
    }
    const int64_t enough = WeightOfNucleus(params.top_p, total);
    if (!by_k) SelectHeavierThan((total - enough) / static_cast<double>(z_.size()));
    const Token last = LastOfNucleus(enough);
    cut = {last.value, last.id};
  }
  if (params.min_p > 0) {
    const float least = LeastZ(params.min_p);
    if (least > cut.z) cut = {least, kAnyId};
  }
  return cut;
}

// top_ = all ids with a larger weight, and perhaps some that weigh a little less. What is left out
// weighs less than `weight` each.
void Sampler::SelectHeavierThan(double weight) {
  constexpr double kSlack = 4e-6;  // ExpOfNegative is off by 3e-7, and a float below 28 by 1e-6
  const float least =
      weight < 1 ? kLowest : static_cast<float>(Log(weight / kWeightOfLikeliest) - kSlack);
  top_.clear();
  for (size_t i = 0; i < z_.size(); ++i) {
    if (z_[i] > least) top_.push_back({static_cast<uint32_t>(i), z_[i]});
  }
}

// The last of the fewest likeliest of top_ that weigh `enough` together: a quickselect by weight.
Sampler::Token Sampler::LastOfNucleus(int64_t enough) {
  auto first = top_.begin(), end = top_.end();  // it is one of these
  while (end - first > 1) {
    const auto middle = first + (end - first) / 2;
    std::nth_element(first, middle, end, Likelier);
    int64_t weight = 0;
    for (auto token = first; token != middle; ++token) weight += Weight(token->value);
    if (weight >= enough) {
      end = middle;
    } else {
      enough -= weight;
      first = middle;
    }
  }
  return *first;
}

// The plain definition is the arg-max of z + Gumbel over the ids within the cut. Noise is bounded,
// so an id whose z plus the largest noise, or plus a cheap bound of its own noise, stays below the
// best so far needs no logarithms.
uint32_t Sampler::Draw(const Cut& cut, uint32_t likeliest, const Noise& noise) const {
  // Ids whose logits differ by next to nothing have a z of zero too, and the smallest of them is kept.
  if (cut.z == 0) likeliest = static_cast<uint32_t>(std::find(z_.begin(), z_.end(), 0.0f) - z_.begin());
  uint32_t best_id = likeliest;
  double best = z_[likeliest] + Noise::Gumbel(noise.Bits(likeliest));
  for (uint32_t first = 0; first < z_.size(); first += Noise::kBlock) {
    const float* const z = &z_[first];
    float bar = static_cast<float>(best);
    if (Max({z, Noise::kBlock}) < std::max(cut.z, bar - Noise::kMaxGumbel)) continue;
    uint32_t bits[Noise::kBlock];
    noise.Bits(first, bits);
    int may_win = 0;
    for (uint32_t i = 0; i < Noise::kBlock; ++i) {
      may_win |= z[i] + Noise::GumbelBound(bits[i]) >= bar;
    }
    for (uint32_t i = 0; may_win && i < Noise::kBlock; ++i) {
      const uint32_t id = first + i;
      if (z[i] < cut.z || (z[i] == cut.z && id > cut.last_id) ||
          z[i] + Noise::GumbelBound(bits[i]) < bar) {
        continue;
      }
      const double score = z[i] + Noise::Gumbel(bits[i]);
      if (score < best || (score == best && id >= best_id)) continue;
      best = score;
      best_id = id;
      bar = static_cast<float>(best);
    }
  }
  return best_id;
}

void Sampler::FillLogprobs(absl::Span<const float> logits, uint32_t top_logprobs,
                           Sampled& sampled) {
  const float largest = Max(logits);
  const double log_sum = Log(SumExp(logits, largest));
  const auto logprob = [&](float logit) {
    return static_cast<float>(double{logit} - largest - log_sum);
  };
  sampled.logprob = logprob(logits[sampled.id]);
  top_logprobs_.clear();
  if (top_logprobs > 0) {
    SelectTop(logits, top_logprobs);
    std::sort(top_.begin(), top_.end(), Likelier);
    for (const Token& token : top_) top_logprobs_.push_back({token.id, logprob(token.value)});
  }
  sampled.top_logprobs = top_logprobs_;
}

}  // namespace spotinference
