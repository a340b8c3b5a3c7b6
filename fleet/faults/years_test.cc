// A year of fleets in which nothing may break, and proof that what breaks is found.
#include <glog/logging.h>

#include <cstddef>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fleet/faults/fleet_life.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kAll = std::numeric_limits<size_t>::max();  // events

class YearsTest : public testing::Test {
 protected:
  YearsTest() { FLAGS_minloglevel = google::GLOG_FATAL; }

  static std::string BrokenBy(FleetLife::Options options) {
    options.length = absl::Hours(24 * 30);
    FleetLife life(options);
    life.Run();
    return life.broken().value_or("");
  }
};

TEST_F(YearsTest, NothingBreaksInAYear) {
  FleetLife::Counts sum;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FleetLife life({.seed = seed, .length = absl::Hours(24 * 365) / 20});
    life.Run();
    ASSERT_FALSE(life.broken().has_value())
        << "seed " << seed << ": " << *life.broken() << "\n  " << absl::StrJoin(life.events(), "\n  ");
    sum.served += life.counts().served;
    sum.deaths += life.counts().deaths;
    sum.reclaims += life.counts().reclaims;
    sum.restores += life.counts().restores;
    sum.discards += life.counts().discards;
  }
  EXPECT_GT(sum.served, 1000);
  EXPECT_GT(sum.deaths, 100);
  EXPECT_GT(sum.reclaims, 10);
  EXPECT_GT(sum.restores, 100);
  EXPECT_GT(sum.discards, 10);
}

TEST_F(YearsTest, ASeedSaysTheSameAgain) {
  const auto tell = [] {
    FleetLife life({.seed = 7, .length = absl::Hours(24 * 10), .events = kAll});
    life.Run();
    return absl::StrCat(absl::StrJoin(life.events(), "\n"), life.counts().dollars);
  };
  const std::string first = tell();
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(tell(), first);
}

TEST_F(YearsTest, ASeedThatFailsFailsTheSameAgain) {
  int failed = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const FleetLife::Options options = {
        .seed = seed, .length = absl::Hours(24 * 30), .sabotage = Sabotage::kMisbooks, .events = kAll};
    FleetLife life(options), again(options);
    life.Run();
    again.Run();
    EXPECT_EQ(again.broken(), life.broken()) << seed;
    EXPECT_EQ(again.events(), life.events()) << seed;
    EXPECT_GT(life.events().size(), 10) << seed;
    failed += life.broken().has_value();
  }
  EXPECT_GT(failed, 0);
}

// --- What is broken on purpose is found.

TEST_F(YearsTest, ALeakIsFound) {
  std::string broken;  // not every machine is left alone for so long
  for (uint64_t seed = 1; seed < 20 && !absl::StrContains(broken, "is leaked"); ++seed)
    broken = BrokenBy({.seed = seed, .faults = Faults{}, .sabotage = Sabotage::kLeak});
  EXPECT_TRUE(absl::StrContains(broken, "is leaked")) << broken;
}

TEST_F(YearsTest, ABillAfterTheEndIsFound) {
  EXPECT_TRUE(
      absl::StrContains(BrokenBy({.faults = Faults{}, .sabotage = Sabotage::kDeaf}), "after its end was decided"));
}

TEST_F(YearsTest, ASecondPurchaseIsFound) {
  std::string broken;
  for (uint64_t seed = 1; seed < 20 && broken.empty(); ++seed)  // not every cloud sells by tokens
    broken = BrokenBy({.seed = seed, .faults = Faults{.lost = 0.5}, .sabotage = Sabotage::kBuyTwice});
  EXPECT_TRUE(absl::StrContains(broken, "was bought twice")) << broken;
}

TEST_F(YearsTest, ALostRequestIsFound) {
  EXPECT_TRUE(absl::StrContains(BrokenBy({.faults = Faults{}, .sabotage = Sabotage::kLosesAnswers}),
                                "has neither an engine nor an error"));
}

TEST_F(YearsTest, AWakeWithoutItsCapIsFound) {
  EXPECT_TRUE(absl::StrContains(
      BrokenBy({.faults = Faults{.never_serves = 1}, .sabotage = Sabotage::kLongWakes}), "goes on after its cap"));
}

TEST_F(YearsTest, ALedgerThatIsNotTheBillIsFound) {
  std::string broken;
  for (uint64_t seed = 1; seed < 20 && broken.empty(); ++seed)  // not every cloud tells of runs
    broken = BrokenBy({.seed = seed, .faults = Faults{}, .sabotage = Sabotage::kMisbooks});
  EXPECT_TRUE(absl::StrContains(broken, "the ledger has")) << broken;
}

// Also among faults, which leave runs of which nobody is told all.
TEST_F(YearsTest, ALedgerThatIsNotTheBillIsFoundAmongFaults) {
  int found = 0, fleets = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    const std::string broken = BrokenBy({.seed = seed, .sabotage = Sabotage::kMisbooks});
    found += absl::StrContains(broken, "the ledger has");
    ++fleets;
  }
  EXPECT_GE(found, fleets / 2) << "not every cloud tells of runs";
}

TEST_F(YearsTest, MachinesThatNobodyAskedForAndThatAreNotInTheLedgerAreFound) {
  const Faults faults = {.stray = absl::Hours(12)};
  int found = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    EXPECT_EQ(BrokenBy({.seed = seed, .faults = faults}), "");
    const std::string broken = BrokenBy({.seed = seed, .faults = faults, .sabotage = Sabotage::kHidesStrays});
    found += absl::StrContains(broken, "the ledger has");
  }
  EXPECT_GE(found, 7) << "a fleet may have none";
}

TEST_F(YearsTest, WhatStoppedMachinesCostThatNobodyAskedForIsFound) {
  const Faults faults = {.stray = absl::Hours(12)};
  int found = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const std::string broken = BrokenBy({.seed = seed, .faults = faults, .sabotage = Sabotage::kHidesSleepers});
    found += absl::StrContains(broken, "disks and addresses");
  }
  EXPECT_GE(found, 5) << "not every cloud keeps one, or has something that costs then";
}

TEST_F(YearsTest, SecondsOfGpusThatAreInNoLedgerAreFound) {
  std::string broken;  // not every fleet has machines of several
  for (uint64_t seed = 1; seed < 20 && broken.empty(); ++seed)
    broken = BrokenBy({.seed = seed, .sabotage = Sabotage::kFewGpus});
  EXPECT_TRUE(absl::StrContains(broken, "of GPUs")) << broken;
}

// What each machine did is known to the second where nothing goes wrong.
TEST_F(YearsTest, TimeThatIsBookedAsAnotherUseIsFound) {
  const auto broken_by = [](uint64_t seed, Sabotage sabotage) {
    return BrokenBy({.seed = seed, .faults = Faults{}, .sabotage = sabotage});
  };
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    EXPECT_EQ(broken_by(seed, Sabotage::kNone), "") << seed;
    EXPECT_TRUE(absl::StrContains(broken_by(seed, Sabotage::kHidesAnswers), "GPUs are booked as busy for -")) << seed;
    EXPECT_TRUE(absl::StrContains(broken_by(seed, Sabotage::kLateWord), "GPUs are booked as idle for -")) << seed;
  }
}

TEST_F(YearsTest, StorageThatIsNotInTheBillIsFound) {
  EXPECT_TRUE(absl::StrContains(BrokenBy({.faults = Faults{}, .sabotage = Sabotage::kYoungVolumes}),
                                "dollars of volumes"));
}

TEST_F(YearsTest, DisksAndAddressesThatAreNotInTheBillAreFound) {
  for (const Sabotage sabotage : {Sabotage::kSmallDisks, Sabotage::kForgetsDisks}) {
    for (const bool faults : {false, true}) {
      FleetLife::Options options = {.sabotage = sabotage};
      if (!faults) options.faults = Faults{};
      std::string broken;  // not every cloud charges for a machine's disk, nor keeps it
      for (options.seed = 1; options.seed < 20 && broken.empty(); ++options.seed) broken = BrokenBy(options);
      EXPECT_TRUE(absl::StrContains(broken, "disks and addresses")) << broken;
    }
  }
}

// Where nothing goes wrong all clouds' bills are known but for seconds of each run and sleep.
TEST_F(YearsTest, WhatDisksAndAddressesCostIsKnown) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    FleetLife::Options options = {.seed = seed, .length = absl::Hours(24 * 30), .faults = Faults{}};
    FleetLife life(options);
    life.Run();
    EXPECT_EQ(life.broken().value_or(""), "") << seed;
    EXPECT_LT(life.counts().upkeep_untold, 0.05 * life.counts().upkeep_dollars) << seed;
    options.sabotage = Sabotage::kSmallDisks;
    found += absl::StrContains(BrokenBy(options), "disks and addresses");
  }
  EXPECT_GE(found, 7) << "a fleet may have hardly any";
}

TEST_F(YearsTest, AVolumeThatNobodyKnowsIsFound) {
  std::string broken;  // not every fleet has one that it does not want, and some have a machine that goes with it
  for (uint64_t seed = 1; seed < 20 && !absl::StrContains(broken, "nobody knows the volume"); ++seed)
    broken = BrokenBy(
        {.seed = seed, .faults = Faults{.reclaim = absl::Hours(12)}, .sabotage = Sabotage::kKeepsVolumes});
  EXPECT_TRUE(absl::StrContains(broken, "nobody knows the volume")) << broken;
}

TEST_F(YearsTest, AVolumeOnAnothersMachineIsFound) {
  EXPECT_TRUE(absl::StrContains(BrokenBy({.faults = Faults{}, .sabotage = Sabotage::kMixesVolumes}),
                                "which is another's"));
}

TEST_F(YearsTest, MoneyThatIsNotThereIsFound) {
  std::string broken;
  for (uint64_t seed = 1; seed < 20 && broken.empty(); ++seed)  // not every fleet wakes twice a day
    broken = BrokenBy(
        {.seed = seed, .faults = Faults{}, .max_dollars_per_day = 0.05, .sabotage = Sabotage::kOverspends});
  EXPECT_TRUE(absl::StrContains(broken, "the day has cost")) << broken;
}

TEST_F(YearsTest, MoneyOfAModelThatIsNotThereIsFound) {
  const ModelSpec poor = {.name = "m", .weights = "hf://o/m", .model_hash = kModelHash,
                          .max_dollars_per_day = 0.05, .idle_timeout = absl::Minutes(5)};
  std::string broken;  // not every fleet wakes twice a day
  for (uint64_t seed = 1; seed < 20 && broken.empty(); ++seed) {
    EXPECT_EQ(BrokenBy({.seed = seed, .faults = Faults{}, .model = poor}), "") << seed;
    broken = BrokenBy({.seed = seed, .faults = Faults{}, .model = poor, .sabotage = Sabotage::kOverspends});
  }
  EXPECT_TRUE(absl::StrContains(broken, "of m's 0.05 dollars")) << broken;
}

TEST_F(YearsTest, APriceAboveTheHighestIsFound) {
  const ModelSpec thrifty = {.name = "m", .weights = "hf://o/m", .model_hash = kModelHash,
                             .max_price = 0.7, .idle_timeout = absl::Minutes(5)};
  const Faults faults = {.price = absl::Hours(2)};
  std::string broken;  // not every fleet has to choose
  for (uint64_t seed = 1; seed < 20 && broken.empty(); ++seed) {
    EXPECT_EQ(BrokenBy({.seed = seed, .faults = faults, .model = thrifty}), "") << seed;
    broken = BrokenBy({.seed = seed, .faults = faults, .model = thrifty, .sabotage = Sabotage::kPaysAnyPrice});
  }
  EXPECT_TRUE(absl::StrContains(broken, "is bought at")) << broken;
}

TEST_F(YearsTest, AControllerThatForgetsToWakeIsFound) {
  EXPECT_TRUE(absl::StrContains(BrokenBy({.faults = Faults{}, .sabotage = Sabotage::kOversleeps}), "had something to do"));
}

}  // namespace
}  // namespace spotinference::fleet
