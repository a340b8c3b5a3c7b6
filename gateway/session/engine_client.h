// The gateway's side of engine.proto: Generate calls to any engine, without a thread each.
#ifndef GATEWAY_SESSION_ENGINE_CLIENT_H_
#define GATEWAY_SESSION_ENGINE_CLIENT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/engine.pb.h"
#include "fleet/api/fleet.h"

namespace spotinference {

// What a call tells its owner. Called on gRPC's threads, one at a time.
class EngineCallHandler {
 public:
  virtual ~EngineCallHandler() = default;

  // The next event waits until EngineCall::Next.
  virtual void OnEvent(const engine::v1::GenerateEvent& event) = 0;

  // The last call: how Generate ended. A status that a notice caused carries it (engine/api/status.h).
  virtual void OnEnd(const absl::Status& status) = 0;
};

// One Generate call. Thread-safe.
class EngineCall {
 public:
  virtual ~EngineCall() = default;

  // Asks for one event; not before the one before it has come.
  virtual void Next() = 0;

  // Ends the call; OnEnd still comes. Needed, even after the last event, unless OnEnd came.
  virtual void Cancel() = 0;
};

// Keeps a channel for each engine. Thread-safe.
class EngineClient {
 public:
  EngineClient() = default;
  EngineClient(const EngineClient&) = delete;
  EngineClient& operator=(const EngineClient&) = delete;

  // Starts a call; the first event has to be asked for. `handler` is kept until after OnEnd.
  std::shared_ptr<EngineCall> Generate(const fleet::Endpoint& endpoint, engine::v1::GenerateRequest request,
                                       std::shared_ptr<EngineCallHandler> handler);

  // The engine is gone: its channel need not be kept.
  void Forget(const fleet::Endpoint& endpoint);

  struct Connection;  // a channel

 private:
  std::shared_ptr<Connection> Connect(const fleet::Endpoint& endpoint);

  static const std::shared_ptr<Connection>* first_;  // of the process; never destroyed

  absl::Mutex mutex_;
  // By machine and address: another machine may have got the address since.
  absl::flat_hash_map<std::pair<std::string, std::string>, std::shared_ptr<Connection>> connections_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference

#endif  // GATEWAY_SESSION_ENGINE_CLIENT_H_
