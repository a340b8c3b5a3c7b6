#include "fleet/plan/plan.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr absl::Duration kNow = absl::Seconds(10000);

std::string Text(const Plan& plan) {
  std::string text;
  for (const Action& action : plan.actions) {
    constexpr const char* kKinds[] = {"launch", "restore", "drain", "stop", "terminate", "refuse"};
    constexpr const char* kRefusals[] = {"wake_timeout", "no_capacity", "back_off"};
    absl::StrAppend(&text, text.empty() ? "" : ", ", kKinds[static_cast<int>(action.kind)]);
    if (action.kind == Action::Kind::kRefuse)
      absl::StrAppend(&text, " ", kRefusals[static_cast<int>(action.refusal)]);
    if (!action.machine_id.empty()) absl::StrAppend(&text, " ", action.machine_id);
  }
  return text;
}

// One machine, `ago_s` seconds in its state; its last lease ended as long ago.
Observation Machine(State state, int ago_s, int leases = 0, std::string id = "a") {
  const absl::Duration since = kNow - absl::Seconds(ago_s);
  return {
      .id = std::move(id), .state = state, .since = since, .leases = leases, .idle_since = since};
}

Wake Began(int ago_s) { return {.began = kNow - absl::Seconds(ago_s)}; }

struct Row {
  const char* name;
  int waiting;
  int idle_ago_s;  // since the last demand
  std::vector<Observation> machines;
  Wake wake;
  const char* actions;
  int next_s;  // from now; -1: only an event
};

// Defaults: min 0, max 1, cap 600 s, idle 60 s, linger 120 s, drain limit 30 s.
TEST(PlanModel, Table) {
  const Row rows[] = {
      {"nothing wanted, nothing done", 0, 500, {}, {}, "", -1},
      {"the first request wakes", 1, 0, {}, {}, "launch", 600},
      {"a hibernated machine is restored",
       1,
       0,
       {Machine(State::kHibernated, 9)},
       {},
       "restore a",
       600},
      {"a hibernated machine stays", 0, 500, {Machine(State::kHibernated, 9)}, {}, "", -1},
      {"a second request changes nothing", 2, 0, {Machine(State::kBooting, 3)}, Began(5), "", 595},
      {"one that is still being stopped is waited for",
       1,
       0,
       {Machine(State::kHibernating, 3)},
       {},
       "",
       600},
      {"a lost one may still bill", 1, 0, {Machine(State::kLost, 3)}, {}, "terminate a", 600},
      {"and is waited for", 1, 0, {Machine(State::kTerminating, 3)}, Began(5), "", 595},
      {"capped, with waiters",
       1,
       0,
       {Machine(State::kBooting, 3)},
       Began(600),
       "stop a, refuse wake_timeout",
       -1},
      {"capped, without", 0, 1, {Machine(State::kLaunching, 3)}, Began(601), "stop a", -1},
      {"capped between two attempts", 1, 0, {}, Began(600), "refuse wake_timeout", -1},
      {"left alone, lingers", 0, 119, {Machine(State::kBooting, 200)}, Began(200), "", 1},
      {"lingered", 0, 120, {Machine(State::kBooting, 200)}, Began(200), "stop a", 400},
      {"adopted while nobody waited", 0, 5000, {Machine(State::kBooting, 20)}, Began(20), "", 100},
      {"failed and nobody waits", 0, 3, {}, Began(20), "", -1},
      {"failed and somebody waits", 1, 0, {}, Began(20), "launch", 580},
      {"busy", 0, 0, {Machine(State::kServing, 5000, 1)}, {}, "", -1},
      {"idle for a while", 0, 59, {Machine(State::kServing, 59)}, {}, "", 1},
      {"idle for too long", 0, 60, {Machine(State::kServing, 60)}, {}, "drain a", -1},
      {"drained", 0, 60, {Machine(State::kDraining, 0)}, {}, "stop a", -1},
      {"drains", 0, 60, {Machine(State::kDraining, 29, 1)}, {}, "", 1},
      {"drains too long", 0, 60, {Machine(State::kDraining, 30, 1)}, {}, "stop a", -1},
      {"a request while it drains", 1, 0, {Machine(State::kDraining, 0)}, {}, "stop a", 600},
      {"backs off",
       1,
       0,
       {},
       {.strikes = 4, .blocked_until = kNow + absl::Seconds(7), .cause = "broken"},
       "refuse back_off",
       7},
      {"backs off, nobody asks",
       0,
       9,
       {},
       {.strikes = 4, .blocked_until = kNow + absl::Seconds(7)},
       "",
       -1},
      {"has no capacity",
       1,
       0,
       {},
       {.blocked_until = kNow + absl::Seconds(7), .blocked_by = Refusal::kNoCapacity},
       "refuse no_capacity",
       7},
      {"backed off long enough", 1, 0, {}, {.strikes = 4, .blocked_until = kNow}, "launch", 600},
  };
  for (const Row& row : rows) {
    const Demand demand = {.waiting = row.waiting,
                           .idle_since = kNow - absl::Seconds(row.idle_ago_s)};
    const Plan plan = PlanModel(Desired(), demand, row.machines, row.wake, kNow);
    EXPECT_EQ(Text(plan), row.actions) << row.name;
    EXPECT_EQ(plan.next == absl::InfiniteDuration() ? -1 : absl::ToInt64Seconds(plan.next - kNow),
              row.next_s)
        << row.name;
  }
}

TEST(PlanModel, AWakeIsOverWhenTheModelServes) {
  const Plan plan = PlanModel(Desired(), {}, {Machine(State::kServing, 0, 1)}, Began(9), kNow);
  EXPECT_FALSE(plan.wake.began.has_value());
}

TEST(PlanModel, ZeroMachinesWantedEndsAllThatRuns) {
  const Desired none = {.max_machines = 0};
  EXPECT_EQ(Text(PlanModel(none, {}, {Machine(State::kServing, 1, 3)}, {}, kNow)), "drain a");
  EXPECT_EQ(Text(PlanModel(none, {.waiting = 1}, {Machine(State::kBooting, 1)}, Began(1), kNow)),
            "stop a");
  EXPECT_EQ(Text(PlanModel(none, {.waiting = 1}, {Machine(State::kHibernated, 1)}, {}, kNow)), "");
}

TEST(PlanModel, WhoResumesIsNotRefused) {
  const Wake blocked = {.strikes = 4, .blocked_until = kNow + absl::Seconds(7)};
  for (const int waiting : {2, 3}) {
    const Demand demand = {.waiting = waiting, .resuming = 2};
    const Plan plan = PlanModel({}, demand, {}, blocked, kNow);
    EXPECT_EQ(Text(plan), waiting == 2 ? "" : "refuse back_off");
    EXPECT_EQ(plan.next, kNow + absl::Seconds(7));
  }
}

TEST(PlanModel, AMinimumIsKeptWithoutDemandAndRetriedAfterABackOff) {
  const Desired desired = {.min_machines = 1, .max_machines = 3};
  EXPECT_EQ(Text(PlanModel(desired, {}, {}, {}, kNow)), "launch");
  EXPECT_EQ(Text(PlanModel(desired, {}, {Machine(State::kServing, 5000)}, {}, kNow)), "");
  EXPECT_EQ(Text(PlanModel(desired, {}, {Machine(State::kBooting, 500)}, Began(500), kNow)), "");
  const Plan blocked = PlanModel(desired, {}, {}, {.blocked_until = kNow + absl::Seconds(5)}, kNow);
  EXPECT_EQ(Text(blocked), "");
  EXPECT_EQ(blocked.next, kNow + absl::Seconds(5));
}

TEST(PlanModel, OfTwoMachinesTheIdleOneGoesAndABusyOneStays) {
  const Desired desired = {.max_machines = 2};
  const std::vector<Observation> machines = {Machine(State::kServing, 100, 1, "busy"),
                                             Machine(State::kServing, 100, 0, "idle")};
  EXPECT_EQ(Text(PlanModel(desired, {}, machines, {}, kNow)), "drain idle");
}

TEST(PlanModel, MoreMachinesBesideOneThatServesAreNoWake) {
  // It may take as long as it wants to find them; a start that never ends is stopped by itself.
  const Desired desired = {.min_machines = 3, .max_machines = 3};
  const Plan grows = PlanModel(desired, {}, {Machine(State::kServing, 5000, 1), Machine(State::kBooting, 20, 0, "b")},
                               Began(5000), kNow);
  EXPECT_EQ(Text(grows), "launch");
  EXPECT_FALSE(grows.wake.began.has_value());
  EXPECT_EQ(grows.next, kNow + absl::Seconds(580));
  const Plan hangs = PlanModel(desired, {}, {Machine(State::kServing, 5000, 1), Machine(State::kBooting, 600, 0, "b")},
                               {}, kNow);
  EXPECT_EQ(Text(hangs), "stop b");
  EXPECT_EQ(hangs.wake.strikes, 0);
}

// Also where there is nothing to be stopped and nobody to be refused, so that no action brings the next look.
TEST(PlanModel, AMachineThatIsAlwaysWantedIsWokenAnewAtOnceWhenAWakeIsCapped) {
  const Desired desired = {.min_machines = 1};
  const std::vector<Observation> ending = {Machine(State::kTerminating, 3)};
  const Plan capped = PlanModel(desired, {}, ending, Began(600), kNow);
  EXPECT_EQ(Text(capped), "");
  EXPECT_EQ(capped.next, kNow);
  const Plan again = PlanModel(desired, {}, ending, capped.wake, kNow);
  EXPECT_EQ(again.wake.began, kNow);
  EXPECT_EQ(again.next, kNow + absl::Seconds(600));
}

TEST(PlanModel, AStartThatIsOlderThanTheWakeHasACapOfItsOwn) {
  Observation boots = Machine(State::kBooting, 60, 0, "b");
  boots.asked_for = kNow - absl::Minutes(10);
  Wake wake;
  wake.began = kNow - absl::Minutes(3);  // the machine beside it is gone since then
  EXPECT_EQ(Text(PlanModel({}, {.waiting = 1}, {boots}, wake, kNow)), "stop b");
  EXPECT_EQ(Text(PlanModel({}, {.waiting = 1}, {}, wake, kNow)), "launch");
}

TEST(PlanModel, AStartThatHangsBesideOneThatServesIsNotMadeAgainAtOnce) {
  const Desired desired = {.min_machines = 2, .max_machines = 2};
  const Observation serving = Machine(State::kServing, 5000, 1);
  Observation boots = Machine(State::kBooting, 60, 0, "b");
  boots.asked_for = kNow - absl::Minutes(10);
  Wake wake;
  for (const int pause : {10, 20, 40, 60, 60}) {  // minutes
    const Plan hangs = PlanModel(desired, {}, {serving, boots}, wake, kNow);
    EXPECT_EQ(Text(hangs), "stop b") << "its life counts, not its state";
    EXPECT_EQ(hangs.wake.none_beside_until, kNow + absl::Minutes(pause));
    wake = hangs.wake;
    const Plan waits = PlanModel(desired, {}, {serving}, wake, kNow);
    EXPECT_EQ(Text(waits), "");
    EXPECT_EQ(waits.next, wake.none_beside_until);
    EXPECT_EQ(Text(PlanModel(desired, {}, {serving}, wake, wake.none_beside_until)), "launch");
  }
  EXPECT_EQ(Text(PlanModel(desired, {}, {}, wake, kNow)), "launch, launch") << "nothing serves";
  const Plan flicker = PlanModel({.max_machines = 2}, {}, {serving}, wake, kNow);
  EXPECT_EQ(Text(PlanModel(desired, {}, {serving}, flicker.wake, kNow)), "") << "that less was wanted takes nothing back";
  RecordStarted(wake);
  EXPECT_EQ(Text(PlanModel(desired, {}, {serving}, wake, kNow)), "launch");
}

TEST(PlanModel, StartsThatHangTogetherCountOnce) {
  const Desired desired = {.min_machines = 3, .max_machines = 3};
  const std::vector<Observation> machines = {Machine(State::kServing, 5000, 1), Machine(State::kBooting, 600, 0, "b"),
                                             Machine(State::kBooting, 600, 0, "c")};
  const Plan hangs = PlanModel(desired, {}, machines, {}, kNow);
  EXPECT_EQ(Text(hangs), "stop b, stop c");
  EXPECT_EQ(hangs.wake.none_beside_until, kNow + absl::Minutes(10));
}

TEST(RecordFailureBeside, PausesAsLongAsItTookAndTwiceAsLongAfterEachFurtherOne) {
  Wake wake;
  for (const int seconds : {1, 2, 4, 8}) {
    RecordFailureBeside(absl::Milliseconds(80), kNow, wake);
    EXPECT_EQ(wake.none_beside_until, kNow + absl::Seconds(seconds));
  }
  for (int i = 0; i < 100; ++i) RecordFailureBeside(absl::Milliseconds(80), kNow, wake);
  EXPECT_EQ(wake.none_beside_until, kNow + absl::Minutes(10));
  EXPECT_EQ(wake.strikes, 0);
}

TEST(RecordFailure, TheSecondFailedStartBacksOffAndEachFurtherOneDoubles) {
  Wake wake;
  RecordFailure(Failure::kStart, "x", absl::Seconds(1), kNow, wake);
  EXPECT_LT(wake.blocked_until, kNow);
  for (const int seconds : {5, 10, 20, 40, 80, 160, 320, 600, 600}) {
    RecordFailure(Failure::kStart, "x", absl::Seconds(1), kNow, wake);
    EXPECT_EQ(wake.blocked_until, kNow + absl::Seconds(seconds));
  }
  for (int i = 0; i < 100; ++i) RecordFailure(Failure::kStart, "x", absl::Seconds(1), kNow, wake);
  EXPECT_EQ(wake.blocked_until, kNow + absl::Minutes(10));
  RecordServed(absl::Seconds(11), wake);
  RecordFailure(Failure::kStart, "x", absl::Seconds(1), kNow + absl::Hours(1), wake);
  EXPECT_LT(wake.blocked_until, kNow + absl::Hours(1));
}

TEST(RecordFailure, APermanentOneBacksOffAtOnceAndNamesItsCause) {
  Wake wake;
  RecordFailure(Failure::kPermanent, "wrong hash", absl::Seconds(1), kNow, wake);
  EXPECT_EQ(wake.blocked_until, kNow + absl::Seconds(5));
  const Plan plan = PlanModel(Desired(), {.waiting = 1}, {}, wake, kNow);
  ASSERT_EQ(Text(plan), "refuse back_off");
  EXPECT_EQ(plan.actions[0].why, "wrong hash");
}

// As long as a wake was paid for, and twice as long after each further one, up to six times.
TEST(RecordFailure, TwoCappedWakesInARowBackOff) {
  Wake wake;
  for (const int minutes : {0, 10, 20, 40, 60, 60}) {
    wake.blocked_until = kNow;
    wake.began = kNow - absl::Minutes(10);
    const Plan plan =
        PlanModel(Desired(), {.waiting = 1}, {Machine(State::kBooting, 600)}, wake, kNow);
    EXPECT_EQ(plan.actions[1].why, "the wake passed its cap of 10m");
    wake = plan.wake;
    EXPECT_EQ(wake.blocked_until, kNow + absl::Minutes(minutes));
  }
}

TEST(RecordFailure, AStartThatTookLongBacksOffAsLong) {
  Wake wake;
  RecordFailure(Failure::kStart, "x", absl::Seconds(90), kNow, wake);
  EXPECT_LT(wake.blocked_until, kNow);
  for (const int seconds : {90, 180, 360, 600, 600}) {
    RecordFailure(Failure::kStart, "x", absl::Seconds(90), kNow, wake);
    EXPECT_EQ(wake.blocked_until, kNow + absl::Seconds(seconds));
  }
}

TEST(RecordCrash, FourQuickOnesInARowBackOffAndALateOneIsForgiven) {
  Wake wake;
  for (int i = 0; i < 3; ++i) RecordCrash(absl::Seconds(9), "boom", kNow, wake);
  EXPECT_LT(wake.blocked_until, kNow);
  RecordCrash(absl::Seconds(10), "boom", kNow, wake);
  for (int i = 0; i < 3; ++i) RecordCrash(absl::Seconds(1), "boom", kNow, wake);
  EXPECT_LT(wake.blocked_until, kNow);
  RecordCrash(absl::Seconds(1), "boom", kNow, wake);
  EXPECT_GT(wake.blocked_until, kNow);
}

TEST(MachineState, NamesAreReadBack) {
  for (int i = 0; i <= static_cast<int>(State::kLost); ++i) {
    const State state = static_cast<State>(i);
    EXPECT_EQ(ParseMachineState(MachineStateName(state)), state);
  }
  EXPECT_FALSE(ParseMachineState("absent").has_value());
}

}  // namespace
}  // namespace spotinference::fleet
