// The engine's program, to which nobody speaks any more, ends with the status at which fleet/providers/cloud's boot
// script powers the machine off; one that is spoken to stays. Arguments: the program, a model's file.
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/volume/fake_hub.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;

std::string engine_path, model_path;

constexpr int kPowerOff = 3;
// With it an engine that boots ends after 3 s, and one that serves gives notice then and ends after 5 s; it looks every
// second.
constexpr absl::Duration kLimit = absl::Seconds(6);
constexpr absl::Duration kPause = absl::Milliseconds(200), kDeadline = absl::Seconds(30);

// The engine's process.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      execv(argv[0], argv.data());
      _exit(127);
    }
    waiting_ = std::thread([this] {
      waitpid(pid_, &status_, 0);
      ended_.Notify();
    });
  }
  ~Program() {
    if (!ended_.HasBeenNotified()) kill(pid_, SIGKILL);
    waiting_.join();
  }

  bool EndsWithin(absl::Duration wait) const { return ended_.WaitForNotificationWithTimeout(wait); }
  // Of one that has ended.
  int ExitStatus() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_); }

 private:
  pid_t pid_;
  int status_ = 0;
  absl::Notification ended_;
  std::thread waiting_;
};

// An engine that boots until its weights have come, which they do once they may.
class MainSilenceTest : public testing::Test {
 protected:
  MainSilenceTest() {
    std::ifstream file(model_path, std::ios::binary);
    hub_.AddInLfs("model.gguf", {std::istreambuf_iterator<char>(file), {}});
    hub_.cdn_fault = [this](int) {
      weights_may_come_.WaitForNotification();
      return std::nullopt;
    };
    setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    setenv("HF_TOKEN", FakeHub::kToken, 1);
    std::string volume = testing::TempDir() + "/volume-XXXXXX";
    // While it boots it does not say where it listens: an address that is nobody else's.
    const uint32_t random = std::random_device()();
    const std::string address =
        absl::StrCat("127.", 1 + random % 254, ".", random >> 8 & 255, ".", random >> 16 & 255, ":9000");
    program_ = std::make_unique<Program>(std::vector<std::string>{
        engine_path, "--model=hf://org/repo/model.gguf", absl::StrCat("--volume=", mkdtemp(volume.data())),
        "--backend=cpu", absl::StrCat("--listen=", address), "--silence_limit=" + absl::FormatDuration(kLimit)});
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    stub_ = api::Engine::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  ~MainSilenceTest() override {
    if (!weights_may_come_.HasBeenNotified()) weights_may_come_.Notify();
  }

  grpc::Status Health(api::HealthReply& reply) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
    context.set_wait_for_ready(true);
    return stub_->Health(&context, {}, &reply);
  }
  // Speaks to the engine until `done`; it must not end.
  void SpeakUntil(const std::function<bool(const grpc::Status&)>& done) {
    const absl::Time deadline = absl::Now() + kDeadline;
    api::HealthReply reply;
    while (!done(Health(reply))) {
      ASSERT_FALSE(program_->EndsWithin(kPause)) << "with status " << program_->ExitStatus();
      ASSERT_LT(absl::Now(), deadline);
    }
  }
  void SpeakFor(absl::Duration time, grpc::StatusCode expected) {
    const absl::Time end = absl::Now() + time;
    SpeakUntil([&](const grpc::Status& status) {
      EXPECT_EQ(status.error_code(), expected) << status.error_message();
      return absl::Now() >= end;
    });
  }
  // Silent from `since` on.
  void ExpectPowerOff(absl::Time since) {
    ASSERT_TRUE(program_->EndsWithin(kDeadline));
    EXPECT_EQ(program_->ExitStatus(), kPowerOff);
    EXPECT_GE(absl::Now() - since, kLimit / 2);
  }

  absl::Notification weights_may_come_;
  FakeHub hub_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<api::Engine::Stub> stub_;
};

TEST_F(MainSilenceTest, WhileItBoots) { ExpectPowerOff(absl::Now()); }

TEST_F(MainSilenceTest, WhileItServesButNotWhileItIsSpokenTo) {
  ASSERT_NO_FATAL_FAILURE(SpeakFor(kLimit * 3 / 4, grpc::StatusCode::UNAVAILABLE));
  weights_may_come_.Notify();
  ASSERT_NO_FATAL_FAILURE(SpeakUntil([](const grpc::Status& status) { return status.ok(); }));

  api::HealthReply health;
  ASSERT_TRUE(Health(health).ok());
  grpc::ClientContext context;
  api::AwaitNoticeRequest request;
  api::AwaitNoticeReply notice;
  request.set_notices(health.notices());
  ASSERT_TRUE(stub_->AwaitNotice(&context, request, &notice).ok());
  ASSERT_TRUE(Health(health).ok()) << "it has said that it goes, and is still there";
  EXPECT_FALSE(health.has_notice()) << health.notice().source() << ": withdrawn by this very call";

  ASSERT_NO_FATAL_FAILURE(SpeakFor(kLimit * 3 / 4, grpc::StatusCode::OK));
  const absl::Time last = absl::Now();
  ASSERT_TRUE(Health(health).ok());
  ExpectPowerOff(last);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 3) return 2;
  spotinference::engine_path = argv[1];
  spotinference::model_path = argv[2];
  return RUN_ALL_TESTS();
}
