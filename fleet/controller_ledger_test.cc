// What a machine is in the ledger with once it is gone: what its cloud charges, by AWS's rules (billing_test.cc has
// those worked out): by the second, a minute at least, and nothing for a spot machine that is taken back within its
// first hour.
#include <optional>
#include <string>

#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class ControllerLedgerTest : public ControllerTest {
 protected:
  ControllerLedgerTest() {
    Sell("aws", 3600);  // a dollar a second
    asked_ = clock_.Now();
  }

  void Sell(const std::string& cloud, double price, std::optional<absl::Time> since = std::nullopt) {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const char* zone : {"a", "b"}) {
      event.offers.push_back({.offer = {.provider = cloud, .zone = zone, .market = Market::kSpot,
                                        .price_per_hour = price},
                              .stock = std::nullopt,
                              .priced_since = since});
    }
    provider_.Tell(std::move(event));
    fleet_->Run();
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

// And so has saved all of the 271 s on demand, three dollars each.
TEST_F(ControllerLedgerTest, WhatWasFreeIsComparedWithTheSameRunOnDemand) {
  MachineEvent sold = {.kind = MachineEvent::Kind::kOffers};
  for (const Market market : {Market::kSpot, Market::kOnDemand}) {
    sold.offers.push_back({.offer = {.provider = "aws", .zone = "a", .market = market,
                                     .price_per_hour = market == Market::kSpot ? 3600.0 : 10800.0},
                           .stock = std::nullopt});
  }
  provider_.Tell(std::move(sold));
  fleet_->Run();
  Live();
  Gone({.began = At(30), .ended = At(301), .reclaimed = true});
  double on_demand = 0;
  for (const LedgerLine& line : fleet_->LedgerLines()) on_demand += line.on_demand_dollars;
  EXPECT_EQ(Dollars(), 0);
  EXPECT_NEAR(on_demand, 813, 1e-9);
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

// The fleet died before it heard of it, and another life ended it.
TEST_F(ControllerLedgerTest, ARunThatOnlyItsEndToldOfIsBooked) {
  const auto client = Acquire();
  fleet_.reset();
  clock_.Advance(absl::Seconds(110));
  Begin();
  Gone({.handle = "i-1", .status = absl::UnavailableError("not there")});
  EXPECT_NEAR(Dollars(), 110, 1e-9);
}

TEST_F(ControllerLedgerTest, WhatNobodyEverSawIsNot) {
  const auto client = Acquire();
  fleet_.reset();
  clock_.Advance(absl::Seconds(110));
  Begin();
  Gone({.status = absl::UnavailableError("not there")});
  EXPECT_EQ(Dollars(), 0);
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

// The run before was told of only now, and has been booked by the fleet's own times.
TEST_F(ControllerLedgerTest, ARunThatWasToldLateIsNotBookedAgain) {
  Live();
  Gone({});
  EXPECT_NEAR(Dollars(), 305, 1e-9);
  Advance(absl::Minutes(6));
  const auto client = Acquire();
  EXPECT_EQ(States(), "m-1 restoring;");
  fleet_.reset();
  Begin();
  Advance(absl::Seconds(20));
  Gone({.began = At(30), .ended = At(301), .status = absl::ResourceExhaustedError("no stock")});
  EXPECT_NEAR(Dollars(), 305, 1e-9);
}

// Its cloud told when it ended and not when it began, so that the fleet's own time was booked up to its end.
TEST_F(ControllerLedgerTest, ARunWhoseEndAloneWasToldIsNotBookedAgain) {
  Live();
  Gone({.ended = At(301)});
  EXPECT_NEAR(Dollars(), 301, 1e-9);
  const auto client = Acquire();
  EXPECT_EQ(States(), "m-1 restoring;");
  Advance(absl::Seconds(20));
  Gone({.began = At(30), .ended = At(301), .status = absl::ResourceExhaustedError("no stock")});
  EXPECT_NEAR(Dollars(), 301, 1e-9);
}

// Nor is any other that its provider knows to be none of this start's.
TEST_F(ControllerLedgerTest, WhereNothingRanNoRunIsBooked) {
  Live();
  Gone({});
  EXPECT_NEAR(Dollars(), 305, 1e-9);
  const auto client = Acquire();
  Advance(absl::Seconds(20));
  Gone({.began = At(30), .ended = At(301), .never_ran = true, .status = absl::ResourceExhaustedError("no stock")});
  EXPECT_NEAR(Dollars(), 305, 1e-9);
}

// AWS: the first instance-hour at its begin's price, whatever comes meanwhile; 100 s of the second at the price then.
TEST_F(ControllerLedgerTest, APriceThatMovesIsBookedAsItsCloudChargesIt) {
  const auto client = Acquire();
  Advance(absl::Seconds(100));
  Ready("m-1");
  Advance(absl::Seconds(900));
  Sell("aws", 7200, At(950));
  EXPECT_NEAR(Dollars(), 1000, 1e-9);
  EXPECT_EQ(fleet_->Machines()[0].price_per_hour, 7200);
  Advance(absl::Seconds(100));
  EXPECT_NEAR(Dollars(), 1200, 1e-9) << "by what is known while it runs";
  Begin();
  Advance(absl::Seconds(2700));
  Sell("aws", 10800, At(3640));  // after the second hour began
  Gone({.began = At(30), .ended = At(3730), .status = absl::UnavailableError("gone")});
  EXPECT_NEAR(Dollars(), 3600 * 1 + 100 * 2, 1e-9);
}

TEST_F(ControllerLedgerTest, AtTheOthersEachMomentHasItsPrice) {
  Sell("gcp", 3600);
  const auto client = Acquire();
  Advance(absl::Seconds(500));
  Ready("m-1");
  Sell("gcp", 7200, At(200));  // told late, and by the cloud's clock
  Advance(absl::Seconds(100));
  Gone({.began = At(100), .ended = At(590), .status = absl::UnavailableError("gone")});
  EXPECT_NEAR(Dollars(), 100 * 1 + 390 * 2, 1e-9);
}

// Nobody says when it changed, nor when it ended: from when it was heard of on.
TEST_F(ControllerLedgerTest, WhereNothingIsToldPricesAreThoseThatWereHeardOf) {
  Sell("hyperstack", 3600);
  const auto client = Acquire();
  Advance(absl::Seconds(60));
  Ready("m-1");
  Sell("hyperstack", 7200);
  Advance(absl::Seconds(60));
  Gone({.status = absl::UnavailableError("gone")});
  EXPECT_NEAR(Dollars(), 60 * 1 + 60 * 2, 1e-9);
}

TEST_F(ControllerLedgerTest, ARestoreCostsThePriceOfItsTime) {
  Live();
  Gone({.began = At(30), .ended = At(301)});
  Sell("aws", 7200, At(302));
  const auto client = Acquire();
  EXPECT_EQ(States(), "m-1 restoring;");
  Advance(absl::Seconds(100));
  Ready("m-1");
  Gone({.began = At(310), .ended = At(410), .status = absl::UnavailableError("gone")});
  EXPECT_NEAR(Dollars(), 271 + 100 * 2, 1e-9);
}

// Half a cent an hour, in no use's dollars, also where the machine is free.
TEST_F(ControllerLedgerTest, APublicAddressCostsWhileItsMachineRuns) {
  const auto addresses = [this] {
    double dollars = 0;
    for (const StorageLine& line : fleet_->StorageLines()) dollars += line.kind == "address" ? line.dollars : 0;
    return dollars;
  };
  const auto client = Acquire();
  provider_.Tell({.kind = MachineEvent::Kind::kStarted, .machine_id = "m-1", .handle = "i-1", .public_address = true});
  fleet_->Run();
  provider_.TellReady("m-1");
  fleet_->Run();
  Advance(absl::Minutes(30));
  EXPECT_NEAR(addresses(), 0.0025, 1e-9);
  EXPECT_NEAR(Dollars(), 1800, 1e-9);
  fleet_.reset();
  clock_.Advance(absl::Minutes(40));
  Begin();
  Gone({.began = At(30), .ended = At(1830), .reclaimed = true, .status = absl::UnavailableError("not there")});
  EXPECT_NEAR(addresses(), 0.0025, 1e-9) << "of half an hour";
  EXPECT_EQ(Dollars(), 0);
  Begin();
  EXPECT_NEAR(addresses(), 0.0025, 1e-9);
}

// Azure: 73 GB at 7.5 cents a month are 0.75 cents an hour, an address half a cent. Both cost on while it sleeps.
TEST_F(ControllerLedgerTest, AMachinesDiskAndAnAddressThatStaysCostUntilItIsGone) {
  const auto cents = [this](const std::string& kind) {
    double dollars = 0;
    for (const StorageLine& line : fleet_->StorageLines()) dollars += line.kind == kind ? line.dollars : 0;
    return 100 * dollars;
  };
  Sell("azure", 1);
  const auto client = Acquire();
  provider_.Tell({.kind = MachineEvent::Kind::kStarted,
                  .machine_id = "m-1",
                  .handle = "i-1",
                  .public_address = true,
                  .boot_gigabytes = 73});
  fleet_->Run();
  provider_.TellReady("m-1");
  fleet_->Run();
  Advance(absl::Hours(1));
  EXPECT_NEAR(cents("boot_disk"), 0.75, 1e-9);
  EXPECT_NEAR(cents("address"), 0.5, 1e-9);
  client->lease.reset();
  ASSERT_TRUE(Hibernate("m-1").ok());
  Gone({.public_address = true, .boot_gigabytes = 73, .kept = true});
  ASSERT_EQ(States(), "m-1 hibernated;");
  Advance(absl::Hours(1));
  EXPECT_NEAR(cents("boot_disk"), 1.5, 1e-9);
  EXPECT_NEAR(cents("address"), 1, 1e-9);
  fleet_.reset();
  clock_.Advance(absl::Hours(2));
  Begin();
  Sell("azure", 1);
  EXPECT_NEAR(cents("boot_disk"), 3, 1e-9) << "also while no fleet is there";
  const auto again = Acquire();
  ASSERT_EQ(States(), "m-1 restoring;");
  Advance(absl::Hours(1));
  Gone({.handle = "i-1", .public_address = true, .boot_gigabytes = 73, .status = absl::UnavailableError("gone")});
  EXPECT_NEAR(cents("boot_disk"), 3.75, 1e-9);
  fleet_->Cancel(again->id);
  Advance(absl::Hours(5));
  Begin();
  EXPECT_NEAR(cents("boot_disk"), 3.75, 1e-9) << "it is there no more";
  EXPECT_NEAR(cents("address"), 2.5, 1e-9);
}

TEST_F(ControllerLedgerTest, ALiarIsNotBelieved) {
  Live();
  Gone({.began = absl::UnixEpoch(), .ended = At(301)});
  EXPECT_NEAR(Dollars(), 301, 1e-9);
}

}  // namespace
}  // namespace spotinference::fleet
