#include "fleet/plan/placement.h"

#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kNow = absl::Hours(100);
const ServiceTarget kTarget;  // 30 s for 99.9 %

// With D = 90 s, W = 30 s and answers of 15 s: S = L · 5/6.
PlacementOffer Spot(double price, double losses_per_hour) {
  return {.price_per_hour = price,
          .market = Market::kSpot,
          .outlook = {.losses_per_hour = losses_per_hour},
          .start = absl::Seconds(90),
          .filled = 100};
}
PlacementOffer OnDemand(double price) {
  return {.price_per_hour = price, .market = Market::kOnDemand, .start = absl::Seconds(90), .filled = 100};
}
constexpr double kSafe = 0.001, kRisky = 0.5;

// Of so many small answers that chance makes no difference.
PlacementLoad Load(int machines) {
  return {.needed = machines,
          .busy = static_cast<double>(machines),
          .service = absl::Seconds(15),
          .streams = 1'000'000'000};
}

Placement PlaceOn(const PlacementLoad& load, const std::vector<PlacementOffer>& offers,
                  const std::vector<PlacementMachine>& machines = {}, const PlacementLimits& limits = {}) {
  return Place(load, kTarget, limits, offers, machines, kNow);
}

// Launches by offer.
std::vector<int> Counts(const Placement& placement, size_t offers) {
  std::vector<int> counts(offers);
  for (const Placement::Launch& launch : placement.launches) ++counts[launch.offer];
  return counts;
}

std::vector<PlacementMachine> Serving(std::vector<int> offers) {
  std::vector<PlacementMachine> machines;
  for (const int offer : offers) machines.push_back({.offer = offer, .exists = true, .serves = true});
  return machines;
}

TEST(Place, TakesTheCheapestThatIsSafe) {
  const std::vector<PlacementOffer> offers = {Spot(0.4, kSafe), Spot(0.3, kSafe), OnDemand(3)};
  const Placement placement = PlaceOn(Load(4), offers);
  EXPECT_EQ(Counts(placement, 3), (std::vector<int>{0, 4, 0}));
  EXPECT_EQ(placement.spare, 0);
  EXPECT_EQ(placement.machines, 4);
}

TEST(Place, RiskyZonesShareTheLoadSoThatAnyOneMayGo) {
  // S = 6 · 5/6 = 5 must be left: two zones of five, or three of three, as at least S + m are wanted.
  EXPECT_EQ(Counts(PlaceOn(Load(6), {Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)}), 3),
            (std::vector<int>{5, 5, 0}));
  const Placement three = PlaceOn(Load(6), {Spot(0.3, kRisky), Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)});
  EXPECT_EQ(Counts(three, 4), (std::vector<int>{3, 3, 2, 0}));
  EXPECT_EQ(three.spare, 2);
}

// 8 streams and L = 6: s = √(2 · 15 / (8 · 6 · 90)) = 1/12. A zone is lost for 0.5 · 75 / 3600 = 1.04 % of the time, and a
// request in time is worth 0.4 · 6 · $3 / 0.1 % = $7200. With S = 5 left 0.399 / 12 = 3.3 % are missed then, $2.49 an hour
// for each zone; with 6 left (2.4 s more) 0.02 %.
TEST(Place, ChanceIsGuardedAgainstWhereThatIsCheap) {
  PlacementLoad load = Load(6);
  load.streams = 8;
  EXPECT_EQ(Counts(PlaceOn(load, {Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)}), 3),
            (std::vector<int>{6, 6, 0}))
      << "a spare machine in each costs $0.30";
  EXPECT_EQ(Counts(PlaceOn(load, {Spot(0.3, kRisky), OnDemand(3)}), 2), (std::vector<int>{1, 5}))
      << "the sixth on demand, $2.70 more";
  load.budget_used = 1;
  EXPECT_EQ(Counts(PlaceOn(load, {Spot(0.3, kRisky), OnDemand(3)}), 2), (std::vector<int>{0, 6}));
}

TEST(Place, OneRiskyZoneAloneLeavesTheSurvivorsToOnDemand) {
  // L = 3.6 of N = 6: three must be left; the other three may be spot.
  PlacementLoad load = Load(6);
  load.busy = 3.6;
  const Placement placement = PlaceOn(load, {Spot(0.3, kRisky), OnDemand(3)});
  EXPECT_EQ(Counts(placement, 2), (std::vector<int>{3, 3}));
  EXPECT_EQ(placement.spare, 0);
}

// Of a zone that takes one machine at a time, and all of them once in a hundred times, what is left is enough.
TEST(Place, WhatOfAZoneGoesIsWhatIsStoodInFor) {
  PlacementOffer spot = Spot(0.3, kRisky);
  spot.outlook.whole = 0.01;
  EXPECT_EQ(Counts(PlaceOn(Load(6), {spot, OnDemand(3)}), 2), (std::vector<int>{6, 0}));
  spot.outlook.whole = 1;
  EXPECT_GT(Counts(PlaceOn(Load(6), {spot, OnDemand(3)}), 2)[1], 0);
}

// 90 s are lost with each machine, four times an hour: of one alone 0.85 · $0.30 · (1 + (4 / 6 + 1 / 24) / 40) =
// $0.2595, of all six $0.281.
TEST(Place, AZoneThatLosesAMachineNowAndThenStaysTheCheapest) {
  PlacementOffer often = Spot(0.3, 4);
  const PlacementOffer never = Spot(0.26, 0);
  const auto moves_to = [&] {
    const std::vector<PlacementOffer> offers = {often, never, OnDemand(3)};
    return Counts(PlaceOn(Load(6), offers, Serving({0, 0, 0, 0, 0, 0})), 3);
  };
  EXPECT_EQ(moves_to(), (std::vector<int>{0, 6, 0}));
  often.outlook.whole = 0;
  EXPECT_EQ(moves_to(), (std::vector<int>{0, 0, 0}));
}

// Eight machines for the bursts of a load that keeps one busy, for which S = 5/6. A zone is lost for 1.04 % of the time, and
// a request in time is worth 0.4 · $3 / 0.1 % = $1200.
TEST(Place, BurstsWaitForNoReplacement) {
  const std::vector<PlacementOffer> offers = {Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)};
  PlacementLoad load = Load(8);
  load.busy = 1;
  EXPECT_EQ(PlaceOn(load, offers).spare, 0);

  load.bursts.machines = 8;
  load.bursts.busy = 1;
  for (int part = 0; part < BurstLoad::kParts; ++part) {
    load.bursts.late[part] = part < BurstLoad::kParts / 2 ? 1 : 0.5;
  }
  EXPECT_EQ(Counts(PlaceOn(load, offers), 3), (std::vector<int>{8, 8, 0}))
      << "with less than eight left half of 1.04 % is missed for each zone, $12.50; eight more machines are $2.40";
  for (int part = BurstLoad::kParts / 2; part < BurstLoad::kParts; ++part) load.bursts.late[part] = 0;
  EXPECT_EQ(Counts(PlaceOn(load, offers), 3), (std::vector<int>{4, 4, 0})) << "four would do for all but a few";
}

TEST(Place, WhatIsLeftOfALossLastsUntilAVolumeIsFilled) {
  // Nowhere are weights: D = 180 s, S = 6 · 11/12 = 5.5 in place of 5.
  PlacementOffer on_demand = OnDemand(3);
  on_demand.filled = 0;
  on_demand.has_weights = false;
  on_demand.fill = absl::Seconds(90);
  EXPECT_EQ(Counts(PlaceOn(Load(12), {Spot(0.3, kRisky), OnDemand(3)}), 2), (std::vector<int>{2, 10}));
  EXPECT_EQ(Counts(PlaceOn(Load(12), {Spot(0.3, kRisky), on_demand}), 2), (std::vector<int>{1, 11}));
}

TEST(Place, ZonesThatGoTogetherAreGuardedAgainstAtOnce) {
  const std::vector<PlacementOffer> offers = {Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)};
  PlacementLoad load = Load(6);
  load.together = 0.9;
  const Placement placement = PlaceOn(load, offers);
  EXPECT_EQ(Counts(placement, 3)[2], 5);
}

// One zone, lost so often that the share m of requests is missed, and on demand at ten times its price: all spot costs
// 0.6 + 0.4 · 6 · 3 · m / 0.1 %, five on demand 15.3, so that 14.7 / 7.2 = 2.04 times the target is the even point.
TEST(Place, SafetyIsBoughtForWhatAMissIsWorth) {
  const auto on_demand = [](double missed, double budget_used) {
    const double hours_without = 75 / 3600.0;
    PlacementLoad load = Load(6);
    load.budget_used = budget_used;
    return Counts(PlaceOn(load, {Spot(0.1, missed / hours_without), OnDemand(3)}), 2)[1];
  };
  EXPECT_EQ(on_demand(0.0019, 0), 0);
  EXPECT_EQ(on_demand(0.0023, 0), 5);
  EXPECT_EQ(on_demand(0.0009, 0.5), 0) << "half the budget: twice the worth";
  EXPECT_EQ(on_demand(0.0012, 0.5), 5);
  EXPECT_EQ(on_demand(0.0004, 1), 0) << "none left: four times";
  EXPECT_EQ(on_demand(0.0006, 1), 5);
  EXPECT_EQ(on_demand(0.0004, 2), 0) << "and never more, since that would be bad luck paid for twice";
}

// A fifth more for what has its weights, against a minute and a half in which requests wait.
TEST(Place, WhileTooFewServeWhatServesSoonestIsBought) {
  PlacementOffer cheap = OnDemand(3), soon = OnDemand(3.6);
  cheap.filled = 0;
  cheap.fill = absl::Seconds(90);
  EXPECT_EQ(Counts(PlaceOn(Load(6), {cheap, soon}, Serving({0, 0})), 2), (std::vector<int>{0, 4}));
  EXPECT_EQ(Counts(PlaceOn(Load(6), {cheap, soon}, Serving({0, 0, 0, 0, 0})), 2), (std::vector<int>{1, 0}));
}

// Any two of three leave one; that all three go is q² as likely as the safest's loss, with two zones it is q.
TEST(Place, ThreeZonesGoTogetherLessOftenThanTwo) {
  PlacementLoad load = Load(6);
  load.together = 0.4;
  const PlacementOffer spot = Spot(0.1, 0.3);
  EXPECT_GT(Counts(PlaceOn(load, {spot, spot, OnDemand(3)}), 3)[2], 0);
  EXPECT_EQ(Counts(PlaceOn(load, {spot, spot, spot, OnDemand(3)}), 4)[3], 0);
}

// What on demand is out of reach for and what spot alone cannot carry: only an m between has enough.
TEST(Place, FindsTheOnlyPlanThatHasEnough) {
  PlacementOffer a = Spot(0.3, kRisky), b = Spot(0.3, kRisky), last = OnDemand(3);
  a.outlook.room = 3;
  b.outlook.room = 3;
  last.outlook.room = 2;
  for (PlacementOffer* offer : {&a, &b, &last}) offer->outlook.closed_until = absl::InfiniteDuration();
  EXPECT_EQ(PlaceOn(Load(5), {a, b, last}).launches.size(), 8);
}

TEST(Place, AWarningLongerThanAStartMakesAZoneSafe) {
  PlacementOffer warned = Spot(0.3, kRisky);
  warned.outlook.warning = absl::Minutes(2);
  EXPECT_EQ(Counts(PlaceOn(Load(6), {warned, OnDemand(3)}), 2), (std::vector<int>{6, 0}));
}

TEST(Place, FallsBackOnDemandAndComesBack) {
  PlacementOffer closed = Spot(0.3, kSafe);
  closed.outlook.room = 0;
  closed.outlook.closed_until = kNow + absl::Minutes(2);
  const Placement fallback = PlaceOn(Load(2), {closed, OnDemand(3)});
  EXPECT_EQ(Counts(fallback, 2), (std::vector<int>{0, 2}));
  EXPECT_EQ(fallback.next, closed.outlook.closed_until);
  EXPECT_TRUE(absl::StrContains(fallback.launches[0].why, "1 of the spot offers have none"))
      << fallback.launches[0].why;

  // Its time has come: asked for one, while on-demand machines serve on.
  closed.outlook.closed_until = kNow;
  const std::vector<PlacementOffer> offers = {closed, OnDemand(3)};
  const Placement asked = PlaceOn(Load(2), offers, Serving({1, 1}));
  EXPECT_EQ(Counts(asked, 2), (std::vector<int>{1, 0}));
  EXPECT_TRUE(asked.ends.empty());
  // It came, and the other one after it; they boot.
  closed.outlook.room = 2;
  const std::vector<PlacementOffer> opened = {closed, OnDemand(3)};
  std::vector<PlacementMachine> machines = Serving({1, 1});
  machines.push_back({.offer = 0, .exists = true});
  machines.push_back({.offer = 0, .exists = true});
  EXPECT_TRUE(PlaceOn(Load(2), opened, machines).ends.empty());
  // They serve.
  const Placement back = PlaceOn(Load(2), opened, Serving({1, 1, 0, 0}));
  ASSERT_EQ(back.ends.size(), 2);
  EXPECT_EQ(back.ends[0].machine + back.ends[1].machine, 1);
  EXPECT_EQ(back.machines, 2);
}

// Whoever may have only one machine takes the first.
TEST(Place, WhatIsOnlyHopedForComesAfterWhatIsCountedOn) {
  PlacementOffer doubtful = Spot(0.3, kSafe);
  doubtful.outlook.room = 0;
  const Placement placement = PlaceOn(Load(1), {doubtful, OnDemand(3)});
  ASSERT_EQ(placement.launches.size(), 2);
  EXPECT_EQ(placement.launches[0].offer, 1);
  EXPECT_EQ(placement.launches[1].offer, 0);
}

// A zone that is full is cheaper, and more of it would guard against nothing: it must not keep the other from being asked.
TEST(Place, AsksTheCheapestOfTheZonesThatWouldBeTaken) {
  PlacementOffer full = Spot(0.2, kRisky), other = Spot(0.4, kRisky), third = Spot(0.5, kRisky);
  for (PlacementOffer* offer : {&full, &other, &third}) offer->outlook.room = 0;
  const std::vector<PlacementOffer> offers = {full, other, third, OnDemand(3)};
  EXPECT_EQ(Counts(PlaceOn(Load(4), offers, Serving({0, 0, 0, 0, 3, 3, 3, 3})), 4), (std::vector<int>{0, 1, 0, 0}));
}

TEST(Place, WhatIsOnlyHopedForEndsNothing) {
  PlacementOffer doubtful = Spot(0.3, kSafe);
  doubtful.outlook.room = 0;
  std::vector<PlacementMachine> machines = Serving({1, 1});
  machines.push_back({.offer = 0});  // asked, not answered
  machines.push_back({.offer = 0});
  EXPECT_TRUE(PlaceOn(Load(2), {doubtful, OnDemand(3)}, machines).ends.empty());
}

TEST(Place, MovesForAFifthButNotForATenth) {
  const std::vector<PlacementMachine> machines = Serving({0, 0});
  EXPECT_TRUE(PlaceOn(Load(2), {Spot(0.40, kSafe), Spot(0.36, kSafe), OnDemand(3)}, machines).launches.empty());
  const Placement moves = PlaceOn(Load(2), {Spot(0.40, kSafe), Spot(0.30, kSafe), OnDemand(3)}, machines);
  EXPECT_EQ(Counts(moves, 3), (std::vector<int>{0, 2, 0}));
  EXPECT_TRUE(moves.ends.empty()) << "only when what replaces them serves";
}

TEST(Place, AMachineAtRiskIsReplacedBeforeItGoes) {
  std::vector<PlacementMachine> machines = Serving({0, 0});
  machines[0].at_risk = true;
  const std::vector<PlacementOffer> offers = {Spot(0.3, kSafe), OnDemand(3)};
  const Placement placement = PlaceOn(Load(2), offers, machines);
  EXPECT_EQ(placement.launches.size(), 1);
  EXPECT_TRUE(placement.ends.empty());
  machines.push_back({.offer = 0, .exists = true, .serves = true});
  const Placement then = PlaceOn(Load(2), offers, machines);
  ASSERT_EQ(then.ends.size(), 1);
  EXPECT_EQ(then.ends[0].machine, 0);
}

TEST(Place, AMachineAtRiskStaysWhereNoneCanReplaceIt) {
  std::vector<PlacementMachine> machines = Serving({0});
  machines[0].at_risk = true;
  PlacementOffer none = Spot(0.3, kSafe);
  none.outlook.room = 0;
  none.outlook.closed_until = kNow + absl::Minutes(5);
  EXPECT_TRUE(PlaceOn(Load(1), {none}, machines).ends.empty());
  EXPECT_EQ(PlaceOn(Load(0), {none}, machines).ends.size(), 1) << "it sleeps";
  machines.push_back({.offer = 0, .exists = true, .serves = true});
  EXPECT_EQ(PlaceOn(Load(1), {none}, machines).ends.size(), 1);
}

TEST(Place, FilledVolumesComeFirst) {
  PlacementOffer empty = OnDemand(3), filled = OnDemand(3);
  empty.filled = 0;
  empty.fill = filled.fill = absl::Seconds(90);
  filled.filled = 2;
  EXPECT_EQ(Counts(PlaceOn(Load(3), {empty, filled}), 2), (std::vector<int>{1, 2}));
}

TEST(Place, BurstsDoNotTakeMoreThanTheLimit) {
  PlacementLoad load = Load(12);
  load.busy = load.budget_used = 1;
  load.bursts = {.machines = 12, .busy = 1};
  for (int part = 0; part < BurstLoad::kParts; ++part) load.bursts.late[part] = 1 - part / 16.0;
  std::vector<PlacementOffer> offers(6, Spot(0.3, kRisky));
  for (PlacementOffer& offer : offers) offer.outlook.room = 2;
  EXPECT_LE(PlaceOn(load, offers, {}, {.max_machines = 4}).wanted, 4);
}

TEST(Place, HoldsItsLimits) {
  const std::vector<PlacementOffer> offers = {Spot(0.3, kSafe), OnDemand(3)};
  EXPECT_EQ(PlaceOn(Load(9), offers, {}, {.max_machines = 4}).launches.size(), 4);
  EXPECT_EQ(PlaceOn(Load(0), offers, {}, {.min_machines = 2}).launches.size(), 2);
  EXPECT_TRUE(PlaceOn(Load(2), offers, {}, {.max_price = 0.2}).launches.empty());
  EXPECT_EQ(PlaceOn(Load(0), offers, Serving({0})).ends.size(), 1) << "it sleeps";
  EXPECT_EQ(PlaceOn({}, {}, {}).launches.size(), 0);
}

TEST(Place, SpendsNothingWithoutABudgetAndStopsAtItsEnd) {
  const std::vector<PlacementOffer> offers = {Spot(0.4, kSafe), OnDemand(4)};
  EXPECT_TRUE(PlaceOn(Load(3), offers, {}, {.dollars_left = 0}).launches.empty());
  // A quarter of an hour of one machine costs 0.10: 0.25 pays for two.
  EXPECT_EQ(PlaceOn(Load(3), offers, {}, {.dollars_left = 0.25}).launches.size(), 2);
  // Two minutes of both cost 0.0267.
  EXPECT_TRUE(PlaceOn(Load(2), offers, Serving({0, 0}), {.dollars_left = 0.03}).ends.empty());
  const Placement over = PlaceOn(Load(2), offers, Serving({0, 0}), {.dollars_left = 0.02});
  EXPECT_EQ(over.ends.size(), 2);
  EXPECT_TRUE(absl::StrContains(over.ends[0].why, "budget"));
  const std::vector<PlacementOffer> free_of_charge = {OnDemand(0)};
  EXPECT_EQ(PlaceOn(Load(1), free_of_charge, {}, {.dollars_left = 0}).launches.size(), 1);
  // Also while others spend what is left.
  EXPECT_EQ(PlaceOn(Load(1), free_of_charge, {}, {.dollars_left = 1, .dollars_elsewhere = 40}).launches.size(), 1);
  EXPECT_TRUE(PlaceOn(Load(1), free_of_charge, Serving({0}), {.dollars_left = 1, .dollars_elsewhere = 40}).ends.empty());
}

TEST(Place, EveryDecisionHasItsReasonInNumbers) {
  const Placement placement = PlaceOn(Load(6), {Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)});
  ASSERT_EQ(placement.launches.size(), 10);
  for (const Placement::Launch& launch : placement.launches) {
    EXPECT_EQ(launch.why,
              "6 for the load and 4 to stand in for any one zone, 0 there; $0.3000/h, lost 0.50 times an hour, "
              "replaced in 1m30s");
  }
  const Placement on_demand = PlaceOn(Load(2), {OnDemand(3)});
  ASSERT_EQ(on_demand.launches.size(), 2);
  for (const Placement::Launch& launch : on_demand.launches)
    EXPECT_EQ(launch.why, "2 for the load, 0 there; $3.0000/h, since 0 of the spot offers have none");

  const std::vector<PlacementOffer> risky = {Spot(0.3, kRisky), Spot(0.3, kRisky), OnDemand(3)};
  const Placement over = PlaceOn(Load(6), risky, Serving({0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2}));
  ASSERT_EQ(over.ends.size(), 1);
  EXPECT_EQ(over.ends[0].machine, 10);
  EXPECT_EQ(over.ends[0].why, "11 serve, 6 for the load and 4 spare are enough; this one costs $3.0000/h");
}

// The greedy bisection against every placement of up to two risky zones and on demand.
TEST(Place, IsTheCheapestOfAllThatSurviveALoss) {
  for (int load = 1; load <= 5; ++load) {
    for (const double a : {0.3, 0.5, 2.9}) {
      for (const double b : {0.3, 0.7, 4.0}) {
        const int survivors = static_cast<int>(std::ceil(load * 5 / 6.0));
        double best = 1e9;
        for (int x = 0; x <= 2 * load; ++x) {
          for (int y = 0; y <= 2 * load; ++y) {
            for (int d = 0; d <= 2 * load; ++d) {
              if (x + y + d >= load && y + d >= survivors && x + d >= survivors)
                best = std::min(best, a * x + b * y + 3 * d);
            }
          }
        }
        double cost = 0;
        const std::vector<PlacementOffer> offers = {Spot(a, 0.1), Spot(b, 0.1), OnDemand(3)};
        for (const Placement::Launch& launch : PlaceOn(Load(load), offers).launches)
          cost += offers[launch.offer].price_per_hour;
        // Effective prices carry the waking time: half a per cent here.
        EXPECT_LE(cost, best * 1.01) << load << " machines at " << a << ", " << b;
      }
    }
  }
}

TEST(Place, WorkGrowsNoFasterThanNLogN) {
  const auto steps = [](int machines, int zones) {
    std::vector<PlacementOffer> offers;
    std::vector<PlacementMachine> held;
    for (int zone = 0; zone < zones; ++zone) {
      offers.push_back(Spot(0.3 + 0.0001 * zone, kRisky));
      offers.back().outlook.whole = 0.2 + 0.1 * (zone % 9);
    }
    offers.push_back(OnDemand(3));
    for (int i = 0; i < machines; ++i) held.push_back({.offer = i % zones, .exists = true, .serves = true});
    PlacementLoad load = Load(machines);
    load.streams = 16;
    load.bursts = {.machines = machines, .busy = 0.5 * machines};
    for (int part = 0; part < BurstLoad::kParts; ++part) load.bursts.late[part] = 1 - 1.0 * part / BurstLoad::kParts;
    return static_cast<double>(Place(load, kTarget, {}, offers, held, kNow).steps);
  };
  // Machines are looked at four times. Two parts of each offer, at each of two looks a bisection step, for nine S and
  // as many plans as there are doublings of zones, and three.
  const double plans = 9 * (std::log2(300) + 3), looks = 2 * std::log2(100'000) * 2 * 301;
  EXPECT_LE(steps(100'000, 300), 4.0 * 100'000 + plans * looks);
  EXPECT_LE(steps(100'000, 300) / steps(10'000, 300), 10 * std::log2(100'000) / std::log2(10'000));
  EXPECT_LE(steps(10'000, 600) / steps(10'000, 300), 2.5);
}

}  // namespace
}  // namespace spotinference::fleet
