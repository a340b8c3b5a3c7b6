// Machines of the fleet's that nobody knows, as after a gateway that has lost its records: they are told for as long as
// they are charged for, and in the end once more. One program with cloud_conformance_test.cc.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudStraysTest : public CloudFixture {
 protected:
  bool keeps() { return Api("x-")->traits().keeps_stopped; }
  EmulatedMachine machine() {  // the newest
    EmulatedMachine machine;
    emulator_.Look([&](CloudModel& model) { machine = model.machines().rbegin()->second; });
    return machine;
  }
  absl::Time TimeOf(absl::Duration at) {
    absl::Time time;
    emulator_.Look([&](CloudModel& model) { time = model.TimeOf(at); });
    return time;
  }
  // One that serves, and a provider that has never heard of it.
  void Lose(bool dry_run = false) {
    Serve(Spec());
    Pass(absl::Minutes(10));
    Forget(dry_run);
  }
  void Forget(bool dry_run = false) {
    Begin(dry_run);
    listed_ = clock_.Elapsed();
  }
  int ends() const {
    return std::count_if(strays_.begin(), strays_.end(), [](const auto& stray) { return stray.ended.has_value(); });
  }
  // As the emulator has it. Clouds tell whole seconds, cut off.
  void ExpectIs(const MachineEvent& stray) {
    const EmulatedMachine machine = this->machine();
    EXPECT_EQ(stray.machine_id, CloudNames("ab12").Machine("m-1"));
    EXPECT_EQ(stray.handle, handle_);
    EXPECT_EQ(stray.boot_gigabytes, GetParam().boot_gigabytes);
    EXPECT_EQ(stray.public_address, machine.public_address || machine.is_public);
    ASSERT_TRUE(stray.offer.has_value());
    EXPECT_EQ(stray.offer->provider, GetParam().name);
    EXPECT_EQ(stray.offer->zone, machine.zone);
    EXPECT_EQ(stray.offer->machine_type, machine.type);
    EXPECT_EQ(stray.offer->market, machine.spot ? Market::kSpot : Market::kOnDemand);
    EXPECT_EQ(stray.offer->accelerators, 1);
    EXPECT_NEAR(stray.offer->price_per_hour, machine.price_per_hour, 1e-6);
    ASSERT_TRUE(stray.began.has_value());
    const bool is_told = absl::AbsDuration(*stray.began - TimeOf(*machine.began)) <= absl::Seconds(1);
    if (!is_told) ExpectNear(*stray.began, listed_);
  }
  void ExpectNear(absl::Time told, absl::Duration at) {
    EXPECT_LE(absl::AbsDuration(told - TimeOf(at)), absl::Seconds(1)) << told << ", not " << TimeOf(at);
  }
  // Once, after all else.
  void ExpectOneEnd() {
    ASSERT_EQ(ends(), 1);
    ASSERT_TRUE(strays_.back().ended.has_value());
    ASSERT_TRUE(machine().ended.has_value());
    for (const MachineEvent& stray : strays_) ExpectIs(stray);
    ExpectNear(*strays_.back().began, GetParam().begins_are_own ? listed_ : *machine().began);
    ExpectNear(*strays_.back().ended, *machine().ended);
  }

  absl::Duration listed_;  // by a provider that has never heard of it
};

TEST_P(CloudStraysTest, AreToldAndEnded) {
  Lose();
  Pass(absl::Seconds(119));
  EXPECT_TRUE(strays_.empty()) << "somebody may know it yet";
  Pass(absl::Minutes(10));
  ExpectOneEnd();
  EXPECT_GE(strays_.size(), 2);
  EXPECT_FALSE(strays_.back().reclaimed);
  EXPECT_EQ(strays_.back().kept, keeps());
  EXPECT_EQ(machine().state, keeps() ? EmulatedMachine::State::kStopped : EmulatedMachine::State::kGone);
  const size_t told = strays_.size();
  Pass(absl::Hours(1));
  EXPECT_EQ(strays_.size(), told);
  EXPECT_TRUE(events_.empty());
}

TEST_P(CloudStraysTest, AreWhatTheyWereBoughtAs) {
  provider_->Run();
  for (const Market market : {Market::kSpot, Market::kOnDemand}) {
    const auto offer = std::find_if(offers_.begin(), offers_.end(),
                                    [&](const OfferNow& now) { return now.offer.market == market; });
    if (offer == offers_.end()) continue;  // it is not sold so
    MachineSpec spec = Spec();
    spec.offer = offer->offer;
    Serve(spec);
    Forget();
    Pass(absl::Minutes(10));
    ExpectOneEnd();
    Serve(Spec(), /*restore=*/true);
    provider_->Terminate("m-1");
    EXPECT_TRUE(AwaitGone("m-1").ok());
    strays_.clear();
  }
}

// What cannot be ended in a state that nobody knows is left alone for some time, but not once it is known.
TEST_P(CloudStraysTest, AreEndedAsSoonAsTheyRunAgain) {
  Lose();
  Say(absl::StrCat("word ", number(), " MIGRATING"));
  Say(absl::StrCat("fault 503 1 ", keeps() ? GetParam().stop : GetParam().remove));
  Pass(keeps() ? absl::Minutes(16) : absl::Minutes(3));
  Say(absl::StrCat("word ", number()));
  Pass(absl::Minutes(3));
  EXPECT_EQ(emulator_.billing(), 0);
  ASSERT_GE(ends(), 1);
}

// There is none to be bought any more.
TEST_P(CloudStraysTest, HaveAPriceAllTheSame) {
  Lose();
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().zone, " ", GetParam().type, " 0"));
  Pass(absl::Minutes(10));
  ExpectOneEnd();
}

TEST_P(CloudStraysTest, AreToldInADryRun) {
  Lose(/*dry_run=*/true);
  Pass(absl::Hours(1));
  EXPECT_GE(strays_.size(), 200);
  EXPECT_EQ(ends(), 0);
  for (const MachineEvent& stray : strays_) ExpectIs(stray);
  EXPECT_EQ(emulator_.billing(), 1);
  Say(absl::StrCat("take ", number(), " 0 ", keeps() ? "stopped" : "gone", " silent"));
  Pass(absl::Minutes(5));
  ExpectOneEnd();
  EXPECT_EQ(strays_.back().reclaimed, GetParam().tells_reclaims);
  EXPECT_EQ(strays_.back().kept, keeps());
}

TEST_P(CloudStraysTest, AreNoneThatALifeKnows) {
  Serve(Spec());
  Pass(absl::Hours(1));
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Pass(absl::Hours(1));
  Serve(Spec(), /*restore=*/true);
  Pass(absl::Minutes(10));
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Pass(absl::Minutes(10));
  EXPECT_TRUE(strays_.empty());
}

TEST_P(CloudStraysTest, AreNoneThatIsHibernated) {
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Begin();
  Pass(absl::Hours(1));
  EXPECT_TRUE(strays_.empty());
}

// It has been switched off from within, which two clouds charge for in full.
TEST_P(CloudStraysTest, AreWhatIsOffAndCosts) {
  Lose();
  Say("poweroff " + number());
  const bool is_off = machine().state == EmulatedMachine::State::kOff;
  Pass(absl::Minutes(10));
  if (is_off) ExpectOneEnd();
  else EXPECT_TRUE(strays_.empty());
}

TEST_P(CloudStraysTest, AreNotOverByAListThatLacksThem) {
  Lose(/*dry_run=*/true);
  Pass(absl::Minutes(3));
  const size_t told = strays_.size();
  EXPECT_GT(told, 0);
  Say(absl::StrCat("hide ", number(), " 40"));
  Pass(absl::Minutes(1));
  Say("down");
  Pass(absl::Minutes(10));
  Say("up");
  Pass(absl::Minutes(3));
  EXPECT_EQ(ends(), 0);
  EXPECT_GT(strays_.size(), told);
}

TEST_P(CloudStraysTest, AreOverWhenSomebodyKnowsThem) {
  Lose(/*dry_run=*/true);
  Pass(absl::Minutes(3));
  provider_->Adopt(Spec(), handle_, "");
  EXPECT_EQ(Next().kind, Kind::kAdopted);
  const absl::Time adopted = clock_.Now();
  Pass(absl::Minutes(10));
  ASSERT_EQ(ends(), 1);
  EXPECT_TRUE(strays_.back().ended.has_value());
  EXPECT_LE(absl::AbsDuration(*strays_.back().ended - adopted), absl::Seconds(16));
}

// With an address that its cloud leaves behind.
TEST_P(CloudStraysTest, AreOverWithoutWhatTheyLeave) {
  public_address_ = true;
  Begin();
  Say("habit keeps_addresses 1");
  Lose();
  if (keeps()) Say(absl::StrCat("fault 503 1000 ", GetParam().stop));
  Pass(absl::Minutes(30));
  EXPECT_EQ(machine().state, EmulatedMachine::State::kGone) << "what cannot be stopped is deleted";
  ExpectOneEnd();
  Say("forgive");
  Pass(absl::Hours(1));
  EXPECT_EQ(addresses(), 0);
  EXPECT_EQ(ends(), 1);
}

TEST_P(CloudStraysTest, AreOverByTheProvidersClockWhereTheCloudDoesNotSay) {
  if (GetParam().run.empty()) GTEST_SKIP() << "it is told in lists";
  for (const char* const status : {"403", "503"}) {
    SCOPED_TRACE(status);
    Lose(/*dry_run=*/true);
    Pass(absl::Minutes(3));
    strays_.clear();
    Say(absl::StrCat("fault ", status, " 1000 ", GetParam().run));
    const absl::Time taken = clock_.Now();
    Say(absl::StrCat("take ", number(), " 0 gone silent"));
    Pass(absl::Minutes(4));
    ASSERT_EQ(ends(), 1);
    EXPECT_GE(*strays_.back().ended, taken);
    EXPECT_LE(*strays_.back().ended, taken + absl::Seconds(15));
    Say("forgive");
    Begin();
    strays_.clear();
  }
}

TEST_P(CloudStraysTest, AreOverAtTheDateOfTheAnswerThatFirstLackedThem) {
  if (GetParam().run.empty()) GTEST_SKIP() << "it is told in lists";
  Lose(/*dry_run=*/true);
  Pass(absl::Minutes(3));
  strays_.clear();
  Say(absl::StrCat("fault 503 1000 ", GetParam().run));
  const absl::Time taken = clock_.Now();
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  Pass(absl::Seconds(15));
  ASSERT_EQ(ends(), 0);
  Say("skew -20");  // or as much later it comes to us
  Pass(absl::Minutes(4));
  ASSERT_EQ(ends(), 1);
  EXPECT_GE(*strays_.back().ended, taken);
}

// One that slept, is started by somebody and never runs, of which the cloud then tells nothing.
TEST_P(CloudStraysTest, AreNotOfTheRunBefore) {
  if (!keeps()) GTEST_SKIP() << "they are deleted";
  Lose();
  Pass(absl::Minutes(30));
  ASSERT_EQ(ends(), 1);
  Pass(absl::Hours(5));
  strays_.clear();
  Say("habit boot 600");
  if (!GetParam().run.empty()) Say(absl::StrCat("fault 503 1000 ", GetParam().run));
  const absl::Time started = clock_.Now();
  emulator_.Look([](CloudModel& model) { EXPECT_TRUE(model.Start(model.machines().rbegin()->second).ok()); });
  Pass(absl::Minutes(10));
  ASSERT_EQ(ends(), 1);
  for (const MachineEvent& stray : strays_) EXPECT_GE(*stray.began, started - absl::Seconds(1));
}

TEST_P(CloudStraysTest, AreToldWhatTheyCostStoppedAsLongAsTheyAreThere) {
  if (!keeps()) GTEST_SKIP() << "they are deleted";
  Lose();
  Pass(absl::Minutes(30));
  ASSERT_EQ(ends(), 1);
  ASSERT_TRUE(strays_.back().kept);
  absl::Time told = *strays_.back().ended;
  const absl::Time stopped = told;
  Pass(absl::Hours(5));
  const auto expect_contiguous = [&] {
    for (const MachineEvent& sleep : std::exchange(sleeps_, {})) {
      EXPECT_EQ(*sleep.began, told);
      told = *sleep.ended;
      EXPECT_EQ(sleep.machine_id, CloudNames("ab12").Machine("m-1"));
      EXPECT_EQ(sleep.handle, handle_);
      EXPECT_EQ(sleep.boot_gigabytes, GetParam().boot_gigabytes);
      EXPECT_EQ(sleep.public_address, machine().public_address || machine().is_public);
    }
  };
  EXPECT_GE(sleeps_.size(), 4u);
  expect_contiguous();
  EXPECT_GT(told - stopped, absl::Hours(4));

  Forget();  // another life tells of it from when it sees it on
  Pass(absl::Minutes(90));
  ASSERT_FALSE(sleeps_.empty());
  ExpectNear(*sleeps_.front().began, listed_);
  told = *sleeps_.front().began;
  expect_contiguous();

  strays_.clear();
  emulator_.Look([](CloudModel& model) { ASSERT_TRUE(model.Start(model.machines().rbegin()->second).ok()); });
  const absl::Time started = clock_.Now();
  Pass(absl::Minutes(6));
  ASSERT_EQ(ends(), 1);
  expect_contiguous();
  EXPECT_LE(absl::AbsDuration(told - started), absl::Minutes(1));
  EXPECT_LE(told, *strays_.back().began) << "nothing twice";
  told = *strays_.back().ended;
  Pass(absl::Minutes(15));
  emulator_.Look([](CloudModel& model) { ASSERT_TRUE(model.Delete(model.machines().rbegin()->second).ok()); });
  const absl::Time deleted = clock_.Now();
  Pass(absl::Hours(1));
  expect_contiguous();
  EXPECT_GE(told, deleted);
  EXPECT_LE(told, deleted + absl::Minutes(1));
}

TEST_P(CloudStraysTest, SleptUntilTheyWereStartedThoughTheyAreGoneSoon) {
  if (!keeps()) GTEST_SKIP() << "they are deleted";
  Lose();
  Pass(absl::Hours(3));
  strays_.clear();
  Say(absl::StrCat("fault 503 1000 ", GetParam().stop));
  emulator_.Look([](CloudModel& model) { ASSERT_TRUE(model.Start(model.machines().rbegin()->second).ok()); });
  const absl::Time started = clock_.Now();
  Pass(absl::Minutes(3));
  if (!GetParam().run.empty()) Say(absl::StrCat("fault 503 3 ", GetParam().run));
  emulator_.Look([](CloudModel& model) { ASSERT_TRUE(model.Delete(model.machines().rbegin()->second).ok()); });
  Pass(absl::Hours(1));
  ASSERT_EQ(ends(), 1);
  ASSERT_FALSE(sleeps_.empty());
  EXPECT_LE(*sleeps_.back().ended, *strays_.back().began) << "nothing twice";
  EXPECT_LE(absl::AbsDuration(*sleeps_.back().ended - started), absl::Minutes(1));
}

TEST_P(CloudStraysTest, AreToldWhatTheyCostUntilSomebodyKnowsThem) {
  if (!keeps()) GTEST_SKIP() << "they are deleted";
  Lose();
  Pass(absl::Minutes(90));
  ASSERT_FALSE(sleeps_.empty());
  provider_->Restore(Spec());
  const absl::Time asked = clock_.Now();
  Pass(absl::Hours(1));
  ExpectNear(*sleeps_.back().ended, clock_.Elapsed() - (clock_.Now() - asked));
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudStraysTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
