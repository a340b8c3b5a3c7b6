#include "fleet/probe/grpc_probe.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/api/call_metadata.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/status.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

namespace api = engine::v1;

class FakeService : public api::Engine::Service {
 public:
  grpc::Status Handshake(grpc::ServerContext*, const api::HandshakeRequest* request,
                         api::HandshakeReply* reply) override {
    reply->set_api_version(request->api_version());
    reply->set_model_hash("hash");
    return grpc::Status::OK;
  }
  grpc::Status Health(grpc::ServerContext*, const api::HealthRequest*, api::HealthReply* reply) override {
    *reply = health;
    return grpc::Status::OK;
  }
  grpc::Status Stats(grpc::ServerContext*, const api::StatsRequest*, api::StatsReply* reply) override {
    reply->set_running_sequences(3);
    return grpc::Status::OK;
  }
  grpc::Status AwaitNotice(grpc::ServerContext*, const api::AwaitNoticeRequest* request,
                           api::AwaitNoticeReply*) override {
    if (request->notices() != health.notices()) return grpc::Status::OK;
    awaited.Notify();
    may_end.WaitForNotification();
    return grpc::Status::OK;
  }
  grpc::Status HandOver(grpc::ServerContext* context, const api::HandOverRequest*,
                        api::HandOverReply* reply) override {
    for (const auto& [name, value] : context->client_metadata()) {
      if (name == kMachineLife) life.assign(value.data(), value.size());
    }
    reply->set_handed_over(5);
    return grpc::Status::OK;
  }

  api::HealthReply health;  // set before a question
  std::string life;         // of the last HandOver, read after it
  absl::Notification awaited, may_end;
};

class GrpcProbeTest : public testing::Test {
 protected:
  GrpcProbeTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    endpoint_.address = absl::StrCat("127.0.0.1:", port);
  }

  template <typename Answer>
  absl::StatusOr<Answer> Await(void (Probe::*question)(const Endpoint&, absl::Duration,
                                                       absl::AnyInvocable<void(absl::StatusOr<Answer>)>)) {
    absl::StatusOr<Answer> answer;
    absl::Notification answered;
    (probe_.get()->*question)(endpoint_, absl::Seconds(20), [&](absl::StatusOr<Answer> said) {
      answer = std::move(said);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }

  FakeService service_;
  std::unique_ptr<grpc::Server> server_;
  Endpoint endpoint_;
  std::unique_ptr<Probe> probe_ = NewGrpcProbe();
};

TEST_F(GrpcProbeTest, AServingEngineIsGood) {
  service_.health.set_state(api::HealthReply::STATE_SERVING);
  const auto identity = Await(&Probe::Ask);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->model_hash, "hash");
  const auto figures = Await(&Probe::AskFigures);
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_EQ(figures->running_sequences, 3);
  EXPECT_FALSE(figures->notice.has_value());
}

// So that the engine's log names the interruption as the fleet's does.
TEST_F(GrpcProbeTest, EachCallSaysWhichLifeOfTheMachineItMeans) {
  endpoint_.life = "m-1/3";
  EXPECT_EQ(*Await(&Probe::HandOver), 5);
  EXPECT_EQ(service_.life, "m-1/3");
}

TEST_F(GrpcProbeTest, ANoticeComesWithBothAnswers) {
  service_.health.set_state(api::HealthReply::STATE_DRAINING);
  api::Notice& notice = *service_.health.mutable_notice();
  notice.set_source("aws");
  notice.set_kind(api::Notice::KIND_STOP);
  notice.set_left_ms(119000);
  notice.set_reason("terminate");
  const absl::Status identity = Await(&Probe::Ask).status();
  EXPECT_TRUE(absl::IsUnavailable(identity));
  ASSERT_TRUE(NoticeOf(identity).has_value()) << identity;
  EXPECT_EQ(NoticeOf(identity)->left_ms(), 119000);
  const auto figures = Await(&Probe::AskFigures);
  ASSERT_TRUE(figures.ok()) << figures.status();
  ASSERT_TRUE(figures->notice.has_value());
  EXPECT_EQ(figures->notice->source, "aws");
  EXPECT_TRUE(figures->notice->stops);
  EXPECT_EQ(figures->notice->left, absl::Seconds(119));
  EXPECT_EQ(figures->notice->reason, "terminate");
  EXPECT_FALSE(figures->notice->serves_on);
}

TEST_F(GrpcProbeTest, ANoticeIsAwaitedAndTheEndOfTheProbeIsNot) {
  service_.health.set_notices(7);
  EXPECT_EQ(Await(&Probe::AskFigures)->notices, 7);
  absl::Status status;
  absl::Notification changed;
  probe_->AwaitNotice(endpoint_, 6, absl::Hours(1), [&](const absl::Status& said) {
    status = said;
    changed.Notify();
  });
  changed.WaitForNotification();
  EXPECT_TRUE(status.ok()) << status;
  probe_->AwaitNotice(endpoint_, 7, absl::Hours(1), [&](const absl::Status& said) { status = said; });
  service_.awaited.WaitForNotification();
  probe_ = nullptr;
  service_.may_end.Notify();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_F(GrpcProbeTest, AnEngineMayServeOnThroughANotice) {
  service_.health.set_state(api::HealthReply::STATE_SERVING);
  service_.health.mutable_notice()->set_kind(api::Notice::KIND_STOP);
  const auto identity = Await(&Probe::Ask);
  ASSERT_TRUE(identity.ok() && identity->notice.has_value());
  EXPECT_TRUE(identity->notice->stops);
  EXPECT_TRUE(identity->notice->serves_on);
  EXPECT_TRUE(Await(&Probe::AskFigures)->notice->serves_on);
  EXPECT_EQ(*Await(&Probe::HandOver), 5);
}

TEST_F(GrpcProbeTest, AnEngineAtRiskServesOn) {
  service_.health.set_state(api::HealthReply::STATE_SERVING);
  service_.health.mutable_notice()->set_kind(api::Notice::KIND_AT_RISK);
  EXPECT_TRUE(Await(&Probe::Ask).ok());
  const auto figures = Await(&Probe::AskFigures);
  ASSERT_TRUE(figures.ok() && figures->notice.has_value());
  EXPECT_FALSE(figures->notice->stops);
}

TEST_F(GrpcProbeTest, DrainingWithoutANoticeAndSilenceCarryNone) {
  service_.health.set_state(api::HealthReply::STATE_DRAINING);
  const absl::Status drains = Await(&Probe::Ask).status();
  EXPECT_TRUE(absl::IsUnavailable(drains));
  EXPECT_FALSE(NoticeOf(drains).has_value());
  server_->Shutdown();
  server_ = nullptr;
  const absl::Status gone = Await(&Probe::Ask).status();
  EXPECT_TRUE(absl::IsUnavailable(gone)) << gone;
  EXPECT_FALSE(NoticeOf(gone).has_value());
}

}  // namespace
}  // namespace spotinference::fleet
