#include "fleet/plan/bursts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

namespace spotinference::fleet {
namespace {

constexpr int kStreams = 8;
constexpr absl::Duration kWait = absl::Seconds(30);
constexpr double kMissed = 0.00025;

double TwoSeconds(int64_t) { return 2; }

void Burst(Bursts& bursts, absl::Duration at, int requests) {
  for (int i = 0; i < requests; ++i) bursts.Arrived(at);
}

// Machines, where `steady` do without bursts.
int Needed(Bursts& bursts, absl::Duration now, Bursts::Service service, int steady, double missed) {
  return std::max(steady, bursts.Needed(now, service, steady, missed).machines);
}

// A machine answers 8 requests at once, for 2 s: of 128 the last eight begin after 30 s.
TEST(Bursts, AreWorkedOffInTimeByWhatIsNeeded) {
  for (const auto& [requests, machines] : {std::pair{128, 1}, {129, 2}, {256, 2}, {257, 3}, {1000, 8}}) {
    Bursts bursts(kStreams, kWait);
    Burst(bursts, absl::Minutes(5), requests);
    Burst(bursts, absl::Minutes(25), requests);
    EXPECT_EQ(Needed(bursts, absl::Minutes(26), TwoSeconds, 1, kMissed), machines) << requests;
    EXPECT_EQ(Needed(bursts, absl::Minutes(26), TwoSeconds, 20, kMissed), 20) << "are there anyway";
  }
}

TEST(Bursts, QueuesAddUp) {
  Bursts bursts(kStreams, kWait);
  for (const int minute : {5, 25}) {
    // 100 each ten seconds: two machines leave 20 of each, and with the sixth 100 + 5 · 20 wait; 256 would be in time.
    for (int step = 0; step < 6; ++step) Burst(bursts, absl::Minutes(minute) + step * absl::Seconds(10), 100);
  }
  EXPECT_EQ(Needed(bursts, absl::Minutes(26), TwoSeconds, 2, kMissed), 2);
  // One leaves 60: with the second 160 wait, 32 of them for longer than 30 s.
  EXPECT_EQ(Needed(bursts, absl::Minutes(26), TwoSeconds, 1, kMissed), 2);
  // Of answers of 4 s three machines leave 40, and with the sixth 300 wait, of which 204 are in time; four leave 20.
  const auto twice = [](int64_t) { return 4.0; };
  EXPECT_EQ(Needed(bursts, absl::Minutes(26), twice, 1, kMissed), 4);
}

TEST(Bursts, OnceIsSomebodysBatch) {
  Bursts bursts(kStreams, kWait);
  Burst(bursts, absl::Minutes(5), 1000);  // one machine works on it for 250 s
  EXPECT_EQ(Needed(bursts, absl::Minutes(6), TwoSeconds, 1, kMissed), 1);
  Burst(bursts, absl::Minutes(10), 1000);
  EXPECT_EQ(Needed(bursts, absl::Minutes(11), TwoSeconds, 1, kMissed), 1) << "more of it";
  Burst(bursts, absl::Minutes(16), 1000);
  EXPECT_EQ(Needed(bursts, absl::Minutes(17), TwoSeconds, 1, kMissed), 8);
}

TEST(Bursts, AQueueThatLastsIsOne) {
  Bursts bursts(kStreams, kWait);
  for (int minute = 5; minute < 40; ++minute) Burst(bursts, absl::Minutes(minute), 250);  // it works off 240
  EXPECT_EQ(Needed(bursts, absl::Minutes(40), TwoSeconds, 1, kMissed), 1);
}

TEST(Bursts, AreForgottenAfterAnHour) {
  Bursts bursts(kStreams, kWait);
  Burst(bursts, absl::Minutes(5), 1000);
  Burst(bursts, absl::Minutes(55), 500);
  EXPECT_EQ(Needed(bursts, absl::Minutes(64), TwoSeconds, 1, kMissed), 8);
  EXPECT_EQ(Needed(bursts, absl::Minutes(66), TwoSeconds, 1, kMissed), 1) << "one is left";
  EXPECT_EQ(Needed(bursts, absl::Hours(300), TwoSeconds, 1, kMissed), 1);
}

TEST(Bursts, SoManyMayBeMissed) {
  Bursts bursts(kStreams, kWait);
  for (int step = 0; step < 300; ++step) Burst(bursts, step * absl::Seconds(10), 10);
  Burst(bursts, absl::Minutes(52), 132);
  Burst(bursts, absl::Minutes(63), 133);
  // 4 and 5 of them are late, of some 3,000 within the hour.
  EXPECT_EQ(Needed(bursts, absl::Minutes(64), TwoSeconds, 1, 0.001), 2);
  EXPECT_EQ(Needed(bursts, absl::Minutes(64), TwoSeconds, 1, 0.004), 1);
}

TEST(Bursts, OfFewerMachinesSomeAreLate) {
  Bursts bursts(kStreams, kWait);
  Burst(bursts, absl::Minutes(5), 512);
  Burst(bursts, absl::Minutes(25), 512);
  const BurstLoad load = bursts.Needed(absl::Minutes(26), TwoSeconds, 1, kMissed);
  EXPECT_EQ(load.machines, 4);
  EXPECT_EQ(load.LateWith(0), 1);
  EXPECT_NEAR(load.LateWith(1), 0.75, 1e-9);
  EXPECT_NEAR(load.LateWith(3.5), 0.125, 1e-9);
  EXPECT_EQ(load.LateWith(4), 0);
  EXPECT_EQ(load.LateWith(9), 0);
  EXPECT_EQ(BurstLoad().LateWith(0), 0);
  EXPECT_NEAR(load.busy, 2 * 512 * 2 / 3600.0 / kStreams, 1e-9);
}

TEST(Bursts, AtRandomNeedNothingBeyondErlangsC) {
  // 20 a second of 2 s keep five machines busy, and of 20 s fifty; one more, or three, and nobody waits for long.
  for (const absl::Duration wait : {kWait, absl::Seconds(3), absl::Seconds(1)}) {
    for (const auto& [seconds, machines] : {std::pair{2.0, 7}, {20.0, 53}}) {
      std::mt19937_64 random(7);
      std::exponential_distribution<double> gap(20);
      Bursts bursts(kStreams, wait);
      for (double at = 0; at < 3600; at += gap(random)) bursts.Arrived(absl::Seconds(at));
      const auto service = [seconds = seconds](int64_t) { return seconds; };
      EXPECT_EQ(Needed(bursts, absl::Hours(1), service, machines, kMissed), machines) << wait << ", " << seconds;
    }
  }
}

TEST(Bursts, AreOfAnswersAsTheyTookThen) {
  Bursts bursts(kStreams, kWait);
  Burst(bursts, absl::Minutes(5), 240);
  Burst(bursts, absl::Minutes(25), 120);
  const auto service = [](int64_t minute) { return minute == 5 ? 1.0 : 2.0; };
  EXPECT_EQ(Needed(bursts, absl::Minutes(26), service, 1, kMissed), 1);
  EXPECT_EQ(Needed(bursts, absl::Minutes(26), TwoSeconds, 1, kMissed), 1) << "one is a batch";
  Burst(bursts, absl::Minutes(45), 500);
  EXPECT_EQ(Needed(bursts, absl::Minutes(46), service, 1, kMissed), 1);
  EXPECT_EQ(Needed(bursts, absl::Minutes(46), TwoSeconds, 1, kMissed), 4);
}

// A request that finds a place waits for nothing, however long its answer takes.
TEST(Bursts, AnAnswerIsNoWait) {
  Bursts bursts(kStreams, absl::Seconds(2));
  const auto service = [](int64_t) { return 20.0; };
  for (const int minute : {5, 25}) Burst(bursts, absl::Minutes(minute), kStreams);
  EXPECT_EQ(Needed(bursts, absl::Minutes(26), service, 1, 0), 1);
  for (const int minute : {36, 48}) Burst(bursts, absl::Minutes(minute), kStreams + 1);
  EXPECT_EQ(Needed(bursts, absl::Minutes(49), service, 1, 0), 2);
}

}  // namespace
}  // namespace spotinference::fleet
