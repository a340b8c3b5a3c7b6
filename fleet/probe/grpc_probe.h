// The probe over engine.proto: Handshake, Health and Stats. It also brings machines their certificates, since it is the
// one who speaks to each of them, from its boot on and every few seconds.
#ifndef FLEET_PROBE_GRPC_PROBE_H_
#define FLEET_PROBE_GRPC_PROBE_H_

#include <memory>

#include "fleet/identity/authority.h"
#include "fleet/probe/probe.h"

namespace spotinference::fleet {

// A question to an endpoint with credentials first begins to certify the machine, where `authority` says that this is
// due (identity.proto), and is then asked at once: until it has its certificate the answer is UNAVAILABLE. `authority`
// outlives the probe; nullptr: there are no such endpoints.
std::unique_ptr<Probe> NewGrpcProbe(Authority* authority = nullptr);

}  // namespace spotinference::fleet

#endif  // FLEET_PROBE_GRPC_PROBE_H_
