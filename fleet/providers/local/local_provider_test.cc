#include "fleet/providers/local/local_provider.h"

#include <signal.h>
#include <sys/stat.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "fleet/probe/grpc_probe.h"
#include "fleet/providers/local/process.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Kind = MachineEvent::Kind;

constexpr char kEngine[] = "fleet/providers/local/fake_engine";

// The folder, and the events of the provider that runs on it.
class LocalProviderTest : public testing::Test {
 protected:
  LocalProviderTest()
      : data_dir_(testing::TempDir() + "/" +
                  testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(data_dir_);
    std::filesystem::create_directories(data_dir_);
    options_ = {.engine = kEngine, .data_dir = data_dir_};
  }

  ~LocalProviderTest() override {
    // Nothing may be left, whatever failed above.
    provider_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(data_dir_)) {
      if (entry.path().filename() != "machines") continue;
      for (const auto& machine : std::filesystem::directory_iterator(entry)) {
        for (const Process& process : Engines(machine.path().filename())) {
          ADD_FAILURE() << "process " << process.name.pid << " was left";
          Signal(process, SIGKILL);
        }
      }
    }
  }

  std::vector<Process> Engines(const std::string& volume) const {
    return FindProcessesByArgument(
        absl::StrCat("--token_file=", data_dir_, "/machines/", volume, "/token"));
  }

  void Begin() {
    provider_ = NewLocalProvider(options_);
    provider_->Listen([this](MachineEvent event) {
      absl::MutexLock lock(&mutex_);
      events_.push_back(std::move(event));
    });
    const MachineEvent offers = Next();
    ASSERT_EQ(offers.kind, Kind::kOffers);
    ASSERT_EQ(offers.offers.size(), 1 + options_.more_zones.size());
    EXPECT_EQ(offers.offers[0].offer.provider, "local");
    EXPECT_EQ(offers.offers[0].offer.zone, options_.zone);
    EXPECT_EQ(offers.offers[0].offer.price_per_hour, options_.price_per_hour);
  }

  // A machine whose engine does as `mode` says, see fake_engine.cc.
  MachineSpec Spec(const std::string& id, const std::string& mode) {
    const std::string file = absl::StrCat(data_dir_, "/", id, ".model");
    std::ofstream(file) << mode;
    return {.id = id,
            .volume = "v-" + id,
            .weights = file,
            .model_hash = "abc",
            .backend = "cpu",
            .context_tokens = 64};
  }

  MachineEvent Next() {
    absl::MutexLock lock(&mutex_);
    const auto some = [this] { return !events_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), absl::Seconds(30))) {
      ADD_FAILURE() << "no event";
      return {};
    }
    MachineEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

  // The end of a start that fails.
  absl::Status HowItFails(const std::string& id, const std::string& mode) {
    provider_->Launch(Spec(id, mode));
    MachineEvent event = Next();
    if (event.kind == Kind::kStarted) event = Next();
    EXPECT_EQ(event.kind, Kind::kGone);
    EXPECT_EQ(event.machine_id, id);
    return event.status;
  }

  static absl::StatusOr<EngineIdentity> Ask(const Endpoint& endpoint) {
    const std::unique_ptr<Probe> probe = NewGrpcProbe();
    absl::StatusOr<EngineIdentity> answer;
    absl::Notification asked;
    probe->Ask(endpoint, absl::Seconds(20), [&](absl::StatusOr<EngineIdentity> a) {
      answer = std::move(a);
      asked.Notify();
    });
    asked.WaitForNotification();
    return answer;
  }

  const std::string data_dir_;
  LocalProviderOptions options_;
  std::unique_ptr<Provider> provider_;
  absl::Mutex mutex_;
  std::deque<MachineEvent> events_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(LocalProviderTest, ADiscardDeletesAVolumeThatNoMachineHas) {
  Begin();
  const MachineSpec spec = Spec("m-1", "serve");
  provider_->Launch(spec);
  EXPECT_EQ(Next().kind, Kind::kStarted);
  EXPECT_EQ(Next().kind, Kind::kReady);
  provider_->Discard({.id = "m-0", .volume = spec.volume});
  EXPECT_TRUE(absl::IsFailedPrecondition(Next().status)) << "m-1 has it";
  EXPECT_TRUE(std::filesystem::exists(data_dir_ + "/volumes/" + spec.volume));
  provider_->Hibernate("m-1");
  EXPECT_EQ(Next().kind, Kind::kGone);
  for (int time = 0; time < 2; ++time) {
    provider_->Discard(spec);
    const MachineEvent gone = Next();
    EXPECT_EQ(gone.kind, Kind::kGone);
    EXPECT_TRUE(gone.status.ok()) << gone.status;
    EXPECT_FALSE(std::filesystem::exists(data_dir_ + "/volumes/" + spec.volume));
  }
}

TEST_F(LocalProviderTest, LaunchesServesHibernatesAndRestores) {
  options_.stop_grace = absl::Milliseconds(20123);
  Begin();
  const MachineSpec spec = Spec("m-1", "serve");
  for (const bool restore : {false, true}) {
    restore ? provider_->Restore(spec) : provider_->Launch(spec);
    const MachineEvent started = Next();
    EXPECT_EQ(started.kind, Kind::kStarted);
    EXPECT_TRUE(FindProcess(*ParseProcessName(started.handle)).has_value());
    provider_->Launch(spec);  // the same name: no second machine
    const MachineEvent ready = Next();
    ASSERT_EQ(ready.kind, Kind::kReady);
    EXPECT_EQ(ready.endpoint.machine_id, "m-1");
    EXPECT_EQ(ready.endpoint.model_hash, "abc");
    EXPECT_EQ(ready.endpoint.numerics_id, "fake-1");
    EXPECT_EQ(ready.endpoint.token.size(), 64);
    EXPECT_EQ(Engines("v-m-1").size(), 1);
    EXPECT_EQ(FindProcessesByArgument("--grace=20.123s").size(), 1) << "it is told how long it has";

    struct stat token;
    ASSERT_EQ(stat(absl::StrCat(data_dir_, "/machines/v-m-1/token").c_str(), &token), 0);
    EXPECT_EQ(token.st_mode & 0777, 0600);
    const auto identity = Ask(ready.endpoint);
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(identity->model_hash, "abc");
    Endpoint stranger = ready.endpoint;
    stranger.token[0] ^= 1;
    EXPECT_TRUE(absl::IsUnauthenticated(Ask(stranger).status()));

    std::ofstream(absl::StrCat(data_dir_, "/volumes/v-m-1/kept")) << "x";
    provider_->Hibernate("m-1");
    const MachineEvent gone = Next();
    EXPECT_EQ(gone.kind, Kind::kGone);
    EXPECT_TRUE(gone.status.ok()) << gone.status;
    EXPECT_TRUE(std::filesystem::exists(absl::StrCat(data_dir_, "/volumes/v-m-1/kept")));
    EXPECT_FALSE(Ask(ready.endpoint).ok());
  }
}

TEST_F(LocalProviderTest, SaysHowTheWeightsCome) {
  Begin();
  provider_->Launch(Spec("m-1", "download"));
  EXPECT_EQ(Next().kind, Kind::kStarted);
  for (const uint64_t done : {10, 100}) {
    const MachineEvent event = Next();
    EXPECT_EQ(event.kind, Kind::kDownload);
    EXPECT_EQ(event.done_bytes, done);
    EXPECT_EQ(event.total_bytes, 100);
  }
  EXPECT_EQ(Next().kind, Kind::kReady);
  provider_->Terminate("m-1");
  EXPECT_EQ(Next().kind, Kind::kGone);
  EXPECT_TRUE(absl::IsInvalidArgument(HowItFails("m-2", "say download 2 1")));
}

TEST_F(LocalProviderTest, SaysWhyAStartFailed) {
  Begin();
  const absl::Status broken = HowItFails("m-1", "exit 1 the disk is made of cheese");
  EXPECT_TRUE(absl::IsUnavailable(broken)) << broken;
  EXPECT_TRUE(absl::StrContains(broken.message(), "ended with status 1")) << broken;
  EXPECT_TRUE(absl::StrContains(broken.message(), "the disk is made of cheese")) << broken;
  const absl::Status permanent = HowItFails("m-2", "exit 2 unknown tensor type");
  EXPECT_TRUE(absl::IsFailedPrecondition(permanent)) << permanent;
  const absl::Status silent = HowItFails("m-3", "close");
  EXPECT_TRUE(absl::IsUnavailable(silent)) << silent;
  EXPECT_TRUE(absl::StrContains(silent.message(), "closed its ready_fd")) << silent;
  const absl::Status garbled = HowItFails("m-4", "say hello");
  EXPECT_TRUE(absl::StrContains(garbled.message(), "wrote 'hello'")) << garbled;
  const absl::Status other = HowItFails("m-5", "say ready 127.0.0.1:1 n def");
  EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
  EXPECT_TRUE(absl::StrContains(other.message(), "hash def, not abc")) << other;
  const absl::Status endless = HowItFails("m-6", "say " + std::string(5000, 'x'));
  EXPECT_TRUE(absl::IsFailedPrecondition(endless)) << endless;
}

// Everybody on the computer can read a command line.
TEST_F(LocalProviderTest, TheQueryOfAnAddressGoesByAFile) {
  Begin();
  MachineSpec spec = Spec("m-1", "");
  spec.weights = "https://host/a.gguf?signature=secret#sha256=abc";
  provider_->Launch(spec);
  EXPECT_EQ(Next().kind, Kind::kStarted);
  const MachineEvent gone = Next();
  EXPECT_TRUE(absl::StrContains(gone.status.message(), "https://host/a.gguf#sha256=abc ? signature=secret"))
      << gone.status;
  const std::string query = data_dir_ + "/machines/v-m-1/query";
  struct stat file;
  ASSERT_EQ(stat(query.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600);

  spec.weights = Spec("m-2", "serve").weights;
  spec.id = "m-2";
  provider_->Launch(spec);
  EXPECT_EQ(Next().kind, Kind::kStarted);
  EXPECT_EQ(Next().kind, Kind::kReady);
  EXPECT_NE(stat(query.c_str(), &file), 0) << "it has served";
  provider_->Terminate("m-2");
  EXPECT_EQ(Next().kind, Kind::kGone);
}

TEST_F(LocalProviderTest, SaysThatThereIsNoEngine) {
  options_.engine = "/nowhere/engine";
  Begin();
  EXPECT_TRUE(absl::StrContains(HowItFails("m-1", "serve").message(), "/nowhere/engine"));
}

TEST_F(LocalProviderTest, KillsWhatDoesNotStop) {
  options_.stop_grace = absl::Milliseconds(20);
  Begin();
  provider_->Launch(Spec("m-1", "deaf"));
  Next();
  ASSERT_EQ(Next().kind, Kind::kReady);
  provider_->Hibernate("m-1");
  const MachineEvent gone = Next();
  EXPECT_EQ(gone.kind, Kind::kGone);
  EXPECT_TRUE(gone.status.ok());
  provider_->Launch(Spec("m-2", "hang"));
  Next();
  provider_->Terminate("m-2");
  EXPECT_EQ(Next().kind, Kind::kGone);
  provider_->Terminate("m-2");  // confirmed as often as asked
  EXPECT_EQ(Next().kind, Kind::kGone);
}

TEST_F(LocalProviderTest, SeesACrash) {
  Begin();
  provider_->Launch(Spec("m-1", "serve"));
  const MachineEvent started = Next();
  ASSERT_EQ(Next().kind, Kind::kReady);
  kill(ParseProcessName(started.handle)->pid, SIGKILL);
  const MachineEvent gone = Next();
  EXPECT_EQ(gone.kind, Kind::kGone);
  EXPECT_TRUE(absl::StrContains(gone.status.message(), "killed by signal 9")) << gone.status;
}

// A request may be blamed for the first kind of end only.
TEST_F(LocalProviderTest, TellsAnEngineThatDiedByItselfFromOneThatSomebodyEnded) {
  Begin();
  for (const auto& [signal, crashed] : {std::pair(SIGSEGV, true), {SIGABRT, true}, {SIGKILL, false}, {SIGTERM, false}}) {
    provider_->Launch(Spec("m-1", "serve"));
    EXPECT_EQ(Next().kind, Kind::kStarted);
    ASSERT_EQ(Next().kind, Kind::kReady);
    const int64_t oom_kills = OomKills();
    Signal(Engines("v-m-1")[0], signal);
    const MachineEvent gone = Next();
    EXPECT_EQ(gone.kind, Kind::kGone);
    if (signal == SIGKILL && OomKills() != oom_kills) continue;  // this computer is out of memory, whoever it is
    EXPECT_EQ(gone.crashed, crashed) << signal;
  }
}

TEST_F(LocalProviderTest, AVolumeHasOneMachineAndTheStockIsFinite) {
  options_.stock = 2;
  Begin();
  MachineSpec first = Spec("m-1", "hang"), second = Spec("m-2", "hang");
  second.volume = first.volume;
  provider_->Launch(first);
  Next();
  provider_->Launch(second);
  const absl::Status taken = Next().status;
  EXPECT_TRUE(absl::StrContains(taken.message(), "another machine has the volume")) << taken;
  provider_->Launch(Spec("m-3", "hang"));
  EXPECT_EQ(Next().kind, Kind::kStarted);
  EXPECT_TRUE(absl::IsResourceExhausted(HowItFails("m-4", "hang")));
  provider_->Terminate("m-1");
  Next();
  provider_->Launch(second);
  EXPECT_EQ(Next().kind, Kind::kStarted);
  for (const char* id : {"m-2", "m-3"}) {
    provider_->Terminate(id);
    Next();
  }
}

TEST_F(LocalProviderTest, EveryZoneHasAStockOfItsOwn) {
  options_.stock = 1;
  options_.more_zones = {"b"};
  Begin();
  const auto in = [&](const std::string& id, const std::string& zone) {
    MachineSpec spec = Spec(id, "hang");
    spec.offer = Offer{.provider = "local", .region = zone, .zone = zone, .machine_type = "process"};
    return spec;
  };
  provider_->Launch(in("m-1", "local"));
  EXPECT_EQ(Next().kind, Kind::kStarted);
  provider_->Launch(in("m-2", "local"));
  const MachineEvent refused = Next();
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status)) << refused.status;
  EXPECT_TRUE(absl::StrContains(refused.status.message(), "stock in local"));
  provider_->Launch(in("m-3", "b"));
  EXPECT_EQ(Next().kind, Kind::kStarted);
  for (const char* id : {"m-1", "m-3"}) {
    provider_->Terminate(id);
    EXPECT_EQ(Next().kind, Kind::kGone);
  }
}

TEST_F(LocalProviderTest, RestoresFindNoStockAsOftenAsToldAndLaunchesDo) {
  options_.restore_failures = 1;
  Begin();
  provider_->Restore(Spec("m-1", "hang"));
  const MachineEvent refused = Next();
  EXPECT_EQ(refused.kind, Kind::kGone);
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status)) << refused.status;
  provider_->Launch(Spec("m-1", "hang"));
  EXPECT_EQ(Next().kind, Kind::kStarted);
  provider_->Terminate("m-1");
  EXPECT_EQ(Next().kind, Kind::kGone);
}

TEST_F(LocalProviderTest, StartsFailAsOftenAsAClouds) {
  options_.start_failures = 0.5;
  options_.zone = "z-1";
  Begin();
  EXPECT_EQ(provider_->caps().zone, "z-1");
  int failed = 0;
  for (int i = 0; i < 40; ++i) {
    const MachineSpec spec = Spec("m-1", "hang");
    i % 2 == 0 ? provider_->Launch(spec) : provider_->Restore(spec);
    const MachineEvent event = Next();
    if (event.kind == Kind::kGone) {
      EXPECT_TRUE(absl::IsUnavailable(event.status)) << event.status;
      EXPECT_TRUE(Engines(spec.volume).empty());
      ++failed;
      continue;
    }
    provider_->Terminate("m-1");
    EXPECT_EQ(Next().kind, Kind::kGone);
  }
  EXPECT_GT(failed, 10);
  EXPECT_LT(failed, 30);
}

TEST_F(LocalProviderTest, ADelayedStartCanBeCalledOff) {
  options_.launch_delay = absl::Hours(1);
  options_.restore_delay = absl::Milliseconds(1);
  Begin();
  provider_->Launch(Spec("m-1", "hang"));
  provider_->Hibernate("m-1");
  EXPECT_EQ(Next().kind, Kind::kGone);
  provider_->Restore(Spec("m-1", "hang"));
  EXPECT_EQ(Next().kind, Kind::kStarted);
  provider_->Terminate("m-1");
  EXPECT_EQ(Next().kind, Kind::kGone);
}

TEST_F(LocalProviderTest, AnEngineThatNobodyRemembersGivesUpItsVolume) {
  Begin();
  const MachineSpec spec = Spec("m-1", "serve");
  provider_->Launch(spec);
  Next();
  ASSERT_EQ(Next().kind, Kind::kReady);
  Begin();
  MachineSpec next = Spec("m-2", "serve");
  next.volume = spec.volume;
  provider_->Launch(next);
  EXPECT_EQ(Next().kind, Kind::kStarted);
  EXPECT_EQ(Next().kind, Kind::kReady);
  EXPECT_EQ(Engines(spec.volume).size(), 1);
  provider_->Hibernate("m-2");
  EXPECT_EQ(Next().kind, Kind::kGone);
}

TEST_F(LocalProviderTest, AnotherLifeFindsTheMachineByHandleOrWithout) {
  Begin();
  const MachineSpec spec = Spec("m-1", "serve");
  provider_->Launch(spec);
  const std::string handle = Next().handle;
  const Endpoint endpoint = Next().endpoint;
  for (const std::string& known : {handle, std::string()}) {
    Begin();  // the machine stays
    provider_->Adopt(spec, known, known.empty() ? "" : endpoint.address);
    const MachineEvent adopted = Next();
    ASSERT_EQ(adopted.kind, Kind::kAdopted) << adopted.status;
    EXPECT_EQ(adopted.handle, handle);
    EXPECT_EQ(adopted.endpoint.token, endpoint.token);
    EXPECT_EQ(Ask(adopted.endpoint).ok(), !known.empty());
  }
  provider_->Hibernate("m-1");
  EXPECT_TRUE(Next().status.ok());
  for (const std::string& known : {handle, std::string()}) {
    provider_->Adopt(spec, known, "");
    EXPECT_EQ(Next().kind, Kind::kGone);
  }
}

}  // namespace
}  // namespace spotinference::fleet
