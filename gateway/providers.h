// The providers of a configuration, as one.
#ifndef GATEWAY_PROVIDERS_H_
#define GATEWAY_PROVIDERS_H_

#include <memory>
#include <string>
#include <vector>

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
  bool dry_run = false;  // clouds say what they would buy, and buy nothing
  bool has_bought = false;  // the store knows machines of clouds
  // By which machines of clouds are known; outlives the providers. nullptr: there is no cloud.
  fleet::Authority* authority = nullptr;
};

bool IsOfCloud(const fleet::MachineRecord& machine);

// Of these machines, those which the configuration's providers would neither list nor end: their provider is not in it
// any more, or not their region. The local provider's cost nothing, and are none of these.
std::vector<fleet::MachineRecord> OutOfReach(const config::Config& config,
                                             const std::vector<fleet::MachineRecord>& machines);

// Keys of clouds are read from the environment and from files, here and never again. Probe and clock outlive it.
absl::StatusOr<std::unique_ptr<fleet::Provider>> OpenProviders(const config::Config& config,
                                                               const ProviderOptions& options, fleet::Probe& probe,
                                                               const Clock& clock);

// How long machines of these providers take to stop at most, once they are asked to.
absl::Duration StopTime(const config::Config& config);

// Deletes all that any fleet of spotinference ever made in the clouds of the configuration: machines, then volumes.
// Prints each; with `dry_run` that is all. The local provider's are left alone. Fails if something is, or may be, left.
absl::Status DeleteAll(const config::Config& config, bool dry_run);

}  // namespace spotinference

#endif  // GATEWAY_PROVIDERS_H_
