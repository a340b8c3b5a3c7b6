#include "fleet/controller.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Reason = AcquireError::Reason;
using End = MachineLife::End;

TEST_F(ControllerTest, WhoIsParkedHearsOfTheWakeBeforeItIsPlanned) {
  fleet_->Acquire("m", {.bytes = 1}, [](AcquireResult) {});
  ASSERT_TRUE(fleet_->Progress("m").has_value());  // the controller has not run since
  EXPECT_EQ(fleet_->Progress("m")->stage, "launching");
}

TEST_F(ControllerTest, TheFirstRequestWakesAndIdleGoesBackToZero) {
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_FALSE(fleet_->Progress("m").has_value());
  auto first = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  EXPECT_EQ(provider_.last_spec().volume, "m");
  EXPECT_EQ(provider_.last_spec().weights, "/w");
  EXPECT_EQ(fleet_->Progress("m")->stage, "launching");
  EXPECT_EQ(fleet_->Progress("m")->eta, absl::Seconds(5));
  Advance(absl::Seconds(1));
  provider_.TellStarted("m-1");
  fleet_->Run();
  auto second = Acquire();
  EXPECT_EQ(fleet_->Progress("m")->stage, "booting");
  EXPECT_EQ(fleet_->Progress("m")->eta, absl::Seconds(4));
  EXPECT_EQ(fleet_->Models()[0].parked, 2);
  Advance(absl::Seconds(2));
  provider_.TellReady("m-1");
  fleet_->Run();
  ASSERT_TRUE(first->lease.has_value() && second->lease.has_value());
  EXPECT_EQ(first->lease->endpoint().address, "m-1:1");
  EXPECT_EQ(first->lease->endpoint().numerics_id, "n");
  EXPECT_EQ(fleet_->Models()[0].parked, 0);
  EXPECT_EQ(fleet_->Models()[0].active, 2);
  EXPECT_FALSE(fleet_->Progress("m").has_value());
  EXPECT_EQ(wakes_, (std::vector<std::string>{"m launching 1s", "m booting 2s", "m total 3s"}));

  Advance(absl::Hours(5));  // never while a lease lives
  first->lease.reset();
  EXPECT_EQ(States(), "m-1 serving;");
  second->lease.reset();
  Advance(absl::Seconds(60));
  auto third = Acquire();
  EXPECT_TRUE(third->lease.has_value());
  third->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(89));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");
  auto fourth = Acquire();  // waits for the stop, then for the wake
  EXPECT_EQ(provider_.Asked(), "");
  Gone("m-1");
  EXPECT_EQ(provider_.Asked(), "restore m-1");
  Ready("m-1");
  EXPECT_TRUE(fourth->lease.has_value());
}

TEST_F(ControllerTest, AnAutomaticIdleTimeoutLearnsFromTheGaps) {
  options_.models[0].idle_timeout.reset();
  Begin();
  for (int gap = 0; gap < 40; ++gap) {  // each of 70 s: a machine that went after the minute would be missed
    auto request = Acquire();
    Advance(absl::Seconds(4));  // a wake, the first time; it breaks even at 80 s
    if (gap == 0) Ready("m-1");
    ASSERT_TRUE(request->lease.has_value()) << gap;
    request->lease.reset();
    fleet_->Run();
    Advance(absl::Seconds(70));
    ASSERT_EQ(States(), "m-1 serving;") << gap;
  }
  Advance(absl::Seconds(10));
  EXPECT_EQ(provider_.Asked(), "launch m-1, hibernate m-1");
  Gone("m-1");
  for (int gap = 0; gap < 100; ++gap) {  // an hour each, until the short ones are forgotten
    auto request = Acquire();
    Advance(absl::Seconds(4));
    Ready("m-1");
    ASSERT_TRUE(request->lease.has_value()) << gap;
    request->lease.reset();
    fleet_->Run();
    Advance(absl::Hours(1));
    Gone("m-1");
  }
  auto request = Acquire();
  Advance(absl::Seconds(4));
  Ready("m-1");
  request->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(59));
  EXPECT_EQ(States(), "m-1 serving;");
  Advance(absl::Seconds(1));
  EXPECT_NE(States(), "m-1 serving;");
}

TEST_F(ControllerTest, WhatWasLearntFromTheGapsOutlivesTheFleet) {
  options_.models[0].idle_timeout.reset();
  Begin();
  for (int gap = 0; gap < 25; ++gap) {
    if (gap == 24) Begin();  // would begin at the break-even point again, 80 s
    auto request = Acquire();
    Advance(absl::Seconds(4));
    Ready("m-1");
    ASSERT_TRUE(request->lease.has_value()) << gap;
    request->lease.reset();
    fleet_->Run();
    Advance(absl::Minutes(1));
    EXPECT_TRUE(gap < 24 || States() == "m-1 hibernating;") << States();
    Advance(absl::Hours(1));
    Gone("m-1");
  }
}

TEST_F(ControllerTest, SecondsAreCountedByUse) {
  auto client = Acquire();
  Advance(absl::Seconds(3));
  Ready("m-1");
  Advance(absl::Seconds(10));
  client->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Advance(absl::Seconds(2));
  Gone("m-1");
  Advance(absl::Seconds(1000));
  std::string text;
  for (const auto& used : fleet_->LedgerLines()) {
    absl::StrAppend(&text, used.model, " ", used.market, " ", used.use, " ",
                    absl::FormatDuration(used.time), " $", used.dollars, ";");
  }
  EXPECT_EQ(text, "m spot busy 10s $10;m spot idle 1m32s $92;m spot waking 3s $3;");
}

TEST_F(ControllerTest, AnUnknownModelAndAFullQueueAreRefused) {
  options_.models[0].park.requests = 2;
  options_.models[0].park.bytes = 100;
  Begin();
  EXPECT_EQ(Acquire(1, "nope")->error->reason, Reason::kUnknownModel);
  EXPECT_EQ(Acquire(101)->error->reason, Reason::kQueueFull);
  EXPECT_EQ(provider_.Asked(), "");
  auto first = Acquire(60);
  EXPECT_EQ(Acquire(41)->error->reason, Reason::kQueueFull);
  auto second = Acquire(40);
  auto third = Acquire(0);
  ASSERT_TRUE(third->error.has_value());
  EXPECT_EQ(third->error->reason, Reason::kQueueFull);
  EXPECT_GT(third->error->retry_after, absl::ZeroDuration());
  fleet_->Cancel(first->id);
  auto fourth = Acquire(60);
  EXPECT_EQ(fourth->answers, 0);
  Ready("m-1");
  EXPECT_EQ(first->answers, 0);
  EXPECT_TRUE(second->lease.has_value());
  EXPECT_TRUE(fourth->lease.has_value());
}

TEST_F(ControllerTest, WhoResumesOutwaitsAFullQueueAndEveryRefusal) {
  options_.models[0].park.requests = 0;
  Begin();
  auto client = Acquire(Claim{.bytes = size_t{1} << 40, .cuts = {CutOf(End::kLost)}});
  Gone("m-1", absl::ResourceExhaustedError("dry"));
  Advance(absl::Seconds(5));
  Gone("m-2", absl::FailedPreconditionError("bad"));
  Advance(absl::Seconds(5));
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2, launch m-3");
  EXPECT_EQ(client->answers, 0);
  EXPECT_EQ(Acquire()->error->reason, Reason::kQueueFull);
  Ready("m-3");
  EXPECT_TRUE(client->lease.has_value());
}

TEST_F(ControllerTest, WhoResumesIsToldWhenItsTimeIsUp) {
  auto client = Acquire(Claim{.cuts = {CutOf(End::kLost)}});
  Advance(absl::Seconds(584));
  EXPECT_EQ(client->answers, 0);
  Advance(absl::Seconds(1));
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, Reason::kWakeTimeout);
}

TEST_F(ControllerTest, ACancelledRequestIsNeverAnsweredEvenWhenItsAnswerIsDecided) {
  // The first answer cancels the second request, whose lease is already granted.
  auto second = std::make_unique<Client>();
  fleet_->Acquire("m", {.bytes = 1}, [&](AcquireResult) { fleet_->Cancel(second->id); });
  second->id =
      fleet_->Acquire("m", {.bytes = 1}, [client = second.get()](AcquireResult) { ++client->answers; });
  fleet_->Run();
  Ready("m-1");
  EXPECT_EQ(second->answers, 0);
  EXPECT_EQ(fleet_->Models()[0].active, 0);
}

TEST_F(ControllerTest, ARequestWaitsItsTimeAndAWakeItsCap) {
  options_.models[0].park.longest = absl::Seconds(100);
  options_.models[0].wake_cap = absl::Seconds(150);
  Begin();
  auto first = Acquire();
  provider_.Asked();
  Advance(absl::Seconds(99));
  auto second = Acquire();
  EXPECT_EQ(first->answers, 0);
  Advance(absl::Seconds(1));
  EXPECT_EQ(first->error->reason, Reason::kWakeTimeout);
  EXPECT_EQ(second->answers, 0);
  Advance(absl::Seconds(49));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(second->error->reason, Reason::kWakeTimeout);
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
}

TEST_F(ControllerTest, AWakeThatNobodyWaitsForLingersTwoMinutes) {
  auto client = Acquire();
  provider_.Asked();
  Advance(absl::Seconds(10));
  fleet_->Cancel(client->id);
  fleet_->Run();
  Advance(absl::Seconds(119));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  EXPECT_EQ(client->answers, 0);
}

TEST_F(ControllerTest, AFailedStartIsTriedAgainAtOnceAndThenBacksOff) {
  auto client = Acquire();
  Gone("m-1", absl::UnavailableError("the first cause"));
  EXPECT_EQ(client->answers, 0);
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2");
  Gone("m-2", absl::UnavailableError("the second cause"));
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, Reason::kBackOff);
  EXPECT_EQ(client->error->retry_after, absl::Seconds(5));
  EXPECT_TRUE(absl::StrContains(client->error->message, "the second cause"));
  EXPECT_EQ(Acquire()->error->reason, Reason::kBackOff);
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(States(), "");
  Advance(absl::Seconds(5));
  auto later = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-3");
  Ready("m-3");
  EXPECT_TRUE(later->lease.has_value());
}

TEST_F(ControllerTest, AMachinesFirstAnswerForgivesTheFailedStartsBeforeIt) {
  auto client = Acquire();
  Gone("m-1", absl::UnavailableError("killed while it booted"));
  Ready("m-2");
  client->lease->life()->NoteServed();
  client->lease.reset();
  fleet_->Run();
  EXPECT_TRUE(Kill("m-2").ok());
  Gone("m-2");
  provider_.Asked();
  client = Acquire();
  Gone("m-3", absl::UnavailableError("killed while it booted"));
  EXPECT_EQ(provider_.Asked(), "launch m-3, launch m-4") << "the first failure since then";
}

TEST_F(ControllerTest, AStartThatFailsBesideAMachineThatServesBlocksNoWake) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  Begin();
  Ready("m-1");
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2");
  for (int i = 2; i < 10; ++i) {
    Gone(absl::StrCat("m-", i), absl::UnavailableError("killed while it booted"));
    EXPECT_EQ(provider_.Asked(), "") << "not at once, and each time later";
    Advance(absl::Seconds(1 << (i - 2)));
    EXPECT_EQ(provider_.Asked(), absl::StrCat("launch m-", i + 1));
  }
  Gone("m-10", absl::UnavailableError("killed while it booted"));
  Crash("m-1");
  const auto client = Acquire();
  EXPECT_FALSE(client->error.has_value());
  EXPECT_EQ(provider_.Asked(), "launch m-11, launch m-12") << "nothing serves any more";
}

TEST_F(ControllerTest, APauseBesideAMachineThatServesOutlivesTheFleet) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  Begin();
  Ready("m-1");
  for (int i = 2; i < 6; ++i) {
    Gone(absl::StrCat("m-", i), absl::UnavailableError("killed while it booted"));
    Advance(absl::Seconds(1 << (i - 2)));
  }
  Gone("m-6", absl::UnavailableError("killed while it booted"));  // 16 s
  provider_.Asked();
  Begin();
  EXPECT_EQ(provider_.Asked(), "adopt m-1");
  provider_.TellAdopted("m-1", "m-1:1");
  fleet_->Run();
  probe_.Answer(EngineIdentity{"abc", "n"});
  fleet_->Run();
  EXPECT_EQ(States(), "m-1 serving;");
  Advance(absl::Seconds(15));
  EXPECT_EQ(provider_.Asked(), "") << "a gateway that restarts pays for no more starts";
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "launch m-7");
  Gone("m-7", absl::UnavailableError("killed while it booted"));
  Advance(absl::Seconds(31));
  EXPECT_EQ(provider_.Asked(), "") << "twice as long";
}

TEST_F(ControllerTest, ABackOffOutlivesTheFleet) {
  auto client = Acquire();
  for (const char* id : {"m-1", "m-2"}) Gone(id, absl::UnavailableError("it broke"));
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2");
  ASSERT_TRUE(client->error.has_value());
  Advance(absl::Seconds(2));
  Begin();
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "") << "a gateway that restarts pays for no more starts";
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, Reason::kBackOff);
  EXPECT_EQ(client->error->retry_after, absl::Seconds(3));
  EXPECT_EQ(client->error->message, "m cannot be served: it broke");
  Advance(absl::Seconds(3));
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-3");
  Gone("m-3", absl::UnavailableError("it broke"));
  EXPECT_EQ(client->error->retry_after, absl::Seconds(10)) << "the third failure in a row";
}

TEST_F(ControllerTest, WhatCannotSucceedFailsAtOnceAndNoCapacitySaysSo) {
  auto client = Acquire();
  Gone("m-1", absl::ResourceExhaustedError("the zone is dry"));
  EXPECT_EQ(client->error->reason, Reason::kNoCapacity);
  Advance(client->error->retry_after);
  client = Acquire();
  Gone("m-2", absl::FailedPreconditionError("unknown tensor type 77"));
  EXPECT_EQ(client->error->reason, Reason::kBackOff);
  EXPECT_TRUE(absl::StrContains(client->error->message, "unknown tensor type 77"));
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2");
}

TEST_F(ControllerTest, ACrashedEngineIsReplacedWhenSomebodyAsks) {
  auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  Gone("m-1", absl::UnavailableError("signal 9"));
  EXPECT_EQ(provider_.Asked(), "");
  client->lease.reset();
  auto next = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_EQ(provider_.last_spec().volume, "m");
  Ready("m-2");
  EXPECT_TRUE(next->lease.has_value());
  EXPECT_EQ(fleet_->Models()[0].active, 1);
}

TEST_F(ControllerTest, ABrokenMachineGetsNoRequestsAndIsReplaced) {
  auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  fleet_->ReportBroken("m-1", "reset");
  auto next = Acquire();
  EXPECT_EQ(next->answers, 0);
  ASSERT_EQ(probe_.open_questions(), 1);
  probe_.Answer(EngineIdentity{"abc", "n"});  // it was not
  fleet_->Run();
  ASSERT_TRUE(next->lease.has_value());
  EXPECT_EQ(provider_.Asked(), "");

  fleet_->ReportBroken("m-1", "reset");
  fleet_->ReportBroken("m-1", "reset");
  auto last = Acquire();
  ASSERT_EQ(probe_.open_questions(), 1);
  probe_.Answer(absl::DeadlineExceededError("no answer"));
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  EXPECT_EQ(States(), "m-1 terminating;");
  Gone("m-1");
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  Ready("m-2");
  EXPECT_TRUE(last->lease.has_value());
  fleet_->ReportBroken("m-1", "an old one");
  fleet_->Run();
  EXPECT_EQ(probe_.open_questions(), 0);
}

TEST_F(ControllerTest, AnEngineIsAskedForItsFiguresEveryFiveSecondsOnceAtATime) {
  const std::vector<std::string> one = {"m-1"}, none;
  auto client = Acquire();
  EXPECT_EQ(probe_.figures_asked(), none);
  Ready("m-1");
  EXPECT_EQ(probe_.figures_asked(), one);
  Advance(absl::Seconds(7));
  EXPECT_EQ(probe_.figures_asked(), one);
  EXPECT_EQ(fleet_->Run(), absl::InfiniteDuration());  // until it answers
  AnswerFigures(EngineFigures{.running_sequences = 1});
  EXPECT_EQ(fleet_->Models()[0].engines.running_sequences, 1);
  EXPECT_EQ(probe_.figures_asked(), one);
  AnswerFigures(EngineFigures{.running_sequences = 2});
  EXPECT_EQ(fleet_->Models()[0].engines.running_sequences, 2);
  EXPECT_EQ(probe_.figures_asked(), none);
  EXPECT_EQ(fleet_->Run(), clock_.Elapsed() + absl::Seconds(5));
  Advance(absl::Milliseconds(4999));
  EXPECT_EQ(probe_.figures_asked(), none);
  Advance(absl::Milliseconds(1));
  EXPECT_EQ(probe_.figures_asked(), one);
}

TEST_F(ControllerTest, TheHeartbeatKeepsNothingAwakeAndEndsAtZero) {
  auto client = Acquire();
  Ready("m-1");
  client->lease.reset();
  fleet_->Run();
  provider_.Asked();
  for (int beat = 0; beat < 18; ++beat) {
    EXPECT_EQ(provider_.Asked(), "");
    AnswerFigures(EngineFigures{});
    Advance(absl::Seconds(5));
  }
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");
  Gone("m-1");
  EXPECT_EQ(States(), "m-1 hibernated;");
  EXPECT_TRUE(probe_.figures_asked().empty());
  EXPECT_EQ(fleet_->Run(), absl::InfiniteDuration());
}

TEST_F(ControllerTest, WhatAnEngineCountedOutlivesIt) {
  const auto seen = [this] { return fleet_->Models()[0].engines; };
  auto client = Acquire();
  Ready("m-1");
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 5, .preemptions = 2}});
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{
      .totals = {.programs_compiled = 1, .generated_tokens = 10, .preemptions = 3},
      .kv_blocks_total = 8,
      .kv_blocks_used = 5,
      .kv_blocks_cached = 2,
      .weights_bytes = 100});
  EXPECT_EQ(seen().totals.generated_tokens, 10);
  EXPECT_EQ(seen().kv_blocks_free(), 1);
  client->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(5));
  Advance(absl::Seconds(85));
  EXPECT_EQ(States(), "m-1 hibernating;");
  EXPECT_EQ(seen().weights_bytes, 0);
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 11}});  // too late
  EXPECT_EQ(seen().totals.generated_tokens, 10);
  Gone("m-1");

  client = Acquire();
  Ready("m-1");  // another life of the same machine
  EXPECT_EQ(seen().totals.preemptions, 3);
  Gone("m-1", absl::UnavailableError("signal 9"));
  client = Acquire();
  Ready("m-2");
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 1000}});  // of the one that is gone
  EXPECT_EQ(seen().totals.generated_tokens, 10);
  AnswerFigures(EngineFigures{.totals = {.programs_compiled = 1, .generated_tokens = 7},
                              .weights_bytes = 100});
  EXPECT_EQ(seen().totals.programs_compiled, 2);
  EXPECT_EQ(seen().totals.generated_tokens, 17);
  EXPECT_EQ(seen().totals.preemptions, 3);
  EXPECT_EQ(seen().weights_bytes, 100);
}

TEST_F(ControllerTest, AnAnswerOfAFormerLifeIsIgnored) {
  auto client = Acquire();
  Ready("m-1");
  ASSERT_EQ(probe_.figures_asked().size(), 1);
  client->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  client = Acquire();
  Ready("m-1");
  ASSERT_EQ(probe_.figures_asked().size(), 2);
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 1000}});
  EXPECT_EQ(fleet_->Models()[0].engines.totals.generated_tokens, 0);
  EXPECT_EQ(probe_.figures_asked().size(), 1);  // the question of this life is still open
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 1}});
  EXPECT_EQ(fleet_->Models()[0].engines.totals.generated_tokens, 1);
}

TEST_F(ControllerTest, ThreeFailuresInARowAskForHealth) {
  auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 5}});
  const auto fail = [this](int times) {
    for (int i = 0; i < times; ++i) {
      Advance(absl::Seconds(5));
      AnswerFigures(absl::DeadlineExceededError("no answer"));
    }
  };
  fail(2);
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{.totals = {.generated_tokens = 6}});
  fail(2);
  EXPECT_EQ(probe_.open_questions(), 0);
  EXPECT_TRUE(Acquire()->lease.has_value());
  fail(1);
  EXPECT_EQ(probe_.open_questions(), 1);
  auto next = Acquire();
  EXPECT_EQ(next->answers, 0);
  Advance(absl::Seconds(5));
  EXPECT_TRUE(probe_.figures_asked().empty());  // one question is enough
  probe_.Answer(EngineIdentity{"abc", "n"});
  fleet_->Run();
  EXPECT_TRUE(next->lease.has_value());
  ASSERT_EQ(probe_.figures_asked().size(), 1);
  AnswerFigures(absl::DeadlineExceededError("no answer"));
  fail(2);
  ASSERT_EQ(probe_.open_questions(), 1);
  probe_.Answer(absl::DeadlineExceededError("no answer"));
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  EXPECT_EQ(fleet_->Models()[0].engines.totals.generated_tokens, 6);
}

TEST_F(ControllerTest, ShutdownRefusesDrainsAndStops) {
  auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  fleet_->BeginShutdown(absl::Seconds(20));
  fleet_->Run();
  EXPECT_EQ(Acquire()->error->reason, Reason::kShutdown);
  EXPECT_EQ(States(), "m-1 draining;");
  EXPECT_FALSE(fleet_->AwaitStopped(absl::ZeroDuration()));
  client->lease.reset();
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");
  Gone("m-1");
  EXPECT_TRUE(fleet_->AwaitStopped(absl::ZeroDuration()));
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kHibernated);

  Begin();
  client = Acquire();
  Ready("m-1");
  provider_.Asked();
  fleet_->BeginShutdown(absl::Seconds(20));
  fleet_->Run();
  Advance(absl::Seconds(20));  // under its lease
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");
}

TEST_F(ControllerTest, ShutdownAnswersThoseWhoWait) {
  auto client = Acquire();
  fleet_->BeginShutdown(absl::Seconds(20));
  fleet_->Run();
  EXPECT_EQ(client->error->reason, Reason::kShutdown);
  EXPECT_EQ(provider_.Asked(), "launch m-1, terminate m-1");
}

TEST_F(ControllerTest, ALeaseMayOutliveTheController) {
  auto client = Acquire();
  Ready("m-1");
  fleet_.reset();
  client->lease.reset();
}

}  // namespace
}  // namespace spotinference::fleet
