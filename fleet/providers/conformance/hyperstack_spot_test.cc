// Hyperstack's spot VMs, and its flavors that cannot be hibernated: they are deleted and bought anew.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

constexpr char kSpot[] = "n3-A100x1-spot";

CloudUnderTest OnlySpot() {
  CloudUnderTest cloud = AllClouds().front();
  cloud.catalogue = {absl::StrCat("sell hyperstack CANADA-1 default-CANADA-1 ", kSpot, " A100-80G-PCIe-spot 1 9 1.08 2")};
  cloud.type = kSpot;
  return cloud;
}

class HyperstackSpotTest : public CloudFixture {
 protected:
  bool WasAsked(absl::string_view call) const {
    for (const std::string& made : emulator_.calls()) {
      if (absl::StrContains(made, call)) return true;
    }
    return false;
  }
  // It ends, its volume stays, and the next one is there as soon as any.
  void HibernateAndRestore(const MachineSpec& spec) {
    provider_->Hibernate(spec.id);
    EXPECT_TRUE(AwaitGone(spec.id, absl::Seconds(30)).ok());
    EXPECT_EQ(emulator_.billing(), 0);
    emulator_.Look([](CloudModel& model) {
      EXPECT_EQ(model.machines().rbegin()->second.state, EmulatedMachine::State::kGone);
    });
    EXPECT_EQ(volumes(), 1);
    const absl::Duration begun = clock_.Elapsed();
    Serve(spec, /*restore=*/true);
    EXPECT_LT(clock_.Elapsed() - begun, absl::Seconds(20));
    EXPECT_EQ(bought(), 2);
    EXPECT_EQ(volumes(), 1);
    EXPECT_FALSE(WasAsked("/hibernate"));
  }
};

TEST_P(HyperstackSpotTest, IsOfferedAsWhatItIs) {
  Say("sell hyperstack CANADA-1 default-CANADA-1 n3-A100x1 A100-80G-PCIe 1 1.35 - 2");
  provider_->Run();
  ASSERT_EQ(offers_.size(), 2);
  for (const OfferNow& now : offers_) {
    const bool spot = now.offer.machine_type == kSpot;
    EXPECT_EQ(now.offer.market, spot ? Market::kSpot : Market::kOnDemand);
    EXPECT_EQ(now.offer.accelerator, "A100-80GB");
    EXPECT_EQ(now.offer.price_per_hour, spot ? 1.08 : 1.35);
  }
  EXPECT_NE(offers_[0].offer.market, offers_[1].offer.market);
}

TEST_P(HyperstackSpotTest, IsDeletedWhereOthersAreHibernated) {
  provider_->Run();
  ASSERT_EQ(offers_.size(), 1);
  MachineSpec spec = Spec();
  spec.offer = offers_[0].offer;
  Serve(spec);
  emulator_.Look([](CloudModel& model) { EXPECT_TRUE(model.machines().begin()->second.spot); });
  HibernateAndRestore(spec);
}

TEST_P(HyperstackSpotTest, AFlavorThatSaysThatItCannotBeHibernatedIsNot) {
  Say("stock hyperstack default-CANADA-1 n3-A100x1-spot 0");
  Say("sell hyperstack CANADA-1 default-CANADA-1 n3-RTX-A4000x1 RTX-A4000 1 0.15 - 2");
  Say("habit no_hibernation 1");
  provider_->Run();
  ASSERT_EQ(offers_.size(), 1);
  MachineSpec spec = Spec();
  spec.offer = offers_[0].offer;
  EXPECT_EQ(spec.offer->market, Market::kOnDemand);
  Serve(spec);
  HibernateAndRestore(spec);
}

// By a gateway that lost its records, and has heard of no flavor yet.
TEST_P(HyperstackSpotTest, WhomNobodyKnowsIsDeletedAtOnce) {
  Serve(Spec());
  Begin();
  Pass(absl::Minutes(4));
  EXPECT_EQ(emulator_.billing(), 0);
  EXPECT_EQ(volumes(), 1);
  EXPECT_FALSE(WasAsked("/hibernate"));
}

TEST_P(HyperstackSpotTest, IsTakenBackWithoutAWord) {
  Serve(Spec());
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1")));
  EXPECT_TRUE(host_.notices().empty());
  EXPECT_EQ(volumes(), 1);
  Serve(Spec("m-2"));
  EXPECT_EQ(volumes(), 1) << "it has the same volume";
}

// What hibernates counts on against a quota; what is deleted does not.
TEST_P(HyperstackSpotTest, AQuotaBarsItsRestoreToo) {
  provider_->Run();
  MachineSpec spec = Spec();
  spec.offer = offers_[0].offer;
  Serve(spec);
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Say("habit quota 0");
  Pass(absl::Minutes(2));
  ASSERT_EQ(offers_.size(), 1);
  EXPECT_FALSE(offers_[0].barred.empty());
  EXPECT_TRUE(offers_[0].bars_restores);
  provider_->Restore(spec);
  EXPECT_TRUE(IsOverQuota(AwaitGone("m-1")));
}

INSTANTIATE_TEST_SUITE_P(Hyperstack, HyperstackSpotTest, testing::Values(OnlySpot()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
