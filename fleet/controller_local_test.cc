// The controller with its thread, the local provider, SQLite and real processes.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "engine/base/clock.h"
#include "fleet/controller.h"
#include "fleet/probe/grpc_probe.h"
#include "fleet/providers/local/local_provider.h"
#include "fleet/providers/local/process.h"
#include "fleet/store/sqlite_store.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class ControllerLocalTest : public testing::Test {
 protected:
  ControllerLocalTest()
      : data_dir_(testing::TempDir() + "/" +
                  testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(data_dir_);
    std::filesystem::create_directories(data_dir_);
    weights_ = data_dir_ + "/model";
    SetEngine("serve");
    Begin();
  }

  ~ControllerLocalTest() override {
    End();
    for (const Process& process : Engines()) {
      ADD_FAILURE() << "process " << process.name.pid << " was left";
      Signal(process, SIGKILL);
    }
  }

  // See fake_engine.cc.
  void SetEngine(const std::string& mode) { std::ofstream(weights_) << mode; }

  void Begin() {
    auto store = OpenSqliteStore(data_dir_ + "/fleet.sqlite");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    provider_ =
        NewLocalProvider({.engine = "fleet/providers/local/fake_engine", .data_dir = data_dir_});
    probe_ = NewGrpcProbe();
    Controller::Options options;
    options.models = {{.name = "org/m", .weights = weights_, .model_hash = "abc"}};
    options.on_wake = [this](absl::string_view, absl::string_view stage, absl::Duration) {
      absl::MutexLock lock(&mutex_);
      launched_ |= stage == "launching";
    };
    auto fleet = Controller::Create(std::move(options), RealClock(), *store_, *provider_, *probe_);
    ASSERT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
    fleet_->Start();
  }

  // As a killed gateway would: machines stay, nothing is written any more.
  void Die() {
    fleet_.reset();
    probe_.reset();
    provider_.reset();
    store_.reset();
  }

  void End() {
    if (fleet_ != nullptr) {
      fleet_->BeginShutdown(absl::ZeroDuration());
      EXPECT_TRUE(fleet_->AwaitStopped(absl::Seconds(20)));
    }
    Die();
  }

  AcquireResult Acquire() {
    std::unique_ptr<AcquireResult> answer;
    absl::Notification answered;
    fleet_->Acquire("org/m", {.bytes = 1}, [&](AcquireResult result) {
      answer = std::make_unique<AcquireResult>(std::move(result));
      answered.Notify();
    });
    answered.WaitForNotification();
    return std::move(*answer);
  }

  Lease AcquireLease() {
    AcquireResult result = Acquire();
    if (auto* error = std::get_if<AcquireError>(&result)) ADD_FAILURE() << error->message;
    return std::get<Lease>(std::move(result));
  }

  void AwaitLaunch() {
    absl::MutexLock lock(&mutex_);
    ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&launched_), absl::Seconds(20)));
  }

  std::vector<Process> Engines() const {
    return FindProcessesByArgument(
        absl::StrCat("--token_file=", data_dir_, "/machines/org%2fm/token"));
  }

  const std::string data_dir_;
  std::string weights_;
  absl::Mutex mutex_;
  bool launched_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Provider> provider_;
  std::unique_ptr<Probe> probe_;
  std::unique_ptr<Controller> fleet_;
};

TEST_F(ControllerLocalTest, WakesAndReplacesAKilledEngine) {
  std::string first;
  {
    const Lease lease = AcquireLease();
    first = lease.endpoint().machine_id;
    ASSERT_EQ(Engines().size(), 1);
    Signal(Engines()[0], SIGKILL);
    fleet_->ReportBroken(first, "the stream broke");
  }
  const Lease lease = AcquireLease();
  EXPECT_NE(lease.endpoint().machine_id, first);
  EXPECT_EQ(Engines().size(), 1);
}

TEST_F(ControllerLocalTest, AnotherLifeAdoptsTheEngineAndStartsNoSecond) {
  const Endpoint endpoint = AcquireLease().endpoint();
  const pid_t pid = Engines()[0].name.pid;
  Die();
  Begin();
  const Lease lease = AcquireLease();
  EXPECT_EQ(lease.endpoint().machine_id, endpoint.machine_id);
  EXPECT_EQ(lease.endpoint().address, endpoint.address);
  EXPECT_EQ(lease.endpoint().token, endpoint.token);
  ASSERT_EQ(Engines().size(), 1);
  EXPECT_EQ(Engines()[0].name.pid, pid);
}

TEST_F(ControllerLocalTest, AnotherLifeEndsAnEngineThatNeverServedAndStartsOneThatDoes) {
  SetEngine("hang");
  fleet_->Acquire("org/m", {.bytes = 1}, [](AcquireResult) {});
  AwaitLaunch();
  Die();
  SetEngine("serve");
  Begin();
  const Lease lease = AcquireLease();
  EXPECT_EQ(Engines().size(), 1);
}

TEST_F(ControllerLocalTest, AnEngineThatKnowsTheTokenSaysItsFigures) {
  Endpoint endpoint = AcquireLease().endpoint();
  const auto ask = [&] {
    absl::StatusOr<EngineFigures> answer;
    absl::Notification answered;
    probe_->AskFigures(endpoint, absl::Seconds(20), [&](absl::StatusOr<EngineFigures> figures) {
      answer = std::move(figures);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  };
  const auto figures = ask();
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_EQ(figures->running_sequences, 1);
  EXPECT_EQ(figures->waiting_sequences, 2);
  EXPECT_EQ(figures->totals.prompt_tokens, 3);
  EXPECT_EQ(figures->totals.cached_tokens, 4);
  EXPECT_EQ(figures->totals.generated_tokens, 5);
  EXPECT_EQ(figures->totals.preemptions, 6);
  EXPECT_EQ(figures->kv_blocks_used, 8);
  EXPECT_EQ(figures->kv_blocks_cached, 9);
  EXPECT_EQ(figures->kv_blocks_free(), 53);
  EXPECT_EQ(figures->totals.kv_blocks_restored, 4);
  EXPECT_EQ(figures->weights_bytes, int64_t{10} << 32);
  EXPECT_EQ(figures->volumes_full, 1);
  EXPECT_EQ(figures->totals.programs_compiled, 11);
  EXPECT_EQ(figures->totals.busy, absl::Microseconds(12));
  endpoint.token = "another";
  EXPECT_TRUE(absl::IsUnauthenticated(ask().status()));
}

TEST_F(ControllerLocalTest, SaysWhyAModelCannotStart) {
  SetEngine("exit 2 unknown tensor type 77 in blk.0");
  const AcquireResult result = Acquire();
  const auto& error = std::get<AcquireError>(result);
  EXPECT_EQ(error.reason, AcquireError::Reason::kBackOff);
  EXPECT_TRUE(absl::StrContains(error.message, "unknown tensor type 77 in blk.0")) << error.message;
  EXPECT_TRUE(fleet_->Machines().empty());
}

TEST_F(ControllerLocalTest, ShutdownLeavesNothingAndTheNextLifeRestores) {
  const std::string id = AcquireLease().endpoint().machine_id;
  End();
  EXPECT_TRUE(Engines().empty());
  Begin();
  EXPECT_EQ(fleet_->Machines()[0].state, "hibernated");
  EXPECT_EQ(AcquireLease().endpoint().machine_id, id);
}

}  // namespace
}  // namespace spotinference::fleet
