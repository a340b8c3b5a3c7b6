#include "fleet/probe/grpc_probe.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/status.h"

namespace spotinference::fleet {
namespace {

using engine::v1::Engine;
using engine::v1::HealthReply;

std::optional<EngineNotice> NoticeIn(const HealthReply& health) {
  if (!health.has_notice()) return std::nullopt;
  const engine::v1::Notice& notice = health.notice();
  return EngineNotice{.source = notice.source(),
                      .stops = notice.kind() == engine::v1::Notice::KIND_STOP,
                      .left = absl::Milliseconds(notice.left_ms()),
                      .reason = notice.reason()};
}

// Owns all that its calls need, and lives until Next says that it is answered.
class Question {
 public:
  virtual ~Question() = default;

  // One of the calls has ended. False: it was the last, and `done` ran.
  bool Next() {
    if (--open_calls_ > 0) return true;
    Finish();
    return false;
  }

 protected:
  template <typename Reply>
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Reply>> reader;
    Reply reply;
    grpc::Status status;
  };

  // `calls` calls are to begin; the first may end before the last has begun.
  Question(const Endpoint& endpoint, absl::Duration deadline, int calls)
      : bearer_(absl::StrCat("Bearer ", endpoint.token)),
        deadline_(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(deadline)),
        open_calls_(calls) {
    grpc::ChannelArguments arguments;
    // Channels to one address otherwise share a connection, and its reconnect delay with it.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    stub_ = Engine::NewStub(
        grpc::CreateCustomChannel(endpoint.address, grpc::InsecureChannelCredentials(), arguments));
  }

  template <typename Reply, typename Method, typename Request>
  void Begin(Call<Reply>& call, Method method, const Request& request,
             grpc::CompletionQueue& queue) {
    call.context.set_deadline(deadline_);
    call.context.AddMetadata("authorization", bearer_);
    call.reader = (stub_.get()->*method)(&call.context, request, &queue);
    call.reader->Finish(&call.reply, &call.status, this);
  }

 private:
  virtual void Finish() = 0;

  const std::string bearer_;
  const std::chrono::system_clock::time_point deadline_;
  std::unique_ptr<Engine::Stub> stub_;
  int open_calls_;
};

class IdentityQuestion : public Question {
 public:
  IdentityQuestion(const Endpoint& endpoint, absl::Duration deadline, grpc::CompletionQueue& queue,
                   absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done)
      : Question(endpoint, deadline, 2), done_(std::move(done)) {
    engine::v1::HandshakeRequest request;
    request.set_api_version(engine::v1::API_VERSION_CURRENT);
    Begin(handshake_, &Engine::Stub::AsyncHandshake, request, queue);
    Begin(health_, &Engine::Stub::AsyncHealth, engine::v1::HealthRequest(), queue);
  }

 private:
  void Finish() override { done_(Answer()); }

  absl::StatusOr<EngineIdentity> Answer() const {
    for (const grpc::Status* status : {&handshake_.status, &health_.status}) {
      if (!status->ok()) return FromGrpc(*status);
    }
    const engine::v1::HandshakeReply& identity = handshake_.reply;
    if (identity.api_version() != engine::v1::API_VERSION_CURRENT) {
      return absl::FailedPreconditionError(absl::StrCat("the engine speaks API version ",
                                                        identity.api_version(), ", not ",
                                                        engine::v1::API_VERSION_CURRENT));
    }
    if (health_.reply.state() != HealthReply::STATE_SERVING) {
      return health_.reply.has_notice() ? NoticedError(health_.reply.notice())
                                        : absl::UnavailableError("the engine drains");
    }
    return EngineIdentity{identity.model_hash(), identity.numerics_id(), identity.context_tokens()};
  }

  absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done_;
  Call<engine::v1::HandshakeReply> handshake_;
  Call<HealthReply> health_;
};

class FiguresQuestion : public Question {
 public:
  FiguresQuestion(const Endpoint& endpoint, absl::Duration deadline, grpc::CompletionQueue& queue,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done)
      : Question(endpoint, deadline, 2), done_(std::move(done)) {
    Begin(stats_, &Engine::Stub::AsyncStats, engine::v1::StatsRequest(), queue);
    Begin(health_, &Engine::Stub::AsyncHealth, engine::v1::HealthRequest(), queue);
  }

 private:
  void Finish() override {
    for (const grpc::Status* status : {&stats_.status, &health_.status}) {
      if (!status->ok()) return done_(FromGrpc(*status));
    }
    const engine::v1::StatsReply& stats = stats_.reply;
    done_(EngineFigures{
        .totals = {.programs_compiled = static_cast<int64_t>(stats.programs_compiled()),
                   .prompt_tokens = static_cast<int64_t>(stats.prompt_tokens()),
                   .cached_tokens = static_cast<int64_t>(stats.cached_tokens()),
                   .generated_tokens = static_cast<int64_t>(stats.generated_tokens()),
                   .preemptions = static_cast<int64_t>(stats.preemptions()),
                   .drafted_tokens = static_cast<int64_t>(stats.drafted_tokens()),
                   .accepted_tokens = static_cast<int64_t>(stats.accepted_tokens()),
                   .kv_blocks_restored = static_cast<int64_t>(stats.kv_blocks_restored()),
                   .busy = absl::Microseconds(stats.busy_microseconds())},
        .steps = static_cast<int64_t>(health_.reply.steps()),
        .running_sequences = stats.running_sequences(),
        .waiting_sequences = stats.waiting_sequences(),
        .kv_blocks_total = stats.kv_blocks_total(),
        .kv_blocks_used = stats.kv_blocks_used(),
        .kv_blocks_cached = stats.kv_blocks_cached(),
        .weights_bytes = static_cast<int64_t>(stats.weights_bytes()),
        .notice = NoticeIn(health_.reply)});
  }

  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done_;
  Call<engine::v1::StatsReply> stats_;
  Call<HealthReply> health_;
};

class InterruptOrder : public Question {
 public:
  InterruptOrder(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                 grpc::CompletionQueue& queue,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done)
      : Question(endpoint, deadline, 1), done_(std::move(done)) {
    engine::v1::InterruptRequest request;
    request.set_notice_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(notice)));
    Begin(interrupt_, &Engine::Stub::AsyncInterrupt, request, queue);
  }

 private:
  void Finish() override {
    if (!interrupt_.status.ok()) return done_(FromGrpc(interrupt_.status));
    done_(interrupt_.reply.handed_over());
  }

  absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done_;
  Call<engine::v1::InterruptReply> interrupt_;
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
    new IdentityQuestion(endpoint, deadline, queue_, std::move(done));
  }

  void AskFigures(const Endpoint& endpoint, absl::Duration deadline,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override {
    new FiguresQuestion(endpoint, deadline, queue_, std::move(done));
  }

  void Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    new InterruptOrder(endpoint, notice, deadline, queue_, std::move(done));
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
