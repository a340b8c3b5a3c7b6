#include "engine/server/candidate_pick.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/sample/sampler.h"
#include "engine/server/pick_question.h"
#include "engine/server/plain_selection.h"

namespace spotinference {
namespace {

TEST(CandidatePickTest, PicksWhatTheSamplerPicksFromTheRowOrNothing) {
  constexpr int kQuestions = 20000;
  Sampler sampler;
  CandidatePick pick;
  int picked[3] = {}, asked[3] = {};
  const size_t most[] = {1, 16, 128};
  for (int n = 0; n < kQuestions; ++n) {
    const PickQuestion q(n, 1 + n * 7919u % (n % 2 == 0 ? 10 : 700));
    TokenCounts counts(q.prompt, q.generated);
    const Selection& selection = pick.Select(q.logits.size(), q.params, counts, q.guesses, n, q.allowed);
    if (selection.kind == Selection::Kind::kAll) continue;
    for (const uint32_t id : q.guesses) counts.AddGenerated(id);
    const auto whole = sampler.Sample(q.logits, q.params, counts, n, q.allowed);
    for (int m = 0; m < 3; ++m) {
      Selected selected = SelectPlainly(q.logits, selection, most[m]);
      // As wrong as they may be.
      selected.weight *= 1 + (n % 3 - 1) * 0.99 * Selected::kWeightError;
      selected.others_score += (n / 3 % 3 - 1) * 0.9 * Selected::kScoreError;
      const std::optional<uint32_t> id = pick.Pick(selected, q.params, counts);
      if (!whole.ok()) {
        EXPECT_FALSE(id.has_value()) << "case " << n << ": " << whole.status();
        continue;
      }
      ++asked[m];
      if (!id.has_value()) continue;
      ++picked[m];
      ASSERT_EQ(*id, whole->id) << "case " << n << ", " << most[m] << " candidates, kind "
                                << static_cast<int>(selection.kind);
    }
  }
  // Rows are of at most 700 ids here, of which many are alike.
  EXPECT_GT(picked[0], asked[0] * 4 / 5);
  EXPECT_GT(picked[1], asked[1] * 9 / 10);
  EXPECT_GT(picked[2], asked[2] * 19 / 20);
}

TEST(CandidatePickTest, WantsTheRowWhereCandidatesWouldNotDo) {
  CandidatePick pick;
  const auto kind = [&](const SamplingParams& params, const TokenCounts& counts = {}) {
    return pick.Select(1000, params, counts, {}, 0, {}).kind;
  };
  using Kind = Selection::Kind;
  EXPECT_EQ(kind({}), Kind::kLargest);
  EXPECT_EQ(kind({.temperature = 1}), Kind::kNoisy);
  EXPECT_EQ(kind({.temperature = 1, .top_k = 1000, .top_p = 1, .min_p = 0.1f}), Kind::kNoisy);
  EXPECT_EQ(kind({.temperature = 1, .top_k = 999}), Kind::kTop);
  EXPECT_EQ(kind({.temperature = 1, .top_p = 0.5f}), Kind::kTop);
  EXPECT_EQ(kind({.logprobs = true}), Kind::kAll);
  EXPECT_EQ(kind({.temperature = 1e-21f}), Kind::kAll);
  std::vector<uint32_t> ids(Selection::kMaxAsked + 1);
  for (uint32_t i = 0; i < ids.size(); ++i) ids[i] = i;
  EXPECT_EQ(kind({}, TokenCounts(ids, {})), Kind::kLargest) << "no penalty asks for them";
  const auto many = [&](absl::Span<const uint32_t> some) {
    return pick.Select(10000, {.presence_penalty = 1}, TokenCounts(some, {}), {}, 0, {}).kind;
  };
  EXPECT_EQ(many(absl::MakeSpan(ids).first(Selection::kMaxAsked)), Kind::kLargest);
  EXPECT_EQ(many(ids), Kind::kAll);
}

// An id with a bias or a penalty is no candidate, and asked for once; one that the mask forbids not at all.
TEST(CandidatePickTest, AsksForWhatTheHostChanges) {
  CandidatePick pick;
  const std::vector<uint32_t> prompt = {3, 40}, generated = {3, 5}, guesses = {5, 41, 41};
  const std::vector<uint32_t> mask = {0xffffffdf, 0x3ff};  // not 5, below 42
  const SamplingParams params{.repetition_penalty = 1.1f, .logit_bias = {{3, 1.0f}, {7, -1.0f}, {50, 2.0f}}};
  const Selection& selection = pick.Select(60, params, TokenCounts(prompt, generated), guesses, 0, mask);
  std::vector<uint32_t> asked(selection.asked.begin(), selection.asked.end());
  std::sort(asked.begin(), asked.end());
  EXPECT_EQ(asked, (std::vector<uint32_t>{3, 7, 40, 41}));
  EXPECT_EQ(std::vector<uint32_t>(selection.allowed.begin(), selection.allowed.end()),
            (std::vector<uint32_t>{0xffffff57, 0xff}));
}

}  // namespace
}  // namespace spotinference
