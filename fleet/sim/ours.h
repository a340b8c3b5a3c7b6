// The fleet's own planner as a policy: PlanModel for waking and going to sleep, Buyer for how many machines and where,
// called as the controller calls them.
#ifndef FLEET_SIM_OURS_H_
#define FLEET_SIM_OURS_H_

#include <memory>

#include "fleet/sim/policy.h"
#include "fleet/sim/profile.h"

namespace spotinference::fleet::sim {

// Of a model with at most the profile's max_machines, whatever they cost.
std::unique_ptr<Policy> OurPolicy(const Profile& profile);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_OURS_H_
