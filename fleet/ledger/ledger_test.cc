#include "fleet/ledger/ledger.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

std::string Text(const Ledger& ledger, int now_s) {
  std::string text;
  for (const Ledger::Line& line : ledger.Totals(absl::Seconds(now_s))) {
    absl::StrAppend(&text, line.model, " ", line.market, " ", UseName(line.use), " ", absl::ToInt64Seconds(line.time),
                    "\n");
  }
  return text;
}

TEST(Ledger, CountsEachSecondOnceAndForTheUseItHad) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot"}, Use::kWaking, absl::Seconds(10));
  ledger.Set("a", {"m", "spot"}, Use::kBusy, absl::Seconds(13));
  ledger.Set("a", {"m", "spot"}, Use::kBusy, absl::Seconds(15));
  ledger.Set("b", {"m", "spot"}, Use::kWaking, absl::Seconds(15));
  ledger.Set("c", {"n", "spot"}, Use::kLost, absl::Seconds(16));
  EXPECT_EQ(Text(ledger, 20), "m spot busy 7\nm spot waking 8\nn spot lost 4\n");
  ledger.Set("a", {"m", "spot"}, Use::kIdle, absl::Seconds(20));
  ledger.End("a", absl::Seconds(22));
  ledger.End("b", absl::Seconds(22));
  ledger.End("c", absl::Seconds(22));
  ledger.End("a", absl::Seconds(30));
  EXPECT_EQ(Text(ledger, 99), "m spot busy 7\nm spot idle 2\nm spot waking 10\nn spot lost 6\n");
}

TEST(Ledger, AMachineThatComesBackAddsUp) {
  Ledger ledger;
  for (int start : {0, 100}) {
    ledger.Set("a", {"m", "spot"}, Use::kBusy, absl::Seconds(start));
    ledger.End("a", absl::Seconds(start + 5));
  }
  EXPECT_EQ(Text(ledger, 200), "m spot busy 10\n");
}

TEST(Ledger, ASecondCostsWhatItCostThen) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot", 3600}, Use::kBusy, absl::ZeroDuration());
  ledger.Set("a", {"m", "spot", 7200}, Use::kBusy, absl::Seconds(10));
  ledger.Set("b", {"m", "on_demand", 36000}, Use::kBusy, absl::Seconds(11));
  const std::vector<Ledger::Line> lines = ledger.Totals(absl::Seconds(12));
  ASSERT_EQ(lines.size(), 2);
  EXPECT_EQ(lines[0].market, "on_demand");
  EXPECT_NEAR(lines[0].dollars, 10, 1e-9);
  EXPECT_EQ(lines[1].time, absl::Seconds(12));
  EXPECT_NEAR(lines[1].dollars, 14, 1e-9);
  EXPECT_NEAR(ledger.Dollars(absl::Seconds(12)), 24, 1e-9);
}

std::string Detail(const Ledger& ledger, int now_s) {
  std::string text;
  for (const Ledger::Entry& entry : ledger.Entries(absl::Seconds(now_s))) {
    absl::StrAppend(&text, entry.market, " ", UseName(entry.use), " ", entry.key.empty() ? "-" : entry.key, " ",
                    absl::ToDoubleSeconds(entry.time), " $", entry.dollars, " of $", entry.on_demand_dollars, "\n");
  }
  return text;
}

TEST(Ledger, ABusySecondHasItsKeys) {
  Ledger ledger;
  // 3.6 dollars an hour are a tenth of a cent a second.
  const Ledger::Item item = {"m", "spot", 3.6, 36}, dearer = {"m", "spot", 7.2, 36};
  ledger.Set("a", item, Use::kWaking, absl::Seconds(0));
  ledger.Set("a", item, Use::kBusy, absl::Seconds(100));
  ledger.SetAnswers("a", {{"x", 1}}, absl::Seconds(100));
  ledger.SetAnswers("a", {{"x", 3}, {"y", 1}}, absl::Seconds(200));
  ledger.Set("a", dearer, Use::kBusy, absl::Seconds(300));
  ledger.Set("a", dearer, Use::kIdle, absl::Seconds(400));
  EXPECT_EQ(Detail(ledger, 500),
            "spot busy x 250 $0.325 of $2.5\n"  // 100 s, 75 s, and 75 s at twice the price
            "spot busy y 50 $0.075 of $0.5\n"   // 25 s and 25 s
            "spot idle - 100 $0.2 of $1\n"
            "spot waking - 100 $0.1 of $1\n");
  EXPECT_EQ(Text(ledger, 500), "m spot busy 300\nm spot idle 100\nm spot waking 100\n");
}

TEST(Ledger, TokensAreTheirKeys) {
  Ledger ledger;
  ledger.CountTokens("m", "spot", "z", 0);
  ledger.Set("a", {"m", "spot"}, Use::kBusy, absl::ZeroDuration());
  ledger.CountTokens("m", "spot", "x", 7);
  ledger.CountTokens("m", "spot", "y", 1);
  ledger.End("a", absl::ZeroDuration());
  ledger.CountTokens("m", "spot", "x", 2);
  const std::vector<Ledger::Entry> entries = ledger.Entries(absl::ZeroDuration());
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].key, "x");
  EXPECT_EQ(entries[0].tokens, 9);
  EXPECT_EQ(entries[1].tokens, 1);
}

TEST(Ledger, AnswersOfAnUnknownMachineAreNothing) {
  Ledger ledger;
  ledger.SetAnswers("a", {{"x", 1}}, absl::Seconds(1));
  EXPECT_TRUE(ledger.Entries(absl::Seconds(9)).empty());
}

TEST(Ledger, AFormerLifeAndATimeThatNobodySawAreInIt) {
  const Ledger::Item item = {"m", "spot", 3600, 7200};
  Ledger before, after;
  before.Set("a", item, Use::kBusy, absl::ZeroDuration());
  before.SetAnswers("a", {{"x", 1}}, absl::ZeroDuration());
  before.CountTokens("m", "spot", "x", 5);
  after.Recall(before.EntriesByMachine(absl::Seconds(2)));
  after.Book("b", item, Use::kIdle, absl::Seconds(-3), absl::ZeroDuration());
  after.Book("b", item, Use::kIdle, absl::Seconds(1), absl::ZeroDuration());  // nothing
  EXPECT_DOUBLE_EQ(after.Dollars(absl::Seconds(9)), 5);
  const std::vector<Ledger::Entry> entries = after.Entries(absl::Seconds(9));
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].key, "x");
  EXPECT_EQ(entries[0].tokens, 5);
  EXPECT_EQ(entries[0].time, absl::Seconds(2));
  EXPECT_DOUBLE_EQ(entries[0].on_demand_dollars, 4);
  EXPECT_EQ(entries[1].use, Use::kIdle);
  EXPECT_EQ(entries[1].time, absl::Seconds(3));
}

TEST(Ledger, AnEndThatWasHeardOfLateIsBookedUpToItsTime) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot", 3600}, Use::kIdle, absl::ZeroDuration());
  ledger.End("a", absl::Seconds(4));
  ledger.Set("b", {"m", "spot", 3600}, Use::kIdle, absl::Seconds(9));
  ledger.End("b", absl::Seconds(5));
  EXPECT_DOUBLE_EQ(ledger.Dollars(absl::Seconds(20)), 4);
}

// What was for nothing saved all that it would have cost on demand.
// Whatever was believed of it meanwhile.
TEST(Ledger, WhatWasBookedAfterTheEndIsTakenBack) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot", 3600, 7200}, Use::kWaking, absl::Seconds(10));
  ledger.Set("a", {"m", "spot", 3600, 7200}, Use::kBusy, absl::Seconds(20));
  ledger.SetAnswers("a", {{"k", 1}, {"l", 1}}, absl::Seconds(20));
  ledger.Set("a", {"m", "spot", 3600, 7200}, Use::kLost, absl::Seconds(40));
  ledger.Set("a", {"m", "spot", 3600, 7200}, Use::kIdle, absl::Seconds(50));
  EXPECT_EQ(ledger.Time("a", absl::Seconds(30)), absl::Seconds(20));
  EXPECT_EQ(ledger.Time("a", absl::Seconds(60)), absl::Seconds(50));
  ledger.End("a", absl::Seconds(30));
  EXPECT_EQ(Text(ledger, 99), "m spot busy 10\nm spot waking 10\n");
  EXPECT_NEAR(ledger.Dollars(absl::Seconds(99)), 20, 1e-9);
  for (const Ledger::Entry& entry : ledger.Entries(absl::Seconds(99)))
    EXPECT_NEAR(entry.on_demand_dollars, 2 * entry.dollars, 1e-9);
}

TEST(Ledger, ARunThatEndedBeforeItWasHeardOfHasNoTime) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot", 3600}, Use::kWaking, absl::Seconds(10));
  ledger.Set("a", {"m", "spot", 3600}, Use::kLost, absl::Seconds(20));
  ledger.End("a", absl::Seconds(5));
  EXPECT_EQ(Text(ledger, 99), "");
  EXPECT_EQ(ledger.Dollars(absl::Seconds(99)), 0);
}

TEST(Ledger, WhatItsCloudChargesIsBookedThoughAllTimeIsTakenBack) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot", 1.3}, Use::kWaking, absl::Seconds(10));
  ledger.Set("a", {"m", "spot", 1.3}, Use::kIdle, absl::Seconds(47));
  ledger.Set("a", {"m", "spot", 1.3}, Use::kLost, absl::Seconds(60));
  ledger.End("a", absl::Seconds(5), 0.25);
  EXPECT_NEAR(ledger.Dollars(absl::Seconds(99)), 0.25, 1e-12);
  EXPECT_NEAR(ledger.Totals(absl::Seconds(99)).at(0).dollars, 0.25, 1e-12);
}

TEST(Ledger, AFreeRunIsComparedWithTheSameRunOnDemand) {
  const Ledger::Item item = {"m", "spot", 3600, 7200};
  Ledger ledger;
  ledger.Set("a", item, Use::kWaking, absl::ZeroDuration());
  ledger.Set("a", item, Use::kBusy, absl::Seconds(10));
  ledger.End("a", absl::Seconds(40), 0, 0, 60);
  EXPECT_EQ(Detail(ledger, 50), "spot busy - 30 $0 of $45\nspot waking - 10 $0 of $15\n");
  ledger.Set("b", item, Use::kWaking, absl::Seconds(50));
  ledger.End("b", absl::Seconds(50), 60, 0, 120);
  EXPECT_EQ(Detail(ledger, 60), "spot busy - 30 $0 of $45\nspot waking - 10 $60 of $135\n");
}

// 3,600 dollars an hour: one a second.
TEST(Ledger, ARunCostsWhatItsCloudCharges) {
  const Ledger::Item item = {"m", "spot", 3600, 7200};
  Ledger ledger;
  ledger.Set("a", item, Use::kWaking, absl::ZeroDuration());
  ledger.Set("a", item, Use::kIdle, absl::Seconds(10));
  ledger.Set("b", item, Use::kWaking, absl::Seconds(10));
  ledger.Set("c", item, Use::kWaking, absl::Seconds(20));
  EXPECT_EQ(ledger.Time("a", absl::Seconds(40)), absl::Seconds(40));
  EXPECT_EQ(ledger.Time("x", absl::Seconds(40)), std::nullopt);
  ledger.End("a", absl::Seconds(40), 30);  // it was charged for from when it ran
  ledger.Drop("b");                        // it never came to be
  ledger.End("c", absl::Seconds(20), 60);  // a minute at least
  EXPECT_EQ(Detail(ledger, 50), "spot idle - 30 $22.5 of $45\nspot waking - 10 $67.5 of $15\n");
  EXPECT_DOUBLE_EQ(ledger.Dollars(absl::Seconds(50)), 90);
}

TEST(Ledger, ARunGoesOnInAnotherLife) {
  const Ledger::Item item = {"m", "spot", 3600, 7200};
  Ledger before, after;
  before.Set("gone", item, Use::kIdle, absl::ZeroDuration());
  before.End("gone", absl::Seconds(5));
  before.Set("a", item, Use::kWaking, absl::ZeroDuration());
  before.Set("new", item, Use::kWaking, absl::Seconds(10));
  after.Recall(before.EntriesByMachine(absl::Seconds(10)));
  EXPECT_EQ(after.Time("new", absl::Seconds(2)), absl::ZeroDuration());
  EXPECT_DOUBLE_EQ(after.Dollars(absl::Seconds(99)), 15) << "nobody has said what became of it";
  after.Book("a", item, Use::kLost, absl::Seconds(-3), absl::ZeroDuration());
  after.Set("a", item, Use::kIdle, absl::Seconds(1));
  EXPECT_DOUBLE_EQ(after.Dollars(absl::Seconds(3)), 20);
  after.End("a", absl::Seconds(3), 30);
  EXPECT_EQ(Detail(after, 3), "spot idle - 7 $9 of $18\nspot waking - 10 $20 of $40\nspot lost - 3 $6 of $12\n");
}

TEST(Ledger, PartsOfABusyTimeMakeTheWhole) {
  Ledger ledger;
  ledger.Set("a", {"m", "spot"}, Use::kBusy, absl::ZeroDuration());
  ledger.SetAnswers("a", {{"x", 1}, {"y", 1}, {"z", 1}}, absl::ZeroDuration());
  absl::Duration sum;
  for (const Ledger::Entry& entry : ledger.Entries(absl::Nanoseconds(10))) sum += entry.time;
  EXPECT_EQ(sum, absl::Nanoseconds(10));
}

// Of a start in another's place; what its cloud charges is divided as its time is.
TEST(Ledger, WhatTakesAnothersPlaceIsToldApart) {
  const auto replacing = [](const Ledger& ledger, int now_s) {
    double dollars = 0;
    for (const Ledger::Entry& entry : ledger.Entries(absl::Seconds(now_s))) dollars += entry.replacing_dollars;
    return dollars;
  };
  Ledger ledger;
  ledger.Set("a", {.model = "m", .market = "spot", .price_per_hour = 3600, .replaces = true}, Use::kWaking,
             absl::ZeroDuration());
  ledger.Set("a", {.model = "m", .market = "spot", .price_per_hour = 3600}, Use::kBusy, absl::Seconds(10));
  EXPECT_NEAR(replacing(ledger, 30), 10, 1e-9);
  Ledger after;
  after.Recall(ledger.EntriesByMachine(absl::Seconds(30)));
  EXPECT_NEAR(replacing(after, 30), 10, 1e-9);
  after.End("a", absl::Seconds(30), 60);
  EXPECT_NEAR(replacing(after, 99), 20, 1e-9);
}

double Addresses(const Ledger& ledger, int now_s) {
  double dollars = 0;
  for (const Ledger::Entry& entry : ledger.Entries(absl::Seconds(now_s))) dollars += entry.address_dollars;
  return dollars;
}

TEST(Ledger, APublicAddressCostsBesideTheMachine) {
  Ledger ledger;
  Ledger::Item item = {"m", "spot", 3600};
  ledger.Set("a", item, Use::kWaking, absl::ZeroDuration());
  item.address_per_hour = 36;  // a cent a second
  ledger.Set("a", item, Use::kBusy, absl::Seconds(10));
  ledger.Set("b", {"m", "spot", 3600}, Use::kBusy, absl::Seconds(10));
  EXPECT_NEAR(Addresses(ledger, 30), 0.2, 1e-9);
  EXPECT_NEAR(ledger.Dollars(absl::Seconds(30)), 30 + 20, 1e-9) << "is of machines alone";
  Ledger after;
  after.Recall(ledger.EntriesByMachine(absl::Seconds(30)));
  EXPECT_NEAR(Addresses(after, 30), 0.2, 1e-9);
  after.Set("a", item, Use::kIdle, absl::Seconds(30));
  after.End("a", absl::Seconds(40), 35, 0.35);
  EXPECT_NEAR(Addresses(after, 99), 0.35, 1e-9) << "as its cloud says";
  after.End("b", absl::Seconds(40), 20, 0.1);  // it had one, and nobody knew
  EXPECT_NEAR(Addresses(after, 99), 0.45, 1e-9);
}

TEST(Ledger, EachOfAMachinesGpusHasItsSeconds) {
  Ledger ledger;
  const Ledger::Item item = {.model = "m", .market = "spot", .price_per_hour = 3600, .accelerators = 8};
  ledger.Set("a", item, Use::kWaking, absl::ZeroDuration());
  ledger.Set("a", item, Use::kBusy, absl::Seconds(10));
  ledger.Set("b", {.model = "m", .market = "spot", .price_per_hour = 3600}, Use::kBusy, absl::Seconds(10));
  const auto totals = ledger.Totals(absl::Seconds(30));
  ASSERT_EQ(totals.size(), 2);
  EXPECT_EQ(totals[0].time, absl::Seconds(8 * 20 + 20));
  EXPECT_EQ(totals[1].time, absl::Seconds(8 * 10));
  EXPECT_NEAR(ledger.Dollars(absl::Seconds(30)), 30 + 20, 1e-9) << "the price is the machine's";
  EXPECT_EQ(ledger.Time("a", absl::Seconds(30)), absl::Seconds(30)) << "and so are its rules";
}

TEST(Ledger, StorageThatIsOverIsAddedUp) {
  Ledger ledger;
  ledger.BookStorage({{{"m", "address"}, {0, 0.5}}, {{"n", "address"}, {0, 2}}});
  ledger.BookStorage({{{"m", "address"}, {0, 0.25}}, {{"m", "boot_disk"}, {30, 1}}});
  EXPECT_EQ(ledger.storage().size(), 3);
  EXPECT_EQ(ledger.storage().at({"m", "address"}).dollars, 0.75);
  EXPECT_EQ(ledger.storage().at({"m", "boot_disk"}).gigabyte_hours, 30);
  EXPECT_EQ(ledger.Dollars(absl::Hours(1)), 0) << "is of machines alone";
}

}  // namespace
}  // namespace spotinference::fleet
