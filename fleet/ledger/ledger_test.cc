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

}  // namespace
}  // namespace spotinference::fleet
