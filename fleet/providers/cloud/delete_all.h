// Deletes what is there: for whoever gives a fleet up.
#ifndef FLEET_PROVIDERS_CLOUD_DELETE_ALL_H_
#define FLEET_PROVIDERS_CLOUD_DELETE_ALL_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/providers/cloud/cloud_api.h"
#include "fleet/providers/cloud/names.h"

namespace spotinference::fleet {

struct DeletionOptions {
  std::string name_prefix = kNamePrefix;  // CloudNames::Prefix() of one fleet; this one: of all
  std::map<std::string, std::string> accounts;  // by a cloud's name, where it is known: CloudApi::Account of its machines
  bool dry_run = false;  // only says what is there
  absl::Duration limit = absl::Minutes(30);
  absl::Duration between = absl::Seconds(2);  // rounds
};

// Asks, over and over, for the end of all that the clouds list and that can be ended now, until two lists of each in a
// row have nothing. Volumes go when their machines have. Only what has a name as fleets give it (IsFleetName), with the
// prefix, whatever the clouds list. With another account's credentials, which would list nothing, nothing is asked. An
// error is waited out, and one that does not pass by itself gives its own cloud up and no other. `say` is told each step
// once, and at the end what is left. UNAVAILABLE: something is, or may be.
absl::Status DeleteAll(const std::vector<std::unique_ptr<CloudApi>>& clouds, const DeletionOptions& options,
                       const Clock& clock, absl::FunctionRef<void(absl::Duration)> sleep,
                       absl::FunctionRef<void(const std::string&)> say);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_DELETE_ALL_H_
