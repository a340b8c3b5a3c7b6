// The probe over engine.proto: Handshake, Health and Stats.
#ifndef FLEET_PROBE_GRPC_PROBE_H_
#define FLEET_PROBE_GRPC_PROBE_H_

#include <memory>

#include "fleet/probe/probe.h"

namespace spotinference::fleet {

std::unique_ptr<Probe> NewGrpcProbe();

}  // namespace spotinference::fleet

#endif  // FLEET_PROBE_GRPC_PROBE_H_
