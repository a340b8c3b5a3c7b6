#include "fleet/plan/idle_timeout.h"

#include <gtest/gtest.h>

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kWake = absl::Seconds(20);  // breaks even at 400 s

IdleTimeout After(int count, absl::Duration gap) {
  IdleTimeout idle;
  for (int i = 0; i < count; ++i) idle.AddGap(gap);
  return idle;
}

TEST(BreakEvenIdleTimeout, IsTwentyWakesWithinItsBounds) {
  EXPECT_EQ(BreakEvenIdleTimeout(absl::Milliseconds(300)), absl::Minutes(1));
  EXPECT_EQ(BreakEvenIdleTimeout(absl::Seconds(10)), absl::Seconds(200));
  EXPECT_EQ(BreakEvenIdleTimeout(absl::Minutes(5)), absl::Minutes(15));
}

TEST(IdleTimeout, IsTheBreakEvenPointWhileLittleIsKnown) {
  EXPECT_EQ(IdleTimeout().Choose(kWake), absl::Seconds(400));
  EXPECT_EQ(After(19, absl::Hours(1)).Choose(kWake), absl::Seconds(400));
}

TEST(IdleTimeout, GivesUpSoonerWhereGapsAreLong) {
  EXPECT_EQ(After(20, absl::Hours(1)).Choose(kWake), absl::Seconds(200));
  EXPECT_EQ(After(20, absl::Hours(1)).Choose(absl::Seconds(4)), absl::Minutes(1));  // not at 40 s
}

TEST(IdleTimeout, WaitsOutAGapThatIsALittleLongerThanTheBreakEvenPoint) {
  IdleTimeout idle = After(10, absl::Seconds(300));
  for (int i = 0; i < 10; ++i) idle.AddGap(absl::Seconds(410));
  // Up to 410 s: 10 · 300 + 10 · 410 = 7,100 s. Up to 400: 11,000. At once: 20 · 460.
  EXPECT_EQ(idle.Choose(kWake), absl::Seconds(410));
}

TEST(IdleTimeout, NeverWaitsTwiceTheBreakEvenPoint) {
  EXPECT_LE(After(100, absl::Seconds(801)).Choose(kWake), absl::Seconds(800));
}

TEST(IdleTimeout, StaysUnlessAChangeIsWorthIt) {
  IdleTimeout idle = After(20, absl::Seconds(390));
  ASSERT_EQ(idle.Choose(kWake), absl::Seconds(400));  // 390 costs the same
  // 19 gaps of 390 s and now and then one that is longer: 390 s would save less than a tenth.
  idle.AddGap(absl::Seconds(399));
  idle.AddGap(absl::Hours(1));
  EXPECT_EQ(idle.Choose(kWake), absl::Seconds(400));
}

TEST(IdleTimeout, ForgetsWhatIsLongAgo) {
  IdleTimeout idle = After(100, absl::Hours(1));
  ASSERT_EQ(idle.Choose(kWake), absl::Seconds(200));
  for (int i = 0; i < 100; ++i) idle.AddGap(absl::Seconds(300));
  EXPECT_EQ(idle.Choose(kWake), absl::Seconds(300));
}

TEST(IdleTimeout, BeginsWithWhatAFormerLifeKnew) {
  IdleTimeout former = After(150, absl::Hours(1));
  former.AddGap(absl::Seconds(7));
  EXPECT_EQ(former.gaps().size(), 100);
  EXPECT_EQ(former.gaps().back(), absl::Seconds(7));
  EXPECT_EQ(IdleTimeout(former.gaps()).Choose(kWake), absl::Seconds(200));
}

TEST(IdleTimeout, FollowsAWakeThatTakesLonger) {
  IdleTimeout idle = After(20, absl::Seconds(390));
  EXPECT_EQ(idle.Choose(kWake), absl::Seconds(400));
  EXPECT_EQ(idle.Choose(absl::Seconds(40)), absl::Seconds(800));
}

}  // namespace
}  // namespace spotinference::fleet
