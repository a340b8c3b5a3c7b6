// A row of logits and what is asked of it, made of a seed, for tests: ties, infinities, NaN, masks, every parameter.
#ifndef ENGINE_SERVER_PICK_QUESTION_H_
#define ENGINE_SERVER_PICK_QUESTION_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "engine/sample/sampling.h"

namespace spotinference {

struct PickQuestion {
  std::vector<float> logits;
  SamplingParams params;
  std::vector<uint32_t> prompt, generated, guesses;
  std::vector<uint32_t> allowed;  // a mask; empty: none

  PickQuestion(uint32_t seed, uint32_t vocabulary) : logits(vocabulary) {
    std::mt19937 random(seed);
    const auto chance = [&](double p) { return random() < p * 4294967296.0; };
    const auto uniform = [&](float low, float high) { return low + (high - low) * (random() * 0x1p-32f); };
    const float spread = std::vector<float>{0, 1e-40, 0.5, 3, 20, 1e5, 3e38}[random() % 7];
    const bool with_ties = chance(0.3);
    const float strange = chance(0.05) ? 1 : chance(0.5) ? 0.02f : 0;
    for (float& x : logits) {
      x = uniform(-spread / 2, spread / 2) * 2;
      if (with_ties) x = std::round(x);  // zeros of both signs too
      if (!chance(strange)) continue;
      constexpr float kInfinity = std::numeric_limits<float>::infinity();
      x = std::vector<float>{std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}[random() % 3];
    }
    params.seed = random() | uint64_t{random()} << 32;
    params.choice = random() % 4;
    if (chance(0.9)) params.temperature = std::vector<float>{1e-30, 1e-19, 0.01, 0.3, 0.7, 1, 1.3, 2, 50}[random() % 9];
    if (chance(0.4)) params.top_k = 1 + random() % (chance(0.5) ? 10 : 2 * vocabulary);
    if (chance(0.4)) params.top_p = uniform(0.001, 1);
    if (chance(0.3)) params.min_p = chance(0.1) ? 1 : uniform(0, 0.3);
    if (chance(0.2)) params.presence_penalty = uniform(-2, 2);
    if (chance(0.2)) params.frequency_penalty = uniform(-2, 2);
    if (chance(0.2)) params.repetition_penalty = uniform(0.5, 2);
    for (int i = chance(0.3) ? 3 : 0; i > 0; --i) params.logit_bias[random() % vocabulary] = uniform(-100, 100);
    prompt.resize(random() % 20);
    generated.resize(random() % 20);
    guesses.resize(random() % 3);
    for (auto* const ids : {&prompt, &generated, &guesses}) {
      for (uint32_t& id : *ids) id = random() % vocabulary;
    }
    if (chance(0.3)) MakeMask(random);
  }

 private:
  // Everything is masked in a tenth, all but one id in another.
  void MakeMask(std::mt19937& random) {
    allowed.resize((logits.size() + 31) / 32);
    const uint32_t kind = random() % 10;
    if (kind == 1) allowed[random() % allowed.size()] = 1;
    if (kind < 2) return;
    for (uint32_t& word : allowed) word = kind < 5 ? (random() % 2 == 0 ? 0 : 0xffffffff) : random();
  }
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_PICK_QUESTION_H_
