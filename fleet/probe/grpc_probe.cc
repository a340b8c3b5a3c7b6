#include "fleet/probe/grpc_probe.h"

#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/call_metadata.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/identity.grpc.pb.h"
#include "engine/api/mutual_tls.h"
#include "engine/api/status.h"

namespace spotinference::fleet {
namespace {

using engine::v1::Engine;
using engine::v1::HealthReply;
using engine::v1::Identity;

constexpr absl::Duration kCertification = absl::Seconds(5);  // a hung machine is asked again after it

std::optional<EngineNotice> NoticeIn(const HealthReply& health) {
  if (!health.has_notice()) return std::nullopt;
  const engine::v1::Notice& notice = health.notice();
  return EngineNotice{.source = notice.source(),
                      .stops = notice.kind() == engine::v1::Notice::KIND_STOP,
                      .serves_on = health.state() == HealthReply::STATE_SERVING,
                      .left = absl::Milliseconds(notice.left_ms()),
                      .reason = notice.reason()};
}

// Owns all that its calls need, and lives until Next says that it is answered.
class Question {
 public:
  virtual ~Question() = default;

  // One of the calls has ended. False: it was the last, and no other one followed.
  bool Next() {
    if (--open_calls_ > 0) return true;
    Finish();
    return open_calls_ > 0;
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
  Question(const Endpoint& endpoint, std::shared_ptr<grpc::ChannelCredentials> credentials, absl::Duration deadline,
           int calls)
      : bearer_(endpoint.token.empty() ? "" : absl::StrCat("Bearer ", endpoint.token)),
        life_(endpoint.life),
        deadline_(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(deadline)),
        open_calls_(calls) {
    grpc::ChannelArguments arguments;
    // Channels to one address otherwise share a connection, and its reconnect delay with it.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetSslTargetNameOverride(kMachineHost);
    if (credentials == nullptr) credentials = grpc::InsecureChannelCredentials();
    channel_ = grpc::CreateCustomChannel(endpoint.address, credentials, arguments);
  }
  Question(const Endpoint& endpoint, absl::Duration deadline, int calls)
      : Question(endpoint, endpoint.credentials, deadline, calls) {}

  template <typename Service>
  std::unique_ptr<typename Service::Stub> NewStub() const {
    return Service::NewStub(channel_);
  }

  template <typename Reply, typename Stub, typename Method, typename Request>
  void Begin(Call<Reply>& call, Stub& stub, Method method, const Request& request, grpc::CompletionQueue& queue) {
    call.context.set_deadline(deadline_);
    if (!bearer_.empty()) call.context.AddMetadata("authorization", bearer_);
    if (!life_.empty()) call.context.AddMetadata(kMachineLife, life_);
    call.reader = (stub.*method)(&call.context, request, &queue);
    call.reader->Finish(&call.reply, &call.status, this);
  }

  // In Finish: another call is to begin.
  void ExpectOneMore() { ++open_calls_; }

 private:
  virtual void Finish() = 0;

  const std::string bearer_, life_;
  const std::chrono::system_clock::time_point deadline_;
  std::shared_ptr<grpc::Channel> channel_;
  int open_calls_;
};

class IdentityQuestion : public Question {
 public:
  IdentityQuestion(const Endpoint& endpoint, absl::Duration deadline, grpc::CompletionQueue& queue,
                   absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done)
      : Question(endpoint, deadline, 2), done_(std::move(done)) {
    engine::v1::HandshakeRequest request;
    request.set_api_version(engine::v1::API_VERSION_CURRENT);
    Begin(handshake_, *stub_, &Engine::Stub::AsyncHandshake, request, queue);
    Begin(health_, *stub_, &Engine::Stub::AsyncHealth, engine::v1::HealthRequest(), queue);
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
    return EngineIdentity{identity.model_hash(), identity.numerics_id(), identity.context_tokens(),
                          NoticeIn(health_.reply)};
  }

  absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done_;
  const std::unique_ptr<Engine::Stub> stub_ = NewStub<Engine>();
  Call<engine::v1::HandshakeReply> handshake_;
  Call<HealthReply> health_;
};

class FiguresQuestion : public Question {
 public:
  FiguresQuestion(const Endpoint& endpoint, absl::Duration deadline, grpc::CompletionQueue& queue,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done)
      : Question(endpoint, deadline, 2), done_(std::move(done)) {
    Begin(stats_, *stub_, &Engine::Stub::AsyncStats, engine::v1::StatsRequest(), queue);
    Begin(health_, *stub_, &Engine::Stub::AsyncHealth, engine::v1::HealthRequest(), queue);
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
        .volumes_full = stats.volume_full(),
        .notice = NoticeIn(health_.reply),
        .notices = health_.reply.notices()});
  }

  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done_;
  const std::unique_ptr<Engine::Stub> stub_ = NewStub<Engine>();
  Call<engine::v1::StatsReply> stats_;
  Call<HealthReply> health_;
};

class NoticeWait : public Question {
 public:
  NoticeWait(const Endpoint& endpoint, uint64_t notices, absl::Duration deadline, grpc::CompletionQueue& queue,
             absl::AnyInvocable<void(NoticeWait*, const absl::Status&)> done)
      : Question(endpoint, deadline, 1), done_(std::move(done)) {
    engine::v1::AwaitNoticeRequest request;
    request.set_notices(notices);
    Begin(await_, *stub_, &Engine::Stub::AsyncAwaitNotice, request, queue);
  }

  void Cancel() { await_.context.TryCancel(); }

 private:
  void Finish() override { done_(this, FromGrpc(await_.status)); }

  absl::AnyInvocable<void(NoticeWait*, const absl::Status&)> done_;
  const std::unique_ptr<Engine::Stub> stub_ = NewStub<Engine>();
  Call<engine::v1::AwaitNoticeReply> await_;
};

class InterruptOrder : public Question {
 public:
  InterruptOrder(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                 grpc::CompletionQueue& queue,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done)
      : Question(endpoint, deadline, 1), done_(std::move(done)) {
    engine::v1::InterruptRequest request;
    request.set_notice_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(notice)));
    Begin(interrupt_, *stub_, &Engine::Stub::AsyncInterrupt, request, queue);
  }

 private:
  void Finish() override {
    if (!interrupt_.status.ok()) return done_(FromGrpc(interrupt_.status));
    done_(interrupt_.reply.handed_over());
  }

  absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done_;
  const std::unique_ptr<Engine::Stub> stub_ = NewStub<Engine>();
  Call<engine::v1::InterruptReply> interrupt_;
};

class HandOverOrder : public Question {
 public:
  HandOverOrder(const Endpoint& endpoint, absl::Duration deadline, grpc::CompletionQueue& queue,
                absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done)
      : Question(endpoint, deadline, 1), done_(std::move(done)) {
    Begin(hand_over_, *stub_, &Engine::Stub::AsyncHandOver, engine::v1::HandOverRequest(), queue);
  }

 private:
  void Finish() override {
    if (!hand_over_.status.ok()) return done_(FromGrpc(hand_over_.status));
    done_(hand_over_.reply.handed_over());
  }

  absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done_;
  const std::unique_ptr<Engine::Stub> stub_ = NewStub<Engine>();
  Call<engine::v1::HandOverReply> hand_over_;
};

// gRPC's queue, where calls may be begun that it comes too late for: its own would abort.
class Calls {
 public:
  grpc::CompletionQueue& queue() { return queue_; }

  // False: it has been shut down, and nothing begins.
  template <typename Begin>
  bool BeginLate(Begin begin) {
    absl::MutexLock lock(&mutex_);
    if (!shut_) begin(queue_);
    return !shut_;
  }

  void Shutdown() {
    absl::MutexLock lock(&mutex_);
    shut_ = true;
    queue_.Shutdown();
  }

 private:
  absl::Mutex mutex_;
  bool shut_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::CompletionQueue queue_;
};

// For whoever answers: to be told nothing that is not public.
Endpoint WithoutToken(Endpoint endpoint) {
  endpoint.token.clear();
  return endpoint;
}

// Two calls, one after the other: what the machine wants certified, and its certificate.
class Certification : public Question {
 public:
  Certification(const Endpoint& endpoint, std::shared_ptr<grpc::ChannelCredentials> credentials, Authority& authority,
                Calls& calls, absl::AnyInvocable<void(const absl::Status&)> done)
      : Question(WithoutToken(endpoint), std::move(credentials), kCertification, 1),
        machine_id_(endpoint.machine_id),
        name_(authority.NameOf(machine_id_)),
        authority_(authority),
        calls_(calls),
        done_(std::move(done)) {
    Begin(prove_, *stub_, &Identity::Stub::AsyncProve, engine::v1::ProveRequest(), calls.queue());
  }

 private:
  void Finish() override {
    if (asked_) {
      if (install_.status.ok()) authority_.NoteInstalled(machine_id_, name_);
      return done_(FromGrpc(install_.status));
    }
    asked_ = true;
    if (!prove_.status.ok()) return done_(FromGrpc(prove_.status));
    absl::StatusOr<std::string> certificate =
        authority_.Certify(machine_id_, prove_.reply.request(), prove_.reply.token());
    if (!certificate.ok()) return done_(certificate.status());
    engine::v1::InstallRequest request;
    request.set_certificate(*std::move(certificate));
    const bool begun = calls_.BeginLate([&](grpc::CompletionQueue& queue) {
      ExpectOneMore();
      Begin(install_, *stub_, &Identity::Stub::AsyncInstall, request, queue);
    });
    if (!begun) done_(absl::UnavailableError("the probe ends"));
  }

  const std::string machine_id_, name_;
  Authority& authority_;
  Calls& calls_;
  absl::AnyInvocable<void(const absl::Status&)> done_;
  const std::unique_ptr<Identity::Stub> stub_ = NewStub<Identity>();
  bool asked_ = false;
  Call<engine::v1::ProveReply> prove_;
  Call<engine::v1::InstallReply> install_;
};

// A queue and thread of its own, not gRPC's callbacks: in this version the last channel must not
// end inside of one.
class GrpcProbe : public Probe {
 public:
  explicit GrpcProbe(Authority* authority)
      : authority_(authority),
        to_anyone_(authority == nullptr ? nullptr : CredentialsToAnyone(authority->gateway())) {}

  ~GrpcProbe() override {
    {
      absl::MutexLock lock(&mutex_);
      for (NoticeWait* const wait : waits_) wait->Cancel();
    }
    calls_.Shutdown();
    thread_.join();
  }

  void Ask(const Endpoint& endpoint, absl::Duration deadline,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override {
    CertifyIfDue(endpoint);
    new IdentityQuestion(endpoint, deadline, calls_.queue(), std::move(done));
  }

  void AskFigures(const Endpoint& endpoint, absl::Duration deadline,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override {
    CertifyIfDue(endpoint);
    new FiguresQuestion(endpoint, deadline, calls_.queue(), std::move(done));
  }

  void AwaitNotice(const Endpoint& endpoint, uint64_t notices, absl::Duration deadline,
                   absl::AnyInvocable<void(const absl::Status&)> done) override {
    absl::MutexLock lock(&mutex_);  // it is among them before it ends
    waits_.insert(new NoticeWait(endpoint, notices, deadline, calls_.queue(),
                                 [this, done = std::move(done)](NoticeWait* wait, const absl::Status& status) mutable {
                                   {
                                     absl::MutexLock ended(&mutex_);
                                     waits_.erase(wait);
                                   }
                                   done(status);
                                 }));
  }

  void HandOver(const Endpoint& endpoint, absl::Duration deadline,
                absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    new HandOverOrder(endpoint, deadline, calls_.queue(), std::move(done));
  }

  void Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    new InterruptOrder(endpoint, notice, deadline, calls_.queue(), std::move(done));
  }

 private:
  void CertifyIfDue(const Endpoint& endpoint) {
    if (endpoint.credentials == nullptr || authority_ == nullptr || !authority_->IsDue(endpoint.machine_id)) return;
    {
      absl::MutexLock lock(&mutex_);
      if (!certifying_.insert(endpoint.machine_id).second) return;
    }
    new Certification(endpoint, to_anyone_, *authority_, calls_, [this, id = endpoint.machine_id](absl::Status status) {
      // A machine that boots does not answer yet.
      const bool expected = status.ok() || absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
      if (!expected) {
        LOG_EVERY_T(WARNING, 10) << id << " gets no certificate: " << status;
      }
      absl::MutexLock lock(&mutex_);
      certifying_.erase(id);
    });
  }

  void Run() {
    void* tag;
    bool ok;
    while (calls_.queue().Next(&tag, &ok)) {
      auto* const question = static_cast<Question*>(tag);
      if (!question->Next()) delete question;
    }
  }

  Authority* const authority_;
  const std::shared_ptr<grpc::ChannelCredentials> to_anyone_;
  absl::Mutex mutex_;
  std::set<std::string> certifying_ ABSL_GUARDED_BY(mutex_);  // machines, now
  std::set<NoticeWait*> waits_ ABSL_GUARDED_BY(mutex_);       // that have not ended
  Calls calls_;
  std::thread thread_{[this] { Run(); }};
};

}  // namespace

std::unique_ptr<Probe> NewGrpcProbe(Authority* authority) { return std::make_unique<GrpcProbe>(authority); }

}  // namespace spotinference::fleet
