// engine.proto's service over an Engine.
#ifndef ENGINE_SERVER_SERVICE_H_
#define ENGINE_SERVER_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <functional>
#include <memory>
#include <string>

#include "engine/server/engine.h"
#include "engine/server/interruptions.h"

namespace spotinference {

struct ServiceOptions {
  std::string token;            // what callers must show; "" asks for none
  bool takes_interrupt = true;  // else the call Interrupt is refused
  std::function<void()> heard;  // runs at each call of somebody who may, on any thread; nullptr: nobody asks
};

class EngineService {
 public:
  virtual ~EngineService() = default;

  virtual grpc::Service& service() = 0;

  // The engine has booted; once. Before it, whoever may call is told UNAVAILABLE. Both outlive the service.
  virtual void Open(Engine& engine, Interruptions& interruptions) = 0;
};

// `clock` outlives it.
std::unique_ptr<EngineService> CreateEngineService(const Clock& clock, ServiceOptions options);

}  // namespace spotinference

#endif  // ENGINE_SERVER_SERVICE_H_
