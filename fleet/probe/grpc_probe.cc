#include "fleet/probe/grpc_probe.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/api/engine.grpc.pb.h"

namespace spotinference::fleet {
namespace {

using engine::v1::Engine;
using engine::v1::HealthReply;


absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// One question: owns all that its two calls need, and lives until Next says that it is answered.
class Question {
 public:
  Question(const Endpoint& endpoint, absl::Duration deadline, grpc::CompletionQueue& queue,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done)
      : done_(std::move(done)) {
    grpc::ChannelArguments arguments;
    // Channels to one address otherwise share a connection, and its reconnect delay with it.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    stub_ = Engine::NewStub(
        grpc::CreateCustomChannel(endpoint.address, grpc::InsecureChannelCredentials(), arguments));
    for (grpc::ClientContext* context : {&handshake_context_, &health_context_}) {
      context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(deadline));
      context->AddMetadata("authorization", absl::StrCat("Bearer ", endpoint.token));
    }
    engine::v1::HandshakeRequest request;
    request.set_api_version(engine::v1::API_VERSION_CURRENT);
    handshake_ = stub_->AsyncHandshake(&handshake_context_, request, &queue);
    handshake_->Finish(&identity_, &handshake_status_, this);
    health_ = stub_->AsyncHealth(&health_context_, {}, &queue);
    health_->Finish(&health_reply_, &health_status_, this);
  }

  // One of the two calls has ended. False: so has the other, and `done` ran.
  bool Next() {
    if (--open_calls_ > 0) return true;
    done_(Answer());
    return false;
  }

 private:
  absl::StatusOr<EngineIdentity> Answer() const {
    for (const grpc::Status* status : {&handshake_status_, &health_status_}) {
      if (!status->ok()) return FromGrpc(*status);
    }
    if (identity_.api_version() != engine::v1::API_VERSION_CURRENT) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the engine speaks API version ", identity_.api_version(), ", not ", engine::v1::API_VERSION_CURRENT));
    }
    if (health_reply_.state() != HealthReply::STATE_SERVING) {
      return absl::UnavailableError("the engine drains");
    }
    return EngineIdentity{identity_.model_hash(), identity_.numerics_id()};
  }

  absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done_;
  std::unique_ptr<Engine::Stub> stub_;
  grpc::ClientContext handshake_context_;
  grpc::ClientContext health_context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<engine::v1::HandshakeReply>> handshake_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<HealthReply>> health_;
  engine::v1::HandshakeReply identity_;
  HealthReply health_reply_;
  grpc::Status handshake_status_;
  grpc::Status health_status_;
  int open_calls_ = 2;
};

// A queue and thread of its own, not gRPC's callbacks: in this version the last channel must not
// end inside of one.
class GrpcProbe : public Probe {
 public:
  ~GrpcProbe() override {
    queue_.Shutdown();
    thread_.join();
  }

  void Ask(const Endpoint& endpoint, absl::Duration deadline,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override {
    new Question(endpoint, deadline, queue_, std::move(done));
  }

 private:
  void Run() {
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
      auto* const question = static_cast<Question*>(tag);
      if (!question->Next()) delete question;
    }
  }

  grpc::CompletionQueue queue_;
  std::thread thread_{[this] { Run(); }};
};

}  // namespace

std::unique_ptr<Probe> NewGrpcProbe() { return std::make_unique<GrpcProbe>(); }

}  // namespace spotinference::fleet
