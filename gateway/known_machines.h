// The machines of clouds that a data_dir knows, held against the configuration before anything is asked of a cloud.
#ifndef GATEWAY_KNOWN_MACHINES_H_
#define GATEWAY_KNOWN_MACHINES_H_

#include <set>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "fleet/store/store.h"
#include "gateway/config/config.pb.h"

namespace spotinference {

// Of one of the configuration's providers: CloudApi::Account.
using AccountOf = absl::FunctionRef<absl::StatusOr<std::string>(const config::Provider& cloud)>;

// The clouds, by their names in the configuration, that have machines or volumes on record. FAILED_PRECONDITION: nobody would end
// some of them any more, and which; PERMISSION_DENIED: for they are in another account. With `forget` they are taken
// off the record instead, and the log names them; so are all of them where what they are known by is lost:
// data_dir/fleet_secret, data_dir/identity. A cloud that does not say its account is not held against the one of
// before: that is asked again before its machines are listed. Volumes in another account and without machines count as
// machines there; those that are out of reach keep nobody from starting.
absl::StatusOr<std::set<std::string>> CheckMachines(const config::Config& config, const std::string& data_dir,
                                                    bool forget, AccountOf account_of, fleet::Store& store);

}  // namespace spotinference

#endif  // GATEWAY_KNOWN_MACHINES_H_
