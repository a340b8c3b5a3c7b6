// What clouds say that they sell, and what the account may not have of it.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fleet/providers/conformance/cloud_fixture.h"
#include "fleet/providers/hyperstack/hyperstack_api.h"

namespace spotinference::fleet {
namespace {

using CloudOffersTest = CloudFixture;

TEST_P(CloudOffersTest, TellsItsOffers) {
  provider_->Run();
  ASSERT_GE(offers_.size(), 2);
  for (const OfferNow& now : offers_) {
    EXPECT_EQ(now.offer.provider, GetParam().name);
    EXPECT_EQ(now.offer.machine_type, GetParam().type);
    EXPECT_TRUE(now.offer.zone == GetParam().zone || now.offer.zone == GetParam().other_zone) << now.offer.zone;
    EXPECT_GT(now.offer.price_per_hour, 0);
    EXPECT_EQ(now.offer.accelerators, 1);
  }
}

// machines.accelerators has one name for all clouds.
TEST_P(CloudOffersTest, AnAcceleratorHasOneNameWhereverItIsSold) {
  for (const auto& [command, name] : GetParam().accelerators) {
    Say(command);
    const absl::StatusOr<CloudOffers> offers = Api("spotinference-ab12-")->Offers();
    ASSERT_TRUE(offers.ok()) << offers.status();
    EXPECT_TRUE(std::any_of(offers->offers.begin(), offers->offers.end(), [&, &name = name](const OfferNow& now) {
      return now.offer.accelerator == name;
    })) << name;
  }
}

TEST_P(CloudOffersTest, APartOfAnAcceleratorIsNotForSale) {
  if (GetParam().part.empty()) GTEST_SKIP() << "it sells whole ones alone";
  Say(GetParam().part);
  const std::vector<std::string> words = absl::StrSplit(GetParam().part, ' ');
  const absl::StatusOr<CloudOffers> offers = Api("spotinference-ab12-")->Offers();
  ASSERT_TRUE(offers.ok()) << offers.status();
  EXPECT_FALSE(offers->offers.empty());
  for (const OfferNow& now : offers->offers) {
    EXPECT_FALSE(now.offer.zone == words[3] && now.offer.machine_type == words[4]) << now.offer.accelerator;
  }
}

// An engine uses one: a machine with more of them costs as much more for nothing, unless somebody says so.
TEST_P(CloudOffersTest, WithManyAcceleratorsOnlyWhatIsNamedIsForSale) {
  for (const std::string& line : GetParam().catalogue) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    words[6] = "8";
    Say(absl::StrJoin(words, " "));
    if (!GetParam().names_types) break;  // in the other zone it stays at one
  }
  provider_->Run();
  EXPECT_FALSE(offers_.empty());
  for (const OfferNow& now : offers_) {
    EXPECT_EQ(now.offer.accelerators, GetParam().names_types ? 8 : 1);
    EXPECT_TRUE(GetParam().names_types || now.offer.zone == GetParam().other_zone);
  }
}

TEST_P(CloudOffersTest, WhereThereIsNoSpotThereIsOnDemand) {
  std::vector<std::string> words = absl::StrSplit(GetParam().catalogue[0], ' ');
  words[8] = "-";
  Say(absl::StrJoin(words, " "));
  provider_->Run();
  std::set<std::pair<std::string, Market>> sold;
  for (const OfferNow& now : offers_) sold.emplace(now.offer.zone, now.offer.market);
  EXPECT_TRUE(sold.contains({GetParam().zone, Market::kOnDemand}));
  EXPECT_TRUE(sold.contains({GetParam().other_zone, Market::kOnDemand}));
  MachineSpec spec = Spec();
  const auto found = std::find_if(offers_.begin(), offers_.end(), [&](const OfferNow& now) {
    return now.offer.zone == GetParam().zone && now.offer.market == Market::kOnDemand;
  });
  ASSERT_NE(found, offers_.end());
  spec.offer = found->offer;
  EXPECT_EQ(Serve(spec).kind, Kind::kReady);
  EXPECT_EQ(zone(), GetParam().zone);
}

TEST(HyperstackTest, AFlavorThatIsNamedIsForSaleWithAllItsAccelerators) {
  FakeClock clock;
  FakeHost host;
  CloudEmulator emulator(clock, host);
  ASSERT_TRUE(emulator.Command("sell hyperstack CANADA-1 default-CANADA-1 n3-L40x8 L40 8 8.0 - 2").ok());
  HyperstackOptions options;
  options.endpoint = absl::StrCat(emulator.url(), "/v1");
  options.api_key = "key";
  options.flavors = {"n3-L40x8"};
  const absl::StatusOr<CloudOffers> offers = NewHyperstackApi(std::move(options))->Offers();
  ASSERT_TRUE(offers.ok()) << offers.status();
  ASSERT_EQ(offers->offers.size(), 1);
  EXPECT_EQ(offers->offers[0].offer.accelerators, 8);
  EXPECT_EQ(offers->offers[0].offer.price_per_hour, 8);
}

// Whatever answer has no list in it, before any other was heard: what is told is all that is sold, or says that it is
// not and is asked for again.
TEST_P(CloudOffersTest, AnAnswerWithoutItsListIsNoneAndIsAskedForAgain) {
  Say("habit quota 0");
  const size_t sold = GetParam().name == "hyperstack" ? 2 : 4;  // places and markets
  const auto is_complete = [&](const absl::StatusOr<CloudOffers>& offers) {
    if (!offers.ok() || offers->offers.size() != sold || !offers->unheard.empty() || !offers->quotas.ok()) return false;
    return absl::c_none_of(offers->offers, [](const OfferNow& now) { return now.barred.empty(); });
  };
  const auto is_unknown = [](const absl::StatusOr<CloudOffers>& offers) {
    if (!offers.ok()) return absl::IsUnavailable(offers.status());
    return !offers->unheard.empty() || absl::IsUnavailable(offers->quotas);
  };
  for (const char* const call :
       {"/skus", "/api/retail/prices", "aws_v1", R"("ServiceCode":"ec2")", "/compute/v1/projects/", "/regions/",
        "/usages", "/core/stocks", "/core/flavors", "/pricebook", "/vm-quota", "Action="}) {
    for (int before = 0; before < 3; ++before) {  // good ones
      const auto api = Api("spotinference-ab12-");
      if (before > 0) Say(absl::StrCat("fault twice ", before, " ", call));
      Say(absl::StrCat("fault empty 1 ", call));
      const auto first = api->Offers();
      EXPECT_TRUE(is_unknown(first) || is_complete(first)) << call << ", after " << before;
      Say("forgive");
      EXPECT_TRUE(is_complete(api->Offers())) << call << ", after " << before;
    }
  }
}

TEST_P(CloudOffersTest, WhatAQuotaRulesOutIsNotTried) {
  Say("habit quota 0");
  provider_->Run();
  ASSERT_FALSE(offers_.empty());
  for (const OfferNow& now : offers_) {
    EXPECT_TRUE(absl::StrContains(now.barred, "the quota ")) << now.barred;
    EXPECT_TRUE(absl::StrContains(now.barred, "limit 0, in use 0, a machine needs ")) << now.barred;
  }
  MachineSpec spec = Spec();
  provider_->Launch(spec);
  absl::Status status = AwaitGone("m-1");
  EXPECT_TRUE(IsOverQuota(status)) << status;
  spec.id = "m-2";
  spec.offer = offers_[0].offer;
  provider_->Launch(spec);
  status = AwaitGone("m-2");
  EXPECT_TRUE(IsOverQuota(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), offers_[0].barred)) << status;
  EXPECT_EQ(volumes(), 0) << "nothing was asked for";
}

TEST_P(CloudOffersTest, AQuotaIsUsedByWhatRuns) {
  Say("habit quota 2");
  MachineSpec spec = Spec();
  provider_->Run();
  spec.offer = offers_[0].offer;
  Serve(spec);
  Pass(absl::Minutes(2));
  for (const OfferNow& now : offers_) EXPECT_EQ(now.barred, "");
  Say("habit quota 1");
  Pass(absl::Hours(2));
  const auto same = std::find_if(offers_.begin(), offers_.end(),
                                 [&](const OfferNow& now) { return SamePlace(now.offer, *spec.offer); });
  ASSERT_NE(same, offers_.end());
  EXPECT_FALSE(same->barred.empty());
}

// Known only from the refusal: another one is not tried for a while, and nobody takes it for want of stock.
TEST_P(CloudOffersTest, APurchaseThatAQuotaRefuses) {
  provider_->Run();
  MachineSpec spec = Spec();
  spec.offer = offers_[0].offer;
  Say("habit quota 0");
  provider_->Launch(spec);
  absl::Status status = AwaitGone("m-1");
  EXPECT_TRUE(IsOverQuota(status)) << status;
  EXPECT_FALSE(offers_[0].barred.empty());
  const int there = volumes();
  spec.id = "m-2";
  spec.volume = "other";
  provider_->Launch(spec);
  EXPECT_TRUE(IsOverQuota(AwaitGone("m-2")));
  EXPECT_EQ(volumes(), there);
  Say("habit quota 1000");
  Pass(absl::Hours(2));
  EXPECT_EQ(offers_[0].barred, "");
  spec.id = "m-3";
  EXPECT_EQ(Serve(spec).kind, Kind::kReady);
}

// Without the right to ask, say.
TEST_P(CloudOffersTest, QuotasThatCannotBeAskedForBarNothing) {
  Say("habit quota 1");
  for (const char* const call : {R"("ServiceCode":"ec2")", "/regions/", "/usages", "/vm-quota"}) {
    Say(absl::StrCat("fault 403 1000 ", call));
  }
  EXPECT_EQ(Serve(Spec()).kind, Kind::kReady);
  for (const OfferNow& now : offers_) EXPECT_EQ(now.barred, "");
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudOffersTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
