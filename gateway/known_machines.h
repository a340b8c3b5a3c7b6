// The machines of clouds that a data_dir knows, held against the configuration before anything is asked of a cloud.
#ifndef GATEWAY_KNOWN_MACHINES_H_
#define GATEWAY_KNOWN_MACHINES_H_

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "fleet/store/store.h"
#include "gateway/config/config.pb.h"

namespace spotinference {

// The clouds, by their names in the configuration, that have machines on record. FAILED_PRECONDITION: nobody would end
// some of them any more, and which. With `forget` they are taken off the record instead, and the log names them; so are
// all of them where what they are known by is lost: data_dir/fleet_secret, data_dir/identity.
absl::StatusOr<std::set<std::string>> CheckMachines(const config::Config& config, const std::string& data_dir,
                                                    bool forget, fleet::Store& store);

}  // namespace spotinference

#endif  // GATEWAY_KNOWN_MACHINES_H_
