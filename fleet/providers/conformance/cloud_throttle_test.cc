// A cloud that says when to come again is not asked the same before, and is soon after; nothing is bought twice by it.
#include <string>

#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudThrottleTest : public CloudFixture {
 protected:
  // After what it was told. What nothing depends on waits for the next list, every 15 s while nothing goes on.
  static constexpr absl::Duration kSoon = absl::Seconds(2), kAtLeisure = absl::Seconds(16);

  // The next call that has `text` in it is refused.
  void Throttle(const std::string& text, int seconds = 17, int status = 429) {
    Say(absl::StrCat("fault ", status, ":", seconds, " 1 ", text));
  }

  void PassUntilTold(size_t times) {
    const absl::Duration end = clock_.Elapsed() + absl::Minutes(5);
    while (emulator_.told().size() < times && clock_.Elapsed() < end) Pass(absl::Milliseconds(100));
    ASSERT_EQ(emulator_.told().size(), times);
  }

  // It was told to wait so many times, and did.
  void ExpectPatience(size_t times, absl::Duration soon = kSoon) {
    EXPECT_EQ(emulator_.told().size(), times);
    for (const CloudEmulator::Told& told : emulator_.told()) {
      SCOPED_TRACE(told.call);
      ASSERT_TRUE(told.again.has_value());
      EXPECT_GE(*told.again - told.at, told.wait);
      EXPECT_LE(*told.again - told.at, told.wait + soon);
    }
  }
};

TEST_P(CloudThrottleTest, AListIsAskedForAgainWhenItWasSaid) {
  Serve(Spec());
  for (const int seconds : {17, 100}) {
    Throttle(GetParam().list, seconds);
    Pass(absl::Seconds(16 + seconds + 16));
  }
  EXPECT_TRUE(events_.empty()) << "nothing was heard of the machine";
  ExpectPatience(2, GetParam().has_places ? kAtLeisure : kSoon);  // the others' lists go on
}

TEST_P(CloudThrottleTest, AListIsNotAskedForBeforeForWhatIsLaunchedMeanwhile) {
  Serve(Spec());
  Throttle(GetParam().list, 100);
  PassUntilTold(1);
  for (int i = 0; i < 6; ++i) {
    provider_->Launch(Spec(absl::StrCat("x-", i)));
    provider_->Terminate(absl::StrCat("x-", i));
    Pass(absl::Seconds(1));
  }
  Pass(absl::Seconds(110));
  ExpectPatience(1, GetParam().has_places ? kAtLeisure : kSoon);
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudThrottleTest, AMachineIsBoughtWhenItWasSaid) {
  Throttle(GetParam().create_volume);
  Throttle(GetParam().create, 20, 503);
  Serve(Spec());
  ExpectPatience(2);
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudThrottleTest, ManyTimesInARow) {
  for (int i = 0; i < 4; ++i) Throttle(GetParam().create, 10 + i, i % 2 == 0 ? 429 : 503);
  Serve(Spec());
  ExpectPatience(4);
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudThrottleTest, AnothersPurchaseWaitsToo) {
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().zone, " ", GetParam().type, " 3"));
  Serve(Spec("m-0"));
  Throttle(GetParam().create, 30);
  provider_->Launch(Spec("m-1", "v-1"));
  PassUntilTold(1);
  provider_->Launch(Spec("m-2", "v-2"));
  Pass(absl::Minutes(2));
  ExpectPatience(1);
  EXPECT_EQ(bought(), 3);
  EXPECT_EQ(emulator_.billing(), 3);
}

// It was not asked for, so that it may be bought elsewhere.
TEST_P(CloudThrottleTest, AnothersPurchaseThatWaitedGoesWhereThereIsStock) {
  if (GetParam().name == "azure") GTEST_SKIP() << "each machine is a path of its own";
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().zone, " ", GetParam().type, " 1"));
  Throttle(GetParam().create, 30);
  provider_->Launch(Spec("m-1", "v-1"));
  PassUntilTold(1);
  provider_->Launch(Spec("m-2", "v-2"));
  Pass(absl::Minutes(2));
  ExpectPatience(1);
  EXPECT_EQ(emulator_.billing(), 2);
}

TEST_P(CloudThrottleTest, OneThatIsToEndMeanwhileIsNotLeaked) {
  Throttle(GetParam().create, 30);
  provider_->Launch(Spec());
  PassUntilTold(1);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(bought(), 0);
}

TEST_P(CloudThrottleTest, PricesAreAskedForAgainWhenItWasSaid) {
  Begin();
  Throttle(GetParam().prices);
  Pass(absl::Seconds(25));
  ExpectPatience(1);
  EXPECT_GE(offers_.size(), 2);
}

TEST_P(CloudThrottleTest, AMachineIsEndedWhenItWasSaid) {
  Serve(Spec());
  Throttle(GetParam().remove);
  provider_->Terminate("m-1");
  PassUntilTold(1);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  ExpectPatience(1);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudThrottleTest, AMachineIsStoppedAndStartedWhenItWasSaid) {
  if (GetParam().stop.empty()) GTEST_SKIP() << "a stop is a deletion, and a start a purchase";
  Serve(Spec());
  Throttle(GetParam().stop);
  provider_->Hibernate("m-1");
  PassUntilTold(1);
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Throttle(GetParam().start);
  Serve(Spec(), /*restore=*/true);
  ExpectPatience(2);
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudThrottleTest, AStrayIsEndedWhenItWasSaid) {
  Serve(Spec());
  const bool stops = !GetParam().stop.empty();
  Begin();
  Throttle(stops ? GetParam().stop : GetParam().remove);
  Pass(absl::Minutes(4));
  ExpectPatience(1);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudThrottleTest, ARunIsAskedForAgainWhenItWasSaid) {
  if (GetParam().run.empty()) GTEST_SKIP() << "lists tell it";
  Serve(Spec());
  Pass(absl::Minutes(1));
  Throttle(GetParam().run);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_TRUE(gone_.ended.has_value());
  ExpectPatience(1);
}

TEST_P(CloudThrottleTest, AnOperationIsAskedAboutAgainWhenItWasSaid) {
  const std::string& name = GetParam().name;
  if (name != "gcp" && name != "azure") GTEST_SKIP() << "it has none";
  Throttle("/operations/");
  Serve(Spec());
  Pass(absl::Seconds(40));
  ExpectPatience(1, kAtLeisure);
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudThrottleTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
