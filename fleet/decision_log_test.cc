#include "fleet/decision_log.h"

#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

DecisionView Decision(const std::string& action, const std::string& why) {
  return {.model = "m", .action = action, .why = why};
}

TEST(DecisionLog, KeepsTheLatestAndTellsWhatChanged) {
  DecisionLog log;
  for (int i = 1; i <= 300; ++i) log.Note(Decision("launching", absl::StrCat(i)));
  ASSERT_EQ(log.Latest().size(), DecisionLog::kMost);
  EXPECT_EQ(log.Latest().front().why, "300");
  EXPECT_EQ(log.Latest().back().why, "45");
  EXPECT_TRUE(log.changed());
  DecisionLog::Changes changes = log.TakeChanges();
  EXPECT_FALSE(log.changed());
  EXPECT_EQ(changes.size(), 300);
  EXPECT_FALSE(changes.at(44).has_value());
  EXPECT_EQ(changes.at(45)->why, "45");

  // As a store keeps them.
  std::map<int64_t, DecisionView> kept;
  for (const auto& [number, decision] : changes) {
    if (decision.has_value()) kept[number] = *decision;
  }
  DecisionLog next;
  next.Recall(kept);
  EXPECT_FALSE(next.changed());
  next.Note(Decision("draining", "301"));
  EXPECT_EQ(next.Latest().size(), DecisionLog::kMost);
  EXPECT_EQ(next.Latest().front().why, "301");
  changes = next.TakeChanges();
  EXPECT_EQ(changes.size(), 2);
  EXPECT_FALSE(changes.at(45).has_value());
  EXPECT_TRUE(changes.at(301).has_value());
}

TEST(DecisionLog, ForgetsWhatAStoreHasTooManyOf) {
  std::map<int64_t, DecisionView> many;
  for (int i = 1; i <= 258; ++i) many[i] = Decision("launching", absl::StrCat(i));
  DecisionLog log;
  log.Recall(many);
  EXPECT_EQ(log.Latest().size(), DecisionLog::kMost);
  EXPECT_EQ(log.Latest().back().why, "3");
  const DecisionLog::Changes changes = log.TakeChanges();
  EXPECT_EQ(changes.size(), 2);
  EXPECT_FALSE(changes.at(1).has_value());
  EXPECT_FALSE(changes.at(2).has_value());
}

TEST(DecisionLog, RefusalsThatSayTheSameAreOne) {
  DecisionLog log;
  log.Note(Decision("refused", "no capacity"));
  log.Note(Decision("launching", "no capacity"));
  for (int i = 0; i < 3; ++i) log.Note(Decision("refused", "no capacity"));
  log.Note(Decision("refused", "another"));
  std::string text;
  for (const DecisionView& decision : log.Latest()) text += decision.action + " " + decision.why + ";";
  EXPECT_EQ(text, "refused another;refused no capacity;launching no capacity;");
  const DecisionLog::Changes changes = log.TakeChanges();
  EXPECT_EQ(changes.size(), 4);
  EXPECT_FALSE(changes.at(1).has_value());
}

}  // namespace
}  // namespace spotinference::fleet
