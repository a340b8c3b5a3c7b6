// The fleet's own planner as a policy: PlanModel for waking and going to sleep, Buyer for how many machines and where,
// called as the controller calls them.
#ifndef FLEET_SIM_OURS_H_
#define FLEET_SIM_OURS_H_

#include <limits>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "fleet/plan/buyer.h"
#include "fleet/sim/policy.h"
#include "fleet/sim/profile.h"

namespace spotinference::fleet::sim {

// What a configuration may say of a model's machines.
struct OurOptions {
  Wish wish;
  std::optional<absl::Duration> idle_timeout;  // nullopt: IdleTimeout
  absl::Duration wake_cap = absl::Minutes(10);
  double max_dollars_per_day = std::numeric_limits<double>::infinity();  // days from the simulation's begin
};

// Of a model with at most the profile's max_machines, of its streams, whatever they cost.
OurOptions OurDefaults(const Profile& profile);

std::unique_ptr<Policy> OurPolicy(const Profile& profile, const OurOptions& options);
inline std::unique_ptr<Policy> OurPolicy(const Profile& profile) { return OurPolicy(profile, OurDefaults(profile)); }

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_OURS_H_
