// What a sequence is answered.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/sample/sampler.h"
#include "engine/sample/token_counts.h"
#include "engine/server/model_engine_fixture.h"
#include "engine/server/pick_question.h"

namespace spotinference {
namespace {

TEST_P(ModelEngineTest, ManySequencesEachGetTheirOwnAnswer) {
  Start(/*blocks=*/12);  // four sequences of up to 9 blocks each do not fit: some are preempted
  std::mt19937 random(1);
  std::vector<std::shared_ptr<FakeSink>> sinks;
  std::vector<Ids> expected;
  for (int i = 0; i < 48; ++i) {
    Ids prompt(1 + random() % 80);
    for (uint32_t& id : prompt) id = random() % (i % 3 == 0 ? 2 : kPoison);  // a third may share prefixes
    const size_t tokens = 1 + random() % 50;
    expected.push_back(Answer(prompt, tokens));
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(Request(prompt, tokens), sinks.back());
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->AwaitEnd().ok());
    EXPECT_EQ(sinks[i]->ids(), expected[i]) << i;
    EXPECT_EQ(sinks[i]->first_index(), 0);
    EXPECT_EQ(sinks[i]->finish(), Finish::kLength);
  }
  const EngineStats stats = engine_->Stats();
  EXPECT_EQ(stats.active_sequences, 0);
  EXPECT_EQ(stats.kv_blocks_used, 0);
  EXPECT_GT(stats.scheduler.preemptions, 0);
  EXPECT_GT(stats.steps, 50);
}

TEST_P(ModelEngineTest, AStopIdEndsTheAnswer) {
  Start();
  const Ids answer = Answer({1, 2, 3}, 20);
  EngineRequest request = Request({1, 2, 3}, 20);
  request.stop_ids = {answer[7]};
  const auto sink = std::make_shared<FakeSink>();
  Submit(std::move(request), sink);
  EXPECT_TRUE(sink->AwaitEnd().ok());
  const auto stop = std::find(answer.begin(), answer.end(), answer[7]);
  EXPECT_EQ(sink->ids(), Ids(answer.begin(), stop + 1));
  EXPECT_EQ(sink->finish(), Finish::kStop);
}

// The same answers with and without guesses, greedy and drawn, with penalties and logprobs, stopped and cut, alone and in
// company, with room for guesses and without.
TEST_P(ModelEngineTest, GuessesChangeNoAnswer) {
  const auto requests = [] {
    std::vector<EngineRequest> all;
    for (uint32_t i = 0; i < 24; ++i) {
      EngineRequest request = Request({kForgetful, i % 5, i % 7}, 60 + i);
      if (i % 4 == 1) request.sampling.temperature = 1;
      request.sampling.seed = i;
      if (i % 4 == 2) request.sampling.frequency_penalty = 2;
      if (i % 4 == 3) request.stop_ids = {i};
      request.sampling.logprobs = i % 2 == 0;
      all.push_back(std::move(request));
    }
    return all;
  };
  const auto answers = [&](bool together) {
    std::vector<Ids> ids;
    std::vector<std::shared_ptr<FakeSink>> sinks;
    for (EngineRequest& request : requests()) {
      sinks.push_back(std::make_shared<FakeSink>());
      Submit(std::move(request), sinks.back());
      if (!together) {
        EXPECT_TRUE(sinks.back()->AwaitEnd().ok());
      }
    }
    for (const auto& sink : sinks) {
      EXPECT_TRUE(sink->AwaitEnd().ok());
      ids.push_back(sink->ids());
    }
    return ids;
  };
  Start();
  const std::vector<Ids> expected = answers(/*together=*/false);
  const uint64_t plain_steps = engine_->Stats().steps;
  for (const int blocks : {64, 7}) {
    Start(blocks, 4, 24, /*draft_tokens=*/3);
    EXPECT_EQ(answers(/*together=*/false), expected);
    const EngineStats alone = engine_->Stats();
    EXPECT_GT(alone.scheduler.accepted_tokens, 100);
    EXPECT_GE(alone.scheduler.drafted_tokens, alone.scheduler.accepted_tokens);
    EXPECT_EQ(alone.steps, plain_steps - alone.scheduler.accepted_tokens);
    EXPECT_EQ(answers(/*together=*/true), expected);
    EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
  }
}

TEST_P(ModelEngineTest, APauseAmidGuessesLosesNothing) {
  const Ids prompt{kForgetful, 1, 2};
  Start(64, 4, 24, /*draft_tokens=*/3);
  const auto sink = std::make_shared<FakeSink>();
  SequenceId id;
  program_->Hold();
  sink->more = [] { return false; };
  id = Submit(Request(prompt, 60), sink);
  program_->Release();
  for (size_t events = 1; events < 60;) {
    sink->AwaitEvents(events);
    RunAnother();
    events = sink->ids().size() + 1;
    engine_->Resume(id);
  }
  EXPECT_TRUE(sink->AwaitEnd().ok());
  EXPECT_EQ(sink->ids(), Answer(prompt, 60));
  EXPECT_GT(engine_->Stats().scheduler.accepted_tokens, 10);
}

TEST_P(ModelEngineTest, AResumedAnswerGoesOnAtTheNextIndex) {
  Start();
  const Ids answer = Answer({5, 6}, 40);
  for (const size_t cut : {1, 13, 14, 15, 31, 39}) {
    const auto sink = std::make_shared<FakeSink>();
    Submit(Request({5, 6}, 40, Ids(answer.begin(), answer.begin() + cut)), sink);
    EXPECT_TRUE(sink->AwaitEnd().ok());
    EXPECT_EQ(sink->first_index(), cut);
    EXPECT_EQ(sink->ids(), Ids(answer.begin() + cut, answer.end()));
    EXPECT_EQ(sink->finish(), Finish::kLength);
  }
}

constexpr uint32_t kStop = 62;

EngineRequest Constrained(Ids prompt, Ids generated = {}) {
  EngineRequest request = Request(std::move(prompt), 40, std::move(generated));
  request.stop_ids = {kStop};
  request.constraint = ConstraintSpec{ConstraintSpec::Form::kJsonSchema, R"({"type":"object","required":["a","b"],
      "properties":{"a":{"type":"boolean"},"b":{"const":0}},"additionalProperties":false})"};
  return request;
}

TEST_P(ModelEngineTest, AConstrainedAnswerKeepsItsFormAndEndsWithIt) {
  for (const int draft_tokens : {0, 3}) {
    Start(64, 4, 24, draft_tokens);
    for (uint32_t seed = 0; seed < 20; ++seed) {
      // A prompt that has said it all before, so that there is something to guess.
      Ids prompt = {seed};
      for (const char c : std::string("{\"a\":true,\"b\":0} {\"a\":")) prompt.push_back(characters_.find(c));
      const auto sink = std::make_shared<FakeSink>();
      Submit(Constrained(prompt), sink);
      ASSERT_TRUE(sink->AwaitEnd().ok()) << sink->AwaitEnd();
      EXPECT_EQ(sink->finish(), Finish::kStop);
      const Ids ids = sink->ids();
      std::string text;
      for (const uint32_t id : ids) text += id == kStop ? '.' : characters_[id];
      text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
      EXPECT_TRUE(text == "{\"a\":true,\"b\":0}." || text == "{\"a\":false,\"b\":0}.") << text;
      for (size_t cut = 1; cut + 1 < ids.size(); cut += 5) {
        const auto resumed = std::make_shared<FakeSink>();
        Submit(Constrained(prompt, Ids(ids.begin(), ids.begin() + cut)), resumed);
        EXPECT_TRUE(resumed->AwaitEnd().ok());
        EXPECT_EQ(resumed->ids(), Ids(ids.begin() + cut, ids.end()));
      }
    }
    EXPECT_EQ(engine_->Stats().scheduler.accepted_tokens > 0, draft_tokens > 0);
  }
  EXPECT_EQ(engine_->Submit(Constrained({1}, {5}), std::make_shared<FakeSink>()).status().code(),
            absl::StatusCode::kInvalidArgument);
  RunAnother();  // without a constraint nothing is held back
}

// The answer without any engine, drawn from whole rows.
Ids Drawn(const EngineRequest& request) {
  Sampler sampler;
  TokenCounts counts(request.sequence.prompt_ids, {});
  Ids ids = request.sequence.prompt_ids, answer;
  float logits[kVocabulary];
  while (answer.size() < request.sequence.max_tokens) {
    FakeLogits(ids, absl::MakeSpan(logits));
    const auto sampled = sampler.Sample(logits, request.sampling, counts, static_cast<uint32_t>(answer.size()));
    if (!sampled.ok()) break;
    answer.push_back(sampled->id);
    ids.push_back(sampled->id);
    counts.AddGenerated(sampled->id);
  }
  return answer;
}

TEST_P(ModelEngineTest, WhatIsDrawnIsAsFromWholeRows) {
  Start(64, 4, 24, /*draft_tokens=*/3);
  program_->candidates = 3;  // so that they do not always tell
  std::vector<Ids> expected;
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    EngineRequest request = Request({kForgetful, seed % 5, seed % 7}, 40);
    request.sampling = PickQuestion(seed, kVocabulary).params;
    request.sampling.logprobs = seed % 4 == 0;
    expected.push_back(Drawn(request));
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(std::move(request), sinks.back());
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->AwaitEnd().ok());
    EXPECT_EQ(sinks[i]->ids(), expected[i]) << i;
  }
  const EngineStats stats = engine_->Stats();
  EXPECT_EQ(stats.selected_rows > 1000, GetParam()) << stats.selected_rows;
  EXPECT_EQ(stats.looked_again_rows > 0, GetParam());
}

TEST_P(ModelEngineTest, NoRowIsReadWhereCandidatesTell) {
  Start();
  program_->Hold();
  std::vector<EngineRequest> requests;
  const auto ask = [&](SamplingParams params) {
    requests.push_back(Request({kForgetful, 1}, 20));
    requests.back().sampling = std::move(params);
  };
  ask({});
  ask({.temperature = 1});
  ask({.temperature = 1, .top_k = 5});
  ask({.temperature = 1, .top_p = 0.6f});
  ask({.temperature = 1, .min_p = 0.1f});
  ask({.temperature = 1, .presence_penalty = 1, .frequency_penalty = 1, .repetition_penalty = 1.1f});
  ask({.logit_bias = {{3, 5.0f}, {60, -100.0f}}});
  requests.push_back(Constrained({1}));
  uint64_t rows = 0;
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (EngineRequest& request : requests) {
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(std::move(request), sinks.back());
  }
  program_->Release();
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->AwaitEnd().ok());
    rows += sink->ids().size();
  }
  EXPECT_EQ(program_->rows_read, 0);
  EXPECT_EQ(engine_->Stats().selected_rows, GetParam() ? rows : 0);
  EXPECT_EQ(engine_->Stats().looked_again_rows, 0);

  // Logprobs want all of a row; of none beside it.
  program_->Hold();
  EngineRequest whole = Request({1, 2}, 10);
  whole.sampling.logprobs = true;
  const auto sink = std::make_shared<FakeSink>(), beside = std::make_shared<FakeSink>();
  Submit(std::move(whole), sink);
  Submit(Request({3, 4}, 10), beside);
  program_->Release();
  EXPECT_TRUE(sink->AwaitEnd().ok());
  EXPECT_TRUE(beside->AwaitEnd().ok());
  EXPECT_EQ(sink->ids(), Answer({1, 2}, 10));
  EXPECT_LE(program_->rows_read, GetParam() ? 10 : 0);
}

TEST_P(ModelEngineTest, AConstraintThatTheVocabularyCannotWriteEndsTheSequence) {
  characters_ = "{}\"atruefls: ";  // no 'b'
  Start();
  const auto sink = std::make_shared<FakeSink>();
  Submit(Constrained({1}), sink);
  EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kAborted);
  EXPECT_GT(sink->ids().size(), 8);
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
  RunAnother();
}

TEST_P(ModelEngineTest, APausedSequenceWaitsForResume) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  const SequenceId id = Submit(Request({1, 2}, 5), sink);
  for (size_t events = 1; events <= 5; ++events) {
    sink->AwaitEvents(events);
    RunAnother();
    RunAnother();
    EXPECT_EQ(sink->ids().size(), events);
    engine_->Resume(id);
  }
  EXPECT_TRUE(sink->AwaitEnd().ok());  // the pause after the last event holds nothing up
  EXPECT_EQ(sink->ids(), Answer({1, 2}, 5));
}

TEST_P(ModelEngineTest, AResumeBeforeThePauseIsNotLost) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  SequenceId id;
  sink->more = [&] {
    engine_->Resume(id);  // what the sink waited for was there before it had said so
    return false;
  };
  id = Submit(Request({1, 2}, 30), sink);
  program_->Release();
  EXPECT_TRUE(sink->AwaitEnd().ok());
  EXPECT_EQ(sink->ids(), Answer({1, 2}, 30));
}

TEST_P(ModelEngineTest, PausedSequencesHoldNobodyUp) {
  Start(/*blocks=*/20, /*max_sequences=*/2);
  std::vector<std::shared_ptr<FakeSink>> slow;
  std::vector<SequenceId> ids;
  for (uint32_t i = 0; i < 4; ++i) {
    slow.push_back(std::make_shared<FakeSink>());
    slow.back()->more = [] { return false; };
    ids.push_back(Submit(Request(Ids(100, i), 20), slow.back()));  // together more than all blocks
  }
  for (const auto& sink : slow) sink->AwaitEvents(1);
  for (int i = 0; i < 10; ++i) RunAnother();
  while (!slow[0]->ended() || !slow[1]->ended() || !slow[2]->ended() || !slow[3]->ended()) {
    for (const SequenceId id : ids) engine_->Resume(id);
    RunAnother();
  }
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(slow[i]->ids(), Answer(Ids(100, i), 20));
}

TEST_P(ModelEngineTest, RefusesWhatCannotWork) {
  Start(/*blocks=*/12);
  const auto refused = [&](EngineRequest request) {
    const auto status = engine_->Submit(std::move(request), std::make_shared<FakeSink>()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(refused(Request({1, kVocabulary}, 5)), "token id 64: the model has ids below 64");
  EXPECT_EQ(refused(Request({1}, 5, {kVocabulary})), "token id 64: the model has ids below 64");
  refused(Request({}, 5));
  refused(Request({1}, 0));
  refused(Request({1}, 2, {1, 2}));
  refused(Request({1}, 192));  // with the prompt one more than twelve blocks hold
  refused(Request({1}, std::numeric_limits<uint32_t>::max()));
  EngineRequest hot = Request({1}, 5);
  hot.sampling.temperature = -1;
  refused(std::move(hot));
  RunAnother();
}

TEST_P(ModelEngineTest, TellsHowLongASequenceWaitedForASeat) {
  Start(/*blocks=*/20, /*max_sequences=*/1);
  program_->Hold();
  const auto first = std::make_shared<FakeSink>(), second = std::make_shared<FakeSink>();
  Submit(Request({1, 2}, 3), first);
  program_->AwaitHeld();
  Submit(Request({3}, 2), second);
  clock_.Advance(absl::Seconds(3));
  program_->Release();
  EXPECT_TRUE(first->AwaitEnd().ok());
  EXPECT_TRUE(second->AwaitEnd().ok());
  EXPECT_EQ(first->waited(), absl::ZeroDuration());
  EXPECT_EQ(second->waited(), absl::Seconds(3));
}

TEST_P(ModelEngineTest, AStepThatHangsShowsWhoRuns) {
  Start();
  RunAnother();
  const uint64_t steps = engine_->Stats().steps;
  program_->Hold();
  const auto sink = std::make_shared<FakeSink>();
  Submit(Request({1, 2}, 5), sink);
  program_->AwaitHeld();
  EXPECT_EQ(engine_->Stats().scheduler.running_sequences, 1);
  EXPECT_EQ(engine_->Stats().steps, steps);
  program_->Release();
  EXPECT_TRUE(sink->AwaitEnd().ok());
  EXPECT_EQ(engine_->Stats().scheduler.running_sequences, 0);
}

TEST_P(ModelEngineTest, RefusesMoreThanMayLive) {
  Start();
  std::vector<std::shared_ptr<FakeSink>> sinks;
  program_->Hold();
  for (int i = 0; i < 64; ++i) {
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(Request({1}, 2), sinks.back());
  }
  EXPECT_EQ(engine_->Submit(Request({1}, 2), sinks[0]).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine_->Stats().active_sequences, 64);
  program_->Release();
  for (const auto& sink : sinks) EXPECT_TRUE(sink->AwaitEnd().ok());
}

INSTANTIATE_TEST_SUITE_P(Selects, ModelEngineTest, testing::Bool());

}  // namespace
}  // namespace spotinference
