// A fleet's secret, of which its name is made: 64 random hex digits in a file of mode 0600.
#ifndef FLEET_PROVIDERS_CLOUD_SECRET_H_
#define FLEET_PROVIDERS_CLOUD_SECRET_H_

#include <string>

#include "absl/status/statusor.h"

namespace spotinference::fleet {

// So many random bytes, as hex.
std::string RandomHex(int bytes);

// MachineOrder::token of a new purchase.
std::string NewPurchaseToken();

// The secret of the file, which is never made. NOT_FOUND: there is none; FAILED_PRECONDITION: it holds none.
absl::StatusOr<std::string> ReadSecret(const std::string& path);

// The secret of the file, which is made, durably, if it is not there and the fleet is new. One process at a time asks
// for a path (its data_dir's store is locked). FAILED_PRECONDITION: it cannot be, or is no secret, or is gone: a fleet
// with another one would never find its machines again.
absl::StatusOr<std::string> OpenSecret(const std::string& path, bool is_new = true);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_SECRET_H_
