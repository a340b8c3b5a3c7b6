// Small markets whose bills and waits are worked out by hand.
#include "fleet/sim/world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fleet/sim/omniscient.h"
#include "fleet/sim/ours.h"
#include "fleet/sim/spothedge.h"

namespace spotinference::fleet::sim {
namespace {

// One zone for each capacity row, steps of an hour; spot at 0.25 $/h, on demand at 1.
RecordedMarket MarketOf(std::vector<std::vector<int>> capacities, std::string provider = "test") {
  RecordedMarket market = {.name = "m", .accelerator = "A", .accelerators = 1};
  for (std::vector<int>& capacity : capacities) {
    market.horizon = std::max<Nanos>(market.horizon, kHour * static_cast<Nanos>(capacity.size()));
    market.zones.push_back({.provider = provider,
                            .region = "r",
                            .name = "z" + std::to_string(market.zones.size()),
                            .on_demand = 1,
                            .spot = {0.25},
                            .step = kHour,
                            .capacity = std::move(capacity)});
  }
  return market;
}

// Launch 60 s, of which 5 until the answer; boot 12 s and 18 s to read the weights; 10 s to fill a volume; volumes cost
// nothing.
Profile TestProfile() {
  Profile profile;
  profile.set_weights_gb(1);
  profile.set_disk_gb_per_s(1.0 / 18);
  profile.set_volume_gb(0);
  return profile;
}

// One request a minute: 100 prompt tokens (0.05 s) and 50 generated ones (2 s).
const std::vector<Request>& EachMinute() {
  static const auto& requests = *new std::vector<Request>{{0, 100, 50}, {60 * kSecond, 100, 50}};
  return requests;
}

Result RunOn(const RecordedMarket& market, Policy& policy, const Profile& profile = TestProfile()) {
  return Simulate(market, Arrivals(EachMinute(), 1, 1), policy, {.profile = profile});
}

TEST(Simulate, OnDemandIsOneMachineAllTheTime) {
  const auto policy = OnDemandPolicy();
  const RecordedMarket market = MarketOf({{0, 0, 0, 0}});
  const Result result = RunOn(market, *policy);
  // Billed from its answer at 5 s to the end, by the second.
  EXPECT_NEAR(result.cost(), (4 * 3600 - 5) / 3600.0, 1e-9);
  EXPECT_NEAR(result.hours.waking, (95 - 0 + 5 - 5) / 3600.0, 1e-9) << "55 s to its system, 30 s boot, 10 s filling";
  EXPECT_NEAR(result.hours.sum(), (4 * 3600 - 5) / 3600.0, 1e-9);
  EXPECT_EQ(result.wakes, 1);
  // Counted from minute 15 to minute 230, the last one before 240 min − 585 s.
  EXPECT_EQ(result.requests, 216);
  EXPECT_EQ(result.within_target, result.requests);
  EXPECT_EQ(result.WaitedPercentile(0.99), 0.05);
  EXPECT_NEAR(result.hours.busy, (240 - 1 - 1) * 2.05 / 3600, 3 * 2.05 / 3600);
}

TEST(Simulate, ATakenMachineIsFreeWithinAwssFirstHour) {
  // Gone at two hours: after 7195 s. On AWS a second machine starts there at three hours and lives on.
  for (const bool early : {false, true}) {
    const auto policy = SpotOneZonePolicy();
    RecordedMarket market = MarketOf({early ? std::vector<int>{1, 0, 0} : std::vector<int>{1, 1, 0}}, "aws");
    const Result result = RunOn(market, *policy);
    EXPECT_EQ(result.interruptions, 1);
    EXPECT_NEAR(result.machine_dollars, early ? 0 : 0.25 * 7195 / 3600, 1e-9);
    EXPECT_LT(result.served_within_target(), early ? 0.3 : 0.75);
  }
}

// Three zones by turns, whatever they cost: zone 0 until it is taken at one hour, then zone 1, though zone 2 is open and
// cheaper, until it is taken at two. Then zones 2, 0 and 1 are asked in vain, 5 s each, and again after a minute, which is
// with the tick of 80 s: 45 rounds until three hours, when zones 2 and 0 still have none, and zone 1 has.
TEST(Simulate, RoundRobinAsksZonesByTurnsAndRestsAfterARoundInVain) {
  RecordedMarket market = MarketOf({{1, 0, 0, 0}, {0, 1, 0, 1}, {0, 1, 0, 0}});
  market.zones[1].spot = {0.5};
  market.zones[2].spot = {0.1};
  const auto policy = SpotRoundRobinPolicy();
  const Result result = RunOn(market, *policy);
  EXPECT_EQ(result.interruptions, 2);
  EXPECT_EQ(result.stock_outs, 45 * 3 + 2);
  EXPECT_EQ(result.launches, 3 + result.stock_outs);
  EXPECT_NEAR(result.cost(), (0.25 * 3595 + 0.5 * 3595 + 0.5 * 3585) / 3600, 1e-9);
  EXPECT_EQ(result.spot_hours.sum(), result.hours.sum());
  // It serves until 3600 s, from 3700 to 7200, and from 10900 on, its volume in zone 1 being full.
  EXPECT_EQ(result.within_target, (60 - 15) + (120 - 62) + (231 - 182));
}

// One machine in zone 0; when that is lost, one in zone 1.
class Follower : public Policy {
 public:
  absl::string_view name() const override { return "follower"; }
  void OnStarted(int, Nanos) override {}
  void OnStockOut(int, Nanos) override {}
  void OnEnded(int, Nanos) override {}
  void OnLost(int, Nanos, Nanos) override { zone_ = 1; }
  void OnServed(Nanos took, Nanos now) override { served.emplace_back(took, now); }
  Orders Decide(const View& view) override {
    const bool is_there = std::any_of(view.machines.begin(), view.machines.end(), [&](const MachineView& machine) {
      return machine.offer == zone_ && machine.phase != Phase::kLeaving;
    });
    return {.launches = is_there ? std::vector<Orders::Launch>{} : std::vector<Orders::Launch>{{zone_, "follows"}}};
  }

  std::vector<std::pair<Nanos, Nanos>> served;

 private:
  int zone_ = 0;
};

// Zone 0 closes at 3600 s under an answer that began at 3590: of its 500 tokens 248 are told by then (0.05 s for the
// prompt, 25 a second). The rest comes from a machine in zone 1: 90 s and 10 to fill its volume after the loss, the prompt
// and what was said in (100 + 248) / 2000 s, 252 tokens in 10.08 s.
TEST(Simulate, ALostMachinesAnswersGoOnElsewhere) {
  for (const double notice : {0.0, 200.0}) {
    Profile profile = TestProfile();
    profile.set_notice_seconds(notice);
    const std::vector<Request> requests = {{3400 * kSecond, 0, 0}, {3590 * kSecond, 100, 500}};
    Follower policy;
    const Result result = Simulate(MarketOf({{1, 0}, {1, 1}}), Arrivals(requests, 1, 1), policy, {.profile = profile});
    EXPECT_EQ(result.interruptions, 1);
    EXPECT_EQ(result.within_target, result.requests);
    ASSERT_GE(policy.served.size(), 2);
    const auto [took, at] = policy.served[1];
    // With a notice at 3400 s the machine of zone 1 serves from 3500 s on, and the answer never moves.
    EXPECT_EQ(result.moved, notice > 0 ? 0 : 1);
    EXPECT_NEAR(static_cast<double>(took) / kSecond, notice > 0 ? 20.05 : 0.174 + 10.08, 0.01);
    EXPECT_NEAR(static_cast<double>(at) / kSecond, notice > 0 ? 3610.05 : 3600 + 100 + 0.174 + 10.08, 0.01);
  }
}

// Prices of two zones change places every five minutes: whoever ran after them would buy 288 machines a day, each of which
// costs a start.
TEST(Ours, RunsAfterNoPrice) {
  for (const double cheap : {0.26, 0.2, 0.1}) {
    RecordedMarket market = MarketOf({std::vector<int>(288, 4), std::vector<int>(288, 4)});
    market.horizon = 24 * kHour;
    for (int zone = 0; zone < 2; ++zone) {
      market.zones[zone].step = 300 * kSecond;
      market.zones[zone].spot.clear();
      for (int step = 0; step < 288; ++step) market.zones[zone].spot.push_back(step % 2 == zone ? cheap : 0.3);
    }
    const auto ours = OurPolicy(TestProfile());
    const Result result = Simulate(market, Arrivals(EachMinute(), 90, 1), *ours, {.profile = TestProfile()});
    EXPECT_GT(result.served_within_target(), 0.999);
    EXPECT_LE(result.launches, 12) << cheap;
  }
}

TEST(Simulate, IsTheSameForASeed) {
  const RecordedMarket market = MarketOf({{4, 0, 2, 4, 1, 0, 3, 4}, {0, 4, 4, 0, 4, 4, 0, 2}});
  std::string seen;
  for (int i = 0; i < 2; ++i) {
    const auto ours = OurPolicy(TestProfile());
    const auto hedge = SpotHedgePolicy(2, 1);
    std::string json;
    int64_t interruptions = 0;
    for (Policy* policy : {ours.get(), hedge.get()}) {
      const Result result =
          Simulate(market, Arrivals(EachMinute(), 90, 5), *policy, {.profile = TestProfile(), .seed = 5});
      json += ToJson(result, {1}, {}, {});
      interruptions += result.interruptions;
    }
    if (i > 0) {
      EXPECT_EQ(json, seen);
    }
    seen = json;
    EXPECT_GT(interruptions, 0);
  }
}

TEST(Ours, SleepsWhileNobodyAsksAndWakesForARequest) {
  // Five minutes of requests, then a day of nothing.
  std::vector<Request> requests;
  for (int i = 0; i < 10; ++i) requests.push_back({i * 30 * kSecond, 100, 50});
  requests.push_back({20 * kHour, 100, 50});
  const auto policy = OurPolicy(TestProfile());
  const RecordedMarket market = MarketOf({std::vector<int>(24, 4)});
  const Result result = Simulate(market, Arrivals(requests, 1, 1), *policy, {.profile = TestProfile()});
  EXPECT_LT(result.hours.sum(), 2.5) << "what load, an hour's peak and the idle time-out ask for";
  EXPECT_GT(result.wakes, 1);
}

// 400 at once each quarter of an hour, and one a minute. An answer takes 2.05 s: four machines of eight streams begin
// 400 within 30 s, and in the mean an eighth of one is busy. The second burst says that they come again.
TEST(Ours, ServesBurstsThatComeAgain) {
  std::vector<Request> requests(400, Request{0, 100, 50});
  for (int minute = 1; minute < 15; ++minute) requests.push_back({minute * 60 * kSecond, 100, 50});
  const RecordedMarket market = MarketOf({std::vector<int>(24, 20), std::vector<int>(24, 20)});
  const auto ours = OurPolicy(TestProfile(), OurDefaults(TestProfile())), on_demand = OnDemandPolicy();
  for (Policy* const policy : {ours.get(), on_demand.get()}) {
    const Result result = Simulate(market, Arrivals(requests, 1, 1), *policy, {.profile = TestProfile()});
    EXPECT_GT(result.requests, 90 * 400) << policy->name();
    EXPECT_LE(result.requests - result.within_target, 400) << policy->name() << ": of the second burst at the most";
  }
}

TEST(Ours, ReturnsToSpotAndServesTheTarget) {
  // Both zones close for an hour in turn, and once together.
  const RecordedMarket market = MarketOf({{4, 4, 0, 4, 4, 0, 4, 4, 4, 4, 4, 4}, {4, 4, 4, 0, 4, 0, 4, 4, 4, 4, 4, 4}});
  Profile profile = TestProfile();
  profile.set_target_share(0.98);  // 14 of some 700 requests
  const auto ours = OurPolicy(profile);
  const auto on_demand = OnDemandPolicy();
  const Result result = RunOn(market, *ours, profile), always = RunOn(market, *on_demand, profile);
  EXPECT_GT(result.served_within_target(), 0.98);
  EXPECT_LT(result.cost(), always.cost());
  EXPECT_GT(result.spot_hours.sum(), 8) << "most of the eleven hours with spot";
  EXPECT_GT(result.hours.sum() - result.spot_hours.sum(), 0.9) << "the hour without spot";
  EXPECT_FALSE(result.decisions.empty());
  for (const Decision& decision : result.decisions) EXPECT_FALSE(decision.why.empty());
}

// As the controller does: an error at once, and not after the longest wait.
TEST(Ours, RefusesWhereNothingIsToBeHad) {
  const RecordedMarket market = MarketOf({{0, 0}});
  OurOptions spot = OurDefaults(TestProfile());
  spot.wish.markets = {Market::kSpot};
  OurOptions poor = OurDefaults(TestProfile());
  poor.max_dollars_per_day = 0.2;
  const auto none = OurPolicy(TestProfile(), spot), some = OurPolicy(TestProfile(), poor);
  const Result without_zone = RunOn(market, *none), without_money = RunOn(market, *some);
  EXPECT_GT(without_zone.requests, 90);
  EXPECT_EQ(without_zone.refused, without_zone.requests);
  EXPECT_EQ(without_zone.timed_out, 0);
  EXPECT_GT(without_money.refused, 50) << "0.2 dollars are 12 minutes";
  EXPECT_EQ(without_money.timed_out, 0);
}

// Requests get no answer while their zone is closed: the policy hears of each that is refused or gives up.
TEST(Simulate, TellsThePolicyOfRequestsThatGotNothing) {
  class Counting : public Policy {
   public:
    absl::string_view name() const override { return "counting"; }
    void OnStarted(int, Nanos) override {}
    void OnStockOut(int, Nanos) override {}
    void OnEnded(int, Nanos) override {}
    void OnLost(int, Nanos, Nanos) override {}
    void OnArrived(Nanos) override { ++arrived; }
    void OnServed(Nanos, Nanos) override { ++served; }
    void OnAnswered(const Answer& answer, Nanos) override {
      asleep += !answer.awake;
      (answer.refused ? refused : answer.waited > 30 * kSecond ? late : in_time) += 1;
    }
    Orders Decide(const View& view) override {
      Orders orders;
      if (view.machines.empty() && view.now % kHour < 60 * kSecond) orders.launches.push_back({0, "the hour begins"});
      return orders;
    }
    int arrived = 0, served = 0, in_time = 0, late = 0, refused = 0, asleep = 0;
  };
  Counting policy;
  Profile profile = TestProfile();
  profile.set_park_requests(5);
  // One machine from 0:00:05 to 1:00, none until 2:00, one from then on.
  const Result result = RunOn(MarketOf({{1, 0, 1}}), policy, profile);
  EXPECT_EQ(policy.arrived, 180);
  EXPECT_EQ(policy.in_time + policy.late + policy.refused, policy.arrived);
  EXPECT_EQ(policy.asleep, 2 + 51) << "minutes 0 and 1, before the first machine served, and from 71 to 121: the lost "
                                      "machine ought to have been replaced by then";
  // Five wait from minute 60 on and give up in vain; of those that wait at 2:00 the machine takes five.
  EXPECT_GE(policy.refused, 50);
  EXPECT_EQ(policy.refused, result.refused + result.timed_out);
}

// Twenty at once on one machine of eight streams: where nobody may be parked, they wait within its engine.
TEST(Simulate, WithoutAQueueOfParkedRequestsTheEnginesIsThere) {
  const std::vector<Request> requests(20, Request{1800 * kSecond, 100, 50});
  for (const int park : {0, 256}) {
    Profile profile = TestProfile();
    profile.set_park_requests(park);
    const auto policy = OnDemandPolicy();
    const Result result =
        Simulate(MarketOf({{0, 0}}), Arrivals(requests, 1, 1, 2 * kHour), *policy, {.profile = profile});
    EXPECT_EQ(result.requests, 20);
    EXPECT_EQ(result.within_target, 20) << park;
    EXPECT_NEAR(result.WaitedPercentile(1), 2 * 2.05 + 0.05, 1e-9) << "two others before the last four";
  }
}

TEST(Simulate, AnUnofferedMarketIsNotFree) {
  // No zone but the first one is sold on demand.
  RecordedMarket market = MarketOf({{0, 0}, {0, 0}});
  market.zones[1].on_demand = std::numeric_limits<double>::infinity();
  const auto on_demand = OnDemandPolicy();
  const auto hedge = SpotHedgePolicy(2, 1);
  const auto ours = OurPolicy(TestProfile());
  for (Policy* policy : {on_demand.get(), hedge.get(), ours.get()}) {
    const Result result = RunOn(market, *policy);
    EXPECT_GT(result.cost(), 1.9) << result.policy;
    EXPECT_TRUE(std::isfinite(result.cost())) << result.policy;
  }
}

// One request a minute, of 2.05 s on one of eight streams; counted are those of minutes 15 to 110.
constexpr double kHoursEach = 2.05 / 8 / 3600;

TEST(Omniscient, IsWorkedOutByHand) {
  // What comes in minute 59 may be done later, but spot is cheaper before.
  EXPECT_NEAR(Omniscient(MarketOf({{4, 0}}), Arrivals(EachMinute(), 1, 1), TestProfile()).cost(),
              kHoursEach * (45 * 0.25 + 51 * 1), 1e-9);
  // What comes in the last 585 + 2.05 s before the zone opens waits for it, to the five minutes.
  const double late = Omniscient(MarketOf({{0, 4}}), Arrivals(EachMinute(), 1, 1), TestProfile()).cost();
  EXPECT_GE(late, kHoursEach * (45 * 1 + 51 * 0.25 - 15 * 0.75) - 1e-9);
  EXPECT_LE(late, kHoursEach * (45 * 1 + 51 * 0.25 - 9 * 0.75) + 1e-9);
}

TEST(Omniscient, HasAwssFirstHourForNothingWhereTheMachineIsTaken) {
  EXPECT_NEAR(Omniscient(MarketOf({{4, 0}}, "aws"), Arrivals(EachMinute(), 1, 1), TestProfile()).cost(),
              kHoursEach * 51, 1e-9);
}

TEST(Omniscient, IsBelowEveryone) {
  for (const char* provider : {"test", "aws"}) {
    const RecordedMarket market = MarketOf({{4, 0, 4, 4}, {0, 4, 4, 0}}, provider);
    const double bound = Omniscient(market, Arrivals(EachMinute(), 100, 1), TestProfile()).cost();
    const auto ours = OurPolicy(TestProfile());
    const auto hedge = SpotHedgePolicy(2, 1);
    for (Policy* policy : {ours.get(), hedge.get()}) {
      const Result result =
          Simulate(market, Arrivals(EachMinute(), 100, 1), *policy, {.profile = TestProfile()});
      EXPECT_LT(bound, result.cost()) << result.policy;
    }
  }
}

}  // namespace
}  // namespace spotinference::fleet::sim
