// Placement cases worked by hand from the paper's section 3.
#include "fleet/sim/spothedge.h"

#include <gtest/gtest.h>

namespace spotinference::fleet::sim {
namespace {

constexpr double kPrices[] = {0.3, 0.2, 0.4};

TEST(HedgePlacer, SpreadsOverZonesWithoutOneTheCheapestFirst) {
  HedgePlacer placer(3);
  int machines[] = {0, 0, 0};
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    order.push_back(placer.Next(machines, kPrices));
    ++machines[order.back()];
  }
  EXPECT_EQ(order, (std::vector<int>{1, 0, 2, 1, 0, 2}));
}

TEST(HedgePlacer, LeavesOutPreemptingZonesUntilTheyLaunchAgain) {
  HedgePlacer placer(3);
  const int none[] = {0, 0, 0};
  placer.Preempted(1);
  EXPECT_EQ(placer.Next(none, kPrices), 0);
  const int first[] = {1, 0, 1};
  EXPECT_EQ(placer.Next(first, kPrices), 0) << "zone 1 has none, but is preempting";
  placer.Launched(1);
  EXPECT_EQ(placer.Next(first, kPrices), 1);
}

TEST(HedgePlacer, WithFewerThanTwoLeftAllComeBack) {
  HedgePlacer placer(3);
  placer.Preempted(1);
  placer.Preempted(0);
  EXPECT_TRUE(placer.available(0) && placer.available(1) && placer.available(2));
  HedgePlacer single(1);
  single.Preempted(0);
  const int none[] = {0};
  EXPECT_EQ(single.Next(none, absl::MakeConstSpan(kPrices, 1)), 0);
}

TEST(HedgeOnDemand, MakesUpForSpotThatIsNotReady) {
  // N_Tar 4, N_Extra 2: O = min(4, 6 − S_r).
  EXPECT_EQ(HedgeOnDemand(4, 2, 0), 4);
  EXPECT_EQ(HedgeOnDemand(4, 2, 2), 4);
  EXPECT_EQ(HedgeOnDemand(4, 2, 3), 3);
  EXPECT_EQ(HedgeOnDemand(4, 2, 5), 1);
  EXPECT_EQ(HedgeOnDemand(4, 2, 6), 0);
  EXPECT_EQ(HedgeOnDemand(4, 2, 9), 0);
}

// Two zones, prices 0.2 and 0.3, on demand 1.
View ViewOf(int needed, const std::vector<Offer>& offers, const std::vector<MachineView>& machines) {
  View view = {.needed = needed};
  view.offers = offers;
  view.machines = machines;
  view.filled.assign(offers.size(), 0);
  return view;
}

TEST(SpotHedgePolicy, AsksForSpotAndCoversItOnDemandUntilItIsReady) {
  std::vector<Offer> offers(4);
  for (int i = 0; i < 4; ++i) offers[i].price_per_hour = i < 2 ? 0.2 + 0.1 * i : 1;
  const auto policy = SpotHedgePolicy(2, 1);
  const Orders first = policy->Decide(ViewOf(2, offers, {}));
  std::vector<int> asked;
  for (const Orders::Launch& launch : first.launches) asked.push_back(launch.offer);
  EXPECT_EQ(asked, (std::vector<int>{0, 1, 0, 2, 2})) << "N_Tar + N_Extra spot, N_Tar on demand";

  // All three are ready: on demand goes.
  const std::vector<MachineView> machines = {{.id = 1, .offer = 0, .phase = Phase::kServing},
                                             {.id = 2, .offer = 1, .phase = Phase::kServing},
                                             {.id = 3, .offer = 0, .phase = Phase::kServing},
                                             {.id = 4, .offer = 2, .phase = Phase::kServing},
                                             {.id = 5, .offer = 2, .phase = Phase::kStarting}};
  const Orders then = policy->Decide(ViewOf(2, offers, machines));
  EXPECT_TRUE(then.launches.empty());
  ASSERT_EQ(then.ends.size(), 2);
  EXPECT_EQ(then.ends[0].machine + then.ends[1].machine, 9);
}

}  // namespace
}  // namespace spotinference::fleet::sim
