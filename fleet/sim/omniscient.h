// A lower bound on the cost of a market: per instant the cheapest capacity that existed, fractions of machines at full
// occupancy, no starts, no idle second.
#ifndef FLEET_SIM_OMNISCIENT_H_
#define FLEET_SIM_OMNISCIENT_H_

#include "fleet/sim/market.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"
#include "fleet/sim/result.h"

namespace spotinference::fleet::sim {

// Work is spread over the trace step that its request comes in.
Result Omniscient(const RecordedMarket& market, Arrivals arrivals, const Profile& profile);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_OMNISCIENT_H_
