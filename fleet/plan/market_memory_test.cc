#include "fleet/plan/market_memory.h"

#include <gtest/gtest.h>

#include <cmath>

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kHour = absl::Hours(1);

TEST(MarketMemory, AnOpenZoneGetsSaferWithItsAge) {
  MarketMemory memory;
  EXPECT_DOUBLE_EQ(memory.Of(3, absl::ZeroDuration()).losses_per_hour, 2) << "the prior: 1 / (0.5 h + 0)";
  memory.Began(3, absl::ZeroDuration());
  // α = (1 + 0) / (1 + ln((0.5 + 5.5) / 0.5)), over 0.5 h + 5.5 h.
  EXPECT_NEAR(memory.Of(3, 5.5 * kHour).losses_per_hour, 1 / (1 + std::log(12)) / 6, 1e-9);
  EXPECT_DOUBLE_EQ(memory.Of(0, 5.5 * kHour).losses_per_hour, 2) << "others have shown nothing";
}

TEST(MarketMemory, MachinesThatGoTogetherAreOneLoss) {
  MarketMemory one, two, apart;
  for (MarketMemory* memory : {&one, &two}) {
    memory->Began(0, absl::ZeroDuration());
    memory->Began(0, absl::ZeroDuration());
    memory->Lost(0, kHour, kHour);
  }
  two.Lost(0, kHour, kHour);
  EXPECT_DOUBLE_EQ(one.Of(0, kHour).losses_per_hour, two.Of(0, kHour).losses_per_hour);
  for (int i = 0; i < 2; ++i) {
    apart.Began(0, i * kHour);
    apart.Lost(0, (i + 1) * kHour, (i + 1) * kHour);
  }
  // α = (1 + 2) / (1 + 2 ln 3), less what an hour forgets.
  EXPECT_NEAR(apart.Of(0, 2 * kHour).losses_per_hour, 3 / (1 + 2 * std::log(3)) / 0.5, 0.02);
}

TEST(MarketMemory, LearnsHowManyGoWithALostOne) {
  MarketMemory whole, some;
  EXPECT_EQ(whole.Of(0, absl::ZeroDuration()).whole, 1) << "until another thing is seen";
  for (int i = 0; i < 5; ++i) {
    const absl::Duration at = i * kHour;
    for (int machine = 0; machine < 16; ++machine) whole.Began(0, at);
    for (int machine = 0; machine < (i == 0 ? 16 : 2); ++machine) some.Began(0, at);
    const auto lose = [at](MarketMemory& memory, absl::Duration after) { memory.Lost(0, at + after, at + after); };
    for (int machine = 0; machine < 16; ++machine) lose(whole, kHour / 2 + machine * absl::Seconds(1));
    for (const int minute : {30, 35}) lose(some, minute * absl::Minutes(1));  // each by itself
  }
  EXPECT_EQ(whole.Of(0, 5 * kHour).whole, 1);
  // Of 15 and of 14 others none went, five times, which are ten losses.
  EXPECT_NEAR(some.Of(0, 5 * kHour).whole, 4.0 / (4 + 5 * 29), 0.001);
  EXPECT_NEAR(some.Kept(0, 5 * kHour).losses, 10, 0.3);
  EXPECT_NEAR(some.Of(0, 5000 * kHour).whole, 1, 0.01) << "what is long ago is forgotten";
}

TEST(MarketMemory, AReplacementThatIsLostAtOnceIsNoneOfTheOthers) {
  MarketMemory memory;
  memory.Began(0, absl::ZeroDuration());
  memory.Began(0, absl::ZeroDuration());
  memory.Lost(0, kHour, kHour);
  for (int i = 0; i < 3; ++i) {
    memory.Began(0, kHour + absl::Seconds(20));
    memory.Lost(0, kHour + absl::Minutes(1), kHour + absl::Minutes(1));
  }
  const MarketMemory::Domain seen = memory.Kept(0, kHour + absl::Minutes(1));
  EXPECT_LE(seen.went, seen.others);
  EXPECT_NEAR(seen.others, 1, 0.01);
  EXPECT_EQ(seen.beside, 0);
  MarketMemory after;
  after.Recall(0, seen, kHour);
  EXPECT_NEAR(after.Of(0, kHour).whole, memory.Of(0, kHour + absl::Minutes(1)).whole, 1e-9);
}

TEST(MarketMemory, EvidenceFades) {
  MarketMemory memory;
  for (int i = 0; i < 20; ++i) {
    memory.Began(0, i * kHour);
    memory.Lost(0, i * kHour + absl::Minutes(30), i * kHour + absl::Minutes(30));
  }
  const double fresh = memory.Of(0, 20 * kHour).losses_per_hour;
  EXPECT_GT(fresh, 2);
  EXPECT_NEAR(memory.Of(0, 2000 * kHour).losses_per_hour, 2, 0.01) << "back at the prior";
}

TEST(MarketMemory, AStockOutClosesForLongerEachTimeUntilSomethingComes) {
  MarketMemory memory;
  const absl::Duration waits[] = {absl::Seconds(30), absl::Minutes(1), absl::Minutes(1)};
  EXPECT_EQ(memory.Of(0, kHour).room, std::numeric_limits<int>::max());
  for (const absl::Duration wait : waits) {
    memory.StockOut(0, kHour);
    EXPECT_EQ(memory.Of(0, kHour).closed_until - kHour, wait);
    EXPECT_EQ(memory.Of(0, kHour).room, 0);
  }
  memory.Began(0, kHour);
  EXPECT_LT(memory.Of(0, kHour).closed_until, kHour);
  EXPECT_EQ(memory.Of(0, kHour).room, 2);
  memory.StockOut(0, 2 * kHour);
  EXPECT_EQ(memory.Of(0, 2 * kHour).closed_until - 2 * kHour, absl::Seconds(30));
}

TEST(MarketMemory, WarningsAreLearnedSlowlyAndForgottenFast) {
  MarketMemory memory;
  absl::Duration now = kHour;
  const auto lose = [&](absl::Duration warning) {
    memory.Began(0, now);
    now += kHour;
    memory.Lost(0, now + warning, now);
  };
  EXPECT_EQ(memory.Of(0, now).warning, absl::ZeroDuration());
  for (int i = 0; i < 60; ++i) lose(absl::Minutes(2));
  EXPECT_GT(memory.Of(0, now).warning, absl::Seconds(90));
  EXPECT_LE(memory.Of(0, now).warning, absl::Minutes(2));
  for (int i = 0; i < 5; ++i) lose(absl::ZeroDuration());
  EXPECT_LT(memory.Of(0, now).warning, absl::Seconds(15));
}

TEST(MarketMemory, AZoneThatWeLeftForAMomentIsStillKnown) {
  MarketMemory memory;
  memory.Began(0, absl::ZeroDuration());
  memory.Ended(0, 10 * kHour);
  const double known = memory.Of(0, 10.5 * kHour).losses_per_hour;
  EXPECT_LT(known, 0.1);
  EXPECT_GT(memory.Of(0, 12 * kHour).losses_per_hour, 0.3) << "it may have closed meanwhile";
}

TEST(MarketMemory, LearnsHowOftenZonesGoTogether) {
  MarketMemory together, apart;
  EXPECT_DOUBLE_EQ(together.Together(), 0.1);
  for (int day = 0; day < 20; ++day) {
    const absl::Duration at = day * absl::Hours(12);
    for (MarketMemory* memory : {&together, &apart}) {
      memory->Began(0, at);
      memory->Began(1, at);
      memory->Lost(0, at + absl::Hours(2), at + absl::Hours(2));
    }
    together.Lost(1, at + absl::Hours(2) + absl::Minutes(1), at + absl::Hours(2) + absl::Minutes(1));
    apart.Lost(1, at + absl::Hours(5), at + absl::Hours(5));
  }
  EXPECT_GT(together.Together(), 0.6);
  EXPECT_LT(apart.Together(), 0.05);
}

// A zone goes while nobody lives: its first machine before, the others after.
TEST(MarketMemory, AnotherLifeCountsTheRestOfALoss) {
  MarketMemory before, after;
  for (int i = 0; i < 16; ++i) before.Began(0, absl::ZeroDuration());
  const absl::Duration at = absl::Hours(20);
  before.Lost(0, at, at);
  after.Recall(0, before.Kept(0, at), at);
  for (int i = 0; i < 15; ++i) after.Began(0, at + absl::Minutes(1));
  for (int i = 0; i < 15; ++i) after.Lost(0, at + absl::Minutes(1), at + absl::Minutes(1));
  EXPECT_NEAR(after.Of(0, at + absl::Minutes(1)).whole, 1, 1e-9);
}

// Half an hour in which nobody looked, and a clock that was set back meanwhile.
TEST(MarketMemory, AnotherLifeKnowsWhatTheFormerHasSeen) {
  MarketMemory before, after;
  before.Began(0, absl::ZeroDuration());
  before.Lost(0, absl::Hours(20) + absl::Minutes(2), absl::Hours(20));
  before.Began(0, absl::Hours(21));
  before.StockOut(1, absl::Hours(30));
  const absl::Duration now = absl::Hours(30);
  after.Recall(0, before.Kept(0, now), now);
  after.Recall(1, before.Kept(1, now), now);
  after.Recall(before.common(), now);
  EXPECT_EQ(after.Of(1, now).closed_until, now + absl::Seconds(30));
  EXPECT_EQ(after.Of(1, now).room, 0);
  const double expected = before.Of(0, now).losses_per_hour;
  EXPECT_NEAR(after.Of(0, now).losses_per_hour, expected, 1e-9);
  after.Began(0, now);  // the machine is found again
  EXPECT_NEAR(after.Of(0, now).losses_per_hour, expected, 1e-9);
  EXPECT_EQ(after.Of(0, now).warning, before.Of(0, now).warning);
  EXPECT_EQ(after.Together(), before.Together());

  MarketMemory earlier;
  earlier.Recall(1, before.Kept(1, now), absl::Hours(1));
  EXPECT_LE(earlier.Of(1, absl::Hours(1)).closed_until, absl::Hours(1) + absl::Minutes(1));
}

}  // namespace
}  // namespace spotinference::fleet
