#include "engine/server/identity_service.h"

#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/synchronization/mutex.h"
#include "engine/api/identity.grpc.pb.h"
#include "engine/api/status.h"

namespace spotinference {
namespace {

namespace api = ::spotinference::engine::v1;

class Service : public api::Identity::CallbackService {
 public:
  Service(MachineIdentity& identity, std::function<void()> heard) : identity_(identity), heard_(std::move(heard)) {}

 private:
  grpc::ServerUnaryReactor* Prove(grpc::CallbackServerContext* context, const api::ProveRequest*,
                                  api::ProveReply* reply) override {
    heard_();
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<MachineIdentity::Proof> proof = identity_.Prove();
    if (proof.ok()) {
      reply->set_request(std::move(proof->request));
      reply->set_token(std::move(proof->token));
    }
    return Answer(context, proof.status());
  }

  grpc::ServerUnaryReactor* Install(grpc::CallbackServerContext* context, const api::InstallRequest* request,
                                    api::InstallReply*) override {
    heard_();
    absl::MutexLock lock(&mutex_);
    const absl::Status status = identity_.Install(request->certificate());
    LOG(INFO) << "a certificate has come: " << status;
    return Answer(context, status);
  }

  static grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(status));
    return reactor;
  }

  absl::Mutex mutex_;
  MachineIdentity& identity_ ABSL_GUARDED_BY(mutex_);
  const std::function<void()> heard_;
};

}  // namespace

std::unique_ptr<grpc::Service> CreateIdentityService(MachineIdentity& identity, std::function<void()> heard) {
  return std::make_unique<Service>(identity, std::move(heard));
}

}  // namespace spotinference
