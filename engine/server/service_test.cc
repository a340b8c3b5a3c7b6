#include "engine/server/service.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/api/call_metadata.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/status.h"
#include "engine/base/captured_log.h"
#include "engine/base/fake_clock.h"
#include "engine/server/fake_engine.h"
#include "engine/server/interruptions.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;
using grpc::StatusCode;

TokenEvent Event(uint32_t index, TokenEvent::Finish finish = TokenEvent::Finish::kNone) {
  return {index, 10 + index, finish, -0.5f, {}, 9};
}

class ServiceTest : public testing::Test {
 protected:
  explicit ServiceTest(std::string token = "")
      : service_(CreateEngineService(clock_, {.token = std::move(token), .heard = [this] { ++heard_; }})) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_->service());
    server_ = builder.BuildAndStart();
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4096);  // as the gateway does
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub_ = api::Engine::NewStub(grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                                           grpc::InsecureChannelCredentials(), arguments));
    service_->Open(engine_, interruptions_);
  }

  FakeClock clock_;
  FakeEngine engine_;
  Interruptions interruptions_{engine_, clock_, /*reserve=*/absl::Seconds(40)};
  std::atomic<int> heard_ = 0;
  std::unique_ptr<EngineService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<api::Engine::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(ServiceTest, StreamsWhatTheEngineSays) {
  api::GenerateRequest request;
  request.set_model_hash("hash");
  request.add_prompt_ids(1);
  request.add_generated_ids(2);
  request.set_max_tokens(5);
  request.add_stop_ids(3);
  request.set_logprobs(true);
  request.set_cache_salt("salt");
  request.mutable_sampling()->set_temperature(0.5);
  request.mutable_sampling()->set_seed(4);
  (*request.mutable_sampling()->mutable_logit_bias())[6] = -1;
  const auto reader = stub_->Generate(&context_, request);
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  const EngineRequest seen = engine_.request();
  EXPECT_EQ(seen.sequence.prompt_ids, std::vector<uint32_t>{1});
  EXPECT_EQ(seen.sequence.generated_ids, std::vector<uint32_t>{2});
  EXPECT_EQ(seen.sequence.max_tokens, 5);
  EXPECT_EQ(seen.sequence.cache_salt, "salt");
  EXPECT_EQ(seen.stop_ids, std::vector<uint32_t>{3});
  EXPECT_EQ(seen.sampling.temperature, 0.5f);
  EXPECT_EQ(seen.sampling.seed, 4);
  EXPECT_EQ(seen.sampling.logit_bias.at(6), -1);
  EXPECT_TRUE(seen.sampling.logprobs);

  const std::vector<TokenLogprob> top = {{11, -0.5f}, {12, -1.5f}};
  for (uint32_t i = 1; i < 5; ++i) {
    TokenEvent event = Event(i, i == 4 ? TokenEvent::Finish::kStop : TokenEvent::Finish::kNone);
    event.top_logprobs = top;
    event.waited = absl::Milliseconds(70);
    EXPECT_TRUE(sink->OnToken(event));
  }
  sink->OnEnd(absl::OkStatus());
  api::GenerateEvent event;
  for (uint32_t i = 1; i < 5; ++i) {
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_EQ(event.index(), i);
    EXPECT_EQ(event.id(), 10 + i);
    EXPECT_EQ(event.finish_reason(), i == 4 ? api::FINISH_REASON_STOP : api::FINISH_REASON_NONE);
    EXPECT_EQ(event.cached_tokens(), i == 1 ? 9 : 0);
    EXPECT_EQ(event.waited_ms(), i == 1 ? 70 : 0);
    EXPECT_EQ(event.logprob().logprob(), -0.5f);
    ASSERT_EQ(event.top_logprobs_size(), 2);
    EXPECT_EQ(event.top_logprobs(1).id(), 12);
  }
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_TRUE(reader->Finish().ok());
}

// As it does where it reads much KV from a slow disk.
class SlowToBegin : public FakeEngine {
 public:
  bool ReadsVolume(const EngineRequest& request) const override { return request.sequence.prompt_ids.empty(); }
  absl::StatusOr<SequenceId> Submit(EngineRequest request, std::shared_ptr<TokenSink> sink) override {
    if (!ReadsVolume(request)) {
      sink->OnEnd(absl::OkStatus());
      return SequenceId{7};
    }
    may_begin.WaitForNotification();
    return FakeEngine::Submit(std::move(request), std::move(sink));
  }

  absl::Notification may_begin;
};

TEST(SlowServiceTest, SequencesThatAreSlowToBeginHoldUpNothingElse) {
  FakeClock clock;
  SlowToBegin engine;
  Interruptions interruptions(engine, clock, absl::Seconds(40));
  const std::unique_ptr<EngineService> service = CreateEngineService(clock, {});
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service->service());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  service->Open(engine, interruptions);
  const auto stub = api::Engine::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  constexpr int kCalls = 40;  // more than gRPC has threads
  std::vector<grpc::ClientContext> contexts(kCalls);
  std::vector<std::unique_ptr<grpc::ClientReader<api::GenerateEvent>>> calls;
  for (grpc::ClientContext& context : contexts) calls.push_back(stub->Generate(&context, {}));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));  // far beyond what it takes
  api::HealthReply reply;
  EXPECT_TRUE(stub->Health(&context, {}, &reply).ok());
  api::GenerateRequest nothing_to_read;
  nothing_to_read.add_prompt_ids(1);
  grpc::ClientContext other;
  other.set_deadline(context.deadline());
  const grpc::Status ended = stub->Generate(&other, nothing_to_read)->Finish();
  EXPECT_TRUE(ended.ok()) << ended.error_message();
  for (grpc::ClientContext& cancelled : contexts) cancelled.TryCancel();
  engine.may_begin.Notify();
  for (const auto& call : calls) EXPECT_EQ(call->Finish().error_code(), StatusCode::CANCELLED);
  server->Shutdown();
}

TEST_F(ServiceTest, LeavesOutWhatIsNotAskedFor) {
  api::GenerateRequest request;
  request.add_stop_ids(3);
  request.set_ignore_stop_ids(true);
  const auto reader = stub_->Generate(&context_, request);
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  EXPECT_TRUE(engine_.request().stop_ids.empty());
  sink->OnToken(Event(0, TokenEvent::Finish::kLength));
  sink->OnEnd(absl::OkStatus());
  api::GenerateEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.finish_reason(), api::FINISH_REASON_LENGTH);
  EXPECT_FALSE(event.has_logprob());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, AnEarlyEndComesAfterTheEvents) {
  const auto reader = stub_->Generate(&context_, {});
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  sink->OnToken(Event(0));
  sink->OnToken(Event(1));
  sink->OnEnd(absl::UnavailableError("the device failed"));
  api::GenerateEvent event;
  EXPECT_TRUE(reader->Read(&event));
  EXPECT_TRUE(reader->Read(&event));
  EXPECT_FALSE(reader->Read(&event));
  const grpc::Status end = reader->Finish();
  EXPECT_EQ(end.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.error_message(), "the device failed");
}

TEST_F(ServiceTest, WhatTheEngineRefusesIsTheStatus) {
  for (const absl::Status& refusal : {absl::InvalidArgumentError("too long"), absl::ResourceExhaustedError("full"),
                                      absl::UnavailableError("draining")}) {
    engine_.Refuse(refusal);
    grpc::ClientContext context;
    const auto reader = stub_->Generate(&context, {});
    api::GenerateEvent event;
    EXPECT_FALSE(reader->Read(&event));
    const grpc::Status end = reader->Finish();
    EXPECT_EQ(static_cast<int>(end.error_code()), static_cast<int>(refusal.code()));
    EXPECT_EQ(end.error_message(), refusal.message());
  }
}

TEST_F(ServiceTest, RefusesAnotherModel) {
  api::GenerateRequest request;
  request.set_model_hash("other");
  const grpc::Status end = stub_->Generate(&context_, request)->Finish();
  EXPECT_EQ(end.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.error_message(), "model other is asked for; this engine serves hash");
}

TEST_F(ServiceTest, TheClientsCancelReachesTheEngine) {
  const auto reader = stub_->Generate(&context_, {});
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  sink->OnToken(Event(0));
  api::GenerateEvent event;
  ASSERT_TRUE(reader->Read(&event));
  context_.TryCancel();
  engine_.AwaitCancelled();
  sink->OnToken(Event(1));  // was under way
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
}

TEST_F(ServiceTest, AReaderThatStopsPausesItsSequence) {
  const auto reader = stub_->Generate(&context_, {});
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  engine_.AwaitResumed(1);  // once it has begun, each is
  uint32_t sent = 0;
  while (sink->OnToken(Event(sent++))) ASSERT_LT(sent, 20000) << "nothing bounds the queue";
  api::GenerateEvent event;
  for (uint32_t i = 0; i < sent; ++i) {
    ASSERT_TRUE(reader->Read(&event));
    ASSERT_EQ(event.index(), i);
  }
  engine_.AwaitResumed(2);
  EXPECT_TRUE(sink->OnToken(Event(sent)));
  sink->OnEnd(absl::OkStatus());
  EXPECT_TRUE(reader->Read(&event));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, Handshake) {
  api::HandshakeRequest request;
  api::HandshakeReply reply;
  request.set_api_version(api::API_VERSION_CURRENT);
  ASSERT_TRUE(stub_->Handshake(&context_, request, &reply).ok());
  EXPECT_EQ(reply.api_version(), api::API_VERSION_CURRENT);
  EXPECT_EQ(reply.model_hash(), "hash");
  EXPECT_EQ(reply.numerics_id(), "numerics");
  EXPECT_EQ(reply.context_tokens(), 100);
  EXPECT_EQ(reply.vocabulary_size(), 50);
  grpc::ClientContext context;
  request.set_api_version(api::API_VERSION_CURRENT + 1);
  EXPECT_EQ(stub_->Handshake(&context, request, &reply).error_code(), StatusCode::FAILED_PRECONDITION);
}

TEST_F(ServiceTest, HealthStatsAndDrain) {
  api::HealthReply health;
  grpc::ClientContext contexts[4];
  ASSERT_TRUE(stub_->Health(&contexts[0], {}, &health).ok());
  EXPECT_EQ(health.state(), api::HealthReply::STATE_SERVING);
  EXPECT_EQ(health.steps(), 6);
  EXPECT_EQ(health.active_sequences(), 8);
  api::StatsReply stats;
  ASSERT_TRUE(stub_->Stats(&contexts[1], {}, &stats).ok());
  EXPECT_EQ(stats.running_sequences(), 1);
  EXPECT_EQ(stats.waiting_sequences(), 2);
  EXPECT_EQ(stats.cached_tokens(), 3);
  EXPECT_EQ(stats.kv_blocks_total(), 4);
  EXPECT_EQ(stats.weights_bytes(), 5);
  EXPECT_TRUE(stats.volume_full());
  EXPECT_EQ(stats.busy_microseconds(), 7);
  api::DrainRequest drain;
  api::DrainReply drained;
  drain.set_deadline_ms(1500);
  ASSERT_TRUE(stub_->Drain(&contexts[2], drain, &drained).ok());
  EXPECT_EQ(drained.ended_early(), 3);
  EXPECT_EQ(engine_.deadline(), absl::Milliseconds(1500));
  ASSERT_TRUE(stub_->Health(&contexts[3], {}, &health).ok());
  EXPECT_EQ(health.state(), api::HealthReply::STATE_DRAINING);
}

TEST_F(ServiceTest, AnInterruptionEndsStreamsAndShowsInHealth) {
  const auto reader = stub_->Generate(&context_, {});
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  sink->OnToken(Event(0));
  grpc::ClientContext contexts[5];
  api::InterruptRequest interrupt;
  api::InterruptReply interrupted;
  interrupt.set_notice_ms(30000);
  ASSERT_TRUE(stub_->Interrupt(&contexts[0], interrupt, &interrupted).ok());
  EXPECT_EQ(interrupted.handed_over(), 1);

  api::GenerateEvent event;
  EXPECT_TRUE(reader->Read(&event));
  EXPECT_FALSE(reader->Read(&event));
  const absl::Status end = FromGrpc(reader->Finish());
  EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(NoticeOf(end).has_value());
  EXPECT_EQ(NoticeOf(end)->source(), "local");
  const absl::Status refusal = FromGrpc(stub_->Generate(&contexts[1], {})->Finish());
  ASSERT_TRUE(NoticeOf(refusal).has_value()) << refusal;

  clock_.Advance(absl::Seconds(1));
  api::HealthReply health;
  ASSERT_TRUE(stub_->Health(&contexts[2], {}, &health).ok());
  EXPECT_EQ(health.state(), api::HealthReply::STATE_DRAINING);
  EXPECT_EQ(health.notice().kind(), api::Notice::KIND_STOP);
  EXPECT_EQ(health.notice().source(), "local");
  EXPECT_EQ(health.notice().left_ms(), 29000);

  interrupt.set_withdrawn(true);
  ASSERT_TRUE(stub_->Interrupt(&contexts[3], interrupt, &interrupted).ok());
  health.Clear();
  ASSERT_TRUE(stub_->Health(&contexts[4], {}, &health).ok());
  EXPECT_EQ(health.state(), api::HealthReply::STATE_SERVING);
  EXPECT_FALSE(health.has_notice());
}

TEST_F(ServiceTest, WhoAwaitsANoticeIsAnsweredWhenItComes) {
  grpc::ClientContext contexts[5];
  api::HealthReply health;
  ASSERT_TRUE(stub_->Health(&contexts[0], {}, &health).ok());
  EXPECT_EQ(health.notices(), 0);
  api::AwaitNoticeRequest request;
  api::AwaitNoticeReply reply;
  StatusCode code = StatusCode::UNKNOWN;
  std::thread waits([&] { code = stub_->AwaitNotice(&contexts[1], request, &reply).error_code(); });
  api::InterruptRequest interrupt;
  api::InterruptReply interrupted;
  interrupt.set_notice_ms(30000);
  EXPECT_TRUE(stub_->Interrupt(&contexts[2], interrupt, &interrupted).ok());
  waits.join();
  EXPECT_EQ(code, StatusCode::OK);
  ASSERT_TRUE(stub_->Health(&contexts[3], {}, &health).ok());
  EXPECT_EQ(health.notices(), 1);

  // One that gives up, and one whose engine ends.
  request.set_notices(1);
  contexts[4].set_deadline(std::chrono::system_clock::now());
  EXPECT_EQ(stub_->AwaitNotice(&contexts[4], request, &reply).error_code(), StatusCode::DEADLINE_EXCEEDED);
  grpc::ClientContext last;
  std::thread waits_on([&] { code = stub_->AwaitNotice(&last, request, &reply).error_code(); });
  interruptions_.End();
  waits_on.join();
  EXPECT_EQ(code, StatusCode::UNAVAILABLE);
}

TEST_F(ServiceTest, ANoticeWithTimeLeftIsToldWithEachEventUntilTheHandOver) {
  const auto reader = stub_->Generate(&context_, {});
  const std::shared_ptr<TokenSink> sink = engine_.AwaitSink();
  sink->OnToken(Event(0));
  api::GenerateEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_FALSE(event.noticed());
  interruptions_.Announce({"aws", Notice::Kind::kStop, clock_.Elapsed() + absl::Minutes(2), "terminate"});
  sink->OnToken(Event(1));
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_TRUE(event.noticed());
  grpc::ClientContext contexts[2];
  api::HealthReply health;
  ASSERT_TRUE(stub_->Health(&contexts[0], {}, &health).ok());
  EXPECT_EQ(health.state(), api::HealthReply::STATE_SERVING);
  EXPECT_EQ(health.notice().source(), "aws");
  api::HandOverReply handed;
  ASSERT_TRUE(stub_->HandOver(&contexts[1], {}, &handed).ok());
  EXPECT_EQ(handed.handed_over(), 1);
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_TRUE(NoticeOf(FromGrpc(reader->Finish())).has_value());
}

// As the fleet's log names it, whoever spoke first of it.
TEST_F(ServiceTest, TheLogSaysWhichInterruptionItIs) {
  const CapturedLog log("interruption m-1/3");
  interruptions_.Announce({"aws", Notice::Kind::kStop, clock_.Elapsed() + absl::Minutes(2), "rebalance"});
  grpc::ClientContext contexts[3];
  contexts[0].AddMetadata(kMachineLife, "m-1/3");
  contexts[1].AddMetadata(kMachineLife, "no name");
  api::HealthReply health;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(stub_->Health(&contexts[i], {}, &health).ok());
  interruptions_.Announce({"aws", Notice::Kind::kStop, clock_.Elapsed() + absl::Minutes(2), "terminate"});
  api::HandOverReply handed;
  ASSERT_TRUE(stub_->HandOver(&contexts[2], {}, &handed).ok());
  interruptions_.Withdraw("aws");
  EXPECT_EQ(log.text(),
            "notice of aws, changed: the machine goes in 2m (terminate); 0 sequences handed over, interruption m-1/3\n"
            "0 sequences handed over: another engine has room, interruption m-1/3\n"
            "notice of aws withdrawn; 0 others stand, interruption m-1/3\n");
}

TEST_F(ServiceTest, InterruptIsRefusedWhereItIsNoSource) {
  const std::unique_ptr<EngineService> service = CreateEngineService(clock_, {.takes_interrupt = false});
  service->Open(engine_, interruptions_);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service->service());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = api::Engine::NewStub(server->InProcessChannel({}));
  api::InterruptReply reply;
  EXPECT_EQ(stub->Interrupt(&context_, {}, &reply).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(engine_.handed_over().ok());
}

TEST_F(ServiceTest, WhoCallsBeforeTheEngineHasBootedIsToldSoAndHeard) {
  int heard = 0;
  const std::unique_ptr<EngineService> service = CreateEngineService(clock_, {.heard = [&] { ++heard; }});
  grpc::ServerBuilder builder;
  builder.RegisterService(&service->service());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = api::Engine::NewStub(server->InProcessChannel({}));
  grpc::ClientContext contexts[3];
  api::HealthReply reply;
  EXPECT_EQ(stub->Health(&contexts[0], {}, &reply).error_code(), StatusCode::UNAVAILABLE);
  service->SetDownload(3, 9);
  const absl::Status booting = FromGrpc(stub->Generate(&contexts[1], {})->Finish());
  EXPECT_EQ(booting.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(DownloadOf(booting).has_value());
  EXPECT_EQ(DownloadOf(booting)->done_bytes(), 3);
  service->Open(engine_, interruptions_);
  EXPECT_TRUE(stub->Health(&contexts[2], {}, &reply).ok());
  EXPECT_EQ(heard, 3);
}

class ServiceWithTokenTest : public ServiceTest {
 protected:
  ServiceWithTokenTest() : ServiceTest("secret") {}
};

TEST_F(ServiceWithTokenTest, EveryCallNeedsTheToken) {
  for (const std::string shown : {"", "Bearer ", "Bearer secreT", "Bearer secret1", "secret", "Bearer secret"}) {
    const auto call = [&](auto&& make) {
      grpc::ClientContext context;
      if (!shown.empty()) context.AddMetadata("authorization", shown);
      const StatusCode code = make(&context).error_code();
      if (shown == "Bearer secret") {
        EXPECT_NE(code, StatusCode::UNAUTHENTICATED);
      } else {
        EXPECT_EQ(code, StatusCode::UNAUTHENTICATED) << shown;
      }
    };
    api::HandshakeReply handshake;
    api::HealthReply health;
    api::StatsReply stats;
    api::DrainReply drain;
    api::InterruptReply interrupt;
    api::HandOverReply hand_over;
    engine_.Refuse(absl::UnavailableError("draining"));
    call([&](auto* context) { return stub_->Handshake(context, {}, &handshake); });
    call([&](auto* context) { return stub_->Health(context, {}, &health); });
    call([&](auto* context) { return stub_->Stats(context, {}, &stats); });
    call([&](auto* context) { return stub_->Drain(context, {}, &drain); });
    call([&](auto* context) { return stub_->Interrupt(context, {}, &interrupt); });
    call([&](auto* context) { return stub_->HandOver(context, {}, &hand_over); });
    call([&](auto* context) { return stub_->Generate(context, {})->Finish(); });
  }
  EXPECT_EQ(heard_, 7) << "nobody else is heard";
}

}  // namespace
}  // namespace spotinference
