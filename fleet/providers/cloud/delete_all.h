// Deletes what is there: for whoever gives a fleet up.
#ifndef FLEET_PROVIDERS_CLOUD_DELETE_ALL_H_
#define FLEET_PROVIDERS_CLOUD_DELETE_ALL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

struct Deletion {
  std::vector<std::string> asked;  // a line each, for people
  int left = 0;                    // of machines and volumes; 0: all is gone
};

// One round: asks for the end of all that the API lists and that can be ended now. Volumes go when their machines have.
// Only what has a name as fleets give it (IsFleetName). To be repeated until nothing is left; `dry_run`: nothing is asked. Errors: those of the list; what cannot be deleted is said and counted.
absl::StatusOr<Deletion> DeleteWhatIsThere(CloudApi& api, bool dry_run = false);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_DELETE_ALL_H_
