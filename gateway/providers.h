// The providers of a configuration, as one.
#ifndef GATEWAY_PROVIDERS_H_
#define GATEWAY_PROVIDERS_H_

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/identity/authority.h"
#include "fleet/probe/probe.h"
#include "fleet/providers/provider.h"
#include "fleet/store/store.h"
#include "gateway/config/config.pb.h"

namespace spotinference {

struct ProviderOptions {
  std::string data_dir;  // canonical
  std::string engine;    // the local provider's binary
  std::string hub_token;  // for what engines on clouds download from the hub; "": none
  bool dry_run = false;  // clouds say what they would do, and do nothing
  std::set<std::string> have_machines;  // clouds of which the store knows machines (known_machines.h)
  // By which machines of clouds are known; outlives the providers. nullptr: there is no cloud.
  fleet::Authority* authority = nullptr;
};

bool IsOfCloud(const fleet::MachineRecord& machine);

// The configuration's providers would neither list nor end it: its provider is not in it any more, or not its region.
// The local provider's machines cost nothing, and are none of these.
bool IsOutOfReach(const config::Config& config, const fleet::MachineRecord& machine);

// As in the configuration: "aws".
std::string ProviderName(const config::Provider& provider);

// CloudApi::Account of a provider that is a cloud, with credentials as OpenProviders has them. Blocks.
absl::StatusOr<std::string> AccountOfCloud(const config::Provider& provider);

// Keys of clouds are read from the environment and from files, here and never again. Probe and clock outlive it.
absl::StatusOr<std::unique_ptr<fleet::Provider>> OpenProviders(const config::Config& config,
                                                               const ProviderOptions& options, fleet::Probe& probe,
                                                               const Clock& clock);

bool HasClouds(const config::Config& config);

// What machines may cost a day, in dollars; nullopt: no limit. Without one nothing is bought of a cloud; what the local
// provider is said to cost counts only where there is one.
std::optional<double> DayLimit(const config::Config& config);

// How long machines of these providers take to stop at most, once they are asked to.
absl::Duration StopTime(const config::Config& config);

// Deletes what the fleet of the configuration's data_dir made in its clouds, or what any fleet of spotinference ever
// made there: machines, then volumes. Prints whose and each; with `dry_run` that is all. The local provider's are left
// alone. Fails if something is, or may be, left. FAILED_PRECONDITION: nothing says which fleet it is, and nothing was
// asked for.
absl::Status DeleteAll(const config::Config& config, bool every_fleet, bool dry_run);

}  // namespace spotinference

#endif  // GATEWAY_PROVIDERS_H_
