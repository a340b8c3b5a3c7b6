#include "engine/sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "engine/sample/noise.h"

namespace spotinference {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

uint32_t Pick(const std::vector<float>& logits, const SamplingParams& params, uint32_t position = 0,
              const TokenCounts& counts = {}) {
  Sampler sampler;
  const auto sampled = sampler.Sample(logits, params, counts, position);
  EXPECT_TRUE(sampled.ok()) << sampled.status();
  return sampled.ok() ? sampled->id : 0xffffffff;
}

// The definition in sampler.h, word by word, with sorting and the C library's functions. `clear`:
// top_p's cut and the largest score are not so close to the next that rounding decides.
struct Plain {
  uint32_t id;
  bool clear = true;

  Plain(std::vector<float> logits, const SamplingParams& params,
        const std::vector<uint32_t>& prompt, const std::vector<uint32_t>& generated,
        uint32_t position, const std::vector<uint32_t>& allowed = {}) {
    for (float& x : logits) x = std::isfinite(x) ? x : -kInfinity;
    for (const auto& [id, bias] : params.logit_bias) logits[id] += bias;
    for (uint32_t id = 0; id < logits.size(); ++id) {
      const auto times = std::count(generated.begin(), generated.end(), id);
      const bool seen = times > 0 || std::count(prompt.begin(), prompt.end(), id) > 0;
      const float penalty = params.repetition_penalty;
      if (seen && penalty != 0) {
        logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
      }
      if (times > 0) logits[id] -= params.presence_penalty + params.frequency_penalty * times;
    }
    for (uint32_t i = 0; i < logits.size() && !allowed.empty(); ++i) {
      if ((allowed[i / 32] >> (i % 32) & 1) == 0) logits[i] = -kInfinity;
    }
    std::vector<uint32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(),
                     [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
    id = ids[0];
    if (params.temperature == 0) return;
    std::vector<float> z(logits.size());
    for (uint32_t i : ids) z[i] = (logits[i] - logits[ids[0]]) / params.temperature;
    while (z[ids.back()] == -kInfinity) ids.pop_back();
    if (params.top_k > 0 && params.top_k < ids.size()) ids.resize(params.top_k);
    if (params.top_p > 0 && params.top_p < 1) {
      double total = 0;
      for (uint32_t i : ids) total += std::exp(double{z[i]});
      double sum = 0;
      size_t kept = 0;
      while (kept < ids.size() && sum < params.top_p * total) {
        sum += std::exp(double{z[ids[kept++]]});
        // 3e-7 is the error of the float exponential.
        if (std::abs(sum - params.top_p * total) < 1e-6 * total) clear = false;
      }
      ids.resize(kept);
    }
    double best = -kInfinity;
    for (uint32_t i : ids) {
      if (params.min_p > 0 && z[i] < std::log(double{params.min_p})) continue;
      const double u = (Noise(params.seed, params.choice, position).Bits(i) + 0.5) / 4294967296.0;
      const double score = z[i] - std::log(-std::log(u));
      if (std::abs(score - best) < 1e-12) clear = false;
      if (score > best) id = i;
      best = std::max(best, score);
    }
  }
};

TEST(SamplerTest, EqualsThePlainDefinition) {
  std::mt19937 random(1);
  const auto chance = [&](double p) { return random() < p * 4294967296.0; };
  const auto uniform = [&](float low, float high) {
    return low + (high - low) * (random() * 0x1p-32f);
  };
  Sampler sampler;
  int unclear = 0;
  constexpr int kCases = 6000;
  for (int n = 0; n < kCases; ++n) {
    const uint32_t vocabulary = n % 50 == 0 ? 20000 : 1 + random() % (chance(0.5) ? 10 : 700);
    const float spread = std::vector<float>{0, 0.5, 3, 20, 1e5}[random() % 5];
    const bool with_ties = chance(0.3);
    std::vector<float> logits(vocabulary);
    for (float& x : logits) {
      x = uniform(-spread, spread);
      if (with_ties) x = std::round(x);
      if (chance(0.02)) x = std::vector<float>{kNan, kInfinity, -kInfinity}[random() % 3];
    }
    const uint32_t finite = random() % vocabulary;
    logits[finite] = spread;
    SamplingParams params{.seed = random(), .choice = static_cast<uint32_t>(random() % 4)};
    if (chance(0.9)) {
      params.temperature = std::vector<float>{0.01, 0.3, 0.7, 1, 1.3, 2, 50}[random() % 7];
    }
    if (chance(0.3)) params.top_k = 1 + random() % (chance(0.5) ? 10 : 2 * vocabulary);
    if (chance(0.3)) params.top_p = uniform(0.001, 1);
    if (chance(0.3)) params.min_p = chance(0.1) ? 1 : uniform(0, 0.3);
    if (chance(0.3)) params.presence_penalty = uniform(-2, 2);
    if (chance(0.3)) params.frequency_penalty = uniform(-2, 2);
    if (chance(0.3)) params.repetition_penalty = uniform(0.5, 2);
    for (int i = chance(0.3) ? 3 : 0; i > 0; --i) {
      params.logit_bias[random() % vocabulary] = uniform(-100, 100);
    }
    ASSERT_TRUE(Validate(params, vocabulary).ok()) << Validate(params, vocabulary);
    std::vector<uint32_t> prompt(random() % 20), generated(random() % 20);
    for (uint32_t& id : prompt) id = random() % vocabulary;
    for (uint32_t& id : generated) id = random() % vocabulary;

    std::vector<uint32_t> allowed;
    if (chance(0.3)) {
      allowed.resize((vocabulary + 31) / 32);
      for (uint32_t& word : allowed) word = chance(0.3) ? (chance(0.5) ? 0 : 0xffffffff) : random();
      allowed[finite / 32] |= uint32_t{1} << (finite % 32);
    }
    const Plain plain(logits, params, prompt, generated, n, allowed);
    const auto sampled =
        sampler.Sample(logits, params, TokenCounts(prompt, generated), n, allowed);
    ASSERT_TRUE(sampled.ok()) << sampled.status();
    if (!plain.clear) {
      ++unclear;
      continue;
    }
    ASSERT_EQ(sampled->id, plain.id) << "case " << n << ", vocabulary " << vocabulary;
  }
  EXPECT_LT(unclear, kCases / 50);
}

// Chi-square of `counts` against probabilities that are in proportion to e^z.
double ChiSquare(const std::vector<int>& counts, const std::vector<double>& z) {
  const double n = std::accumulate(counts.begin(), counts.end(), 0.0);
  double total = 0, chi_square = 0;
  for (const double x : z) total += std::exp(x);
  for (size_t i = 0; i < z.size(); ++i) {
    const double expected = n * std::exp(z[i]) / total;
    chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return chi_square;
}

TEST(SamplerTest, DrawsFromTheSoftmaxOverPositionsSeedsAndChoices) {
  const std::vector<float> logits = {1, 0.5, -2, 3, 2.5, 0, -1, 2, 1.5, -0.5};
  std::vector<double> z;
  for (const float x : logits) z.push_back(x / 0.7);
  for (const char* over : {"position", "seed", "choice"}) {
    std::vector<int> counts(logits.size());
    for (uint32_t n = 0; n < 100000; ++n) {
      SamplingParams params{.temperature = 0.7, .seed = 42};
      if (over[0] == 's') params.seed = n;
      if (over[0] == 'c') params.choice = n;
      ++counts[Pick(logits, params, over[0] == 'p' ? n : 0)];
    }
    EXPECT_LT(ChiSquare(counts, z), 27.88)
        << over << ": 99.9 % of chi-square with 9 degrees of freedom";
  }
}

TEST(SamplerTest, NeighbouringPositionsAreIndependent) {
  const std::vector<float> logits(4, 0.0f);
  std::vector<int> pairs(16);
  uint32_t before = 0;
  for (uint32_t position = 0; position < 100000; ++position) {
    const uint32_t id = Pick(logits, {.temperature = 1, .seed = 9}, position);
    if (position > 0) ++pairs[4 * before + id];
    before = id;
  }
  EXPECT_LT(ChiSquare(pairs, std::vector<double>(16, 0.0)), 37.70)
      << "99.9 % of chi-square with 15 degrees of freedom";
}

TEST(SamplerTest, TemperatureZeroTakesTheSmallestOfTheLargest) {
  std::vector<float> logits(5000, -3.0f);
  logits[77] = logits[4000] = logits[4001] = 2;
  EXPECT_EQ(Pick(logits, {}), 77);
  EXPECT_EQ(Pick(logits, {.top_k = 5, .top_p = 0.1, .seed = 3}, 9), 77);
  logits[77] = -3;
  EXPECT_EQ(Pick(logits, {}), 4000);
  EXPECT_EQ(Pick({-0.0f, 0.0f}, {}), 0);
}

TEST(SamplerTest, WhatIsNotFiniteCannotBePicked) {
  const std::vector<float> logits = {kNan, kInfinity, -5, -kInfinity, -6};
  EXPECT_EQ(Pick(logits, {}), 2);
  for (uint32_t position = 0; position < 200; ++position) {
    const uint32_t id =
        Pick(logits, {.temperature = 100, .logit_bias = {{0, 100}, {1, -100}, {3, 100}}}, position);
    EXPECT_TRUE(id == 2 || id == 4) << id;
  }
  Sampler sampler;
  const auto none =
      sampler.Sample(std::vector<float>{kNan, kInfinity, -kInfinity}, {.temperature = 1}, {}, 0);
  EXPECT_EQ(none.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(none.status().message(), "none of 3 logits is finite");
  EXPECT_FALSE(sampler.Sample({}, {}, {}, 0).ok());
  // The largest floats there are.
  EXPECT_EQ(Pick({3e38f, -3e38f, 3.1e38f}, {.temperature = 1e-30, .top_p = 0.5}), 2);
}

TEST(SamplerTest, BiasBansAndForces) {
  std::vector<float> logits(1000);
  for (int i = 0; i < 1000; ++i) logits[i] = std::sin(i) * 15;
  for (uint32_t position = 0; position < 1000; ++position) {
    EXPECT_EQ(Pick(logits, {.temperature = 1, .logit_bias = {{500, 100}}}, position), 500);
    EXPECT_NE(Pick({9, 8, 7}, {.temperature = 2, .logit_bias = {{0, -100}}}, position), 0);
  }
}

// The order of the steps shows in which of two ids has the larger logit.
TEST(SamplerTest, PenaltiesAreApplied) {
  const TokenCounts counts({0}, {2, 2, 2, 3});
  const auto greedy = [&](std::vector<float> logits, SamplingParams params) {
    return Pick(logits, params, 0, counts);
  };
  // Repetition: a positive logit is divided, a negative one multiplied; prompt ids count.
  EXPECT_EQ(greedy({3, 1.4, -9, -9}, {.repetition_penalty = 2}), 0);
  EXPECT_EQ(greedy({3, 1.6, -9, -9}, {.repetition_penalty = 2}), 1);
  EXPECT_EQ(greedy({-1, -2.1, -9, -9}, {.repetition_penalty = 2}), 0);
  EXPECT_EQ(greedy({-1, -1.9, -9, -9}, {.repetition_penalty = 2}), 1);
  // Presence: once, of generated ids only.
  EXPECT_EQ(greedy({3, 2.9, -9, -9}, {.presence_penalty = 2}), 0);
  EXPECT_EQ(greedy({-9, 1.1, 3, -9}, {.presence_penalty = 2}), 1);
  EXPECT_EQ(greedy({-9, 0.9, 3, -9}, {.presence_penalty = 2}), 2);
  // Frequency: for each time.
  EXPECT_EQ(greedy({-9, 1.4, 3, -9}, {.frequency_penalty = 0.5}), 2);
  EXPECT_EQ(greedy({-9, 1.6, 3, -9}, {.frequency_penalty = 0.5}), 1);
  EXPECT_EQ(greedy({-9, 2.4, -9, 3}, {.frequency_penalty = 0.5}), 3);
  // Bias before repetition: (1 + 3) / 2 = 2, not 1 / 2 + 3.
  EXPECT_EQ(greedy({1, 2.1, -9, -9}, {.repetition_penalty = 2, .logit_bias = {{0, 3}}}), 1);
  // Repetition before presence: 3 / 2 - 1 = 0.5, not (3 - 1) / 2.
  EXPECT_EQ(greedy({-9, 0.6, -9, 3}, {.presence_penalty = 1, .repetition_penalty = 2}), 1);
}

TEST(SamplerTest, LogprobsAreOfTheRawLogits) {
  std::vector<float> logits(3000);
  for (int i = 0; i < 3000; ++i) logits[i] = std::sin(i * i) * 10;
  logits[5] = logits[6] = 12;
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - 12.0);
  // 3e-7 of error in the sum, and half an ulp of a float below 32.
  constexpr double kError = 3e-7 + 1e-6;
  Sampler sampler;
  for (uint32_t position = 0; position < 100; ++position) {
    const SamplingParams params{
        .temperature = 2, .top_k = 40, .logit_bias = {{6, 3}}, .logprobs = true, .top_logprobs = 3};
    const auto sampled = sampler.Sample(logits, params, {}, position);
    ASSERT_TRUE(sampled.ok());
    EXPECT_NEAR(sampled->logprob, logits[sampled->id] - 12 - std::log(sum), kError);
    ASSERT_EQ(sampled->top_logprobs.size(), 3);
    EXPECT_EQ(sampled->top_logprobs[0].id, 5);
    EXPECT_EQ(sampled->top_logprobs[1].id, 6);
    EXPECT_NEAR(sampled->top_logprobs[0].logprob, -std::log(sum), kError);
    EXPECT_LE(sampled->top_logprobs[2].logprob, sampled->top_logprobs[1].logprob);
  }
  const auto few = sampler.Sample(std::vector<float>{kNan, 1, -kInfinity},
                                  {.logprobs = true, .top_logprobs = 20}, {}, 0);
  ASSERT_TRUE(few.ok());
  ASSERT_EQ(few->top_logprobs.size(), 1);
  EXPECT_EQ(few->top_logprobs[0].logprob, 0);
}

// Logits as a function of the ids so far, as a model's are.
std::vector<float> Model(const std::vector<uint32_t>& ids) {
  std::mt19937 random(std::accumulate(ids.begin(), ids.end(), static_cast<uint32_t>(ids.size())));
  std::vector<float> logits(300);
  for (float& x : logits) x = random() * 0x1p-32f * 8;
  return logits;
}

TEST(SamplerTest, AMaskDecidesWhatIsPickedButNotWhatIsProbable) {
  const std::vector<float> logits = Model({7});
  const SamplingParams params{
      .temperature = 1, .top_k = 5, .seed = 3, .logprobs = true, .top_logprobs = 3};
  std::vector<uint32_t> allowed((logits.size() + 31) / 32);
  for (const uint32_t id : {2, 31, 32, 299}) allowed[id / 32] |= uint32_t{1} << (id % 32);
  Sampler sampler, free;
  std::vector<int> times(logits.size());
  for (uint32_t position = 0; position < 2000; ++position) {
    const auto sampled = sampler.Sample(logits, params, {}, position, allowed);
    ASSERT_TRUE(sampled.ok()) << sampled.status();
    ++times[sampled->id];
    const auto unmasked = free.Sample(logits, params, {}, position);
    ASSERT_EQ(sampled->top_logprobs[0].id, unmasked->top_logprobs[0].id);
    ASSERT_EQ(sampled->top_logprobs[0].logprob, unmasked->top_logprobs[0].logprob);
  }
  EXPECT_EQ(times[2] + times[31] + times[32] + times[299], 2000);
  for (const uint32_t id : {2, 31, 32, 299}) EXPECT_GT(times[id], 0) << id;

  std::fill(allowed.begin(), allowed.end(), 0);
  EXPECT_EQ(sampler.Sample(logits, params, {}, 0, allowed).status().code(),
            absl::StatusCode::kAborted);
}

TEST(SamplerTest, AResumedAnswerGoesOnAsIfItHadNotBeenCut) {
  const SamplingParams params{.temperature = 1,
                              .top_p = 0.9,
                              .presence_penalty = 0.5,
                              .frequency_penalty = 0.3,
                              .repetition_penalty = 1.2,
                              .seed = 11,
                              .choice = 1};
  const std::vector<uint32_t> prompt = {1, 2, 3};
  const auto go_on = [&](std::vector<uint32_t> generated) {
    Sampler sampler;
    TokenCounts counts(prompt, generated);
    while (generated.size() < 60) {
      std::vector<uint32_t> ids = prompt;
      ids.insert(ids.end(), generated.begin(), generated.end());
      generated.push_back(sampler.Sample(Model(ids), params, counts, generated.size())->id);
      counts.AddGenerated(generated.back());
    }
    return generated;
  };
  const std::vector<uint32_t> whole = go_on({});
  for (const size_t cut : {1, 17, 59}) {
    EXPECT_EQ(go_on(std::vector<uint32_t>(whole.begin(), whole.begin() + cut)), whole)
        << "cut at " << cut;
  }
}

TEST(SamplerTest, NothingStaysFromOneCallToTheNext) {
  const std::vector<float> small = Model({4}), large(5000, 1.0f);
  const SamplingParams params{.temperature = 1.5, .top_k = 200, .top_p = 0.95, .seed = 5};
  Sampler shared;
  for (uint32_t position = 0; position < 50; ++position) {
    ASSERT_TRUE(
        shared.Sample(large, {.temperature = 1, .logit_bias = {{299, 50}}}, {}, position).ok());
    EXPECT_EQ(shared.Sample(small, params, {}, position)->id, Pick(small, params, position));
  }
}

}  // namespace
}  // namespace spotinference
