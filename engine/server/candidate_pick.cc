#include "engine/server/candidate_pick.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/sample/logit.h"
#include "engine/sample/noise.h"

namespace spotinference {

const Selection& CandidatePick::Select(uint32_t vocabulary, const SamplingParams& params, const TokenCounts& counts,
                                       absl::Span<const uint32_t> guesses, uint32_t position,
                                       absl::Span<const uint32_t> allowed) {
  using Kind = Selection::Kind;
  selection_ = {};
  vocabulary_ = vocabulary;
  const bool asks = !params.logit_bias.empty() || params.needs_counts();
  if (params.logprobs) return selection_;  // of all logits
  const size_t counted = params.needs_counts() ? counts.generated().size() + guesses.size() : 0;
  if (params.logit_bias.size() + counted > Selection::kMaxAsked) return selection_;
  if (params.temperature > 0) {
    if (params.temperature < Selection::kLeastTemperature) return selection_;
    const bool filtered = (params.top_k > 0 && params.top_k < vocabulary) || (params.top_p > 0 && params.top_p < 1);
    selection_.kind = filtered ? Kind::kTop : Kind::kNoisy;
    selection_.temperature = params.temperature;
  } else {
    selection_.kind = Kind::kLargest;
  }
  selection_.seed = params.seed;
  selection_.choice = params.choice;
  selection_.position = position;
  if (!asks) {
    selection_.allowed = allowed;
    return selection_;
  }
  if (allowed.empty()) {
    allowed_.assign((vocabulary + 31) / 32, 0xffffffff);
  } else {
    allowed_.assign(allowed.begin(), allowed.end());
  }
  Ask(params, counts, guesses);
  selection_.allowed = allowed_;
  selection_.asked = asked_;
  return selection_;
}

// Each allowed one once, and it is no candidate.
void CandidatePick::Ask(const SamplingParams& params, const TokenCounts& counts, absl::Span<const uint32_t> guesses) {
  asked_.clear();
  const auto ask = [&](uint32_t id) {
    const uint32_t bit = uint32_t{1} << (id % 32);
    if ((allowed_[id / 32] & bit) == 0) return;
    allowed_[id / 32] &= ~bit;
    asked_.push_back(id);
  };
  for (const auto& [id, _] : params.logit_bias) ask(id);
  if (!params.needs_counts()) return;
  for (const auto& [id, _] : counts.generated()) ask(id);
  for (const uint32_t id : guesses) ask(id);
}

// tokens_ = all that are known, by their adjusted logits. False: there are none.
bool CandidatePick::Gather(const Selected& selected, const SamplingParams& params, const TokenCounts& counts) {
  tokens_.clear();
  for (const Selected::Candidate& candidate : selected.candidates) tokens_.push_back({candidate.id, candidate.logit});
  largest_candidate_ = kLowestLogit;
  for (const Token& token : tokens_) largest_candidate_ = std::max(largest_candidate_, token.value);
  for (size_t i = 0; i < selection_.asked.size(); ++i) {
    const uint32_t id = selection_.asked[i];
    float logit = selected.asked[i];
    if (const auto bias = params.logit_bias.find(id); bias != params.logit_bias.end()) logit += bias->second;
    if (params.needs_counts()) {
      const auto times = counts.generated().find(id);
      if (times != counts.generated().end()) logit = Penalised(logit, params, times->second);
    }
    if (FiniteOrLowest(logit) != kLowestLogit) tokens_.push_back({id, logit});
  }
  largest_ = kLowestLogit;
  for (const Token& token : tokens_) largest_ = std::max(largest_, token.value);
  return !tokens_.empty();
}

std::optional<uint32_t> CandidatePick::Pick(const Selected& selected, const SamplingParams& params,
                                            const TokenCounts& counts) {
  if (!Gather(selected, params, counts)) return std::nullopt;  // the row has the words for that
  if (selection_.kind == Selection::Kind::kLargest) {
    return std::min_element(tokens_.begin(), tokens_.end(), Likelier)->id;
  }
  for (Token& token : tokens_) token.value = (token.value - largest_) / params.temperature;
  const float least = params.min_p > 0 ? LeastZ(params.min_p) : kLowestLogit;
  // What the device says of other ids is by its largest candidate.
  const double shift = (double{largest_candidate_} - largest_) / params.temperature;
  if (selection_.kind == Selection::Kind::kNoisy) {
    return Draw(tokens_, {}, least, selected.others_score + shift + Selected::kScoreError);
  }
  int64_t asked_weight = 0;
  for (size_t i = selected.candidates.size(); i < tokens_.size(); ++i) asked_weight += Weight(tokens_[i].value);
  // z is as monotone as logits are: what is above all others is among the row's likeliest.
  const float others = (selected.others - largest_) / params.temperature;
  const auto rest = std::partition(tokens_.begin(), tokens_.end(), [&](const Token& t) { return t.value > others; });
  std::sort(tokens_.begin(), rest, Likelier);
  size_t likeliest = rest - tokens_.begin();
  bool all_kept = others == kLowestLogit;  // the likeliest are all that top_k leaves
  const bool by_k = params.top_k > 0 && params.top_k < vocabulary_;
  if (by_k && (params.top_k <= likeliest || all_kept)) {
    likeliest = std::min<size_t>(params.top_k, likeliest);
    all_kept = true;
  }
  Nucleus kept{likeliest, all_kept ? likeliest : likeliest + 1};
  if (params.top_p > 0 && params.top_p < 1) {
    double least_total = 0;
    for (size_t i = 0; i < likeliest; ++i) least_total += static_cast<double>(Weight(tokens_[i].value));
    double most_total = least_total;
    if (!all_kept) {
      // The host cuts each weight to whole units.
      const double device = selected.weight * std::exp(shift) * kWeightOfLikeliest;
      const double own = static_cast<double>(asked_weight), error = device * Selected::kWeightError;
      if (!by_k) least_total = own + device - error - vocabulary_;
      most_total = own + device + error;
    }
    kept = NucleusOf(likeliest, WeightOfNucleus(params.top_p, static_cast<int64_t>(least_total)),
                     WeightOfNucleus(params.top_p, static_cast<int64_t>(most_total)));
  }
  const absl::Span<const Token> tokens(tokens_), certain = tokens.first(kept.certain);
  if (kept.possible <= likeliest) {
    return Draw(certain, tokens.first(kept.possible).subspan(kept.certain), least,
                -std::numeric_limits<double>::infinity());
  }
  // Ids that are not known may be kept: the one with the largest noise must be known to be.
  return Draw(certain, tokens.subspan(kept.certain), least, selected.others_score + shift + Selected::kScoreError);
}

CandidatePick::Nucleus CandidatePick::NucleusOf(size_t likeliest, int64_t least, int64_t most) const {
  Nucleus kept{0, 0};
  int64_t weight = 0;
  for (size_t i = 0; i < likeliest; ++i) {
    if (weight < least) ++kept.certain;
    if (weight >= most) return kept;
    ++kept.possible;
    weight += Weight(tokens_[i].value);
  }
  if (weight < most) ++kept.possible;  // than there are
  return kept;
}

// As Sampler::Draw, of tokens in any order. Nullopt: one of `perhaps`, or one with a score of `others`, could be the
// one.
std::optional<uint32_t> CandidatePick::Draw(absl::Span<const Token> tokens, absl::Span<const Token> perhaps,
                                            float least, double others) const {
  const Noise noise(selection_.seed, selection_.choice, selection_.position);
  double best = -std::numeric_limits<double>::infinity();
  uint32_t best_id = 0;
  // The score, or −infinity where a bound of it is below the best.
  const auto score_of = [&](const Token& token) {
    const uint32_t bits = noise.Bits(token.id);
    const bool may_win = token.value >= least && token.value + Noise::GumbelBound(bits) >= static_cast<float>(best);
    return may_win ? token.value + Noise::Gumbel(bits) : -std::numeric_limits<double>::infinity();
  };
  for (const Token& token : tokens) {
    const double score = score_of(token);
    if (score < best || (score == best && token.id >= best_id)) continue;
    best = score;
    best_id = token.id;
  }
  for (const Token& token : perhaps) {
    if (score_of(token) >= best) return std::nullopt;
  }
  if (!(best > others)) return std::nullopt;
  return best_id;
}

}  // namespace spotinference
