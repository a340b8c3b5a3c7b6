#include "fleet/ledger/ledger.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

std::string Text(const Ledger& ledger, int now_s) {
  std::string text;
  for (const Ledger::Line& line : ledger.Totals(absl::Seconds(now_s))) {
    absl::StrAppend(&text, line.model, " ", UseName(line.use), " ", absl::ToInt64Seconds(line.time),
                    "\n");
  }
  return text;
}

TEST(Ledger, CountsEachSecondOnceAndForTheUseItHad) {
  Ledger ledger;
  ledger.Set("a", "m", Use::kWaking, absl::Seconds(10));
  ledger.Set("a", "m", Use::kBusy, absl::Seconds(13));
  ledger.Set("a", "m", Use::kBusy, absl::Seconds(15));
  ledger.Set("b", "m", Use::kWaking, absl::Seconds(15));
  ledger.Set("c", "n", Use::kLost, absl::Seconds(16));
  EXPECT_EQ(Text(ledger, 20), "m busy 7\nm waking 8\nn lost 4\n");
  ledger.Set("a", "m", Use::kIdle, absl::Seconds(20));
  ledger.End("a", absl::Seconds(22));
  ledger.End("b", absl::Seconds(22));
  ledger.End("c", absl::Seconds(22));
  ledger.End("a", absl::Seconds(30));
  EXPECT_EQ(Text(ledger, 99), "m busy 7\nm idle 2\nm waking 10\nn lost 6\n");
}

TEST(Ledger, AMachineThatComesBackAddsUp) {
  Ledger ledger;
  for (int start : {0, 100}) {
    ledger.Set("a", "m", Use::kBusy, absl::Seconds(start));
    ledger.End("a", absl::Seconds(start + 5));
  }
  EXPECT_EQ(Text(ledger, 200), "m busy 10\n");
}

}  // namespace
}  // namespace spotinference::fleet
