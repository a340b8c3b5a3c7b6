// identity.proto's service over a MachineIdentity.
#ifndef ENGINE_SERVER_IDENTITY_SERVICE_H_
#define ENGINE_SERVER_IDENTITY_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <functional>
#include <memory>

#include "engine/server/machine_identity.h"

namespace spotinference {

// On a server with MachineCredentials, so that only the gateway is heard. `heard`: runs at each call, on any thread.
// `identity` outlives the service, which alone uses it.
std::unique_ptr<grpc::Service> CreateIdentityService(MachineIdentity& identity, std::function<void()> heard);

}  // namespace spotinference

#endif  // ENGINE_SERVER_IDENTITY_SERVICE_H_
