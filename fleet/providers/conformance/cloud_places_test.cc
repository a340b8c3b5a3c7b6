// One region or zone that cannot be asked is no reason to know nothing of the others, nor to take what is in it for
// gone.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class CloudPlacesTest : public CloudFixture {
 protected:
  // As the cloud loses places: AWS a region, Google Cloud a zone.
  void LoseHome() {
    const std::string& zone = GetParam().zone;
    Say(absl::StrCat("unreachable ", GetParam().name == "aws" ? zone.substr(0, zone.size() - 1) : zone));
  }
  void Regain() { Say("reachable"); }

  Offer OfferIn(const std::string& zone) {
    const auto found = std::find_if(offers_.begin(), offers_.end(),
                                    [&](const OfferNow& now) { return now.offer.zone == zone; });
    if (found != offers_.end()) return found->offer;
    ADD_FAILURE() << "nothing is sold in " << zone;
    return {};
  }
};

TEST_P(CloudPlacesTest, WhatIsThereIsNotGoneAndComesBack) {
  Serve(Spec());
  ASSERT_EQ(zone(), GetParam().zone);
  LoseHome();
  EXPECT_EQ(Next(absl::Minutes(30)).kind, Kind::kOffers) << "nothing is told of it";
  EXPECT_EQ(emulator_.billing(), 1);
  Regain();
  Pass(absl::Minutes(2));
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1")));
}

TEST_P(CloudPlacesTest, TheOthersGoOn) {
  Serve(Spec());
  const Offer elsewhere = OfferIn(GetParam().other_zone);
  LoseHome();
  Pass(absl::Minutes(10));
  MachineSpec spec = Spec("m-2", "other");
  spec.offer = elsewhere;
  const MachineEvent ready = Serve(spec);
  EXPECT_EQ(ready.kind, Kind::kReady);
  for (const OfferNow& now : offers_) EXPECT_EQ(now.offer.zone, GetParam().other_zone);
  EXPECT_FALSE(offers_.empty());
  provider_->Terminate("m-2");
  EXPECT_TRUE(AwaitGone("m-2").ok());
  // What is told to end in a place that cannot be asked ends when it can.
  provider_->Terminate("m-1");
  EXPECT_EQ(Next(absl::Minutes(10)).kind, Kind::kOffers);
  Regain();
  EXPECT_TRUE(AwaitGone("m-1", absl::Minutes(20)).ok());
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudPlacesTest, NothingIsBoughtThere) {
  Pass(absl::Minutes(1));
  MachineSpec spec = Spec();
  spec.offer = OfferIn(GetParam().zone);
  LoseHome();
  Pass(absl::Minutes(5));
  provider_->Launch(spec);
  const absl::Status status = AwaitGone("m-1", absl::Minutes(1));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), GetParam().zone)) << status;
  // Left to choose, it is bought elsewhere.
  Serve(Spec("m-2", "other"));
  EXPECT_EQ(zone(), GetParam().other_zone);
}

// A fleet that begins anew while a place is out of reach waits for it before it says that its machine is gone.
TEST_P(CloudPlacesTest, AMachineIsAdoptedOnceItsPlaceIsHeardAgain) {
  const MachineEvent ready = Serve(Spec());
  MachineSpec spec = Spec();
  spec.offer = OfferIn(GetParam().zone);
  LoseHome();
  Begin();
  provider_->Adopt(spec, handle_, ready.endpoint.address);
  EXPECT_EQ(Next(absl::Minutes(10)).kind, Kind::kOffers);
  Regain();
  EXPECT_EQ(Next(absl::Minutes(20)).kind, Kind::kAdopted);
}

// AWS's on-demand prices come from one region for all. Machines that were bought on demand are not sold meanwhile.
TEST_P(CloudPlacesTest, WithoutThePriceListThereIsSpotStill) {
  if (GetParam().name != "aws") return;
  Say("fault 503 100000 aws_v1");
  Pass(absl::Minutes(3));
  EXPECT_FALSE(offers_.empty());
  for (const OfferNow& now : offers_) EXPECT_EQ(now.offer.market, Market::kSpot);
}

std::vector<CloudUnderTest> CloudsWithPlaces() {
  std::vector<CloudUnderTest> clouds = AllClouds();
  clouds.erase(std::remove_if(clouds.begin(), clouds.end(), [](const CloudUnderTest& c) { return !c.has_places; }),
               clouds.end());
  return clouds;
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudPlacesTest, testing::ValuesIn(CloudsWithPlaces()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
