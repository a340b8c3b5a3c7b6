// Small markets whose bills and waits are worked out by hand.
#include "fleet/sim/world.h"

#include <gtest/gtest.h>

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

// Launch 60 s, of which 5 until the answer; boot 30 s; 10 s to fill a volume; volumes cost nothing.
Profile TestProfile() {
  Profile profile;
  profile.set_weights_gb(1);
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
  EXPECT_EQ(result.waits.Percentile(0.99), 0.05);
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

TEST(Simulate, ALostMachinesAnswersGoOnElsewhere) {
  // One long answer; the zone closes under it, and another one serves.
  const std::vector<Request> requests = {{0, 0, 0}, {3599 * kSecond, 100, 500}};
  const RecordedMarket market = MarketOf({{1, 0, 0, 0}, {1, 1, 1, 1}});
  const auto policy = SpotHedgePolicy(2, 1);
  const Result result = Simulate(market, Arrivals(requests, 1, 1), *policy, {.profile = TestProfile()});
  EXPECT_EQ(result.interruptions, 1);
  EXPECT_EQ(result.within_target, result.requests);
  EXPECT_GE(result.moved, 0);
}

TEST(Simulate, IsTheSameForASeed) {
  const RecordedMarket market = MarketOf({{4, 0, 2, 4, 1, 0, 3, 4}, {0, 4, 4, 0, 4, 4, 0, 2}});
  std::string seen;
  for (int i = 0; i < 2; ++i) {
    const auto policy = OurPolicy(TestProfile(), {});
    const Result result =
        Simulate(market, Arrivals(EachMinute(), 90, 5), *policy, {.profile = TestProfile(), .seed = 5});
    const std::string json = ToJson(result, 1, {}, {});
    if (i > 0) {
      EXPECT_EQ(json, seen);
    }
    seen = json;
    EXPECT_GT(result.interruptions, 0);
  }
}

TEST(Ours, SleepsWhileNobodyAsksAndWakesForARequest) {
  // Five minutes of requests, then a day of nothing.
  std::vector<Request> requests;
  for (int i = 0; i < 10; ++i) requests.push_back({i * 30 * kSecond, 100, 50});
  requests.push_back({20 * kHour, 100, 50});
  const auto policy = OurPolicy(TestProfile(), {});
  const RecordedMarket market = MarketOf({std::vector<int>(24, 4)});
  const Result result = Simulate(market, Arrivals(requests, 1, 1), *policy, {.profile = TestProfile()});
  EXPECT_LT(result.hours.sum(), 2.5) << "what load, an hour's peak and the idle time-out ask for";
  EXPECT_GT(result.wakes, 1);
}

TEST(Ours, ReturnsToSpotAndServesTheTarget) {
  // Both zones close for an hour in turn, and once together.
  const RecordedMarket market = MarketOf({{4, 4, 0, 4, 4, 0, 4, 4, 4, 4, 4, 4}, {4, 4, 4, 0, 4, 0, 4, 4, 4, 4, 4, 4}});
  Profile profile = TestProfile();
  profile.set_target_share(0.98);  // 14 of some 700 requests
  const auto ours = OurPolicy(profile, {});
  const auto on_demand = OnDemandPolicy();
  const Result result = RunOn(market, *ours, profile), always = RunOn(market, *on_demand, profile);
  EXPECT_GT(result.served_within_target(), 0.98);
  EXPECT_LT(result.cost(), always.cost());
  EXPECT_GT(result.spot_hours.sum(), 8) << "most of the eleven hours with spot";
  EXPECT_GT(result.hours.sum() - result.spot_hours.sum(), 0.9) << "the hour without spot";
  EXPECT_FALSE(result.decisions.empty());
  for (const Decision& decision : result.decisions) EXPECT_FALSE(decision.why.empty());
}

TEST(Omniscient, IsBelowEveryoneAndWorkedByHand) {
  const RecordedMarket market = MarketOf({{4, 0}});
  const Result bound = Omniscient(market, Arrivals(EachMinute(), 1, 1), TestProfile());
  // 60 requests of 2.05 s on one of eight streams in each hour, on spot and then on demand.
  const double hours = 60 * 2.05 / 8 / 3600;
  EXPECT_NEAR(bound.cost(), hours * (0.25 + 1), 1e-9);
  const auto ours = OurPolicy(TestProfile(), {});
  EXPECT_LT(bound.cost(), RunOn(market, *ours).cost());
}

}  // namespace
}  // namespace spotinference::fleet::sim
