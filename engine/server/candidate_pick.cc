#include "engine/server/candidate_pick.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/base/status.h"
#include "engine/sample/logit.h"
#include "engine/sample/noise.h"

namespace spotinference {
namespace {

static_assert(kLeastTemperature >= Selection::kLeastTemperature);
constexpr uint32_t kAnyId = std::numeric_limits<uint32_t>::max();

}  // namespace

const Selection& CandidatePick::Select(uint32_t vocabulary, const SamplingParams& params, const TokenCounts& counts,
                                       absl::Span<const uint32_t> guesses, uint32_t position,
                                       absl::Span<const uint32_t> allowed) {
  using Kind = Selection::Kind;
  selection_ = {};
  vocabulary_ = vocabulary;
  constrained_ = !allowed.empty();
  asked_.clear();
  if (params.logprobs) return selection_;  // of all logits
  if (params.draws()) {
    const bool filtered = (params.top_k > 0 && params.top_k < vocabulary) || (params.top_p > 0 && params.top_p < 1);
    selection_.kind = filtered ? Kind::kTop : Kind::kNoisy;
    selection_.temperature = params.temperature;
  } else {
    selection_.kind = Kind::kLargest;
  }
  selection_.seed = params.seed;
  selection_.choice = params.choice;
  selection_.position = position;
  if (params.logit_bias.empty() && !params.needs_counts()) {
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
  selection_.asked = absl::MakeConstSpan(asked_).subspan(0, Selection::kMaxAsked);
  return selection_;
}

// Each allowed one once, and it is no candidate.
void CandidatePick::Ask(const SamplingParams& params, const TokenCounts& counts, absl::Span<const uint32_t> guesses) {
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

absl::Status CandidatePick::Look(const Selection& selection) {
  ++looks_;
  return selector_->Look(row_, selection, more_);
}

absl::StatusOr<uint32_t> CandidatePick::Pick(const Selected& selected, const SamplingParams& params,
                                             const TokenCounts& counts, Selector& selector, int row) {
  selector_ = &selector;
  row_ = row;
  looks_ = 0;
  RETURN_IF_ERROR(AnswerAsked(selected));
  if (!Gather(selected, params, counts)) return NoIdError(vocabulary_, constrained_);
  if (selection_.kind == Selection::Kind::kLargest) {
    return std::min_element(tokens_.begin(), tokens_.end(), Likelier)->id;
  }
  for (Token& token : tokens_) token.value = Z(token.value);
  asked_tokens_.assign(tokens_.begin() + selected.candidates.size(), tokens_.end());
  if (const std::optional<uint32_t> id = Tell(selected, params)) return *id;
  return LookCloser(params, selected.others_score + ShiftOf(largest_candidate_) + Selected::kScoreError);
}

// More than one look may give.
absl::Status CandidatePick::AnswerAsked(const Selected& selected) {
  asked_logits_.assign(selected.asked.begin(), selected.asked.end());
  Selection selection = selection_;
  selection.kind = Selection::Kind::kLargest;
  while (asked_logits_.size() < asked_.size()) {
    selection.asked = absl::MakeConstSpan(asked_).subspan(asked_logits_.size(), Selection::kMaxAsked);
    RETURN_IF_ERROR(Look(selection));
    asked_logits_.insert(asked_logits_.end(), more_.asked.begin(), more_.asked.end());
  }
  return absl::OkStatus();
}

// tokens_ = all that are known, by their adjusted logits. False: there are none.
bool CandidatePick::Gather(const Selected& selected, const SamplingParams& params, const TokenCounts& counts) {
  tokens_.clear();
  for (const Selected::Candidate& c : selected.candidates) tokens_.push_back({c.id, c.logit, c.logit});
  largest_candidate_ = kLowestLogit;
  for (const Token& token : tokens_) largest_candidate_ = std::max(largest_candidate_, token.value);
  for (size_t i = 0; i < asked_.size(); ++i) {
    const uint32_t id = asked_[i];
    float logit = asked_logits_[i];
    if (const auto bias = params.logit_bias.find(id); bias != params.logit_bias.end()) logit += bias->second;
    if (params.needs_counts()) {
      const auto times = counts.generated().find(id);
      if (times != counts.generated().end()) logit = Penalised(logit, params, times->second);
    }
    if (FiniteOrLowest(logit) != kLowestLogit) tokens_.push_back({id, logit, logit});
  }
  largest_ = kLowestLogit;
  for (const Token& token : tokens_) largest_ = std::max(largest_, token.value);
  return !tokens_.empty();
}

float CandidatePick::Z(float logit) const { return Scaled(logit, largest_, 1 / selection_.temperature); }

// What the device says of a z is by its largest candidate.
double CandidatePick::ShiftOf(float largest_candidate) const {
  return (double{largest_candidate} - largest_) / selection_.temperature;
}

// Nullopt: what was selected does not tell.
std::optional<uint32_t> CandidatePick::Tell(const Selected& selected, const SamplingParams& params) {
  const float least = params.min_p > 0 ? LeastZ(params.min_p) : kLowestLogit;
  const double shift = ShiftOf(largest_candidate_);
  if (selection_.kind == Selection::Kind::kNoisy) {
    return Draw(tokens_, {}, least, selected.others_score + shift + Selected::kScoreError);
  }
  int64_t asked_weight = 0;
  for (const Token& token : asked_tokens_) asked_weight += Weight(token.value);
  // z is as monotone as logits are: what is above all others is among the row's likeliest.
  const float others = Z(selected.others);
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

absl::StatusOr<uint32_t> CandidatePick::LookCloser(const SamplingParams& params, double others) {
  ASSIGN_OR_RETURN(Kept kept, KeptBy(params));
  unknown_.assign((vocabulary_ + 31) / 32, 0xffffffff);
  std::copy(selection_.allowed.begin(), selection_.allowed.end(), unknown_.begin());
  scored_.clear();
  for (const Token& token : tokens_) Score(token);
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<uint32_t> id, FirstKept(kept, others));
    if (id.has_value()) return *id;
    if (others == -std::numeric_limits<double>::infinity()) {
      return absl::InternalError("what a device says of a row does not agree with itself");
    }
    ASSIGN_OR_RETURN(others, FindMore(kept.not_kept));
  }
}

void CandidatePick::Score(const Token& token) {
  unknown_[token.id / 32] &= ~(uint32_t{1} << (token.id % 32));
  const Noise noise(selection_.seed, selection_.choice, selection_.position);
  scored_.push_back({token, token.value + Noise::Gumbel(noise.Bits(token.id))});
}

absl::StatusOr<std::optional<uint32_t>> CandidatePick::FirstKept(Kept& kept, double others) {
  std::sort(scored_.begin(), scored_.end(), [](const Scored& a, const Scored& b) {
    return a.score > b.score || (a.score == b.score && a.token.id < b.token.id);
  });
  size_t next = 0;
  while (true) {
    bounds_.clear();
    judged_.clear();
    for (; next < scored_.size() && scored_[next].score > others && bounds_.size() < Selection::kMaxBounds; ++next) {
      const Token& token = scored_[next].token;
      if (!Likelier(token, kept.not_kept)) continue;
      bounds_.push_back({token.value, token.id});
      judged_.push_back(token);
    }
    if (bounds_.empty()) break;
    RETURN_IF_ERROR(CountLikelier());
    for (size_t i = 0; i < bounds_.size(); ++i) {
      if (likelier_[i].count < kept.count && likelier_[i].weight < kept.weight) return judged_[i].id;
      if (Likelier(judged_[i], kept.not_kept)) kept.not_kept = judged_[i];
    }
  }
  scored_.erase(scored_.begin(), scored_.begin() + next);
  return std::nullopt;
}

absl::StatusOr<double> CandidatePick::FindMore(const Token& not_kept) {
  Selection selection = selection_;
  selection.kind = Selection::Kind::kNoisy;
  selection.allowed = unknown_;
  selection.asked = {};
  // Down by more than what is rounded, or taken for zero, between a logit and its z, and here.
  constexpr double kRounded = 1e-6, kNothing = 2 * std::numeric_limits<float>::min();
  const double temperature = selection.temperature, logit = largest_ + not_kept.value * temperature * (1 + kRounded);
  selection.least = static_cast<float>(logit - kRounded * std::abs(largest_) - kNothing * (1 + temperature));
  selection.tied = not_kept.logit;
  selection.tied_id = not_kept.id;
  RETURN_IF_ERROR(Look(selection));
  float largest = kLowestLogit;
  for (const Selected::Candidate& candidate : more_.candidates) {
    largest = std::max(largest, candidate.logit);
    Score({candidate.id, Z(candidate.logit), candidate.logit});
  }
  return more_.others_score + (more_.candidates.empty() ? 0 : ShiftOf(largest)) + Selected::kScoreError;
}

absl::StatusOr<CandidatePick::Kept> CandidatePick::KeptBy(const SamplingParams& params) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  Kept kept{kAnyId, std::numeric_limits<int64_t>::max(), {0, kLowestLogit, kNone}};
  if (params.min_p > 0) kept.not_kept.value = std::nextafter(LeastZ(params.min_p), kLowestLogit);
  const bool by_k = params.top_k > 0 && params.top_k < vocabulary_;
  if (by_k) kept.count = params.top_k;
  if (params.top_p > 0 && params.top_p < 1) {
    ASSIGN_OR_RETURN(const int64_t total, WeightOfLikeliest(kept.count));
    kept.weight = WeightOfNucleus(params.top_p, total);
  }
  return kept;
}

// Finds the least z of these, by its bits: nothing is as light as what it weighs at −28, e^−28 · 2^40 < 1.
absl::StatusOr<int64_t> CandidatePick::WeightOfLikeliest(uint64_t count) {
  const auto z = [](uint32_t bits) { return -std::bit_cast<float>(bits); };
  uint32_t first = 0, last = std::bit_cast<uint32_t>(28.0f);
  Selected::Likelier before{0, 0};  // of z above that of `first`
  while (true) {
    const uint64_t range = uint64_t{last} - first + 1, points = std::min<uint64_t>(range, Selection::kMaxBounds);
    const auto point = [&, first](size_t i) { return static_cast<uint32_t>(first + range * (i + 1) / points - 1); };
    bounds_.clear();
    for (size_t i = 0; i < points; ++i) bounds_.push_back({z(point(i)), kAnyId});
    RETURN_IF_ERROR(CountLikelier());
    size_t i = 0;
    while (i < points && likelier_[i].count < count) ++i;
    if (i == points) return likelier_.back().weight;  // there are fewer, or they weigh nothing
    if (i > 0) before = likelier_[i - 1];
    last = point(i);
    if (i > 0) first = point(i - 1) + 1;
    if (first == last) return before.weight + static_cast<int64_t>(count - before.count) * Weight(z(last));
  }
}

absl::Status CandidatePick::CountLikelier() {
  Selection selection = selection_;
  selection.kind = Selection::Kind::kLikelier;
  selection.asked = {};
  selection.largest = largest_;
  selection.bounds = bounds_;
  RETURN_IF_ERROR(Look(selection));
  likelier_ = more_.likelier;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    for (const Token& token : asked_tokens_) {
      if (token.value == kLowestLogit || !Likelier(token, {bounds_[i].id, bounds_[i].z})) continue;
      ++likelier_[i].count;
      likelier_[i].weight += Weight(token.value);
    }
  }
  return absl::OkStatus();
}

}  // namespace spotinference
