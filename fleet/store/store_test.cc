#include "fleet/store/store.h"

#include <optional>
#include <string>

#include "fleet/store/memory_store.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

MachineRecord Machine(int64_t serial, MachineState state) {
  return {.serial = serial, .id = "m-" + std::to_string(serial), .state = state};
}

// As changes that are written one after the other.
TEST(Changes, LaterOnesStandInPlaceOfEarlierOnes) {
  const Store::Changes earlier = {
      .machines = {{1, Machine(1, MachineState::kServing)}, {2, Machine(2, MachineState::kServing)}, {3, std::nullopt}},
      .volumes = {{"a", VolumeRecord{.name = "a"}}, {"b", std::nullopt}},
      .wakes = {{"m", absl::Seconds(1)}, {"n", absl::Seconds(2)}},
      .fills = {{"m", absl::Seconds(13)}},
      .gaps = {{"m", {absl::Seconds(3)}}},
      .wake_records = {{"m", {.strikes = 4}}},
      .spending = Store::Spending{5, 6},
      .book = Store::Book{{}, absl::FromUnixSeconds(7)},
      .decisions = {{1, DecisionView{.why = "a"}}, {2, DecisionView{.why = "b"}}}};
  const Store::Changes later = {
      .machines = {{1, std::nullopt}, {3, Machine(3, MachineState::kLaunching)}, {4, Machine(4, MachineState::kLost)}},
      .volumes = {{"a", std::nullopt}},
      .wakes = {{"m", absl::Seconds(8)}},
      .gaps = {{"n", {}}},
      .wake_records = {{"m", {.strikes = 9}}},
      .spending = Store::Spending{10, 11},
      .market = Buyer::Memory{.common = {.trials = 12}},
      .decisions = {{1, std::nullopt}, {3, DecisionView{.why = "c"}}}};
  Store::Changes both = earlier;
  EXPECT_TRUE(Store::Changes().empty());
  EXPECT_FALSE(both.empty());
  both.Add(later);
  EXPECT_EQ(both.machines.size(), 4);
  EXPECT_EQ(both.volumes.size(), 2);

  MemoryStore store;
  ASSERT_TRUE(store.Write({.machines = {{3, Machine(3, MachineState::kServing)}},
                           .volumes = {{"b", VolumeRecord{.name = "b"}}}}, Store::Sync::kOrdered).ok());
  ASSERT_TRUE(store.Write(both, Store::Sync::kOrdered).ok());
  const Store::Contents contents = *store.Load();
  ASSERT_EQ(contents.machines.size(), 3);
  EXPECT_EQ(contents.machines[0].id, "m-2");
  EXPECT_EQ(contents.machines[1].state, MachineState::kLaunching);
  EXPECT_EQ(contents.machines[2].id, "m-4");
  EXPECT_TRUE(contents.volumes.empty());
  EXPECT_EQ(contents.wakes.at("m"), absl::Seconds(8));
  EXPECT_EQ(contents.wakes.at("n"), absl::Seconds(2));
  EXPECT_EQ(contents.fills.at("m"), absl::Seconds(13));
  EXPECT_EQ(contents.gaps.size(), 2);
  EXPECT_EQ(contents.wake_records.at("m").strikes, 9);
  EXPECT_EQ(contents.spending.day, 10);
  EXPECT_EQ(contents.book.until, absl::FromUnixSeconds(7));
  EXPECT_EQ(contents.market.common.trials, 12);
  EXPECT_EQ(contents.decisions.size(), 2);
  EXPECT_EQ(contents.decisions.at(2).why, "b");
}

}  // namespace
}  // namespace spotinference::fleet
