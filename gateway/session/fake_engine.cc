#include "gateway/session/fake_engine.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/api/engine.grpc.pb.h"

namespace spotinference {

namespace api = engine::v1;

namespace {

class GenerateCall : public FakeEngine::Call, public grpc::ServerWriteReactor<api::GenerateEvent> {
 public:
  GenerateCall(const api::GenerateRequest& request, std::string authorization)
      : request_(request), authorization_(std::move(authorization)) {}
  // Holds itself until gRPC is done with it.
  void Start(std::shared_ptr<GenerateCall> self) { self_ = std::move(self); }

  const api::GenerateRequest& request() const override { return request_; }
  const std::string& authorization() const override { return authorization_; }
  void Send(api::GenerateEvent event) override {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(std::move(event));
    Go();
  }
  void End(const grpc::Status& status) override {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
    Go();
  }
  void AwaitCancelled() override {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&cancelled_));
  }

 private:
  void OnWriteDone(bool) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    queue_.pop_front();
    Go();
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    while (queue_.size() > (writing_ ? 1 : 0)) queue_.pop_back();
    end_ = grpc::Status::CANCELLED;
    Go();
  }
  void OnDone() override { const std::shared_ptr<GenerateCall> last = std::move(self_); }

  void Go() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      writing_ = true;
      StartWrite(&queue_.front());
    } else if (end_.has_value()) {
      finished_ = true;
      Finish(*end_);
    }
  }

  const api::GenerateRequest request_;
  const std::string authorization_;
  std::shared_ptr<GenerateCall> self_;
  absl::Mutex mutex_;
  std::deque<api::GenerateEvent> queue_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

class FakeEngine::Service : public api::Engine::CallbackService {
 public:
  std::shared_ptr<Call> Await(uint32_t choice, int attempt, absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Call> found;
    const auto come = [&] {
      int seen = 0;
      for (const auto& call : calls_) {
        if (call->request().sampling().choice() == choice && ++seen == attempt) found = call;
      }
      return found != nullptr;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&come), timeout);
    return found;
  }
  int calls() {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(calls_.size());
  }
  void EndAll() {
    absl::MutexLock lock(&mutex_);
    for (const auto& call : calls_) call->End({grpc::StatusCode::UNAVAILABLE, "the fake engine goes"});
  }

 private:
  grpc::ServerWriteReactor<api::GenerateEvent>* Generate(grpc::CallbackServerContext* context,
                                                        const api::GenerateRequest* request) override {
    const auto found = context->client_metadata().find("authorization");
    const std::string authorization =
        found == context->client_metadata().end() ? "" : std::string(found->second.data(), found->second.size());
    auto call = std::make_shared<GenerateCall>(*request, authorization);
    call->Start(call);
    absl::MutexLock lock(&mutex_);
    calls_.push_back(call);
    return call.get();
  }

  absl::Mutex mutex_;
  std::vector<std::shared_ptr<GenerateCall>> calls_ ABSL_GUARDED_BY(mutex_);
};

struct FakeEngine::Server {
  Service service;
  std::unique_ptr<grpc::Server> grpc;
  std::string address;
};

FakeEngine::FakeEngine(std::shared_ptr<grpc::ServerCredentials> credentials) : server_(std::make_unique<Server>()) {
  int port = 0;
  grpc::ServerBuilder builder;
  if (credentials == nullptr) credentials = grpc::InsecureServerCredentials();
  builder.AddListeningPort("127.0.0.1:0", credentials, &port);
  builder.RegisterService(&server_->service);
  server_->grpc = builder.BuildAndStart();
  server_->address = absl::StrCat("127.0.0.1:", port);
}

FakeEngine::~FakeEngine() {
  server_->service.EndAll();
  server_->grpc->Shutdown();
}

const std::string& FakeEngine::address() const { return server_->address; }

std::shared_ptr<FakeEngine::Call> FakeEngine::AwaitCall(uint32_t choice, int attempt, absl::Duration timeout) {
  return server_->service.Await(choice, attempt, timeout);
}

int FakeEngine::calls() const { return server_->service.calls(); }

}  // namespace spotinference
