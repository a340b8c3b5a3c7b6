#include "engine/server/service.h"

#include <grpcpp/grpcpp.h>
#include <openssl/crypto.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/call_metadata.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/status.h"
#include "engine/base/build_id.h"

namespace spotinference {
namespace {

namespace api = ::spotinference::engine::v1;

// Events that wait for a slow caller. Past the high mark its sequence is paused, at the low mark it goes on. An event is
// some 20 bytes on the wire; HTTP/2's own window of 64 KiB comes on top.
constexpr size_t kHighWater = 64;
constexpr size_t kLowWater = 16;

// Threads that begin sequences, and as many for those of whose KV a volume has something, which is read first, for seconds
// where it is much and the disk slow: gRPC's own threads have to answer Health and carry the other streams meanwhile, and
// who has nothing to read does not wait for who has. More would only share the disk.
constexpr int kStarters = 4;

struct Starters {
  boost::asio::thread_pool reading{kStarters};
  boost::asio::thread_pool others{kStarters};  // goes first, since it hands over to the other
};

constexpr absl::string_view kLocalSource = "local";

api::GenerateEvent ToProto(const TokenEvent& event, bool logprobs, bool first) {
  api::GenerateEvent out;
  out.set_index(event.index);
  out.set_id(event.id);
  switch (event.finish) {
    case TokenEvent::Finish::kNone: break;
    case TokenEvent::Finish::kStop: out.set_finish_reason(api::FINISH_REASON_STOP); break;
    case TokenEvent::Finish::kLength: out.set_finish_reason(api::FINISH_REASON_LENGTH); break;
  }
  if (logprobs) {
    out.mutable_logprob()->set_id(event.id);
    out.mutable_logprob()->set_logprob(event.logprob);
    for (const TokenLogprob& top : event.top_logprobs) {
      api::TokenLogprob* const to = out.add_top_logprobs();
      to->set_id(top.id);
      to->set_logprob(top.logprob);
    }
  }
  if (!first) return out;
  out.set_cached_tokens(event.cached_tokens);
  out.set_waited_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(event.waited)));
  return out;
}

EngineRequest FromProto(const api::GenerateRequest& in) {
  EngineRequest out;
  out.sequence.prompt_ids.assign(in.prompt_ids().begin(), in.prompt_ids().end());
  out.sequence.generated_ids.assign(in.generated_ids().begin(), in.generated_ids().end());
  out.sequence.max_tokens = in.max_tokens();
  out.sequence.cache_salt = in.cache_salt();
  const api::Sampling& sampling = in.sampling();
  out.sampling.temperature = sampling.temperature();
  out.sampling.top_k = sampling.top_k();
  out.sampling.top_p = sampling.top_p();
  out.sampling.min_p = sampling.min_p();
  out.sampling.presence_penalty = sampling.presence_penalty();
  out.sampling.frequency_penalty = sampling.frequency_penalty();
  out.sampling.repetition_penalty = sampling.repetition_penalty();
  for (const auto& [id, bias] : sampling.logit_bias()) out.sampling.logit_bias[id] = bias;
  out.sampling.seed = sampling.seed();
  out.sampling.choice = sampling.choice();
  if (in.constraint().form_case() == api::Constraint::kJsonObject) {
    out.constraint = ConstraintSpec{ConstraintSpec::Form::kJsonObject, ""};
  } else if (in.constraint().form_case() == api::Constraint::kJsonSchema) {
    out.constraint = ConstraintSpec{ConstraintSpec::Form::kJsonSchema, in.constraint().json_schema()};
  }
  out.sampling.logprobs = in.logprobs();
  out.sampling.top_logprobs = in.top_logprobs();
  if (!in.ignore_stop_ids()) out.stop_ids.assign(in.stop_ids().begin(), in.stop_ids().end());
  return out;
}

// One Generate call: events from the engine's thread, written one at a time. Lives until both gRPC and the engine have
// let go of it.
class GenerateStream : public TokenSink {
 public:
  class Reactor : public grpc::ServerWriteReactor<api::GenerateEvent> {
   public:
    explicit Reactor(std::shared_ptr<GenerateStream> stream) : stream_(std::move(stream)) {}
    void OnWriteDone(bool ok) override { stream_->OnWriteDone(ok); }
    void OnCancel() override { stream_->OnCancel(); }
    void OnDone() override { delete this; }

   private:
    const std::shared_ptr<GenerateStream> stream_;
  };

  GenerateStream(Engine& engine, const Interruptions& interruptions, bool logprobs)
      : engine_(engine), interruptions_(interruptions), logprobs_(logprobs) {}

  static Reactor* Start(Engine& engine, const Interruptions& interruptions, const api::GenerateRequest& request,
                        Starters& starters) {
    auto stream = std::make_shared<GenerateStream>(engine, interruptions, request.logprobs());
    Reactor* const reactor = new Reactor(stream);
    stream->reactor_ = reactor;
    boost::asio::post(starters.others, [stream, &starters, request = FromProto(request)]() mutable {
      if (!stream->engine_.ReadsVolume(request)) return stream->Submit(std::move(request), stream);
      boost::asio::post(starters.reading, [stream, request = std::move(request)]() mutable {
        stream->Submit(std::move(request), stream);
      });
    });
    return reactor;
  }

  bool OnToken(const TokenEvent& event) override {
    bool write, more;
    {
      absl::MutexLock lock(&mutex_);
      if (finished_) return true;
      queue_.push_back(ToProto(event, logprobs_, first_));
      queue_.back().set_noticed(interruptions_.stops());
      first_ = false;
      write = TakeNext();
      more = queue_.size() < kHighWater;
      paused_ = !more;
    }
    if (write) reactor_->StartWrite(&writing_event_);
    return more;
  }

  void OnEnd(const absl::Status& status) override {
    bool finish;
    {
      absl::MutexLock lock(&mutex_);
      end_ = status;
      finish = TakeEnd();
    }
    if (finish) reactor_->Finish(ToGrpc(status));
  }

 private:
  void Submit(EngineRequest request, std::shared_ptr<GenerateStream> self) {
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return;
    }
    const absl::StatusOr<SequenceId> id = engine_.Submit(std::move(request), std::move(self));
    if (!id.ok()) return OnEnd(id.status());
    bool cancelled, resume;
    {
      absl::MutexLock lock(&mutex_);
      id_ = *id;
      cancelled = cancelled_;
      resume = !paused_;
    }
    if (cancelled) engine_.Cancel(*id);
    else if (resume) engine_.Resume(*id);  // where it was paused and drained before its id was known
  }

  void OnWriteDone(bool ok) {
    bool write = false, finish = false, resume = false;
    absl::Status end;
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) {
        queue_.clear();
        cancelled_ = true;
        end_ = absl::CancelledError("the caller went away");
      }
      write = TakeNext();
      finish = !write && TakeEnd();
      if (finish) end = *end_;
      resume = paused_ && queue_.size() <= kLowWater && id_.has_value();
      if (queue_.size() <= kLowWater) paused_ = false;
    }
    if (!ok) CancelSequence();
    if (write) reactor_->StartWrite(&writing_event_);
    else if (finish) reactor_->Finish(ToGrpc(end));
    if (resume) engine_.Resume(*id_);
  }

  void OnCancel() {
    bool finish;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      queue_.clear();
      end_ = absl::CancelledError("the caller cancelled");
      finish = TakeEnd();
    }
    CancelSequence();
    if (finish) reactor_->Finish(grpc::Status::CANCELLED);
  }

  void CancelSequence() {
    std::optional<SequenceId> id;
    {
      absl::MutexLock lock(&mutex_);
      id = id_;
    }
    if (id.has_value()) engine_.Cancel(*id);
  }

  // True: writing_event_ is to be written now.
  bool TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_ || queue_.empty()) return false;
    writing_ = true;
    writing_event_ = std::move(queue_.front());
    queue_.pop_front();
    return true;
  }
  // True: the call is to be finished now.
  bool TakeEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_ || !queue_.empty() || !end_.has_value()) return false;
    finished_ = true;
    return true;
  }

  Engine& engine_;
  const Interruptions& interruptions_;
  const bool logprobs_;
  Reactor* reactor_ = nullptr;  // alive until Finish, which is called once
  absl::Mutex mutex_;
  std::deque<api::GenerateEvent> queue_ ABSL_GUARDED_BY(mutex_);
  api::GenerateEvent writing_event_;  // gRPC's while writing_
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool first_ ABSL_GUARDED_BY(mutex_) = true;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::optional<SequenceId> id_;  // set once
};

// One that waits for a change of the notices. Whoever takes it out of Interruptions answers it.
class NoticeWait : public grpc::ServerUnaryReactor {
 public:
  NoticeWait(Interruptions& interruptions, uint64_t known)
      : interruptions_(interruptions), id_(interruptions.AwaitChange(known, [this](bool changed) {
          Finish(changed ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "the engine ends"));
        })) {}

 private:
  void OnCancel() override {
    if (interruptions_.Forget(id_)) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

  Interruptions& interruptions_;
  const uint64_t id_;
};

class Service : public api::Engine::CallbackService, public EngineService {
 public:
  Service(const Clock& clock, ServiceOptions options)
      : clock_(clock),
        authorization_(options.token.empty() ? "" : absl::StrCat("Bearer ", options.token)),
        takes_interrupt_(options.takes_interrupt),
        heard_(std::move(options.heard)) {}

  grpc::Service& service() override { return *this; }

  void SetDownload(uint64_t done_bytes, uint64_t total_bytes) override {
    absl::MutexLock lock(&mutex_);
    booting_ = DownloadingError(done_bytes, total_bytes);
  }

  void Open(Engine& engine, Interruptions& interruptions) override {
    interruptions_ = &interruptions;
    engine_ = &engine;
  }

 private:
  grpc::ServerUnaryReactor* Handshake(grpc::CallbackServerContext* context, const api::HandshakeRequest* request,
                                      api::HandshakeReply* reply) override {
    return Answer(context, [&]() -> grpc::Status {
      if (request->api_version() != api::API_VERSION_CURRENT) {
        return {grpc::StatusCode::FAILED_PRECONDITION, absl::StrCat("API version ", request->api_version(),
                                                                    ": this engine speaks ", api::API_VERSION_CURRENT)};
      }
      const EngineInfo& info = engine()->info();
      reply->set_api_version(api::API_VERSION_CURRENT);
      reply->set_model_hash(info.model_hash);
      reply->set_numerics_id(info.numerics_id);
      reply->set_backend(info.backend);
      reply->set_device(info.device);
      reply->set_context_tokens(info.context_tokens);
      reply->set_vocabulary_size(info.vocabulary_size);
      reply->set_build(BuildId());
      return grpc::Status::OK;
    });
  }

  grpc::ServerWriteReactor<api::GenerateEvent>* Generate(grpc::CallbackServerContext* context,
                                                        const api::GenerateRequest* request) override {
    const auto refuse = [](const grpc::Status& status) {
      struct Refusal : grpc::ServerWriteReactor<api::GenerateEvent> {
        void OnDone() override { delete this; }
      };
      Refusal* const reactor = new Refusal;
      reactor->Finish(status);
      return reactor;
    };
    if (const grpc::Status status = Check(*context); !status.ok()) return refuse(status);
    const std::string& hash = engine()->info().model_hash;
    if (!request->model_hash().empty() && request->model_hash() != hash) {
      return refuse({grpc::StatusCode::FAILED_PRECONDITION,
                     absl::StrCat("model ", request->model_hash(), " is asked for; this engine serves ", hash)});
    }
    return GenerateStream::Start(*engine(), *interruptions_, *request, starters_);
  }

  grpc::ServerUnaryReactor* Health(grpc::CallbackServerContext* context, const api::HealthRequest*,
                                   api::HealthReply* reply) override {
    return Answer(context, [&] {
      reply->set_notices(interruptions_->changes());  // before the notice itself: told twice rather than not at all
      const EngineStats stats = engine()->Stats();
      reply->set_state(stats.draining ? api::HealthReply::STATE_DRAINING : api::HealthReply::STATE_SERVING);
      reply->set_steps(stats.steps);
      reply->set_active_sequences(stats.active_sequences);
      if (const std::optional<api::Notice> notice = interruptions_->MostUrgent()) *reply->mutable_notice() = *notice;
      return grpc::Status::OK;
    });
  }

  grpc::ServerUnaryReactor* AwaitNotice(grpc::CallbackServerContext* context, const api::AwaitNoticeRequest* request,
                                        api::AwaitNoticeReply*) override {
    if (const grpc::Status status = Check(*context); !status.ok()) {
      grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
      reactor->Finish(status);
      return reactor;
    }
    return new NoticeWait(*interruptions_, request->notices());
  }

  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const api::DrainRequest* request,
                                  api::DrainReply* reply) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    if (const grpc::Status status = Check(*context); !status.ok()) {
      reactor->Finish(status);
      return reactor;
    }
    const absl::Duration deadline =
        request->deadline_ms() == 0 ? absl::InfiniteDuration() : absl::Milliseconds(request->deadline_ms());
    engine()->Drain(deadline, [reactor, reply](uint32_t ended_early) {
      reply->set_ended_early(ended_early);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* Interrupt(grpc::CallbackServerContext* context, const api::InterruptRequest* request,
                                      api::InterruptReply* reply) override {
    return Answer(context, [&]() -> grpc::Status {
      if (!takes_interrupt_) return {grpc::StatusCode::FAILED_PRECONDITION, "--notice of this engine has no 'local'"};
      if (request->withdrawn()) {
        interruptions_->Withdraw(kLocalSource);
      } else {
        const absl::Duration at = clock_.Elapsed() + absl::Milliseconds(request->notice_ms());
        reply->set_handed_over(
            interruptions_->Announce({std::string(kLocalSource), Notice::Kind::kStop, at, "interrupt"}));
      }
      return grpc::Status::OK;
    });
  }

  grpc::ServerUnaryReactor* HandOver(grpc::CallbackServerContext* context, const api::HandOverRequest*,
                                     api::HandOverReply* reply) override {
    return Answer(context, [&] {
      reply->set_handed_over(interruptions_->HandOver());
      return grpc::Status::OK;
    });
  }

  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* context, const api::StatsRequest*,
                                  api::StatsReply* reply) override {
    return Answer(context, [&] {
      const EngineStats stats = engine()->Stats();
      reply->set_running_sequences(stats.scheduler.running_sequences);
      reply->set_waiting_sequences(stats.scheduler.waiting_sequences);
      reply->set_prompt_tokens(stats.scheduler.prompt_tokens);
      reply->set_cached_tokens(stats.scheduler.cached_tokens);
      reply->set_generated_tokens(stats.scheduler.generated_tokens);
      reply->set_preemptions(stats.scheduler.preemptions);
      reply->set_drafted_tokens(stats.scheduler.drafted_tokens);
      reply->set_accepted_tokens(stats.scheduler.accepted_tokens);
      reply->set_kv_blocks_total(stats.kv_blocks_total);
      reply->set_kv_blocks_used(stats.kv_blocks_used);
      reply->set_kv_blocks_cached(stats.kv_blocks_cached);
      reply->set_kv_blocks_restored(stats.kv_blocks_restored);
      reply->set_volume_full(stats.volume_full);
      reply->set_weights_bytes(stats.weight_bytes);
      reply->set_programs_compiled(stats.programs_compiled);
      reply->set_busy_microseconds(absl::ToInt64Microseconds(stats.busy));
      return grpc::Status::OK;
    });
  }

  template <typename Fn>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Fn fn) {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    const grpc::Status status = Check(*context);
    if (status.ok()) {
      const auto found = context->client_metadata().find(kMachineLife);
      if (found != context->client_metadata().end()) {
        interruptions_->NameLife({found->second.data(), found->second.size()});
      }
    }
    reactor->Finish(status.ok() ? fn() : status);
    return reactor;
  }

  // OK: the caller may call, and the engine is there.
  grpc::Status Check(const grpc::CallbackServerContext& context) const {
    if (!Allowed(context)) return {grpc::StatusCode::UNAUTHENTICATED, "the engine's token is missing or wrong"};
    if (heard_) heard_();
    if (engine() != nullptr) return grpc::Status::OK;
    absl::MutexLock lock(&mutex_);
    return ToGrpc(booting_);
  }

  bool Allowed(const grpc::CallbackServerContext& context) const {
    if (authorization_.empty()) return true;
    const auto found = context.client_metadata().find("authorization");
    return found != context.client_metadata().end() && found->second.size() == authorization_.size() &&
           CRYPTO_memcmp(found->second.data(), authorization_.data(), authorization_.size()) == 0;
  }

  Engine* engine() const { return engine_; }

  const Clock& clock_;
  const std::string authorization_;
  const bool takes_interrupt_;
  const std::function<void()> heard_;
  Starters starters_;
  mutable absl::Mutex mutex_;
  absl::Status booting_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("the engine boots");
  Interruptions* interruptions_ = nullptr;  // set before engine_
  std::atomic<Engine*> engine_ = nullptr;
};

}  // namespace

std::unique_ptr<EngineService> CreateEngineService(const Clock& clock, ServiceOptions options) {
  return std::make_unique<Service>(clock, std::move(options));
}

}  // namespace spotinference
