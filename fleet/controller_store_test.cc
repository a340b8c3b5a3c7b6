// What is written down, and what becomes of it while the store cannot write.
#include <string>

#include "absl/strings/match.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Reason = AcquireError::Reason;

TEST_F(ControllerTest, NothingIsStartedThatCannotBeWrittenDown) {
  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(client->error->reason, Reason::kBackOff);
  EXPECT_TRUE(absl::StrContains(client->error->message, "no space left"));
  store_.FailWith(absl::OkStatus());
  Advance(absl::Seconds(5));
  client = Acquire();
  Ready("m-3");
  EXPECT_TRUE(client->lease.has_value());
}

// A crash would begin from what was long ago.
TEST_F(ControllerTest, WhatCouldNotBeWrittenIsWrittenAsSoonAsItCan) {
  auto client = Acquire();
  Ready("m-1");
  client->lease.reset();
  fleet_->Run();
  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  Advance(absl::Seconds(90));
  Gone("m-1");
  EXPECT_EQ(States(), "m-1 hibernated;");
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kServing);
  EXPECT_LE(fleet_->Run(), clock_.Elapsed() + absl::Seconds(5));
  Advance(absl::Seconds(5));
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kServing);
  store_.FailWith(absl::OkStatus());
  Advance(absl::Seconds(5));
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kHibernated);
  EXPECT_EQ(store_.Load()->book.entries.size(), fleet_->LedgerLines().size()) << "with the ledger";

  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  client = Acquire();
  EXPECT_TRUE(client->error.has_value());
  fleet_->BeginShutdown(absl::ZeroDuration());
  fleet_->Run();
  store_.FailWith(absl::OkStatus());
  fleet_.reset();
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kHibernated) << "what was not done is not written";
}

TEST_F(ControllerTest, WhatCouldNotBeWrittenGoesBeforeWhatIsBought) {
  auto client = Acquire();
  Ready("m-1");
  client->lease.reset();
  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  Kill("m-1").IgnoreError();
  Gone("m-1");
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kServing);
  store_.FailWith(absl::OkStatus());
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1, terminate m-1, launch m-2");
  EXPECT_EQ(store_.machines().count(1), 0);
  EXPECT_EQ(store_.machines().at(2).state, MachineState::kLaunching);
}

}  // namespace
}  // namespace spotinference::fleet
