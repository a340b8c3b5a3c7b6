// How sequences and engines end before their time.
#include <atomic>
#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/server/model_engine_fixture.h"
#include "engine/volume/simulated_file_system.h"

namespace spotinference {
namespace {

TEST_P(ModelEngineTest, NoEventComesAfterCancelHasReturned) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  const SequenceId id = Submit(Request({1}, 10), sink);
  program_->AwaitEntered(1);
  engine_->Cancel(id);
  program_->Release();
  RunAnother();
  EXPECT_EQ(sink->ids(), Ids());
  EXPECT_FALSE(sink->ended());
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
  EXPECT_EQ(sink.use_count(), 1);
  engine_->Cancel(id);  // ended: nothing happens
}

TEST_P(ModelEngineTest, CancelledFromInsideItsSink) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  SequenceId id;
  sink->more = [&] {
    if (sink->ids().size() == 3) engine_->Cancel(id);
    return true;
  };
  id = Submit(Request({1}, 10), sink);
  program_->Release();
  sink->AwaitEvents(3);
  RunAnother();
  EXPECT_EQ(sink->ids().size(), 3);
  EXPECT_FALSE(sink->ended());
}

// What a sink does when its last owner is the engine is its own affair.
TEST_P(ModelEngineTest, ASinkMayCallTheEngineAsItGoes) {
  struct LastWords : FakeSink {
    ~LastWords() override { engine->Stats(); }
    Engine* engine;
  };
  Start();
  program_->Hold();
  auto sink = std::make_shared<LastWords>();
  sink->engine = engine_.get();
  const absl::StatusOr<SequenceId> id = engine_->Submit(Request({1}, 10), std::move(sink));
  engine_->Cancel(*id);
  program_->Release();
  RunAnother();
}

TEST_P(ModelEngineTest, DrainWaitsForWhatLives) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  Submit(Request({1}, 10), sink);
  program_->AwaitEntered(1);
  absl::Notification drained[2];
  const auto done = [&](int i) {
    return [&, i](uint32_t cut) {
      EXPECT_EQ(cut, 0);
      EXPECT_TRUE(sink->ended());
      drained[i].Notify();
    };
  };
  engine_->Drain(absl::InfiniteDuration(), done(0));
  engine_->Drain(absl::Seconds(5), done(1));
  EXPECT_EQ(engine_->Submit(Request({1}, 10), sink).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(engine_->Stats().draining);
  EXPECT_FALSE(drained[0].HasBeenNotified());
  program_->Release();
  drained[0].WaitForNotification();
  drained[1].WaitForNotification();
  EXPECT_EQ(sink->ids(), Answer({1}, 10));
  absl::Notification again;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { again.Notify(); });
  again.WaitForNotification();
}

TEST_P(ModelEngineTest, DrainCutsAtItsDeadline) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  Submit(Request({1}, 10), sink);
  sink->AwaitEvents(1);
  absl::Notification drained;
  const auto done = [&](uint32_t cut) {
    EXPECT_EQ(cut, 1);
    drained.Notify();
  };
  engine_->Drain(absl::Seconds(5), done);
  clock_.Advance(absl::Seconds(5));
  engine_->Drain(absl::Seconds(100), [](uint32_t cut) { EXPECT_EQ(cut, 1); });  // wakes the engine: its clock is not ours
  drained.WaitForNotification();
  EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(engine_->Stats().active_sequences, 0);
}

TEST_P(ModelEngineTest, CancelEndsADrain) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  const SequenceId id = Submit(Request({1}, 10), sink);
  sink->AwaitEvents(1);
  absl::Notification drained;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t cut) {
    EXPECT_EQ(cut, 0);
    drained.Notify();
  });
  engine_->Cancel(id);
  drained.WaitForNotification();
}

TEST_P(ModelEngineTest, HandingOverWaitsForNoStep) {
  Start();
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (uint32_t i = 0; i < 32; ++i) {
    sinks.push_back(std::make_shared<FakeSink>());
    if (i == 0) {
      sinks[0]->more = [&] {
        program_->Hold();  // the step after its first
        return true;
      };
    }
    Submit(Request({i, 1, 2}, 100), sinks.back());
  }
  program_->AwaitHeld();
  const absl::Status why = absl::UnavailableError("the machine goes");
  EXPECT_EQ(engine_->HandOver(why), 32);
  for (uint32_t i = 0; i < 32; ++i) {
    EXPECT_EQ(sinks[i]->AwaitEnd(), why);  // the step is still under way
    const Ids answer = Answer({i, 1, 2}, 100);
    EXPECT_EQ(sinks[i]->ids(), Ids(answer.begin(), answer.begin() + sinks[i]->ids().size()));
  }
  EXPECT_EQ(engine_->Submit(Request({1}, 1), sinks[0]).status(), why);
  EXPECT_TRUE(engine_->Stats().draining);
  EXPECT_EQ(engine_->HandOver(why), 0);

  engine_->Admit();
  program_->Release();
  RunAnother();
  EXPECT_FALSE(engine_->Stats().draining);
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
}

// An end comes once and after every event, whenever it comes; FakeSink sees to it.
TEST_P(ModelEngineTest, HandingOverAmidSteps) {
  Start();
  for (int round = 0; round < 200; ++round) {
    std::vector<std::shared_ptr<FakeSink>> sinks;
    for (uint32_t i = 0; i < 4; ++i) {
      sinks.push_back(std::make_shared<FakeSink>());
      Submit(Request({i, 3}, 1 + i * 3), sinks.back());
    }
    sinks[round % 4]->AwaitEvents(1 + round % 4 % 2);
    const uint32_t ended = engine_->HandOver(absl::UnavailableError("the machine goes"));
    uint32_t cut = 0;
    for (uint32_t i = 0; i < 4; ++i) {
      const absl::Status end = sinks[i]->AwaitEnd();
      EXPECT_EQ(end.ok(), sinks[i]->ids().size() == 1 + i * 3) << i;
      if (!end.ok()) ++cut;
    }
    EXPECT_EQ(ended, cut);
    engine_->Admit();
  }
  RunAnother();
}

// With time for half of what sequences held, the half that most of them held is saved, whether they were handed over
// within a step or between two.
TEST_P(ModelEngineTest, WhatMostSequencesHeldIsSavedFirst) {
  constexpr int kShared = 8;  // blocks of a prompt that four sequences have; four others have two of their own each
  for (int round = 0; round < 10; ++round) {
    SimulatedFileSystem files;
    ASSERT_TRUE(files.CreateFolder("/v").ok());
    const auto volume = *Volume::Open(files, {"/v"}, clock_);
    const KvStore::Options kept{
        .model_hash = "model", .numerics_id = "numerics", .block_bytes = 4096, .segment_bytes = 2 * 4096};
    KvStore store(*volume, kept, clock_);
    adjust_ = [&](ModelEngine::Options& options) {
      options.kv_store = &store;
      options.kv_block_bytes = 4096;
      options.read_kv = [this](int32_t, absl::Span<std::byte>) {
        clock_.Advance(absl::Minutes(1));
        return absl::OkStatus();
      };
    };
    Start(/*blocks=*/128, /*max_sequences=*/8, /*step_tokens=*/1000);
    program_->Hold();
    const bool within_a_step = round % 2 == 1;
    std::vector<std::shared_ptr<FakeSink>> sinks;
    Ids shared;
    for (uint32_t i = 0; i < 8; ++i) {
      Ids prompt((i < 4 ? kShared : 2) * kBlockTokens, i < 4 ? 1 : i);
      if (i == 0) shared = prompt;
      prompt.push_back(i);
      sinks.push_back(std::make_shared<FakeSink>());
      sinks[i]->more = [this, i, within_a_step] {
        if (within_a_step && i == 7) program_->Hold();  // the next step, which all take part in
        return within_a_step;
      };
      Submit(Request(prompt, 50), sinks[i]);
    }
    program_->Release();
    for (const auto& sink : sinks) sink->AwaitEvents(1);
    if (within_a_step) program_->AwaitHeld();
    engine_->HandOver(absl::UnavailableError("the machine goes"));
    engine_->HandOver(absl::UnavailableError("the machine goes sooner"));
    program_->Release();
    EXPECT_EQ(engine_->SaveKv(absl::Minutes(9)), kShared);
    BlockHash hash = RootHash("model", "numerics", kBlockTokens, "");
    for (int i = 0; i < kShared; ++i) {
      hash = ChildHash(hash, absl::MakeConstSpan(shared).subspan(i * kBlockTokens, kBlockTokens));
      EXPECT_TRUE(store.Contains(hash)) << round << " " << i;
    }
    EXPECT_TRUE(engine_->ReadsVolume(Request(shared, 1)));
    EXPECT_FALSE(engine_->ReadsVolume(Request(Ids(kShared * kBlockTokens, 50), 1)));
    engine_ = nullptr;
  }
}

TEST_P(ModelEngineTest, HandingOverEndsADrain) {
  Start();
  program_->Hold();
  const auto sink = std::make_shared<FakeSink>();
  Submit(Request({1}, 100), sink);
  program_->AwaitHeld();
  absl::Notification drained;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { drained.Notify(); });
  EXPECT_EQ(engine_->HandOver(absl::UnavailableError("the machine goes")), 1);
  program_->Release();
  drained.WaitForNotification();
  engine_->Admit();  // takes back the one, not the other
  EXPECT_EQ(engine_->Submit(Request({1}, 1), sink).status().code(), absl::StatusCode::kUnavailable);
}

TEST_P(ModelEngineTest, EndsEverythingAsItGoes) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  Submit(Request({1}, 10), sink);
  sink->AwaitEvents(1);
  int cut = -1;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t ended_early) { cut = static_cast<int>(ended_early); });
  engine_ = nullptr;
  EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(cut, 1);
}

TEST_P(ModelEngineTest, ALostDeviceEndsEverySequenceOnce) {
  Start();
  program_->Hold();
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (uint32_t i = 0; i < 10; ++i) {
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(Request({i}, 20), sinks.back());
  }
  program_->FailWith(absl::UnavailableError("fell off the bus"));
  program_->Release();
  for (const auto& sink : sinks) {
    const absl::Status end = sink->AwaitEnd();
    EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(end.message(), "the device failed: fell off the bus");
    EXPECT_EQ(sink->finish(), Finish::kNone);
  }
  absl::Notification drained;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { drained.Notify(); });
  drained.WaitForNotification();
  EXPECT_EQ(engine_->Submit(Request({1}, 2), sinks[0]).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(fatal_, 1);
}

// A row that has to be looked at again, and cannot be.
TEST_P(ModelEngineTest, ADeviceThatFailsAfterAStepEndsTheEngineToo) {
  if (!GetParam()) GTEST_SKIP() << "without a selection all rows are read in the step";
  Start();
  program_->Hold();
  program_->FailReadsWith(absl::UnavailableError("fell off the bus"));
  program_->candidates = 1;  // of a top_k of 40: they seldom tell
  EngineRequest request = Request({kForgetful, 1}, 20);
  request.sampling.temperature = 1;
  request.sampling.top_k = 40;
  const auto sink = std::make_shared<FakeSink>(), beside = std::make_shared<FakeSink>();
  Submit(std::move(request), sink);
  Submit(Request({2}, 20), beside);
  program_->Release();
  for (const auto& ended : {sink, beside}) EXPECT_EQ(ended->AwaitEnd().message(), "the device failed: fell off the bus");
  absl::Notification drained;  // the sequences' ends are told before the engine's
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { drained.Notify(); });
  drained.WaitForNotification();
  EXPECT_EQ(fatal_, 1);
}

TEST_P(ModelEngineTest, LogitsThatAreNoNumbersEndTheirOwnSequenceAlone) {
  Start();
  for (const uint32_t max_tokens : {1, 5}) {  // with 1, the failed row would have been the last
    const auto sink = std::make_shared<FakeSink>();
    const auto beside = std::make_shared<FakeSink>();
    program_->Hold();
    Submit(Request({kPoison, 2}, max_tokens), sink);
    Submit(Request({1, 2}, 5), beside);
    program_->Release();
    EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(sink->ids(), Ids());
    EXPECT_TRUE(beside->AwaitEnd().ok());
    EXPECT_EQ(beside->ids(), Answer({1, 2}, 5));
  }
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
}

INSTANTIATE_TEST_SUITE_P(Selects, ModelEngineTest, testing::Bool());

}  // namespace
}  // namespace spotinference
