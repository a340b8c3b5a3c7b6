// A user's own case: requests of the gateway's log, model by model, and what its configuration says of each model.
#ifndef FLEET_SIM_WHAT_IF_H_
#define FLEET_SIM_WHAT_IF_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fleet/sim/ours.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"

namespace spotinference::fleet::sim {

// What is simulated by itself.
struct Case {
  std::string model;  // "": the requests have none
  std::vector<Request> requests;
  Nanos span = 0;  // as in Arrivals
  Profile profile;
  OurOptions ours;
};

// One for each model of the log, or for `model` alone, all with `profile`. NOT_FOUND: it has no such model.
absl::StatusOr<std::vector<Case>> CasesOf(AccessLog log, absl::string_view model, const Profile& profile);

// What the gateway's configuration (YAML, gateway/config/config.proto) says of each case's model, in place of what the
// case has: machines.min and max, max_price, accelerators, markets and regions, idle_timeout, wake_cap and the smaller
// of machines.max_dollars_per_day and spend.max_dollars_per_day for our policy, machines.max, park and service for all.
// A limit of 0 dollars is left out, for there would be nothing to tell. Each model has the whole of spend for itself,
// and all have the profile's streams. A case without a model is the one called `model`, or the only one. Cases of
// models that are not in the configuration are taken out of `cases`. Returns what people are to be told of it.
// INVALID_ARGUMENT: the configuration is wrong, or no case is left.
absl::StatusOr<std::vector<std::string>> Configure(absl::string_view yaml, const std::string& file,
                                                   absl::string_view model, std::vector<Case>& cases);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_WHAT_IF_H_
