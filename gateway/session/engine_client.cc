#include "gateway/session/engine_client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/mutual_tls.h"
#include "engine/api/status.h"

namespace spotinference {

namespace api = engine::v1;

struct EngineClient::Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<api::Engine::Stub> stub;
};

namespace {

// The call and gRPC's reactor for it. Owns itself until OnDone, since gRPC may use it until then; `self_` is that hold.
class Call : public EngineCall,
             public grpc::ClientReadReactor<api::GenerateEvent>,
             public std::enable_shared_from_this<Call> {
 public:
  Call(api::GenerateRequest request, std::shared_ptr<EngineCallHandler> handler)
      : request_(std::move(request)), handler_(std::move(handler)) {}

  void Start(std::shared_ptr<EngineClient::Connection> connection, const std::string& token) {
    self_ = shared_from_this();
    connection_ = std::move(connection);
    if (!token.empty()) context_.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    connection_->stub->async()->Generate(&context_, &request_, this);
    AddHold();  // reads are started from outside of reactions
    StartCall();
  }

  void Next() override {
    {
      absl::MutexLock lock(&mutex_);
      if (!held_) return;
      reading_ = true;
    }
    StartRead(&event_);
  }

  void Cancel() override {
    context_.TryCancel();
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      if (reading_ || !held_) return;  // the end of the read that is under way lets go
      held_ = false;
    }
    RemoveHold();
  }

 private:
  void OnReadDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      reading_ = false;
      ok = ok && !cancelled_;  // nobody would ask for the next one
      if (!ok) {
        if (!held_) return;
        held_ = false;
      }
    }
    if (ok) handler_->OnEvent(event_);
    else RemoveHold();
  }

  void OnDone(const grpc::Status& status) override {
    handler_->OnEnd(FromGrpc(status));
    handler_ = nullptr;
    const std::shared_ptr<Call> last = std::move(self_);
  }

  const api::GenerateRequest request_;
  std::shared_ptr<EngineCallHandler> handler_;
  std::shared_ptr<EngineClient::Connection> connection_;
  grpc::ClientContext context_;
  api::GenerateEvent event_;
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Call> self_;
};

}  // namespace

const std::shared_ptr<EngineClient::Connection>* EngineClient::first_ = nullptr;

std::shared_ptr<EngineClient::Connection> EngineClient::Connect(const fleet::Endpoint& endpoint) {
  const std::pair key(endpoint.machine_id, endpoint.address);
  absl::MutexLock lock(&mutex_);
  if (const auto found = connections_.find(key); found != connections_.end()) return found->second;
  // Each engine's start has an address of its own: what no call uses any more belongs to an engine that is gone, or costs
  // a millisecond to make again.
  absl::erase_if(connections_, [](const auto& entry) { return entry.second.use_count() == 1; });
  grpc::ChannelArguments arguments;
  // A client that stops reading holds back its own stream after some 4 KiB of events, about 200 tokens. Left to itself
  // gRPC would take in 64 KiB a stream and more.
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4096);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Engines are on networks of our own; a proxy of the environment would see the prompts.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // A peer that vanished without a word is found out in 20 s, also while no event is due for long.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetSslTargetNameOverride(kMachineHost);
  auto connection = std::make_shared<Connection>();
  connection->channel = grpc::CreateCustomChannel(
      endpoint.address, endpoint.credentials != nullptr ? endpoint.credentials : grpc::InsecureChannelCredentials(),
      arguments);
  connection->stub = api::Engine::NewStub(connection->channel);
  // gRPC 1.51 runs callbacks on threads that go with the last channel that has used them, and aborts when a callback is
  // where that channel goes: the first one stays for ever.
  [[maybe_unused]] static const bool kept = (first_ = new std::shared_ptr<Connection>(connection)) != nullptr;
  connections_.emplace(key, connection);
  return connection;
}

std::shared_ptr<EngineCall> EngineClient::Generate(const fleet::Endpoint& endpoint, api::GenerateRequest request,
                                                   std::shared_ptr<EngineCallHandler> handler) {
  auto call = std::make_shared<Call>(std::move(request), std::move(handler));
  call->Start(Connect(endpoint), endpoint.token);
  return call;
}

void EngineClient::Forget(const fleet::Endpoint& endpoint) {
  absl::MutexLock lock(&mutex_);
  connections_.erase({endpoint.machine_id, endpoint.address});
}

}  // namespace spotinference
