#include "fleet/plan/demand.h"

#include <gtest/gtest.h>

#include <cmath>

namespace spotinference::fleet {
namespace {

TEST(WaitLongerThan, IsErlangsC) {
  // One server: ρ exp(−(1 − ρ) t / s). Two servers at one Erlang: C = 1/3 (Cooper's tables).
  EXPECT_NEAR(WaitLongerThan(0.5, 1, absl::Seconds(10), absl::Seconds(20)), 0.5 * std::exp(-1.0), 1e-12);
  EXPECT_NEAR(WaitLongerThan(1, 2, absl::Seconds(10), absl::ZeroDuration()), 1.0 / 3, 1e-12);
  EXPECT_NEAR(WaitLongerThan(8, 10, absl::Seconds(1), absl::ZeroDuration()), 0.4092, 5e-5);
  EXPECT_EQ(WaitLongerThan(2, 2, absl::Seconds(1), absl::Seconds(1)), 1);
  EXPECT_EQ(WaitLongerThan(0, 1, absl::Seconds(1), absl::Seconds(1)), 0);
}

TEST(MachinesNeeded, AreTheFewestThatMeetTheTarget) {
  const ServiceTarget target;
  EXPECT_EQ(MachinesNeeded(0, absl::Seconds(9), 8, target), 0);
  for (const double load : {0.1, 3.0, 8.0, 50.0, 160.0}) {
    const int machines = MachinesNeeded(load, absl::Seconds(9), 8, target);
    EXPECT_LE(WaitLongerThan(load, 8 * machines, absl::Seconds(9), target.wait), 0.00025);
    if (machines > 1) {
      EXPECT_GT(WaitLongerThan(load, 8 * (machines - 1), absl::Seconds(9), target.wait), 0.00025);
    }
  }
}

// `per_minute` requests of 6 s each, for `minutes` from `from` on.
void Feed(LoadForecast& forecast, int from, int minutes, int per_minute) {
  for (int minute = from; minute < from + minutes; ++minute) {
    for (int i = 0; i < per_minute; ++i) {
      const absl::Duration at = absl::Minutes(minute) + i * absl::Minutes(1) / per_minute;
      forecast.Arrived(at);
      forecast.Served(at, absl::Seconds(6));
    }
  }
}

TEST(LoadForecast, FollowsArrivalsUpAtOnceAndDownAfterAnHour) {
  LoadForecast forecast(1, {});
  EXPECT_EQ(forecast.Busy(absl::ZeroDuration()), 0);
  Feed(forecast, 0, 30, 40);  // 40 a minute of 6 s: four at a time
  EXPECT_NEAR(forecast.Busy(absl::Minutes(30)), 4, 0.01);
  Feed(forecast, 30, 12, 80);
  EXPECT_NEAR(forecast.Busy(absl::Minutes(42)), 8, 0.01);
  Feed(forecast, 42, 30, 40);
  EXPECT_NEAR(forecast.Busy(absl::Minutes(72)), 8, 0.01);
  EXPECT_NEAR(forecast.BusyNow(absl::Minutes(72)), 4, 0.01);
  Feed(forecast, 72, 40, 40);
  EXPECT_NEAR(forecast.Busy(absl::Minutes(112)), 4, 0.01);
  EXPECT_EQ(forecast.Busy(absl::Minutes(300)), 0);
}

TEST(LoadForecast, RateAndLengthOfTheSameMinutesMakeTheLoad) {
  // Half as many of twice the length are the same load.
  LoadForecast forecast(1, {});
  Feed(forecast, 0, 20, 40);
  for (int i = 0; i < 20 * 20; ++i) {
    const absl::Duration at = absl::Minutes(20) + i * absl::Seconds(3);
    forecast.Arrived(at);
    forecast.Served(at, absl::Seconds(12));
  }
  EXPECT_NEAR(forecast.Busy(absl::Minutes(40)), 4, 0.2);
}

TEST(LoadForecast, ADeepQueueNeedsMore) {
  LoadForecast forecast(1, {});
  Feed(forecast, 0, 30, 40);
  constexpr absl::Duration start = absl::Seconds(90);
  const int steady = forecast.Needed(absl::Minutes(30), 0, 6, start);
  EXPECT_EQ(forecast.Needed(absl::Minutes(30), 6, 6, start), steady) << "six more seconds";
  EXPECT_EQ(forecast.Needed(absl::Minutes(30), 6, 3, start, absl::Seconds(2)), steady) << "14 s to wait";
  // Three of six are lost: 6 wait, and one Erlang more for 90 s, before a queue is there.
  EXPECT_EQ(forecast.Needed(absl::Minutes(30), 6, 3, start, absl::Seconds(22)), 4 + 1 + 2);
  // Nothing serves: 30 wait, and 4 more Erlangs for 90 s; within a minute, beside the four.
  EXPECT_EQ(forecast.Needed(absl::Minutes(30), 30, 0, start), 4 + 3 + 6);
  EXPECT_EQ(forecast.Needed(absl::Minutes(30), 30, 0, absl::Minutes(3)), 4 + 3 + 12) << "of machines that take longer";
}

// 100 at once, of 6 s each, beside one a minute of 1 s: in the mean of those ten minutes 5.5 s, and 16 machines of one place
// begin 100 such within 30 s. In the mean one is busy.
TEST(LoadForecast, BurstsThatComeAgainNeedMore) {
  constexpr absl::Duration start = absl::Seconds(90);
  LoadForecast forecast(1, {}), patient(1, {.wait = absl::Minutes(5)});
  for (int minute = 0; minute < 115; ++minute) {
    const absl::Duration now = absl::Minutes(minute);
    const int needed = forecast.Needed(now, 0, 5, start);
    if (minute <= 51) {
      EXPECT_LT(needed, 10) << minute << ": once is somebody's batch";
    } else if (minute > 53 && minute <= 91) {
      EXPECT_EQ(needed, 16) << minute;
    } else if (minute > 107) {
      EXPECT_LT(needed, 10) << minute << ": the first is forgotten";
    }
    EXPECT_LT(patient.Needed(now, 0, 5, start), 10) << minute << ": what is bought when it is there comes in time";
    for (LoadForecast* const each : {&forecast, &patient}) {
      each->Arrived(now);
      each->Served(now + absl::Seconds(1), absl::Seconds(1));
      const bool is_burst = minute == 31 || minute == 51, is_over = minute == 33 || minute == 53;
      for (int i = 0; i < 100; ++i) {
        if (is_burst) each->Arrived(now + absl::Seconds(55));
        if (is_over) each->Served(now + absl::Seconds(1), absl::Seconds(6));
      }
    }
  }
}

TEST(ErrorBudget, IsUsedByMissesAndRecovers) {
  const ServiceTarget target = {.missed = 0.01};
  ErrorBudget budget;
  EXPECT_EQ(budget.Used(target), 0);
  // Two in a hundred missed over a day.
  for (int i = 0; i <= 1000; ++i) budget.Answered(i * absl::Hours(24) / 1000, i > 20);
  const double day = budget.Used(target);
  EXPECT_NEAR(day, 2, 0.25) << "a day forgets a fifth of the oldest";
  for (int i = 0; i < 1000; ++i) budget.Answered(absl::Hours(24 + 72), true);
  EXPECT_NEAR(budget.Used(target), day / 3, 0.35) << "half of it forgotten, and as many again came in time";
}

TEST(ErrorBudget, TheFirstMissesAreNotTheWholeDays) {
  const ServiceTarget target = {.missed = 0.01};
  ErrorBudget budget;
  for (int i = 0; i < 60; ++i) budget.Answered(absl::Minutes(i), i > 0);
  EXPECT_NEAR(budget.Used(target), 1 / (60 * 24 * 0.01), 0.01);
}

TEST(ErrorBudget, AnotherLifeGoesOnWithIt) {
  ErrorBudget before, after;
  for (int i = 0; i < 1000; ++i) before.Answered(absl::Hours(25) * i / 1000, i % 100 != 0);
  after.Recall(before.kept(), absl::Hours(30));
  EXPECT_GT(before.Used({}), 1);
  EXPECT_EQ(after.Used({}), before.Used({}));
}

}  // namespace
}  // namespace spotinference::fleet
