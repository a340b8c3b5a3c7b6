// Whose machines a cloud's are: written down, so that nobody looks for them in another account, where they are not, and
// takes them for gone while they bill.
#ifndef FLEET_PROVIDERS_CLOUD_ACCOUNT_H_
#define FLEET_PROVIDERS_CLOUD_ACCOUNT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spotinference::fleet {

// The file of a data_dir that has a provider's account.
std::string AccountPath(const std::string& data_dir, const std::string& provider);

// "": nothing is written down.
absl::StatusOr<std::string> ReadAccount(const std::string& path);

// OK: `account` (CloudApi::Account) is the one of the file, which is written, durably, where there is none, or where
// the fleet is new to the provider: it has no machine of it on record. PERMISSION_DENIED: it is another one, or it
// does not say any more which it is.
absl::Status CheckAccount(const std::string& path, const std::string& account, bool is_new);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_ACCOUNT_H_
