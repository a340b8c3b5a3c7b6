// A market, its machines and its clients in simulated time: carries out what a policy orders, serves the arrivals with
// the machines that there are, and bills them.
//
// Machines have a fixed number of streams; an answer holds one for its prefill and decode time. router.h says where
// requests go and wait. Spot machines are taken when a zone's capacity falls below them, by chance which. Where the
// profile gives a notice, the policy hears of it so much earlier, and the machine serves on until others have room.
#ifndef FLEET_SIM_WORLD_H_
#define FLEET_SIM_WORLD_H_

#include <cstdint>
#include <functional>

#include "fleet/sim/market.h"
#include "fleet/sim/policy.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"
#include "fleet/sim/result.h"

namespace spotinference::fleet::sim {

struct WorldOptions {
  Profile profile;
  uint64_t seed = 1;
  std::function<void(double done)> progress;  // now and then, a share of the horizon
};

// Whether the request is among those that results speak of: see Simulate.
bool IsCounted(const Request& request, const RecordedMarket& market, const Profile& profile);

// Spot in each of the market's zones, then on demand in each, at their prices at the beginning.
std::vector<Offer> OffersOf(const RecordedMarket& market);

// Deterministic for a seed. Requests of the first quarter of an hour (whatever the policy, nothing serves
// yet, and a model is deployed before its clients come) and of the last `max_wait` are served and paid for but not
// counted.
Result Simulate(const RecordedMarket& market, Arrivals arrivals, Policy& policy, const WorldOptions& options);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_WORLD_H_
