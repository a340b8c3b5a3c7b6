// engine.proto's service over an Engine.
#ifndef ENGINE_SERVER_SERVICE_H_
#define ENGINE_SERVER_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>
#include <string>

#include "engine/server/engine.h"
#include "engine/server/interruptions.h"

namespace spotinference {

struct ServiceOptions {
  std::string token;            // what callers must show; "" asks for none
  bool takes_interrupt = true;  // else the call Interrupt is refused
};

// The others outlive the service.
std::unique_ptr<grpc::Service> CreateEngineService(Engine& engine, Interruptions& interruptions, const Clock& clock,
                                                   ServiceOptions options);

}  // namespace spotinference

#endif  // ENGINE_SERVER_SERVICE_H_
