#include "fleet/plan/buyer.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

Offer OfferOf(const std::string& zone, Market market, double price, const std::string& accelerator = "T4") {
  return {.provider = "cloud", .region = zone.substr(0, 1), .zone = zone, .market = market, .machine_type = "small",
          .accelerator = accelerator, .accelerators = 1, .price_per_hour = price};
}

class BuyerTest : public testing::Test {
 protected:
  BuyerTest() {
    buyer_.SetOffers({OfferOf("a1", Market::kSpot, 0.2), OfferOf("b1", Market::kSpot, 0.3),
                      OfferOf("a1", Market::kOnDemand, 1.0)});
  }

  Buyer::Decision Decide(const std::vector<Buyer::Machine>& machines = {}) {
    const Buyer::Load load = {.waiting = 1, .start = absl::Minutes(1), .dollars_elsewhere = elsewhere_};
    return buyer_.Decide("m", wish_, load, machines, filled_, dollars_, now_);
  }

  static Buyer::Machine Serving(const std::string& id, const Offer& offer) {
    return {.id = id, .offer = offer, .exists = true, .serves = true};
  }

  Buyer buyer_;
  std::vector<Offer> filled_;
  Wish wish_;
  double elsewhere_ = 0;
  double dollars_ = std::numeric_limits<double>::infinity();
  absl::Duration now_ = absl::Hours(100);
};

TEST_F(BuyerTest, TheFirstMachineIsTheCheapest) {
  const Buyer::Decision decision = Decide();
  ASSERT_THAT(decision.launches, SizeIs(1));
  EXPECT_EQ(decision.launches[0].first.zone, "a1");
  EXPECT_EQ(decision.launches[0].first.market, Market::kSpot);
  EXPECT_FALSE(decision.launches[0].second.empty());
  EXPECT_EQ(decision.machines, 1);
}

TEST_F(BuyerTest, AfterAStockOutItIsSoughtElsewhere) {
  buyer_.StockOut(OfferOf("a1", Market::kSpot, 0.2), now_);
  const Buyer::Decision decision = Decide();
  ASSERT_THAT(decision.launches, SizeIs(1));
  EXPECT_EQ(decision.launches[0].first.zone, "b1");
}

TEST_F(BuyerTest, WhereNoSpotMachineIsToBeHadOneIsBoughtOnDemand) {
  buyer_.StockOut(OfferOf("a1", Market::kSpot, 0.2), now_);
  buyer_.StockOut(OfferOf("b1", Market::kSpot, 0.3), now_);
  const Buyer::Decision decision = Decide();
  ASSERT_THAT(decision.launches, SizeIs(1));
  EXPECT_EQ(decision.launches[0].first.market, Market::kOnDemand);
}

TEST_F(BuyerTest, ADearerMachineThatIsThereIsKeptWithinReason) {
  const Buyer::Decision decision = Decide({Serving("m-1", OfferOf("a1", Market::kSpot, 0.2))});
  EXPECT_THAT(decision.launches, SizeIs(0));
  EXPECT_THAT(decision.ends, SizeIs(0));
  EXPECT_EQ(decision.machines, 1);
}

TEST_F(BuyerTest, WhatTheWishRulesOutIsNotBought) {
  wish_.markets = {Market::kOnDemand};
  EXPECT_EQ(Decide().launches.at(0).first.market, Market::kOnDemand);
  wish_.max_price = 0.5;
  const Buyer::Decision decision = Decide();
  EXPECT_THAT(decision.launches, SizeIs(0));
  EXPECT_THAT(decision.why_none, HasSubstr("none of 3 offers may be bought"));
  EXPECT_THAT(decision.why_none, HasSubstr("machines.max_price rules out 1"));
  EXPECT_THAT(decision.why_none, HasSubstr("machines.markets rules out 2"));
}

TEST_F(BuyerTest, WithoutMoneyOnlyWhatCostsNothingIsBought) {
  dollars_ = 0;
  EXPECT_THAT(Decide().why_none, HasSubstr("max_dollars_per_day rules out 3"));
  buyer_.SetOffers({OfferOf("z", Market::kOnDemand, 0), OfferOf("a1", Market::kSpot, 0.2)});
  const Buyer::Decision decision = Decide();
  ASSERT_THAT(decision.launches, SizeIs(1));
  EXPECT_EQ(decision.launches[0].first.zone, "z");
  // What is free stays, what costs goes.
  const Buyer::Decision later = Decide(
      {Serving("m-1", OfferOf("z", Market::kOnDemand, 0)), Serving("m-2", OfferOf("a1", Market::kSpot, 0.2))});
  ASSERT_THAT(later.ends, SizeIs(1));
  EXPECT_EQ(later.ends[0].first, "m-2");
}

// 40 requests of 6 s a minute are 4 machines' worth of one stream, for which chance wants 6. Of 4 that served 2 are left:
// what 2 machines do in the minute that a start takes will wait, to be done within a minute, beside the 0.1 that waits
// now.
TEST_F(BuyerTest, ALossIsMadeUpForBeforeItsQueueIsThere) {
  wish_ = {.max_machines = 20, .streams = 1, .markets = {Market::kOnDemand}};
  for (int i = 0; i < 30 * 40; ++i) {
    const absl::Duration at = now_ - absl::Minutes(30) + i * absl::Minutes(1) / 40;
    buyer_.Arrived("m", wish_, at);
    buyer_.Served("m", absl::Seconds(6), at);
  }
  const Offer offer = OfferOf("a1", Market::kOnDemand, 1.0);
  std::vector<Buyer::Machine> machines = {Serving("1", offer), Serving("2", offer)};
  EXPECT_EQ(Decide(machines).machines, 4 + 2 + 1);
  machines.push_back(Serving("3", offer));
  machines.push_back(Serving("4", offer));
  EXPECT_EQ(Decide(machines).machines, 6);
}

TEST_F(BuyerTest, WhatTheMoneyLeftDoesNotPayForIsSaid) {
  dollars_ = 0.01;  // a quarter of an hour of the cheapest costs 0.05
  EXPECT_THAT(Decide().launches, SizeIs(0));
  EXPECT_THAT(Decide().why_none, HasSubstr("0.01 dollars that are left of max_dollars_per_day"));
  dollars_ = 0.06;
  EXPECT_THAT(Decide().launches, SizeIs(1));
  EXPECT_EQ(Decide().why_none, "");
}

TEST_F(BuyerTest, KnowsWhatTheSameWouldCostOnDemand) {
  EXPECT_EQ(buyer_.OnDemandPrice(OfferOf("a1", Market::kSpot, 0.2)), 1.0);
  EXPECT_EQ(buyer_.OnDemandPrice(OfferOf("b1", Market::kSpot, 0.3)), 1.0);  // of another zone
  Offer other = OfferOf("a1", Market::kSpot, 0.2);
  other.machine_type = "large";
  EXPECT_EQ(buyer_.OnDemandPrice(other), 0);
}

TEST_F(BuyerTest, WithoutAChoiceTheWishStillHolds) {
  buyer_.SetOffers({OfferOf("a1", Market::kSpot, 0.2)});
  EXPECT_FALSE(buyer_.chooses());
  EXPECT_EQ(buyer_.WhyNotTheOnly(wish_, dollars_), "");
  EXPECT_EQ(buyer_.WhyNotTheOnly(wish_, 0), "max_dollars_per_day rules out the only offer");
  wish_.max_price = 0.1;
  EXPECT_EQ(buyer_.WhyNotTheOnly(wish_, dollars_), "machines.max_price rules out the only offer");
  buyer_.SetOffers({});
  EXPECT_EQ(buyer_.WhyNotTheOnly(wish_, dollars_), "what is sold is not known yet");
  EXPECT_EQ(buyer_.WhyNotTheOnly(Wish{}, dollars_), "");
}

TEST_F(BuyerTest, WhatIsBarredIsNotBoughtAndTheReasonIsTold) {
  const std::vector<Offer> offers = {OfferOf("a1", Market::kSpot, 0.2), OfferOf("b1", Market::kSpot, 0.3)};
  buyer_.SetOffers(offers, {{0, {"the quota G"}}});
  EXPECT_EQ(Decide().launches.at(0).first.zone, "b1");
  EXPECT_EQ(buyer_.Current(offers[0]).price_per_hour, 0.2) << "what runs there is priced still";
  buyer_.SetOffers(offers, {{0, {"the quota G"}}, {1, {"the quota G"}}});
  EXPECT_EQ(Decide().why_none, "none of 2 offers may be bought: the quota G rules out 2");
  EXPECT_FALSE(buyer_.HasOpenOffer(wish_, dollars_, absl::ZeroDuration()));
  wish_.hibernated = {offers[0]};
  EXPECT_EQ(Decide().launches.at(0).first.zone, "a1");
  buyer_.SetOffers(offers, {{0, {"the quota G", true}}, {1, {"the quota G"}}});
  EXPECT_TRUE(Decide().launches.empty());
}

TEST_F(BuyerTest, APriceIsTheLatest) {
  buyer_.SetOffers({OfferOf("a1", Market::kSpot, 0.4), OfferOf("b1", Market::kSpot, 0.3)});
  EXPECT_EQ(buyer_.Current(OfferOf("a1", Market::kSpot, 0.2)).price_per_hour, 0.4);
  EXPECT_EQ(buyer_.Current(OfferOf("gone", Market::kSpot, 0.2)).price_per_hour, 0.2);
  EXPECT_EQ(Decide().launches.at(0).first.zone, "b1");
}

TEST_F(BuyerTest, AVolumeThatHasToBeMadeIsPartOfThePrice) {
  Offer with_dear_disk = OfferOf("b1", Market::kSpot, 0.28);
  buyer_.SetOffers({OfferOf("a1", Market::kSpot, 0.3), with_dear_disk});
  EXPECT_EQ(Decide().launches.at(0).first.zone, "b1");
  with_dear_disk.volume_per_hour = 0.05;
  buyer_.SetOffers({OfferOf("a1", Market::kSpot, 0.3), with_dear_disk});
  EXPECT_EQ(Decide().launches.at(0).first.zone, "a1");
  filled_ = {with_dear_disk};
  EXPECT_EQ(Decide().launches.at(0).first.zone, "b1") << "it bills in any case";
}

// The load is another one then.
TEST_F(BuyerTest, ItIsAskedAgainWithEachMinuteOnceSomethingCame) {
  now_ += absl::Seconds(10);
  EXPECT_EQ(Decide().next, absl::InfiniteDuration());
  buyer_.Arrived("m", wish_, now_);
  EXPECT_EQ(Decide().next, now_ + absl::Seconds(50));
}

// What a start takes is also how long a machine that is wanted no more is kept.
TEST_F(BuyerTest, WhatIsTooManyGoesAfterAStartsTime) {
  const std::vector<Buyer::Machine> machines = {Serving("m-1", OfferOf("a1", Market::kSpot, 0.2)),
                                                Serving("m-2", OfferOf("a1", Market::kOnDemand, 1.0))};
  const Buyer::Decision first = Decide(machines);
  EXPECT_THAT(first.ends, SizeIs(0));
  EXPECT_EQ(first.machines, 2);
  EXPECT_EQ(first.next, now_ + absl::Minutes(1));
  now_ += absl::Seconds(59);
  EXPECT_THAT(Decide(machines).ends, SizeIs(0));
  now_ += absl::Seconds(1);
  const Buyer::Decision last = Decide(machines);
  ASSERT_THAT(last.ends, SizeIs(1));
  EXPECT_EQ(last.ends[0].first, "m-2");
  EXPECT_EQ(last.machines, 1);
}

TEST_F(BuyerTest, WhatOtherModelsSpendIsNotLeftForThisOne) {
  dollars_ = 1;  // a quarter of an hour of the cheapest costs 0.05
  EXPECT_THAT(Decide().launches, SizeIs(1));
  elsewhere_ = 3.9;  // 1.025 with it
  EXPECT_THAT(Decide().launches, SizeIs(0));
}

// No place of machines helps who comes while the model wakes: once one request got its machine at once, misses count.
TEST_F(BuyerTest, WhileAModelWakesItsMissesDoNotCount) {
  wish_.max_machines = 9;
  buyer_.SetOffers({OfferOf("a1", Market::kSpot, 0.2), OfferOf("a1", Market::kOnDemand, 1.0)});
  const auto on_demand = [this] {
    now_ += absl::Minutes(2);
    for (int i = 0; i < 1000; ++i) {
      buyer_.Arrived("m", wish_, now_);
      buyer_.Served("m", absl::Seconds(10), now_);
    }
    int count = 0;
    for (const auto& [offer, why] : Decide().launches) count += offer.market == Market::kOnDemand;
    return count;
  };
  // Spot that is lost often enough to be worth a guard only where the budget is used.
  buyer_.Began(OfferOf("a1", Market::kSpot, 0.2), now_);
  buyer_.Arrived("m", wish_, now_);
  now_ += absl::Hours(3);
  EXPECT_EQ(on_demand(), 0);
  const absl::Duration minute = absl::Minutes(1);
  const auto miss = [&] {
    for (int i = 0; i < 1000; ++i) {
      now_ += absl::Seconds(5);
      buyer_.Answered("m", wish_, {.queued = minute, .waited = minute, .refused = i % 2 == 0}, now_);
    }
  };
  buyer_.Answered("m", wish_, {.queued = minute, .waited = minute, .awake = false}, now_);
  miss();
  EXPECT_EQ(on_demand(), 0);
  buyer_.Answered("m", wish_, {.waited = absl::Seconds(1)}, now_);
  miss();
  EXPECT_GT(on_demand(), 0);
}

// A machine whose offer is sold no more is still one, and nothing is bought like it.
TEST_F(BuyerTest, AMachineOutlivesItsOffer) {
  const Buyer::Decision decision = Decide({Serving("m-1", OfferOf("old", Market::kSpot, 0.1))});
  EXPECT_EQ(decision.machines, 1);
  for (const auto& [offer, why] : decision.launches) EXPECT_NE(offer.zone, "old");
}

class DearTest : public BuyerTest {
 protected:
  DearTest() { wish_.max_price = 0.4; }

  // Dollars an hour of the machine's zone, and of the other one.
  void Price(double a, double b = 0.39) {
    buyer_.SetOffers({OfferOf("a1", Market::kSpot, a), OfferOf("b1", Market::kSpot, b)});
  }
  // A look each minute.
  Buyer::Decision Pass(absl::Duration time, const std::vector<Buyer::Machine>& machines) {
    Buyer::Decision decision;
    for (const absl::Duration end = now_ + time; now_ < end;) {
      now_ += absl::Minutes(1);
      decision = Decide(machines);
      if (!decision.launches.empty() || !decision.ends.empty()) break;
    }
    return decision;
  }

  const Buyer::Machine dear_ = Serving("dear", OfferOf("a1", Market::kSpot, 0.2));
};

// By so little that it would be kept if it might cost that.
TEST_F(DearTest, AMachineThatBecameTooDearIsReplacedAndGoesWhenTheOtherServes) {
  Price(0.42);
  EXPECT_THAT(Pass(absl::Minutes(10), {dear_}).launches, SizeIs(0));
  const Buyer::Decision replaces = Pass(absl::Minutes(1), {dear_});
  ASSERT_THAT(replaces.launches, SizeIs(1));
  EXPECT_EQ(replaces.launches[0].first.zone, "b1");
  EXPECT_THAT(replaces.launches[0].second,
              HasSubstr("instead of dear, whose $0.4200/h have been above machines.max_price, $0.4000/h, for 10m"));
  EXPECT_THAT(replaces.ends, SizeIs(0));
  Buyer::Machine other = {.id = "other", .offer = OfferOf("b1", Market::kSpot, 0.39), .exists = true};
  EXPECT_THAT(Pass(absl::Minutes(5), {dear_, other}).ends, SizeIs(0)) << "it boots";
  other.serves = true;
  const Buyer::Decision ends = Pass(absl::Minutes(5), {dear_, other});
  ASSERT_THAT(ends.ends, SizeIs(1));
  EXPECT_EQ(ends.ends[0].first, "dear");
}

TEST_F(DearTest, APriceThatFallsBackChangesNothing) {
  for (int i = 0; i < 20; ++i) {
    Price(0.42);
    const Buyer::Decision above = Pass(absl::Minutes(9), {dear_});
    EXPECT_THAT(above.launches, SizeIs(0));
    EXPECT_THAT(above.ends, SizeIs(0));
    Price(0.4);
    Pass(absl::Minutes(1), {dear_});
  }
}

TEST_F(DearTest, WhereNothingElseMayBeBoughtItGoesAfterHalfAnHour) {
  Price(0.5, 0.6);
  EXPECT_THAT(Pass(absl::Minutes(30), {dear_}).ends, SizeIs(0));
  const Buyer::Decision ends = Pass(absl::Minutes(1), {dear_});
  ASSERT_THAT(ends.ends, SizeIs(1));
  EXPECT_EQ(ends.ends[0].first, "dear");
  EXPECT_THAT(ends.ends[0].second, HasSubstr("its $0.5000/h have been above machines.max_price, $0.4000/h, for 30m"));
  EXPECT_THAT(ends.launches, SizeIs(0));
  EXPECT_THAT(Decide().why_none, HasSubstr("machines.max_price rules out 2"));
}

TEST_F(DearTest, ItIsLookedAtAgainInTime) {
  Price(0.5, 0.6);
  EXPECT_EQ(Decide({dear_}).next, now_ + absl::Minutes(10));
  now_ += absl::Minutes(10);
  EXPECT_EQ(Decide({dear_}).next, now_ + absl::Minutes(20));
}

}  // namespace
}  // namespace spotinference::fleet
