// What a wake that comes to nothing costs on every cloud: the fleet's controller, the provider and the emulated clouds.
// And how soon one begins.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "fleet/controller.h"
#include "fleet/providers/conformance/cloud_fixture.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {
namespace {

class CloudWakeTest : public CloudFixture {
 protected:
  CloudWakeTest() {
    Controller::Options options;
    options.models = {{.name = "m", .weights = "hf://org/repo/model.gguf", .model_hash = "abc", .max_machines = 1}};
    auto fleet = Controller::Create(std::move(options), clock_, store_, *provider_, engines_);
    EXPECT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
    PassAll(absl::Seconds(2));  // offers come
  }

  void PassAll(absl::Duration time) {
    for (absl::Duration end = clock_.Elapsed() + time; clock_.Elapsed() < end;) {
      fleet_->Run();
      Pass(absl::Seconds(1));
      billed_ += there() * absl::Seconds(1);
    }
    fleet_->Run();
  }

  void Ask() {
    fleet_->Acquire("m", {.bytes = 1}, [this](AcquireResult result) {
      if (auto* lease = std::get_if<Lease>(&result)) lease_.emplace(std::move(*lease));
      if (auto* error = std::get_if<AcquireError>(&result)) error_ = std::move(*error);
    });
  }

  // Machines that some cloud may bill: all but those that are stopped or gone.
  int there() {
    int count = 0;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) {
        count += machine.state != EmulatedMachine::State::kStopped && machine.state != EmulatedMachine::State::kGone;
      }
    });
    return count;
  }

  // All that follows from what was asked without a moment passing: no poll and no heartbeat is waited for.
  void Round() {
    for (int i = 0; i < 3; ++i) {
      fleet_->Run();
      provider_->Run();
    }
  }
  int starting() {
    int count = 0;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) {
        using State = EmulatedMachine::State;
        count += machine.state == State::kStarting || machine.state == State::kRestoring;
      }
    });
    return count;
  }

  MemoryStore store_;
  std::unique_ptr<Controller> fleet_;
  std::optional<Lease> lease_;
  std::optional<AcquireError> error_;
  absl::Duration billed_;  // time in which some cloud may bill, of all machines
};

// A list, a call and the cloud's own work.
constexpr absl::Duration kEnd = absl::Seconds(4);

TEST_P(CloudWakeTest, WhatNeverBootsBillsUpToTheCap) {
  Say("habit boot 36000");
  Ask();
  PassAll(absl::Minutes(10) + kEnd);
  ASSERT_TRUE(error_.has_value());
  EXPECT_EQ(there(), 0);
  EXPECT_GT(billed_, absl::Minutes(9));
  EXPECT_LE(billed_, absl::Minutes(10) + kEnd);
  PassAll(absl::Minutes(30));
  EXPECT_LE(billed_, absl::Minutes(10) + kEnd) << "and no more";
}

TEST_P(CloudWakeTest, WhatNeverServesBillsUpToTheCap) {
  engines_.Silence();
  Say("habit stop_never_ends 1");
  Ask();
  PassAll(absl::Minutes(10) + kEnd);
  ASSERT_TRUE(error_.has_value());
  EXPECT_EQ(there(), 0);
  EXPECT_GT(billed_, absl::Minutes(9));
  EXPECT_LE(billed_, absl::Minutes(10) + kEnd);
}

// A wake that nobody waits for any more lingers for two minutes.
TEST_P(CloudWakeTest, WhatIsAbandonedBillsUpToItsLinger) {
  Say("habit boot 36000");
  const Fleet::WaitId id = fleet_->Acquire("m", {.bytes = 1}, [](AcquireResult) {});
  PassAll(absl::Seconds(30));
  fleet_->Cancel(id);
  PassAll(absl::Minutes(2) + kEnd);
  EXPECT_EQ(there(), 0);
  EXPECT_LE(billed_, absl::Seconds(30) + absl::Minutes(2) + kEnd);
}

// It is kept if it can be stopped, and deleted if that takes a minute: all that is worth keeping is on its volume.
TEST_P(CloudWakeTest, ARestoreThatNeverServesIsThereForAMinuteMore) {
  Ask();
  PassAll(absl::Seconds(30));
  ASSERT_TRUE(lease_.has_value());
  lease_.reset();
  fleet_->Hibernate("m-1", [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; });
  PassAll(absl::Minutes(1));
  ASSERT_EQ(there(), 0);
  Say("habit boot 36000");
  Ask();
  PassAll(absl::Minutes(10));
  EXPECT_TRUE(error_.has_value());
  PassAll(absl::Minutes(1) + kEnd);
  EXPECT_EQ(there(), 0);
  EXPECT_EQ(volumes(), 1);
  Say("habit boot 1");
  PassAll(absl::Minutes(5));
  Ask();
  PassAll(absl::Minutes(3));
  EXPECT_TRUE(lease_.has_value()) << "it can be woken all the same";
}

TEST_P(CloudWakeTest, LaunchCallsFollowAtOnce) {
  const auto hibernate = [&](const std::string& id) {
    fleet_->Hibernate(id, [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; });
    lease_.reset();
    PassAll(absl::Minutes(2));
    ASSERT_EQ(there(), 0);
  };
  const auto interrupt = [&](const std::string& id) {
    fleet_->Interrupt(id, absl::Minutes(1), [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; });
  };
  Ask();
  Round();
  EXPECT_EQ(volumes(), 1);
  Pass(absl::Milliseconds(600));
  EXPECT_EQ(starting(), 1) << "as soon as its volume is there";
  PassAll(absl::Seconds(30));
  ASSERT_TRUE(lease_.has_value());
  interrupt("m-1");
  Round();
  EXPECT_EQ(volumes(), 2);
  PassAll(absl::Minutes(2));
  hibernate("m-2");
  Ask();
  Round();
  EXPECT_EQ(starting(), 1) << "by a request";
  PassAll(absl::Seconds(30));
  ASSERT_TRUE(lease_.has_value());
  interrupt(lease_->endpoint().machine_id);
  Round();
  EXPECT_EQ(starting(), 1) << "by a notice";
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudWakeTest, testing::ValuesIn(AllClouds()),
                         [](const auto& cloud) { return cloud.param.name; });

}  // namespace
}  // namespace spotinference::fleet
