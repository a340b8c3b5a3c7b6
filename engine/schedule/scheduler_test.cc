#include "engine/schedule/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "engine/kv/kv_cache.h"

namespace spotinference {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int32_t kBlock = 4;

class SchedulerTest : public ::testing::Test {
 protected:
  void Start(int32_t blocks, Scheduler::Options options) {
    kv_.emplace(KvCache::Options{.blocks = blocks, .block_tokens = kBlock});
    scheduler_.emplace(options, *kv_);
  }

  SequenceId Add(int32_t prompt_tokens, uint32_t max_tokens, uint32_t first_id) {
    SequenceSpec spec{.max_tokens = max_tokens};
    for (int32_t i = 0; i < prompt_tokens; ++i) spec.prompt_ids.push_back(first_id + i);
    const auto id = scheduler_->Add(std::move(spec));
    EXPECT_TRUE(id.ok()) << id.status();
    return *id;
  }

  // Plans and completes one step. Every sampled id is `next_id`.
  std::vector<Finished> Step(uint32_t next_id = 7, bool stop = false) {
    const Plan& plan = scheduler_->Next();
    std::vector<Outcome> outcomes;
    tokens_.clear();
    for (const Chunk& chunk : plan.chunks) {
      tokens_.push_back({static_cast<uint64_t>(chunk.sequence), chunk.ids.size()});
      if (chunk.logit_rows > 0) outcomes.push_back({chunk.sequence, {&next_id, 1}, stop});
    }
    const auto finished = scheduler_->Complete(outcomes);
    return {finished.begin(), finished.end()};
  }

  // Of a plan with one chunk, whose rows said `ids`.
  absl::Span<const Finished> Complete(SequenceId id, std::vector<uint32_t> ids) {
    const Outcome outcome{id, ids, false};
    return scheduler_->Complete({&outcome, 1});
  }

  std::optional<KvCache> kv_;
  std::optional<Scheduler> scheduler_;
  std::vector<std::pair<uint64_t, size_t>> tokens_;  // of the latest step: sequence, how many
};

constexpr Scheduler::Options kRoomy{
    .step_tokens = 8, .max_sequences = 3, .max_live = 8, .context_tokens = 100};

TEST_F(SchedulerTest, RefusesWhatCanNeverRun) {
  Start(16, kRoomy);
  const auto message = [&](SequenceSpec spec) {
    return std::string(scheduler_->Add(spec).status().message());
  };
  EXPECT_THAT(message({.max_tokens = 1}), HasSubstr("prompt_ids is empty"));
  EXPECT_THAT(message({.prompt_ids = {1}, .max_tokens = 0}), HasSubstr("max_tokens is 0"));
  EXPECT_THAT(message({.prompt_ids = {1}, .generated_ids = {2, 3}, .max_tokens = 2}),
              HasSubstr("2 generated_ids"));
  EXPECT_THAT(message({.prompt_ids = {1}, .max_tokens = 64}),
              HasSubstr("65, more than the 64 tokens of this engine"));
  EXPECT_THAT(message({.prompt_ids = {1}, .max_tokens = 0xffffffff}), HasSubstr("4294967296"));
  EXPECT_TRUE(scheduler_->Add({.prompt_ids = {1}, .max_tokens = 63}).ok());

  Start(100, kRoomy);
  EXPECT_THAT(message({.prompt_ids = {1}, .max_tokens = 100}),
              HasSubstr("100 tokens of the model's context"));
}

TEST_F(SchedulerTest, ALoneSequenceBringsGuesses) {
  Scheduler::Options options = kRoomy;
  options.max_sequences = 6;
  options.draft_tokens = 3;
  Start(16, options);
  const auto id = scheduler_->Add({.prompt_ids = {1, 2, 3, 4, 5, 1, 2}, .max_tokens = 20});
  EXPECT_EQ(scheduler_->Next().chunks[0].logit_rows, 1);
  Complete(*id, {3});
  const Chunk& chunk = scheduler_->Next().chunks[0];  // after … 1 2 3 came 4 5 1
  EXPECT_THAT(chunk.ids, ElementsAre(3, 4, 5, 1));
  EXPECT_EQ(chunk.logit_rows, 4);
  Complete(*id, {4, 5, 9});  // the third guess is wrong
  EXPECT_EQ(scheduler_->stats().drafted_tokens, 3);
  EXPECT_EQ(scheduler_->stats().accepted_tokens, 2);
  EXPECT_EQ(scheduler_->stats().generated_tokens, 4);
  const Chunk& next = scheduler_->Next().chunks[0];
  EXPECT_THAT(next.ids, ElementsAre(9));
  EXPECT_EQ(next.first_position, 10);
}

TEST_F(SchedulerTest, RefusesMoreThanMayLive) {
  Start(16, kRoomy);
  for (int i = 0; i < 8; ++i) Add(4, 1, 100 * i);
  EXPECT_EQ(scheduler_->Add({.prompt_ids = {1}, .max_tokens = 1}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(scheduler_->stats().running_sequences, 3);
  EXPECT_EQ(scheduler_->stats().waiting_sequences, 5);
}

TEST_F(SchedulerTest, ALongPromptIsCutBesideTheDecodingOfOthers) {
  Start(32, kRoomy);
  Add(3, 5, 0);
  Add(4, 5, 100);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 3), std::pair(1, 4)));
  Add(20, 2, 200);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 1), std::pair(1, 1), std::pair(2, 6)));
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 1), std::pair(1, 1), std::pair(2, 6)));
}

TEST_F(SchedulerTest, DecodingHasItsTokenEvenBehindAnOlderPrompt) {
  Start(32, kRoomy);
  Add(20, 2, 200);
  Add(1, 5, 0);  // one token to compute, as while it decodes
  for (const size_t of_prompt : {7, 7, 6, 1}) {
    Step();
    EXPECT_THAT(tokens_, ElementsAre(std::pair<uint64_t, size_t>(0, of_prompt), std::pair(1, 1)));
  }
}

TEST_F(SchedulerTest, EndsByLengthAndByStop) {
  Start(32, kRoomy);
  const SequenceId one = Add(3, 2, 0);
  EXPECT_THAT(Step(), IsEmpty());
  auto finished = Step();
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].sequence, one);
  EXPECT_EQ(finished[0].reason, FinishReason::kLength);

  Add(3, 2, 0);
  finished = Step(7, /*stop=*/true);
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].reason, FinishReason::kStop);
  EXPECT_TRUE(scheduler_->Next().chunks.empty());
  EXPECT_EQ(kv_->used(), 0);
}

TEST_F(SchedulerTest, TakesThePromptFromTheCacheButNotItsLastToken) {
  Start(32, kRoomy);
  Add(8, 1, 0);
  Step();
  EXPECT_EQ(kv_->cached(), 2);
  Add(8, 1, 0);
  const Plan& plan = scheduler_->Next();
  ASSERT_EQ(plan.chunks.size(), 1);
  EXPECT_EQ(plan.chunks[0].first_position, 4);
  EXPECT_EQ(plan.chunks[0].cached_tokens, 4);
  EXPECT_THAT(plan.chunks[0].ids, ElementsAre(4, 5, 6, 7));
  Complete(plan.chunks[0].sequence, {1});
  EXPECT_EQ(scheduler_->stats().cached_tokens, 4);
  EXPECT_EQ(scheduler_->stats().prompt_tokens, 12);
}

TEST_F(SchedulerTest, APrefixThatAnotherComputesMeanwhileIsTakenBetweenChunks) {
  Start(32, kRoomy);
  Add(17, 1, 0);
  Add(17, 1, 0);
  Step();
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 8)));
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 1), std::pair(1, 1)))
      << "sixteen tokens came from the first one";
}

TEST_F(SchedulerTest, AResumedSequenceGoesOnAfterItsGeneratedIds) {
  Start(32, kRoomy);
  ASSERT_TRUE(
      scheduler_->Add({.prompt_ids = {1, 2}, .generated_ids = {3, 4}, .max_tokens = 4}).ok());
  const Plan& plan = scheduler_->Next();
  ASSERT_EQ(plan.chunks.size(), 1);
  EXPECT_THAT(plan.chunks[0].ids, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Complete(plan.chunks[0].sequence, {5}), IsEmpty());
  EXPECT_EQ(Step().size(), 1);
}

TEST_F(SchedulerTest, TheYoungestLosesItsLastBlockWhenBlocksRunOut) {
  Start(4, kRoomy);
  Add(7, 5, 0);  // 2 blocks, a third one for its second id
  Add(7, 5, 100);
  Step();
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 1), std::pair(1, 6)))
      << "the budget of 8 had cut the second prompt";
  EXPECT_EQ(kv_->used(), 4);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 1)))
      << "the older one took the younger one's last block";
  EXPECT_EQ(scheduler_->stats().preemptions, 1);
  EXPECT_EQ(kv_->used(), 4);
  Step();
  EXPECT_EQ(Step().size(), 1);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(1, 4)))
      << "computed again, with its first id, from the block it kept";
  EXPECT_EQ(scheduler_->stats().recomputed_tokens, 3);
}

TEST_F(SchedulerTest, APausedSequenceKeepsItsBlocksUntilTheyAreNeeded) {
  Start(8, kRoomy);
  const SequenceId slow = Add(11, 5, 0);
  Step();
  Step();
  scheduler_->Pause(slow);
  EXPECT_TRUE(scheduler_->Next().chunks.empty());
  EXPECT_EQ(kv_->used(), 3);
  scheduler_->Resume(slow);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 1)));

  scheduler_->Pause(slow);
  const SequenceId other = Add(24, 4, 100);
  for (int i = 0; i < 4; ++i) Step();
  EXPECT_EQ(scheduler_->stats().preemptions, 1) << "the paused one, although it is older";
  scheduler_->Resume(slow);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(static_cast<uint64_t>(other), 1)))
      << "the slow one lost blocks, so it queues anew and takes none back";
  EXPECT_EQ(Step().size(), 1);
  Step();
  EXPECT_THAT(tokens_, ElementsAre(std::pair(0, 8)))
      << "of the 9 that it lost, with the id not yet computed";
}

TEST_F(SchedulerTest, ACancelledSequenceKeepsItsBlocksWhileItsStepRuns) {
  Start(8, kRoomy);
  const SequenceId id = Add(6, 5, 0);
  const Plan& plan = scheduler_->Next();
  ASSERT_EQ(plan.chunks.size(), 1);
  scheduler_->Cancel(id);
  EXPECT_EQ(kv_->used(), 2);
  EXPECT_THAT(Complete(id, {7}), IsEmpty());
  EXPECT_EQ(kv_->used(), 0);
  EXPECT_EQ(kv_->cached(), 1) << "what was computed stays useful";
  scheduler_->Cancel(id);
  scheduler_->Pause(id);
  scheduler_->Resume(id);
  EXPECT_TRUE(scheduler_->Next().chunks.empty());
}

}  // namespace
}  // namespace spotinference
