// What a wake costs at most, in billed seconds; what is told of it.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Reason = AcquireError::Reason;

class ControllerWakeTest : public ControllerTest {
 protected:
  absl::Duration Billed(absl::string_view use) const {
    for (const LedgerLine& line : fleet_->LedgerLines()) {
      if (line.use == use) return line.time;
    }
    return absl::ZeroDuration();
  }
};

// The machine is stopped at the provider when the cap is reached, and bills until it is gone and no longer.
TEST_F(ControllerWakeTest, AWakeBillsUpToItsCapAndNoMore) {
  auto client = Acquire();
  provider_.TellStarted("m-1");
  Advance(absl::Minutes(10));
  EXPECT_EQ(provider_.Asked(), "launch m-1, terminate m-1");
  EXPECT_EQ(client->error->reason, Reason::kWakeTimeout);
  Advance(absl::Seconds(3));
  Gone("m-1");
  Advance(absl::Hours(5));
  EXPECT_EQ(Billed("waking"), absl::Minutes(10));
  EXPECT_EQ(Billed("idle"), absl::Seconds(3));
  EXPECT_EQ(Billed("busy"), absl::ZeroDuration());
}

// So is a restore that never comes up.
TEST_F(ControllerWakeTest, ARestoreBillsUpToItsCapAndNoMore) {
  auto client = Acquire();
  Ready("m-1");
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  EXPECT_EQ(provider_.Asked(), "launch m-1, hibernate m-1");
  const absl::Duration before = Billed("waking");
  client = Acquire();
  Advance(absl::Minutes(10));
  EXPECT_EQ(provider_.Asked(), "restore m-1, hibernate m-1");
  EXPECT_EQ(client->error->reason, Reason::kWakeTimeout);
  Gone("m-1");
  Advance(absl::Hours(5));
  EXPECT_EQ(Billed("waking") - before, absl::Minutes(10));
}

// A start that fails is tried again at once; that makes the wake no longer.
TEST_F(ControllerWakeTest, TheCapIsOfAllAttemptsTogether) {
  auto client = Acquire();
  Advance(absl::Minutes(9));
  Gone("m-1", absl::UnavailableError("it broke"));
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2");
  Advance(absl::Seconds(59));
  EXPECT_EQ(provider_.Asked(), "");
  client = Acquire();  // whoever waits
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "terminate m-2");
  EXPECT_EQ(client->error->reason, Reason::kWakeTimeout);
  EXPECT_EQ(Billed("waking"), absl::Minutes(10));
}

// Nor does a fleet that dies: the wake is the one that the former life began.
TEST_F(ControllerWakeTest, TheCapIsOfAllLivesTogether) {
  auto client = Acquire();
  Advance(absl::Minutes(4));
  Gone("m-1", absl::UnavailableError("no"));
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2");
  provider_.TellStarted("m-2");
  Advance(absl::Minutes(4));
  Begin();
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "adopt m-2");
  Advance(absl::Minutes(1) + absl::Seconds(59));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "terminate m-2");
  EXPECT_EQ(client->error->reason, Reason::kWakeTimeout);
}

// While it was away the machine may have come to serve: it is looked at first.
TEST_F(ControllerWakeTest, AWakeWhoseCapPassedMeanwhileIsLookedAtFirst) {
  auto client = Acquire();
  provider_.TellStarted("m-1");
  fleet_->Run();
  clock_.Advance(absl::Hours(1));
  Begin();
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1, adopt m-1");
  Advance(absl::Seconds(29));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
}

// A second machine that boots beside one that serves is no wake.
TEST_F(ControllerWakeTest, AMachineBesideOneThatServedResumesNoWake) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  Begin();
  Ready("m-1");
  clock_.Advance(absl::Hours(1));
  Begin();
  provider_.Asked();
  Advance(absl::Seconds(31));
  EXPECT_EQ(provider_.Asked(), "") << "both are still being found";
}

// What a former life began ends with its machine; who waits now waits for another one.
TEST_F(ControllerWakeTest, AWakeWhoseMachineIsGoneBeginsAnew) {
  auto client = Acquire();
  provider_.TellStarted("m-1");
  fleet_->Run();
  clock_.Advance(absl::Hours(1));
  Begin();
  client = Acquire();
  Gone("m-1", absl::NotFoundError("gone"));
  EXPECT_EQ(provider_.Asked(), "launch m-1, adopt m-1, launch m-2");
  Advance(absl::Minutes(9));
  EXPECT_EQ(provider_.Asked(), "");
}

// The fleet died between its start and the note of the wake.
TEST_F(ControllerWakeTest, AWakeOfWhichOnlyTheMachineIsKnown) {
  auto client = Acquire();
  Advance(absl::Minutes(9));
  ASSERT_TRUE(store_.Write({.wake_records = {{"m", {}}}}, Store::Sync::kOrdered).ok());
  Begin();
  client = Acquire();
  Advance(absl::Minutes(1));
  EXPECT_EQ(provider_.Asked(), "launch m-1, adopt m-1, terminate m-1");
}

// Three hours of one request a second against a machine that boots for ever: no wake outlives its cap for them.
TEST_F(ControllerWakeTest, ArrivalsThatNeverStopKeepNoWakeAlive) {
  std::vector<std::unique_ptr<Client>> clients;
  absl::Duration began, waking;
  int wakes = 0;
  bool up = false;
  for (int second = 0; second < 3 * 3600; ++second) {
    clients.push_back(Acquire());
    for (std::string asked = provider_.Asked(); !asked.empty(); asked = provider_.Asked()) {
      if (absl::StrContains(asked, "terminate")) {
        EXPECT_EQ(clock_.Elapsed() - began, absl::Minutes(10));
        waking += clock_.Elapsed() - began;
        up = false;
        Gone(absl::StrCat("m-", wakes));
      }
      if (absl::StrContains(asked, "launch")) {
        EXPECT_FALSE(up);
        began = clock_.Elapsed();
        up = true;
        ++wakes;
      }
    }
    Advance(absl::Seconds(1));
  }
  EXPECT_EQ(wakes, 5);  // with 0, 10, 20 and 40 minutes of back-off between them
  EXPECT_EQ(Billed("waking"), waking + (up ? clock_.Elapsed() - began : absl::ZeroDuration()));
  // The last 585 s may still wait; everybody else was told, and the first of all that its wake was over.
  for (size_t i = 0; i + 585 < clients.size(); ++i) ASSERT_EQ(clients[i]->answers, 1) << i;
  EXPECT_EQ(clients[0]->error->reason, Reason::kWakeTimeout);
}

TEST_F(ControllerWakeTest, ADownloadIsToldAndIsNoPartOfTheUsualWake) {
  auto client = Acquire();
  provider_.TellStarted("m-1");
  fleet_->Run();
  EXPECT_EQ(fleet_->Progress("m")->stage, "booting");
  const auto come = [this](uint64_t done) {
    provider_.TellDownload("m-1", done, 1000);
    fleet_->Run();
  };
  Advance(absl::Seconds(5));  // the wake was expected to be over
  come(200);
  EXPECT_EQ(fleet_->Progress("m")->stage, "downloading");
  EXPECT_EQ(fleet_->Progress("m")->eta, absl::ZeroDuration());  // nobody knows yet how fast they come
  Advance(absl::Seconds(10));
  come(400);
  EXPECT_EQ(fleet_->Progress("m")->stage, "downloading");
  EXPECT_EQ(fleet_->Progress("m")->eta, absl::Seconds(30));  // 600 to come, 20 a second
  EXPECT_EQ(fleet_->Models()[0].download_done_bytes, 400);
  EXPECT_EQ(fleet_->Models()[0].download_total_bytes, 1000);
  Advance(absl::Seconds(30));
  come(1000);
  EXPECT_EQ(fleet_->Progress("m")->stage, "booting");
  EXPECT_EQ(fleet_->Models()[0].download_total_bytes, 0);
  Advance(absl::Seconds(2));
  provider_.TellReady("m-1");
  fleet_->Run();
  EXPECT_EQ(wakes_, (std::vector<std::string>{"m launching 0", "m downloading 40s", "m booting 7s", "m total 47s"}));
  EXPECT_EQ(store_.Load()->wakes.at("m"), absl::Seconds(7));
}

}  // namespace
}  // namespace spotinference::fleet
