// Machines of the fleet's that nobody asked for are lost time in the ledger, as their cloud charges for them, by AWS's
// rules: by the second, a minute at least.
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class ControllerStraysTest : public ControllerTest {
 protected:
  ControllerStraysTest() { clock_.Advance(absl::Hours(1)); }

  // So many seconds after now.
  absl::Time In(int seconds) const { return clock_.Now() + absl::Seconds(seconds); }

  // Of two cards, a dollar a second.
  MachineEvent Stray(absl::Time began, std::optional<absl::Time> ended = std::nullopt, double price = 3600) {
    return {.kind = MachineEvent::Kind::kStray,
            .machine_id = "cloud's name",
            .handle = "i-1",
            .began = began,
            .ended = ended,
            .offer = Offer{.provider = "aws", .zone = "a", .market = Market::kSpot, .accelerators = 2,
                           .price_per_hour = price}};
  }
  void Tell(MachineEvent event) {
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  // Of one that it takes to have begun ten minutes after its own begin, 100 seconds ago.
  void TellAnotherLife(absl::Duration absent) {
    fleet_.reset();
    clock_.Advance(absent);
    Begin();
    Advance(absl::Minutes(10));
    Tell(Stray(In(0)));
    Advance(absl::Seconds(100));
  }

  // The only line, as "model market use seconds dollars".
  std::string Line() const {
    const std::vector<LedgerLine> lines = fleet_->LedgerLines();
    if (lines.size() != 1) return absl::StrCat(lines.size(), " lines");
    return absl::StrCat(lines[0].model, " ", lines[0].market, " ", lines[0].use, " ",
                        absl::ToDoubleSeconds(lines[0].time), " ", lines[0].dollars);
  }
  double Lost() const {
    double dollars = 0;
    for (const LedgerLine& line : fleet_->LedgerLines()) dollars += line.model == "unknown" ? line.dollars : 0;
    return dollars;
  }
  std::string Storage() const {
    std::string text;
    for (const StorageLine& line : fleet_->StorageLines())
      absl::StrAppend(&text, line.model, " ", line.kind, " ", line.gigabyte_hours, ";");
    return text;
  }
};

TEST_F(ControllerStraysTest, CostFromTheFirstWordToTheLastAndThenWhatTheirCloudCharges) {
  const absl::Time began = In(-200);
  Tell(Stray(began));
  EXPECT_EQ(Line(), "unknown spot lost 400 200") << "of two cards";
  Advance(absl::Seconds(100));
  EXPECT_EQ(Line(), "unknown spot lost 600 300");
  Tell(Stray(began, In(-10)));
  EXPECT_EQ(Line(), "unknown spot lost 580 290");
  Advance(absl::Hours(1));
  EXPECT_EQ(Line(), "unknown spot lost 580 290");
  Begin();
  EXPECT_EQ(Line(), "unknown spot lost 580 290");
}

TEST_F(ControllerStraysTest, AreToldOfAsOftenAsAListHasThem) {
  const absl::Time began = In(-200);
  for (int i = 0; i < 10; ++i) {
    Tell(Stray(began));
    Advance(absl::Seconds(10));
  }
  EXPECT_EQ(Line(), "unknown spot lost 600 300");
}

TEST_F(ControllerStraysTest, AMinuteAtLeast) {
  Tell(Stray(In(-30)));
  Tell(Stray(In(-30), In(0)));
  double dollars = 0;
  for (const LedgerLine& line : fleet_->LedgerLines()) dollars += line.dollars;
  EXPECT_NEAR(dollars, 60, 1e-9);
}

TEST_F(ControllerStraysTest, WhatWasToldOfBeforeCostsNothingMore) {
  Tell(Stray(In(0)));
  Advance(absl::Seconds(20));
  Tell(Stray(In(0), In(0)));
  EXPECT_EQ(Line(), "0 lines");
}

TEST_F(ControllerStraysTest, CountAgainstTheDaysMoney) {
  options_.max_dollars_per_day = 100;
  Begin();
  MachineEvent sold = {.kind = MachineEvent::Kind::kOffers};
  sold.offers.push_back({{.provider = "aws", .zone = "a", .market = Market::kSpot, .price_per_hour = 3600}});
  Tell(std::move(sold));
  const absl::Time began = In(0);
  Tell(Stray(began));
  Advance(absl::Seconds(101));
  Tell(Stray(began, In(0)));
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_TRUE(client->error.has_value());
}

// A spot price holds for an hour of the run.
TEST_F(ControllerStraysTest, FollowTheirPrice) {
  const absl::Time began = In(-100);
  Tell(Stray(began));
  MachineEvent sold = {.kind = MachineEvent::Kind::kOffers};
  sold.offers.push_back({{.provider = "aws", .zone = "a", .market = Market::kSpot, .price_per_hour = 7200}});
  Tell(std::move(sold));
  Advance(absl::Seconds(3550));
  Tell(Stray(began, In(0)));
  EXPECT_EQ(Line(), "unknown spot lost 7300 3700") << "3600 s at the first price, 50 s at the second";
}

TEST_F(ControllerStraysTest, WithoutAPriceAreBookedAtTheFirstThatIsTold) {
  const absl::Time began = In(-100);
  Tell(Stray(began, std::nullopt, 0));
  Tell(Stray(began));
  Tell(Stray(began, In(0)));
  double dollars = 0;
  for (const LedgerLine& line : fleet_->LedgerLines()) dollars += line.dollars;
  EXPECT_NEAR(dollars, 100, 1e-9);
}

// By the name of one that is hibernated: started by an order whose answer never came, for one.
TEST_F(ControllerStraysTest, AreOfTheModelOfTheMachineThatTheyAre) {
  auto client = Acquire();
  Ready("m-1");
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  ASSERT_EQ(States(), "m-1 hibernated;");
  MachineEvent stray = Stray(In(-100));
  stray.machine_id = "m-1";
  Tell(stray);
  Advance(absl::Seconds(100));
  absl::Duration lost;
  for (const LedgerLine& line : fleet_->LedgerLines()) {
    EXPECT_EQ(line.model, "m");
    if (line.use == "lost") lost += line.time;
  }
  EXPECT_EQ(lost, absl::Seconds(400));
}

TEST_F(ControllerStraysTest, ARestartGoesOnWithThem) {
  const absl::Time began = In(-200);
  Tell(Stray(began));
  Advance(absl::Seconds(100));
  fleet_.reset();
  clock_.Advance(absl::Minutes(10));
  Begin();
  EXPECT_EQ(Line(), "unknown spot lost 600 300");
  Tell(Stray(began));
  Advance(absl::Seconds(10));
  Tell(Stray(began, In(0)));
  EXPECT_EQ(Line(), "unknown spot lost 1820 910") << "also of the time without a fleet";
}

// A cloud that says in the end alone when it began: each life guesses.
TEST_F(ControllerStraysTest, ARestartThatIsToldOfAnotherBeginBooksTheRunOnce) {
  const absl::Time began = In(-200);
  Tell(Stray(In(-100)));
  TellAnotherLife(absl::Minutes(10));
  Tell(Stray(began, In(0)));
  EXPECT_EQ(Line(), "unknown spot lost 3000 1500");
}

// Its cloud did not answer for hours, and says in the end alone when it began.
TEST_F(ControllerStraysTest, ThatRanForLongUnheardAreBookedFromTheBeginThatIsToldLast) {
  Advance(absl::Hours(5));
  const absl::Time began = In(-3 * 3600);
  Tell(Stray(In(0)));
  Advance(absl::Seconds(100));
  Tell(Stray(began, In(0)));
  EXPECT_EQ(Line(), "unknown spot lost 21800 10900");
}

// More than an hour of it nobody has seen: before the first word, and between the two lives.
TEST_F(ControllerStraysTest, ARunThatALifeHasSeenIsBelieved) {
  for (const bool is_believed : {true, false}) {
    const double before = Lost();
    const absl::Time began = In(is_believed ? -2400 : -7200);
    Tell(Stray(In(0)));
    Advance(absl::Minutes(10));
    TellAnotherLife(absl::Minutes(30));
    Tell(Stray(began, In(0)));
    EXPECT_NEAR(Lost() - before, is_believed ? 5500 : 700, 1e-6);
  }
}

TEST_F(ControllerStraysTest, ARunWhoseEndNobodyToldIsBookedAsFarAsItWasSeen) {
  Tell(Stray(In(-100)));
  TellAnotherLife(absl::Minutes(10));
  Tell(Stray(In(-150), In(0)));
  EXPECT_EQ(Line(), "unknown spot lost 500 250");
  EXPECT_TRUE(store_.book().entries[0].machine.empty());
}

TEST_F(ControllerStraysTest, ThatRanForLongAreBookedFromTheFirstWord) {
  const absl::Time began = In(-20 * 3600);
  Tell(Stray(began));
  Advance(absl::Seconds(100));
  Tell(Stray(began, In(0)));
  EXPECT_EQ(Line(), "unknown spot lost 200 100");
}

TEST_F(ControllerStraysTest, ThatRanForLongUnheardWhileTheFleetLivedAreBookedFromTheirBegin) {
  for (const bool is_first_life : {true, false}) {
    if (!is_first_life) {
      fleet_.reset();
      Begin();
    }
    Advance(absl::Hours(5));
    const double before = Lost();
    const absl::Time began = In(-3 * 3600);
    Tell(Stray(began));
    Advance(absl::Seconds(100));
    Tell(Stray(began, In(0)));
    EXPECT_NEAR(Lost() - before, 3 * 3600 + 100, 1e-6);
  }
}

// A former life may have booked it as a machine that went.
TEST_F(ControllerStraysTest, WhatBeganBeforeARestartIsBookedAsFarAsItIsSeen) {
  auto client = Acquire();
  Ready("m-1");
  const absl::Time began = In(-200);
  fleet_.reset();
  clock_.Advance(absl::Seconds(100));
  Begin();
  Tell(Stray(began));
  Advance(absl::Seconds(50));
  Tell(Stray(began, In(-10)));
  EXPECT_NEAR(Lost(), 40, 1e-9);
}

TEST_F(ControllerStraysTest, HaveADiskUntilTheyAreOver) {
  const absl::Time began = In(-1800);
  MachineEvent stray = Stray(began);
  stray.boot_gigabytes = 30;
  Tell(stray);
  Advance(absl::Minutes(30));
  EXPECT_EQ(Storage(), "unknown boot_disk 30;");
  stray.ended = In(0);
  Tell(stray);
  Advance(absl::Hours(1));
  EXPECT_EQ(Storage(), "unknown boot_disk 30;");
}

TEST_F(ControllerStraysTest, HaveADiskFromWhenTheirCloudSaysInTheEnd) {
  MachineEvent stray = Stray(In(-900));
  stray.boot_gigabytes = 30;
  Tell(stray);
  stray.began = In(-1800);
  stray.ended = In(0);
  Tell(stray);
  EXPECT_EQ(Storage(), "unknown boot_disk 15;");
}

TEST_F(ControllerStraysTest, HaveADiskWhileTheyAreKeptStopped) {
  MachineEvent asleep = Stray(In(-3600), In(-1800));
  asleep.kind = MachineEvent::Kind::kAsleep;
  asleep.boot_gigabytes = 30;
  Tell(asleep);
  EXPECT_EQ(Storage(), "unknown boot_disk 15;");
  asleep.began = asleep.ended;
  asleep.ended = In(0);
  Tell(asleep);
  EXPECT_EQ(Storage(), "unknown boot_disk 30;");
  fleet_.reset();
  Begin();
  EXPECT_EQ(Storage(), "unknown boot_disk 30;");
  EXPECT_EQ(Line(), "0 lines");
}

TEST_F(ControllerStraysTest, HaveNoDiskBesideThatOfTheMachineThatTheyAre) {
  auto client = Acquire();
  Ready("m-1");
  Advance(absl::Hours(1));
  MachineEvent asleep = Stray(In(-3600), In(0));
  asleep.kind = MachineEvent::Kind::kAsleep;
  asleep.machine_id = "m-1";
  asleep.boot_gigabytes = 30;
  Tell(asleep);
  EXPECT_EQ(Storage(), "");
}

}  // namespace
}  // namespace spotinference::fleet
