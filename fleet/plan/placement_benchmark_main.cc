// How long one round of placement takes: ./bazelw run //fleet/plan:placement_benchmark
#include <cstdio>
#include <vector>

#include "absl/time/clock.h"
#include "fleet/plan/placement.h"

namespace spotinference::fleet {
namespace {

void Measure(int machines, int zones) {
  std::vector<PlacementOffer> offers;
  for (int zone = 0; zone < zones; ++zone) {
    offers.push_back({.price_per_hour = 0.3 + 0.001 * zone,
                      .market = Market::kSpot,
                      .outlook = {.losses_per_hour = 0.05 + 0.01 * (zone % 50)},
                      .start = absl::Seconds(90),
                      .filled = 10});
    offers.push_back({.price_per_hour = 3, .market = Market::kOnDemand, .start = absl::Seconds(90)});
  }
  std::vector<PlacementMachine> held;
  for (int i = 0; i < machines; ++i) held.push_back({.offer = i % (2 * zones), .exists = true, .serves = i % 10 != 0});
  const absl::Time began = absl::Now();
  const Placement placement =
      Place({.needed = machines, .busy = 0.8 * machines}, {}, {}, offers, held, absl::Hours(100));
  std::printf("%7d machines, %3d zones: %6.1f ms, %zu launches, %zu ends\n", machines, zones,
              absl::ToDoubleMilliseconds(absl::Now() - began), placement.launches.size(), placement.ends.size());
}

}  // namespace
}  // namespace spotinference::fleet

int main() {
  for (const int machines : {1'000, 10'000, 100'000}) spotinference::fleet::Measure(machines, 300);
}
