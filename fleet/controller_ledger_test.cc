// What a machine is in the ledger with once it is gone: what its cloud charges, by AWS's rules (billing_test.cc has
// those worked out): by the second, a minute at least, and nothing for a spot machine that is taken back within its
// first hour.
#include <string>

#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class ControllerLedgerTest : public ControllerTest {
 protected:
  ControllerLedgerTest() {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const char* zone : {"a", "b"}) {  // a dollar a second
      event.offers.push_back({{.provider = "aws", .zone = zone, .market = Market::kSpot, .price_per_hour = 3600}});
    }
    provider_.Tell(std::move(event));
    fleet_->Run();
    asked_ = clock_.Now();
  }

  // So many seconds after the first order.
  absl::Time At(int seconds) const { return asked_ + absl::Seconds(seconds); }

  // Serves from 100 s to 300 s, and is being hibernated.
  void Live() {
    const auto client = Acquire();
    Advance(absl::Seconds(100));
    Ready("m-1");
    ASSERT_TRUE(client->lease.has_value());
    Advance(absl::Seconds(200));
    client->lease.reset();
    ASSERT_TRUE(Hibernate("m-1").ok());
    Advance(absl::Seconds(5));
  }

  void Gone(MachineEvent event) {
    event.machine_id = "m-1";
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  double Dollars() const {
    double dollars = 0;
    for (const LedgerLine& line : fleet_->LedgerLines()) dollars += line.dollars;
    return dollars;
  }

  absl::Time asked_;
};

TEST_F(ControllerLedgerTest, ARunCostsWhatItsCloudSays) {
  Live();
  EXPECT_NEAR(Dollars(), 305, 1e-9) << "up to its end from the order on";
  Gone({.began = At(30), .ended = At(301)});
  EXPECT_NEAR(Dollars(), 271, 1e-9);
  Begin();
  EXPECT_NEAR(Dollars(), 271, 1e-9);
}

TEST_F(ControllerLedgerTest, AMinuteAtLeast) {
  Live();
  Gone({.began = At(280), .ended = At(301)});
  EXPECT_NEAR(Dollars(), 60, 1e-9);
}

TEST_F(ControllerLedgerTest, WhatIsTakenBackWithinTheFirstHourIsFree) {
  Live();
  Gone({.began = At(30), .ended = At(301), .reclaimed = true});
  EXPECT_EQ(Dollars(), 0);
}

TEST_F(ControllerLedgerTest, WhatNeverRanIsInNoLedger) {
  const auto client = Acquire();
  Advance(absl::Seconds(20));
  EXPECT_NEAR(Dollars(), 20, 1e-9);
  Gone({.never_ran = true, .status = absl::InternalError("no")});
  EXPECT_EQ(States(), "m-2 launching;");
  EXPECT_EQ(Dollars(), 0);
}

TEST_F(ControllerLedgerTest, WhereTheCloudSaysNothingTheTimeFromTheOrderToTheEndCounts) {
  Live();
  Advance(absl::Milliseconds(500));
  Gone({});
  EXPECT_NEAR(Dollars(), 306, 1e-9) << "in whole seconds";
}

TEST_F(ControllerLedgerTest, ARunThatEndedWhileNobodyWasThereIsBookedUntilItsEnd) {
  const auto client = Acquire();
  Advance(absl::Seconds(100));
  Ready("m-1");
  Advance(absl::Seconds(50));
  fleet_.reset();
  clock_.Advance(absl::Minutes(40));
  Begin();
  Gone({.began = At(30), .ended = At(600), .status = absl::UnavailableError("not there")});
  EXPECT_NEAR(Dollars(), 570, 1e-9);
  absl::Duration time;
  for (const LedgerLine& line : fleet_->LedgerLines()) time += line.time;
  EXPECT_EQ(time, absl::Seconds(600));
}

// A restore that came to nothing shows the cloud's word on the run before.
TEST_F(ControllerLedgerTest, NoRunIsBilledTwice) {
  Live();
  Gone({.began = At(30), .ended = At(301)});
  Begin();
  const auto client = Acquire();
  EXPECT_EQ(States(), "m-1 restoring;");
  Advance(absl::Seconds(20));
  Gone({.began = At(30), .ended = At(301), .status = absl::ResourceExhaustedError("no stock")});
  EXPECT_NEAR(Dollars(), 271, 1e-9);
}

TEST_F(ControllerLedgerTest, ALiarIsNotBelieved) {
  Live();
  Gone({.began = absl::UnixEpoch(), .ended = At(301)});
  EXPECT_NEAR(Dollars(), 301, 1e-9);
}

}  // namespace
}  // namespace spotinference::fleet
