// How long one round of planning takes: ./bazelw run //fleet/plan:placement_benchmark
//
// Place alone, of a load that comes in bursts, with all that it may try to survive; all that a controller asks of the
// planner for a model: Buyer::Decide, with its forecast, bursts, the market's memory and placement, and PlanModel.
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "fleet/plan/buyer.h"
#include "fleet/plan/placement.h"
#include "fleet/plan/plan.h"

namespace spotinference::fleet {
namespace {

double Since(absl::Time began) { return absl::ToDoubleMilliseconds(absl::Now() - began); }

void MeasurePlace(int machines, int zones) {
  std::vector<PlacementOffer> offers;
  for (int zone = 0; zone < zones; ++zone) {
    offers.push_back({.price_per_hour = 0.3 + 0.001 * zone,
                      .market = Market::kSpot,
                      .outlook = {.losses_per_hour = 0.05 + 0.01 * (zone % 50), .whole = 0.2 + 0.1 * (zone % 9)},
                      .start = absl::Seconds(90),
                      .filled = 10});
    offers.push_back({.price_per_hour = 3, .market = Market::kOnDemand, .start = absl::Seconds(90)});
  }
  std::vector<PlacementMachine> held;
  for (int i = 0; i < machines; ++i) held.push_back({.offer = i % (2 * zones), .exists = true, .serves = i % 10 != 0});
  PlacementLoad load = {.needed = machines, .busy = 0.8 * machines, .service = absl::Seconds(6), .streams = 16};
  load.bursts = {.machines = machines, .busy = 0.4 * machines};
  for (int part = 0; part < BurstLoad::kParts; ++part) load.bursts.late[part] = 1 - 1.0 * part / BurstLoad::kParts;
  const absl::Time began = absl::Now();
  const Placement placement = Place(load, {}, {}, offers, held, absl::Hours(100));
  std::printf("%7d machines, %3d zones: placement %6.1f ms, %zu launches, %zu ends\n", machines, zones, Since(began),
              placement.launches.size(), placement.ends.size());
}

void MeasureRound(int machines, int zones) {
  constexpr absl::string_view kModel = "m";
  constexpr int kStreams = 16;
  std::vector<Offer> offers, filled;
  for (int zone = 0; zone < zones; ++zone) {
    const Offer spot = {.provider = "aws", .zone = absl::StrCat("zone-", zone), .market = Market::kSpot,
                        .machine_type = "g6", .price_per_hour = 0.3 + 0.001 * zone, .volume_per_hour = 0.011};
    offers.push_back(spot);
    offers.push_back(spot);
    offers.back().market = Market::kOnDemand;
    offers.back().price_per_hour = 3;
    filled.insert(filled.end(), 10, spot);
  }
  Buyer buyer;
  buyer.SetOffers(offers);
  const Wish wish = {.max_machines = machines * 2, .streams = kStreams};
  absl::Duration now = absl::Hours(100);
  std::vector<Buyer::Machine> held;
  std::vector<Observation> observed;
  for (int i = 0; i < machines; ++i) {
    const Offer& offer = offers[i % offers.size()];
    const bool serves = i % 10 != 0;
    buyer.Began(offer, now);
    held.push_back({.id = absl::StrCat("m-", i), .offer = offer, .exists = true, .serves = serves});
    observed.push_back({.id = held.back().id, .state = serves ? MachineState::kServing : MachineState::kBooting,
                        .since = now, .leases = kStreams / 2, .idle_since = now, .asked_for = now});
  }
  for (int minute = 0; minute < 20; ++minute) {
    now += absl::Minutes(1);
    const int tenths = minute == 3 || minute == 18 ? 30 : 6;
    for (int i = 0; i < machines * kStreams * tenths / 10; ++i) {
      buyer.Arrived(kModel, wish, now);
      buyer.Served(kModel, absl::Minutes(1), now);
    }
  }
  const absl::Time began = absl::Now();
  const Buyer::Decision decision =
      buyer.Decide(kModel, wish, {.start = absl::Seconds(90)}, held, filled, std::numeric_limits<double>::infinity(), now);
  const double decided = Since(began);
  const Plan plan = PlanModel({.min_machines = decision.machines, .max_machines = wish.max_machines}, {}, observed, {}, now);
  const std::string why = decision.launches.empty() ? "" : decision.launches[0].second;
  std::printf("%7d machines, %3d zones: round %6.1f ms, of which to choose %.1f; %zu launches, %zu ends, %zu actions\n",
              machines, zones, Since(began), decided, decision.launches.size(), decision.ends.size(),
              plan.actions.size());
  std::printf("    %s\n", why.c_str());  // that it sees the bursts
}

}  // namespace
}  // namespace spotinference::fleet

int main() {
  for (const int machines : {1'000, 10'000, 100'000}) spotinference::fleet::MeasurePlace(machines, 300);
  for (const int machines : {1'000, 10'000, 100'000}) spotinference::fleet::MeasureRound(machines, 300);
}
