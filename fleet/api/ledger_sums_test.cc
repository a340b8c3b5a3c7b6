#include "fleet/api/ledger_sums.h"

#include <gtest/gtest.h>

namespace spotinference::fleet {
namespace {

LedgerLine Line(const std::string& use, absl::Duration time, double dollars, double on_demand,
                const std::string& key = "", int64_t tokens = 0, double replacing = 0) {
  return {"m", "spot", use, time, dollars, key, on_demand, tokens, replacing};
}

TEST(LedgerSums, AnswerTheFourQuestions) {
  const auto sums = SumsOf({Line("busy", absl::Hours(1), 1, 3, "x", 500'000),
                            Line("busy", absl::Hours(1), 1, 3, "y", 100), Line("busy", absl::Hours(1), 1, 3),
                            Line("idle", absl::Hours(2), 2, 6), Line("waking", absl::Hours(2), 2, 6, "", 0, 0.5),
                            Line("lost", absl::Hours(1), 1, 3), Line("idle", absl::ZeroDuration(), 0, 0)},
                           {{"m", "volume", 100, 1}, {"m", "boot_disk", 30, 0.5}, {"m", "address", 0, 0.5}});
  ASSERT_EQ(sums.size(), 1);
  const LedgerSum& sum = sums.at("m");
  EXPECT_EQ(sum.dollars, 10);
  EXPECT_EQ(sum.volume_dollars, 1);
  EXPECT_EQ(sum.boot_disk_dollars, 0.5);
  EXPECT_EQ(sum.boot_disk_gigabyte_hours, 30);
  EXPECT_EQ(sum.address_dollars, 0.5);
  EXPECT_EQ(sum.gigabyte_hours, 100);
  EXPECT_EQ(sum.tokens, 500'100);
  EXPECT_DOUBLE_EQ(sum.DollarsOfAMillionTokens().value(), 10 / 0.5001);
  EXPECT_EQ(sum.IdleShare(), 0.25);
  EXPECT_DOUBLE_EQ(sum.SavingShare().value(), 1 - 10 / 24.0);
  EXPECT_EQ(sum.InterruptionDollars(), 1.5);
  ASSERT_EQ(sum.keys.size(), 3);
  EXPECT_EQ(sum.keys.at("x").DollarsOfAMillionTokens(), 2);
  EXPECT_EQ(sum.keys.at("").DollarsOfAMillionTokens(), std::nullopt);
}

TEST(LedgerSums, WhatIsNotKnownIsNotTold) {
  const auto sums = SumsOf({Line("busy", absl::Hours(1), 1, 3), Line("busy", absl::Seconds(1), 1, 0)},
                           {{"old", "volume", 10, 0.25}});
  EXPECT_EQ(sums.at("m").SavingShare(), std::nullopt) << "a line without its price on demand";
  EXPECT_EQ(sums.at("m").DollarsOfAMillionTokens(), std::nullopt);
  EXPECT_EQ(sums.at("m").IdleShare(), 0);
  EXPECT_EQ(sums.at("old").dollars, 0.25);
  EXPECT_EQ(sums.at("old").IdleShare(), std::nullopt) << "no machine of it ran";
  EXPECT_EQ(sums.at("old").SavingShare(), std::nullopt);
  EXPECT_TRUE(SumsOf({}, {}).empty());
}

}  // namespace
}  // namespace spotinference::fleet
