// An engine's gRPC server whose answers a test dictates, on a loopback port of its own.
#ifndef GATEWAY_SESSION_FAKE_ENGINE_H_
#define GATEWAY_SESSION_FAKE_ENGINE_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/api/engine.pb.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/support/status.h"

namespace spotinference {

class FakeEngine {
 public:
  // One Generate call. Thread-safe.
  class Call {
   public:
    virtual ~Call() = default;
    virtual const engine::v1::GenerateRequest& request() const = 0;
    virtual const std::string& authorization() const = 0;
    virtual void Send(engine::v1::GenerateEvent event) = 0;
    virtual void End(const grpc::Status& status) = 0;
    virtual void AwaitCancelled() = 0;
  };

  explicit FakeEngine(std::shared_ptr<grpc::ServerCredentials> credentials = nullptr);  // nullptr: plain
  ~FakeEngine();  // calls that are left are broken off

  const std::string& address() const;
  // Waits for the `attempt`-th call, from 1, whose sampling.choice is `choice`.
  // Null: `timeout` passed.
  std::shared_ptr<Call> AwaitCall(uint32_t choice = 0, int attempt = 1,
                                  absl::Duration timeout = absl::InfiniteDuration());
  int calls() const;  // so far

 private:
  class Service;
  struct Server;
  std::unique_ptr<Server> server_;
};

}  // namespace spotinference

#endif  // GATEWAY_SESSION_FAKE_ENGINE_H_
