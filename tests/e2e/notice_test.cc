// A real engine with the bundled model hears of its end from an emulated cloud, and hands its sequences over.
// Arguments: the engine's program, the emulator's, the model's file.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/status.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;

std::string engine_path, emulator_path, model_path;

// A program with pipes for its stdin and stdout.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    int in[2], out[2];
    EXPECT_TRUE(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    in_ = fdopen(in[1], "w");
    out_ = fdopen(out[0], "r");
  }
  ~Program() {
    fclose(in_);
    fclose(out_);
    if (pid_ != 0) kill(pid_, SIGKILL);
    Wait();
  }

  void Write(const std::string& line) {
    std::fprintf(in_, "%s\n", line.c_str());
    std::fflush(in_);
  }
  std::string Read() {
    char line[1000] = "";
    EXPECT_NE(std::fgets(line, sizeof line, out_), nullptr);
    return std::string(line, strcspn(line, "\n"));
  }
  void Signal(int number) { kill(pid_, number); }
  // The exit status, when it has ended by itself.
  int Wait() {
    int status = 0;
    if (pid_ != 0) waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
  FILE *in_, *out_;
};

// One sequence being read on a thread of its own.
class Stream {
 public:
  Stream(api::Engine::Stub& stub, api::GenerateRequest request)
      : reader_(stub.Generate(&context_, request)), thread_([this] { Run(); }) {}
  ~Stream() {
    context_.TryCancel();
    thread_.join();
  }

  void AwaitIds(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return ended_ || ids_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
    EXPECT_GE(ids_.size(), count) << end_;
  }
  absl::Status AwaitEnd() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ended_));
    return end_;
  }
  std::vector<uint32_t> ids() {
    absl::MutexLock lock(&mutex_);
    return ids_;
  }
  absl::Time ended_at() {
    absl::MutexLock lock(&mutex_);
    return ended_at_;
  }

 private:
  void Run() {
    api::GenerateEvent event;
    while (reader_->Read(&event)) {
      absl::MutexLock lock(&mutex_);
      ids_.push_back(event.id());
    }
    const grpc::Status end = reader_->Finish();
    absl::MutexLock lock(&mutex_);
    end_ = FromGrpc(end);
    ended_at_ = absl::Now();
    ended_ = true;
  }

  grpc::ClientContext context_;
  absl::Mutex mutex_;
  std::vector<uint32_t> ids_ ABSL_GUARDED_BY(mutex_);
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  absl::Time ended_at_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::ClientReader<api::GenerateEvent>> reader_;
  std::thread thread_;
};

class NoticeTest : public testing::Test {
 protected:
  NoticeTest() : emulator_({emulator_path}), metadata_url_(emulator_.Read()) {}

  // `volume`: a folder; "": none.
  void StartEngine(const std::string& notice, const std::string& volume = "") {
    engine_ = std::make_unique<Program>(std::vector<std::string>{
        engine_path, "--model", model_path, "--listen", "127.0.0.1:0", "--ready_fd", "1", "--notice", notice,
        "--metadata_url", metadata_url_, "--volume", volume});
    const std::vector<std::string> ready = absl::StrSplit(engine_->Read(), ' ');  // ready ADDRESS …
    ASSERT_GT(ready.size(), 1);
    stub_ = api::Engine::NewStub(grpc::CreateChannel(ready[1], grpc::InsecureChannelCredentials()));
  }
  void Say(const std::string& command) {
    emulator_.Write(command);
    EXPECT_EQ(emulator_.Read(), "ok") << command;
  }

  static api::GenerateRequest Request(uint32_t prompt, uint32_t max_tokens) {
    api::GenerateRequest request;
    for (const uint32_t id : {1u, 50 + prompt, 7u}) request.add_prompt_ids(id);
    request.set_max_tokens(max_tokens);
    request.set_ignore_stop_ids(true);
    return request;
  }
  // So many that they live for longer than the test, each with an id at least.
  std::vector<std::unique_ptr<Stream>> StartStreams(int count) {
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < count; ++i) streams.push_back(std::make_unique<Stream>(*stub_, Request(i, 2000)));
    for (const auto& stream : streams) stream->AwaitIds(1);
    return streams;
  }
  api::HealthReply Health() {
    grpc::ClientContext context;
    api::HealthReply reply;
    const grpc::Status status = stub_->Health(&context, {}, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }

  void AwaitState(api::HealthReply::State state) {
    while (Health().state() != state) {
    }
  }
  void AwaitNotice(bool stands) {
    while (Health().has_notice() != stands) {
    }
  }
  uint32_t HandOver() {
    grpc::ClientContext context;
    api::HandOverReply reply;
    EXPECT_TRUE(stub_->HandOver(&context, {}, &reply).ok());
    return reply.handed_over();
  }
  // Five seconds are so little that the engine hands over at once.
  uint32_t Interrupt(bool withdrawn, int notice_seconds = 5) {
    grpc::ClientContext context;
    api::InterruptRequest request;
    api::InterruptReply reply;
    request.set_notice_ms(1000 * notice_seconds);
    request.set_withdrawn(withdrawn);
    EXPECT_TRUE(stub_->Interrupt(&context, request, &reply).ok());
    return reply.handed_over();
  }

  Program emulator_;
  const std::string metadata_url_;
  std::unique_ptr<Program> engine_;
  std::unique_ptr<api::Engine::Stub> stub_;
};

constexpr int kStreams = 32;

// Two minutes before its end the engine serves on, new sequences too, until it hears that another one has room.
TEST_F(NoticeTest, ANoticeOfAwsIsServedThroughAndAWithdrawnOneForgotten) {
  StartEngine("aws");
  std::vector<std::unique_ptr<Stream>> streams = StartStreams(kStreams);
  const absl::Time told = absl::Now();
  Say("aws terminate 120");
  AwaitNotice(true);
  std::printf("from the word of aws to the engine: %.2f s\n", absl::ToDoubleSeconds(absl::Now() - told));
  EXPECT_EQ(Health().state(), api::HealthReply::STATE_SERVING);
  EXPECT_TRUE(Stream(*stub_, Request(0, 5)).AwaitEnd().ok());
  const absl::Time said = absl::Now();
  EXPECT_EQ(HandOver(), kStreams);
  absl::Time last = said;
  for (const auto& stream : streams) {
    const absl::Status end = stream->AwaitEnd();
    const std::optional<api::Notice> notice = NoticeOf(end);
    ASSERT_TRUE(notice.has_value()) << end;
    EXPECT_EQ(notice->source(), "aws");
    EXPECT_EQ(notice->reason(), "terminate");
    EXPECT_LE(notice->left_ms(), 120000);
    // No less than what is left of them but for the rounding to seconds, of the time and of the service's clock.
    EXPECT_GE(absl::Milliseconds(notice->left_ms()), absl::Seconds(118) - (stream->ended_at() - told));
    last = std::max(last, stream->ended_at());
  }
  std::printf("from the fleet's word to the last of %d sequences: %.3f s\n", kStreams,
              absl::ToDoubleSeconds(last - said));
  EXPECT_EQ(Health().state(), api::HealthReply::STATE_DRAINING);
  EXPECT_EQ(Health().notice().source(), "aws");

  Say("aws none");
  AwaitState(api::HealthReply::STATE_SERVING);
  Stream again(*stub_, Request(0, 5));
  EXPECT_TRUE(again.AwaitEnd().ok());
  EXPECT_EQ(again.ids().size(), 5);
}

// How soon is a figure for README; that it is soon enough, metadata_services_test shows by a clock of its own.
TEST_F(NoticeTest, TheOtherCloudsAreHeardToo) {
  StartEngine("gcp,azure");
  for (const auto& [cloud, stop, none] : {std::tuple("gcp", "gcp TRUE", "gcp FALSE"),
                                          std::tuple("azure", "azure Preempt Scheduled 30 machine_0", "azure none")}) {
    const absl::Time said = absl::Now();
    Say(stop);
    AwaitNotice(true);
    std::printf("from the word of %s to the engine: %.2f s\n", cloud, absl::ToDoubleSeconds(absl::Now() - said));
    EXPECT_EQ(Health().notice().source(), cloud);
    EXPECT_EQ(Health().state(), api::HealthReply::STATE_SERVING);
    Say(none);
    AwaitNotice(false);
  }
}

// Azure may begin once nothing is left to lose, and not before; then it does, and the engine goes with its machine.
TEST_F(NoticeTest, AzureIsToldToBeginWhenTheMachineIsDrained) {
  StartEngine("azure");
  std::vector<std::unique_ptr<Stream>> streams = StartStreams(4);
  Say("azure Preempt Scheduled 600 machine_0");
  AwaitNotice(true);
  const size_t so_far = streams[0]->ids().size();
  streams[0]->AwaitIds(so_far + 20);
  Say("acknowledged 0");  // it serves
  const absl::Time said = absl::Now();
  EXPECT_EQ(HandOver(), 4);
  EXPECT_EQ(engine_->Wait(), 0);
  Say("acknowledged 1");
  EXPECT_LT(absl::Now() - said, absl::Seconds(500)) << "ten minutes are not waited for";
  for (const auto& stream : streams) EXPECT_TRUE(NoticeOf(stream->AwaitEnd()).has_value());
}

// An acknowledgement would speak for the other machine too: this one ends a second before its time, and says nothing.
TEST_F(NoticeTest, AnEventOfSeveralMachinesIsNotAcknowledged) {
  StartEngine("azure");
  Say("azure Preempt Scheduled 9 machine_0 machine_1");
  EXPECT_EQ(engine_->Wait(), 0);
  Say("acknowledged 0");
}

// With so little time that the engine hands over at once, and with so much that it waits for the fleet's word.
TEST_F(NoticeTest, ThirtyTwoStreamsAreHandedOverInTime) {
  StartEngine("local");
  for (const int notice_seconds : {5, 30, 120}) {
    std::vector<double> milliseconds;
    for (int round = 0; round < 3; ++round) {
      std::vector<std::unique_ptr<Stream>> streams = StartStreams(kStreams);
      absl::Time said = absl::Now();
      const uint32_t at_once = Interrupt(false, notice_seconds);
      EXPECT_EQ(at_once, notice_seconds == 5 ? kStreams : 0);
      if (at_once == 0) {
        said = absl::Now();
        EXPECT_EQ(HandOver(), kStreams);
      }
      absl::Time last = said;
      for (const auto& stream : streams) {
        EXPECT_TRUE(NoticeOf(stream->AwaitEnd()).has_value());
        last = std::max(last, stream->ended_at());
      }
      milliseconds.push_back(absl::ToDoubleMilliseconds(last - said));
      Interrupt(true);
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    std::printf("a notice of %d s, from the word to the last of %d sequences handed over: %.1f ms, %.1f ms, %.1f ms\n",
                notice_seconds, kStreams, milliseconds[0], milliseconds[1], milliseconds[2]);
    EXPECT_LE(milliseconds[0], 200);  // the two others are the machine's other work
  }
}

TEST_F(NoticeTest, WhatWasHandedOverGoesOnWhereItStopped) {
  StartEngine("local");
  std::vector<std::unique_ptr<Stream>> streams = StartStreams(4);
  streams[3]->AwaitIds(5);
  Interrupt(false);
  EXPECT_TRUE(NoticeOf(streams[3]->AwaitEnd()).has_value());
  const std::vector<uint32_t> before = streams[3]->ids();
  const uint32_t tokens = static_cast<uint32_t>(before.size()) + 50;  // however far it had come
  StartEngine("local");  // a machine where nothing happens
  Stream undisturbed(*stub_, Request(3, tokens));
  ASSERT_TRUE(undisturbed.AwaitEnd().ok());
  StartEngine("local");  // another machine
  api::GenerateRequest request = Request(3, tokens);
  request.mutable_generated_ids()->Add(before.begin(), before.end());
  Stream resumed(*stub_, request);
  EXPECT_TRUE(resumed.AwaitEnd().ok());
  std::vector<uint32_t> whole = before;
  for (const uint32_t id : resumed.ids()) whole.push_back(id);
  EXPECT_EQ(whole, undisturbed.ids());
}

// The ids' KV is on the volume before the engine ends, and the next one finds it.
TEST_F(NoticeTest, TheEngineSavesItsKvAndEndsBeforeItsMachine) {
  const std::string volume = absl::StrCat(testing::TempDir(), "/volume");
  StartEngine("aws", volume);
  api::GenerateRequest request = Request(0, 2000);
  for (uint32_t i = 0; i < 300; ++i) request.add_prompt_ids(100 + i);
  {
    Stream stream(*stub_, request);
    stream.AwaitIds(1);
    const absl::Time said = absl::Now();
    Say("aws stop 6");
    EXPECT_TRUE(NoticeOf(stream.AwaitEnd()).has_value());
    EXPECT_EQ(engine_->Wait(), 0);
    EXPECT_LT(absl::Now() - said, absl::Seconds(6));
    for (const uint32_t id : stream.ids()) request.add_generated_ids(id);
  }
  StartEngine("local", volume);  // the next machine
  grpc::ClientContext context;
  api::GenerateEvent event;
  const auto reader = stub_->Generate(&context, request);
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_GE(event.cached_tokens() + 16, request.prompt_ids_size());  // the last block may not have been full
  context.TryCancel();
}

TEST_F(NoticeTest, SigtermHandsOverAndEnds) {
  StartEngine("local,sigterm");
  std::vector<std::unique_ptr<Stream>> streams = StartStreams(4);
  engine_->Signal(SIGTERM);
  for (const auto& stream : streams) {
    const std::optional<api::Notice> notice = NoticeOf(stream->AwaitEnd());
    ASSERT_TRUE(notice.has_value());
    EXPECT_EQ(notice->source(), "sigterm");
  }
  EXPECT_EQ(engine_->Wait(), 0);
}

TEST_F(NoticeTest, WithoutANoticeSigtermLetsSequencesEnd) {
  StartEngine("none");
  Stream stream(*stub_, Request(0, 40));
  stream.AwaitIds(1);
  engine_->Signal(SIGTERM);
  EXPECT_TRUE(stream.AwaitEnd().ok());
  EXPECT_EQ(stream.ids().size(), 40);
  EXPECT_EQ(engine_->Wait(), 0);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 4) return 2;
  spotinference::engine_path = argv[1];
  spotinference::emulator_path = argv[2];
  spotinference::model_path = argv[3];
  return RUN_ALL_TESTS();
}
