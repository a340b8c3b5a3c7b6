// Poison: who is blamed for an engine's crash, and what becomes of it.
#include <memory>
#include <vector>

#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using End = MachineLife::End;

class ControllerSuspectsTest : public ControllerTest {
 protected:
  // A request that is cut and goes on, as a session does.
  struct Suspect {
    std::unique_ptr<Client> client;
    std::vector<Claim::Cut> cuts;
  };

  // The lease is over before the fleet knows why, which is the usual order.
  void Cut(Suspect& suspect) {
    const Lease& lease = *suspect.client->lease;
    suspect.cuts.push_back({lease.life(), lease.alone()});
    fleet_->ReportBroken(lease.endpoint().machine_id, "reset");
    suspect.client->lease.reset();
    suspect.client = Acquire(Claim{.cuts = suspect.cuts});
  }
  // The only engine answers the heartbeat for 70 s, and takes no step.
  void Stall() {
    for (int beat = 0; beat < 14; ++beat) {
      if (!probe_.figures_asked().empty()) AnswerFigures(EngineFigures{.steps = 9, .running_sequences = 1});
      Advance(absl::Seconds(5));
    }
  }
  bool Runs(const Suspect& suspect) { return suspect.client->lease.has_value(); }
};

TEST_F(ControllerSuspectsTest, WhatSharedTwoCrashesRunsOneAtATimeAndOnlyTheGuiltyIsRefused) {
  Suspect guilty, innocent, other;
  guilty.client = Acquire();
  innocent.client = Acquire();
  other.client = Acquire();
  for (const char* machine : {"m-1", "m-2"}) {
    Ready(machine);
    ASSERT_TRUE(Runs(guilty) && Runs(innocent) && Runs(other)) << machine;
    Cut(guilty);
    Cut(innocent);
    Cut(other);
    Crash(machine);
  }
  auto bystander = Acquire();
  Ready("m-3");
  EXPECT_TRUE(Runs(guilty));
  EXPECT_TRUE(guilty.client->lease->alone());
  EXPECT_FALSE(Runs(innocent));
  EXPECT_FALSE(bystander->lease.has_value());
  Cut(guilty);
  Crash("m-3");
  ASSERT_TRUE(guilty.client->error.has_value());
  EXPECT_EQ(guilty.client->error->reason, AcquireError::Reason::kPoison);
  Ready("m-4");
  ASSERT_TRUE(Runs(innocent) && Runs(other) && bystander->lease.has_value()) << "two crashes are explained";
  EXPECT_FALSE(innocent.client->lease->alone());
  EXPECT_FALSE(other.client->lease->alone());
  EXPECT_FALSE(bystander->lease->alone());
}

// Nobody is found guilty where an engine crashes by itself: those that were there run one after the other.
TEST_F(ControllerSuspectsTest, SuspectsOfWhomNoneIsGuiltyRunOneAfterTheOther) {
  Suspect first, second;
  first.client = Acquire();
  second.client = Acquire();
  for (const char* machine : {"m-1", "m-2"}) {
    Ready(machine);
    Cut(first);
    Cut(second);
    Crash(machine);
  }
  auto bystander = Acquire();
  Ready("m-3");
  ASSERT_TRUE(Runs(first) && first.client->lease->alone());
  EXPECT_FALSE(Runs(second) || bystander->lease.has_value());
  first.client->lease.reset();
  fleet_->Run();
  ASSERT_TRUE(Runs(second) && second.client->lease->alone());
  EXPECT_FALSE(bystander->lease.has_value());
  second.client->lease.reset();
  fleet_->Run();
  ASSERT_TRUE(bystander->lease.has_value());
  EXPECT_FALSE(bystander->lease->alone());
}

// An engine that answers and takes no step is what a request that never ends looks like.
TEST_F(ControllerSuspectsTest, WhatStallsEnginesIsRefused) {
  Suspect request;
  request.client = Acquire();
  for (const char* machine : {"m-1", "m-2", "m-3"}) {
    Ready(machine);
    ASSERT_TRUE(Runs(request)) << machine;
    EXPECT_EQ(request.client->lease->alone(), machine == std::string("m-3"));
    Stall();
    Cut(request);
    Gone(machine);
  }
  ASSERT_TRUE(request.client->error.has_value());
  EXPECT_EQ(request.client->error->reason, AcquireError::Reason::kPoison);
}

// One that does not answer at all may be stopped, or cut off: that is its machine's doing.
TEST_F(ControllerSuspectsTest, EnginesThatDoNotAnswerBlameNobody) {
  Suspect request;
  request.client = Acquire();
  for (int i = 1; i <= 6; ++i) {
    const std::string machine = absl::StrCat("m-", i);
    Ready(machine);
    ASSERT_TRUE(Runs(request));
    EXPECT_FALSE(request.client->lease->alone());
    request.client->lease->life()->NoteServed();
    Cut(request);
    probe_.Answer(absl::DeadlineExceededError("no answer"));
    fleet_->Run();
    Gone(machine);
  }
}

TEST_F(ControllerSuspectsTest, DeathsOfMachinesBlameNobody) {
  Suspect request;
  request.client = Acquire();
  for (int i = 1; i <= 6; ++i) {
    const std::string machine = absl::StrCat("m-", i);
    Ready(machine);
    ASSERT_TRUE(Runs(request));
    EXPECT_FALSE(request.client->lease->alone());
    request.client->lease->life()->NoteServed();
    Cut(request);
    Gone(machine, absl::UnavailableError("taken away"));
  }
}

// A cloud's machine ends long after its engine, and whether it had outlived that is told in between.
TEST_F(ControllerSuspectsTest, TheVerdictComesBeforeTheMachineIsGone) {
  Suspect request;
  request.client = Acquire();
  for (const char* machine : {"m-1", "m-2", "m-3"}) {
    Ready(machine);
    ASSERT_TRUE(Runs(request)) << machine;
    EXPECT_EQ(request.client->lease->alone(), machine == std::string("m-3"));
    Cut(request);
    provider_.Asked();
    probe_.Answer(absl::UnavailableError("connection refused"));
    fleet_->Run();
    EXPECT_EQ(provider_.Asked(), absl::StrCat("terminate lost ", machine));
    EXPECT_FALSE(request.client->error.has_value()) << "nobody knows yet";
    provider_.TellEnded(machine, /*crashed=*/true);
    fleet_->Run();
    EXPECT_EQ(request.client->error.has_value(), machine == std::string("m-3"));
    Gone(machine);
  }
  EXPECT_EQ(request.client->error->reason, AcquireError::Reason::kPoison);
}

TEST_F(ControllerSuspectsTest, AnEngineThatWentWithItsMachineBlamesNobody) {
  Suspect request;
  request.client = Acquire();
  for (int i = 1; i <= 6; ++i) {
    const std::string machine = absl::StrCat("m-", i);
    Ready(machine);
    ASSERT_TRUE(Runs(request)) << machine;
    EXPECT_FALSE(request.client->lease->alone());
    request.client->lease->life()->NoteServed();
    Cut(request);
    probe_.Answer(absl::UnavailableError("connection refused"));
    fleet_->Run();
    provider_.TellEnded(machine, /*crashed=*/false);
    Gone(machine);
  }
}

// What an admin ended, or whose end was foretold, needs no reason.
TEST_F(ControllerSuspectsTest, OnlyAnEndThatNobodyExplainsIsAskedAbout) {
  auto client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(Kill("m-1").ok());
  EXPECT_EQ(provider_.Asked(), "launch m-1, terminate m-1");
  Gone("m-1");
  auto next = Acquire();
  Ready("m-2");
  ASSERT_TRUE(Interrupt("m-2", absl::Seconds(9)).ok());
  EXPECT_EQ(provider_.Asked(), "launch m-2, launch m-3");
  fleet_->ReportBroken("m-2", "reset");
  fleet_->Run();
  probe_.Answer(absl::UnavailableError("connection refused"));
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "terminate m-2");
}

TEST_F(ControllerSuspectsTest, ADeathThatWasOrderedOrForetoldBlamesNobody) {
  Suspect request;
  request.client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(Kill("m-1").ok());
  Cut(request);
  Crash("m-1");
  Ready("m-2");
  ASSERT_TRUE(Interrupt("m-2", absl::Seconds(9)).ok());
  Cut(request);
  Crash("m-2");
  Ready("m-3");
  ASSERT_TRUE(Runs(request));
  EXPECT_FALSE(request.client->lease->alone());
}

// With one crash behind it, it waits to know how the second engine ended; with none it goes on at once.
TEST_F(ControllerSuspectsTest, WhoMayBeASuspectWaitsForTheVerdict) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  Begin();
  Ready("m-1");
  Ready("m-2");
  Suspect request;
  request.client = Acquire();
  EXPECT_EQ(request.client->lease->endpoint().machine_id, "m-1");
  Cut(request);
  ASSERT_TRUE(Runs(request)) << "another machine serves";
  EXPECT_EQ(request.client->lease->endpoint().machine_id, "m-2");
  Crash("m-1");
  Ready("m-3");
  Cut(request);
  EXPECT_FALSE(Runs(request));
  probe_.Answer(EngineIdentity{"abc", "n"});  // m-2 is well: the cut was the network's
  fleet_->Run();
  ASSERT_TRUE(Runs(request));
  EXPECT_FALSE(request.client->lease->alone());
}

// A suspect takes the machine that is soonest free; the others that serve go on being used.
TEST_F(ControllerSuspectsTest, ASuspectReservesOneMachine) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  Begin();
  Ready("m-1");
  Ready("m-2");
  auto first = Acquire();   // on m-1
  auto second = Acquire();  // on m-2
  auto third = Acquire();   // on m-1
  auto suspect = Acquire(Claim{.cuts = {CutOf(End::kCrashed), CutOf(End::kCrashed)}});
  EXPECT_EQ(suspect->answers, 0);
  auto fourth = Acquire();
  EXPECT_EQ(fourth->lease->endpoint().machine_id, "m-1") << "m-2 is to be free";
  second->lease.reset();
  fleet_->Run();
  ASSERT_TRUE(suspect->lease.has_value());
  EXPECT_EQ(suspect->lease->endpoint().machine_id, "m-2");
  EXPECT_EQ(Acquire()->lease->endpoint().machine_id, "m-1");
  suspect->lease.reset();
  fleet_->Run();
  EXPECT_EQ(Acquire()->lease->endpoint().machine_id, "m-2");
}

TEST_F(ControllerSuspectsTest, ASuspectThatLeavesFreesTheMachine) {
  auto busy = Acquire();
  Ready("m-1");
  auto suspect = Acquire(Claim{.cuts = {CutOf(End::kCrashed), CutOf(End::kCrashed)}});
  auto next = Acquire();
  EXPECT_EQ(next->answers, 0);
  fleet_->Cancel(suspect->id);
  fleet_->Run();
  EXPECT_TRUE(next->lease.has_value());
}

}  // namespace
}  // namespace spotinference::fleet
