// A lower bound on what serving every counted request costs: who knew the future, bought any fraction of a machine for
// any moment, at full occupancy and without a start, would pay that much.
//
// Work may be done from its request's arrival until max_wait and the answer's own length are over, at the cheapest
// capacity that existed then; a machine that its provider takes within the time in which that is free costs nothing.
// Volumes cost nothing. Exact for such a buyer: work with time windows of one length and capacity by moments is a
// transversal matroid, so taking the cheapest capacity first is optimal, and how much of it is of use an
// earliest-deadline sweep says (Lawler, "Combinatorial Optimization", 1976, chapter 7).
#ifndef FLEET_SIM_OMNISCIENT_H_
#define FLEET_SIM_OMNISCIENT_H_

#include "fleet/sim/market.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"
#include "fleet/sim/result.h"

namespace spotinference::fleet::sim {

Result Omniscient(const RecordedMarket& market, Arrivals arrivals, const Profile& profile);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_OMNISCIENT_H_
