// engine.proto's service over an Engine.
#ifndef ENGINE_SERVER_SERVICE_H_
#define ENGINE_SERVER_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <cstdint>
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

  // Who may call before the engine has booted is told UNAVAILABLE, and how much of its weights is here. Any thread.
  virtual void SetDownload(uint64_t done_bytes, uint64_t total_bytes) = 0;

  // The engine has booted; once. Both outlive the service.
  virtual void Open(Engine& engine, Interruptions& interruptions) = 0;
};

// `clock` outlives it.
std::unique_ptr<EngineService> CreateEngineService(const Clock& clock, ServiceOptions options);

}  // namespace spotinference

#endif  // ENGINE_SERVER_SERVICE_H_
