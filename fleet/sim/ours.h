// The fleet's own planner as a policy: PlanModel for waking and going to sleep, Place for how many machines and where.
#ifndef FLEET_SIM_OURS_H_
#define FLEET_SIM_OURS_H_

#include <memory>

#include "fleet/plan/placement.h"
#include "fleet/sim/policy.h"
#include "fleet/sim/profile.h"

namespace spotinference::fleet::sim {

// Limits as a configuration would have them; no budget, as `limits.dollars_left` is infinite.
std::unique_ptr<Policy> OurPolicy(const Profile& profile, const PlacementLimits& limits);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_OURS_H_
