// The day's money, of all models and of one.
#include "fleet/controller_market_fixture.h"
#include "fleet/store/memory_store.h"
#include "gmock/gmock.h"

namespace spotinference::fleet {
namespace {

using testing::HasSubstr;

class ControllerMoneyTest : public ControllerMarketTest {
 protected:
  // A dollar an hour.
  void BeginWith(double dollars_per_day) {
    options_.max_dollars_per_day = dollars_per_day;
    Begin();
    Tell({OfferOf("a", Market::kSpot, 1), OfferOf("b", Market::kSpot, 2)});
  }
};

TEST_F(ControllerMoneyTest, WithoutABudgetNothingThatCostsMoneyIsBought) {
  BeginWith(0);
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "");
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kNoCapacity);
  EXPECT_THAT(client->error->message, HasSubstr("spend.max_dollars_per_day"));
}

TEST_F(ControllerMoneyTest, WhenTheDaysMoneyIsSpentMachinesGoAndTomorrowTheyMayCome) {
  clock_.Advance(absl::Hours(24) - (clock_.Now() - absl::UnixEpoch()) % absl::Hours(24));  // midnight
  BeginWith(1);
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  Ready("m-1");
  ASSERT_TRUE(client->lease.has_value());
  Advance(absl::Minutes(30));
  EXPECT_EQ(States(), "m-1 serving;");
  for (int i = 0; i < 35; ++i) Advance(absl::Minutes(1));
  EXPECT_THAT(provider_.Asked(), HasSubstr("hibernate m-1"));
  Gone("m-1");
  const auto refused = Acquire();
  ASSERT_TRUE(refused->error.has_value());
  EXPECT_THAT(refused->error->message, HasSubstr("are spent"));
  // A restart has not forgotten it.
  BeginWith(1);
  const auto again = Acquire();
  ASSERT_TRUE(again->error.has_value());
  Advance(absl::Hours(23));
  Tell({OfferOf("a", Market::kSpot, 1), OfferOf("b", Market::kSpot, 2)});
  const auto tomorrow = Acquire();
  EXPECT_FALSE(tomorrow->error.has_value());
  EXPECT_NE(provider_.Asked(), "");
}

TEST_F(ControllerMoneyTest, WhereWhatIsLeftPaysForNoMachineItLooksAgainAtMidnight) {
  clock_.Advance(absl::Hours(23) - (clock_.Now() - absl::UnixEpoch()) % absl::Hours(24));
  options_.models[0].min_machines = 1;
  BeginWith(0.001);
  EXPECT_EQ(provider_.Asked(), "launch m-1") << "before it knew that there is a choice";
  Gone("m-1");
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_LE(fleet_->Run() - clock_.Elapsed(), absl::Hours(1));
}

// That each write of what machines have cost says as much of the day.
class OneDaysStore : public MemoryStore {
 public:
  absl::Status Write(const Changes& changes, Sync sync) override {
    if (changes.book.has_value()) {
      double dollars = 0;
      for (const Ledger::Entry& entry : changes.book->entries) dollars += entry.dollars;
      EXPECT_TRUE(changes.spending.has_value());
      EXPECT_NEAR(changes.spending.value_or(Spending()).dollars, dollars, 1e-9);
      written = dollars;
    }
    return MemoryStore::Write(changes, sync);
  }
  double written = 0;
};

// A gateway may die after any write, and money that came at once be forgotten as the day's.
TEST_F(ControllerMoneyTest, WhatIsWrittenOfRunsIsWrittenAsSpent) {
  clock_.Advance(absl::Hours(24) - (clock_.Now() - absl::UnixEpoch()) % absl::Hours(24));  // midnight
  options_.max_dollars_per_day = 10;
  OneDaysStore store;
  fleet_.reset();
  fleet_ = *Controller::Create(options_, clock_, store, provider_, probe_);
  fleet_->Run();
  Tell({OfferOf("a", Market::kSpot, 1), OfferOf("b", Market::kSpot, 2)});
  const auto client = Acquire();
  ASSERT_EQ(provider_.Asked(), "launch m-1");
  Ready("m-1");
  ASSERT_TRUE(client->lease.has_value());
  Advance(absl::Hours(2));
  provider_.Tell({.kind = MachineEvent::Kind::kStray,
                  .machine_id = "cloud's name",
                  .handle = "i-1",
                  .began = clock_.Now() - absl::Hours(1),
                  .ended = clock_.Now(),
                  .offer = Offer{.provider = "aws", .zone = "a", .market = Market::kSpot, .price_per_hour = 3}});
  fleet_->Run();
  EXPECT_GT(store.written, 4.9);
  fleet_.reset();
}

// Nothing may happen meanwhile that would have it looked at.
TEST_F(ControllerMoneyTest, WhatIsSpentIsLookedAtFromThePurchaseOn) {
  BeginWith(1);
  fleet_->Acquire("m", {.bytes = 1}, [](AcquireResult) {});
  const absl::Duration next = fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  EXPECT_LE(next, clock_.Elapsed() + absl::Seconds(15));
}

// A wall clock that is set, while the other one runs on.
class SteppedClock : public Clock {
 public:
  explicit SteppedClock(const Clock& clock) : clock_(clock) {}
  absl::Time Now() const override { return clock_.Now() + step; }
  absl::Duration Elapsed() const override { return clock_.Elapsed(); }

  absl::Duration step;

 private:
  const Clock& clock_;
};

TEST_F(ControllerMoneyTest, AClockThatStepsBackBringsNoNewMoney) {
  clock_.Advance(absl::Hours(24) - (clock_.Now() - absl::UnixEpoch()) % absl::Hours(24));  // midnight
  SteppedClock stepped(clock_);
  options_.max_dollars_per_day = 1;
  const auto begin = [&] {
    fleet_.reset();
    fleet_ = *Controller::Create(options_, stepped, store_, provider_, probe_);
    Tell({OfferOf("a", Market::kSpot, 1), OfferOf("b", Market::kSpot, 2)});
  };
  begin();
  const auto client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(client->lease.has_value());
  for (int i = 0; i < 65; ++i) Advance(absl::Minutes(1));
  ASSERT_THAT(provider_.Asked(), HasSubstr("hibernate m-1"));
  Gone("m-1");
  const auto is_refused = [this] { return Acquire()->error.has_value(); };
  for (const absl::Duration step : {-absl::Hours(2), absl::ZeroDuration(), -absl::Hours(24 * 400), absl::ZeroDuration()}) {
    stepped.step = step;
    EXPECT_TRUE(is_refused()) << step;
    begin();
    EXPECT_TRUE(is_refused()) << step << ", in another life";
  }
  stepped.step = absl::Hours(24 * 400);
  EXPECT_FALSE(is_refused()) << "who can tell";
  provider_.Asked();
}

// It was years ahead, and is right again: the days go on.
TEST_F(ControllerMoneyTest, AClockThatWasAheadHoldsUpMoneyForADayAtMost) {
  SteppedClock stepped(clock_);
  stepped.step = absl::Hours(24 * 400);
  options_.max_dollars_per_day = 1;
  fleet_.reset();
  fleet_ = *Controller::Create(options_, stepped, store_, provider_, probe_);
  Tell({OfferOf("a", Market::kSpot, 1), OfferOf("b", Market::kSpot, 2)});
  const auto client = Acquire();
  Ready("m-1");
  for (int i = 0; i < 65; ++i) Advance(absl::Minutes(1));
  Gone("m-1");
  stepped.step = absl::ZeroDuration();
  EXPECT_TRUE(Acquire()->error.has_value());
  Advance(absl::Hours(22));
  EXPECT_TRUE(Acquire()->error.has_value());
  Advance(absl::Hours(2));
  EXPECT_FALSE(Acquire()->error.has_value());
}

TEST_F(ControllerMoneyTest, AModelsOwnMoneyIsNotTheOthers) {
  clock_.Advance(absl::Hours(24) - (clock_.Now() - absl::UnixEpoch()) % absl::Hours(24));  // midnight
  options_.models.push_back({.name = "n", .weights = "/w", .model_hash = "abc", .idle_timeout = absl::Hours(9)});
  options_.models[0].max_dollars_per_day = 1;
  BeginWith(100);
  const auto client = Acquire(), other = Acquire(1, "n");
  Ready("m-1");
  Ready("n-2");
  for (int i = 0; i < 57; ++i) Advance(absl::Minutes(1));
  EXPECT_EQ(States(), "m-1 serving;n-2 serving;") << "what the other one costs is not its affair";
  for (int i = 0; i < 7; ++i) Advance(absl::Minutes(1));
  EXPECT_THAT(provider_.Asked(), HasSubstr("hibernate m-1"));
  Gone("m-1");
  for (int life = 0; life < 2; ++life) {
    const auto refused = Acquire();
    ASSERT_TRUE(refused->error.has_value());
    EXPECT_THAT(refused->error->message, HasSubstr("its 1 dollars a day (machines.max_dollars_per_day) are spent"));
    EXPECT_TRUE(Acquire(1, "n")->lease.has_value() || life == 1);
    BeginWith(100);  // has not forgotten it
  }
}

}  // namespace
}  // namespace spotinference::fleet
