#include "engine/server/candidate_pick.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "engine/sample/sampler.h"
#include "engine/server/pick_question.h"
#include "engine/server/plain_selection.h"

namespace spotinference {
namespace {

// A row on a device that gives as few candidates as it may, or more, and whose floats are as wrong as they may be.
class PlainSelector : public Selector {
 public:
  PlainSelector(absl::Span<const float> row, size_t most_candidates, int wrong)
      : row_(row), most_candidates_(most_candidates), wrong_(wrong) {}

  absl::Status RunSelecting(const StepInput&, absl::Span<const Selection>, absl::Span<Selected>) override {
    return absl::UnimplementedError("it is there");
  }
  absl::Status ReadRow(int, absl::Span<float>) override { return absl::UnimplementedError("never"); }
  absl::Status Look(int, const Selection& selection, Selected& selected) override {
    ++looks;
    EXPECT_LE(selection.asked.size(), Selection::kMaxAsked);
    EXPECT_LE(selection.bounds.size(), Selection::kMaxBounds);
    selected = SelectPlainly(row_, selection, most_candidates_);
    selected.weight *= 1 + (wrong_ % 3 - 1) * 0.99 * Selected::kWeightError;
    selected.others_score += (wrong_ / 3 % 3 - 1) * 0.9 * Selected::kScoreError;
    return absl::OkStatus();
  }

  int looks = 0;

 private:
  const absl::Span<const float> row_;
  const size_t most_candidates_;
  const int wrong_;
};

TEST(CandidatePickTest, PicksWhatTheSamplerPicksFromTheRow) {
  constexpr int kQuestions = 20000;
  Sampler sampler;
  CandidatePick pick;
  int told[3] = {}, asked = 0;
  const size_t most[] = {1, 16, 128};
  for (int n = 0; n < kQuestions; ++n) {
    const PickQuestion q(n, 1 + n * 7919u % (n % 2 == 0 ? 10 : 700));
    TokenCounts counts(q.prompt, q.generated);
    const Selection& selection = pick.Select(q.logits.size(), q.params, counts, q.guesses, n, q.allowed);
    ASSERT_NE(selection.kind, Selection::Kind::kAll);
    for (const uint32_t id : q.guesses) counts.AddGenerated(id);
    const auto whole = sampler.Sample(q.logits, q.params, counts, n, q.allowed);
    ++asked;
    for (int m = 0; m < 3; ++m) {
      PlainSelector selector(q.logits, most[m], n);
      Selected selected;
      ASSERT_TRUE(selector.Look(0, selection, selected).ok());
      const absl::StatusOr<uint32_t> id = pick.Pick(selected, q.params, counts, selector, 0);
      told[m] += pick.looks() == 0;
      EXPECT_EQ(id.status(), whole.status());
      if (!whole.ok()) continue;
      ASSERT_EQ(*id, whole->id) << "case " << n << ", " << most[m] << " candidates, kind "
                                << static_cast<int>(selection.kind);
    }
  }
  // Rows are of at most 700 ids here, of which many are alike.
  EXPECT_GT(told[0], asked * 3 / 4);
  EXPECT_LT(told[0], asked);
  EXPECT_GT(told[1], asked * 9 / 10);
  EXPECT_GT(told[2], asked * 19 / 20);
}

// Of a vocabulary's size, and with what a device gives of it (shaders/select.comp): the looks are few.
TEST(CandidatePickTest, LooksAgainAFewTimesAtMost) {
  constexpr uint32_t kVocabulary = 20000;
  Sampler sampler;
  CandidatePick pick;
  for (int n = 0; n < 60; ++n) {
    PickQuestion q(n, kVocabulary);
    std::mt19937 random(n);
    for (float& logit : q.logits) logit = (n % 4) * (random() * 0x1p-31f - 1);  // all alike, and up to e^6 apart
    q.params = {.temperature = 1, .seed = random()};
    if (n % 3 == 0) q.params.top_k = kVocabulary / 3;
    if (n % 2 == 0) q.params.top_p = std::vector<float>{0.03f, 0.3f, 0.95f}[n / 2 % 3];
    if (n % 5 == 0) q.params.min_p = 0.9f;
    if (n % 7 == 0) q.params.logit_bias = {{5, 1.0f}, {19999, 3.0f}};
    const Selection& selection = pick.Select(kVocabulary, q.params, {}, {}, n, {});
    PlainSelector selector(q.logits, 256, n);
    Selected selected;
    ASSERT_TRUE(selector.Look(0, selection, selected).ok());
    const absl::StatusOr<uint32_t> id = pick.Pick(selected, q.params, {}, selector, 0);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(*id, sampler.Sample(q.logits, q.params, {}, n)->id) << n;
    EXPECT_LE(selector.looks, 16) << n;
  }
}

// A long answer with a penalty.
TEST(CandidatePickTest, AsksForAnyNumberOfIds) {
  constexpr uint32_t kVocabulary = 10000, kGenerated = 2 * Selection::kMaxAsked + 1;
  std::vector<uint32_t> ids(kGenerated);
  for (uint32_t i = 0; i < kGenerated; ++i) ids[i] = 2 * i;
  const TokenCounts counts({}, ids);
  Sampler sampler;
  CandidatePick pick;
  for (const float temperature : {0.0f, 1.0f}) {
    PickQuestion q(17, kVocabulary);
    q.params = {.temperature = temperature, .presence_penalty = 0.1f};
    PlainSelector selector(q.logits, 16, 4);
    const Selection& selection = pick.Select(kVocabulary, q.params, counts, {}, 3, {});
    Selected selected;
    ASSERT_TRUE(selector.Look(0, selection, selected).ok());
    const absl::StatusOr<uint32_t> id = pick.Pick(selected, q.params, counts, selector, 0);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(*id, sampler.Sample(q.logits, q.params, counts, 3)->id);
    EXPECT_GE(selector.looks, 3);
  }
}

TEST(CandidatePickTest, WantsTheRowForLogProbabilitiesAlone) {
  CandidatePick pick;
  const auto kind = [&](const SamplingParams& params) { return pick.Select(1000, params, {}, {}, 0, {}).kind; };
  using Kind = Selection::Kind;
  EXPECT_EQ(kind({}), Kind::kLargest);
  EXPECT_EQ(kind({.temperature = 1}), Kind::kNoisy);
  EXPECT_EQ(kind({.temperature = 1, .top_k = 1000, .top_p = 1, .min_p = 0.1f}), Kind::kNoisy);
  EXPECT_EQ(kind({.temperature = 1, .top_k = 999}), Kind::kTop);
  EXPECT_EQ(kind({.temperature = 1, .top_p = 0.5f}), Kind::kTop);
  EXPECT_EQ(kind({.temperature = 1e-21f}), Kind::kLargest);
  EXPECT_EQ(kind({.logprobs = true}), Kind::kAll);
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
