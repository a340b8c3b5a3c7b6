// What is deleted on every cloud: hibernated machines and volumes that nobody wants, and nothing else.
#include "fleet/ledger/billing.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudVolumesTest : public CloudFixture {
 protected:
  // As it was bought; its volume is in that zone.
  MachineSpec Bought(const std::string& id, const std::string& volume) {
    MachineSpec spec = Spec(id, volume);
    for (const OfferNow& now : offers_) {
      if (now.offer.zone == zone_) spec.offer = now.offer;
    }
    EXPECT_TRUE(spec.offer.has_value());
    return spec;
  }

  void Hibernate(const std::string& id) {
    zone_ = zone();
    provider_->Hibernate(id);
    EXPECT_TRUE(AwaitGone(id).ok());
  }

  int machines() {  // that are not gone
    int count = 0;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) count += machine.state != EmulatedMachine::State::kGone;
    });
    return count;
  }

  std::string zone_;
};

TEST_P(CloudVolumesTest, AHibernatedMachineGoesWithItsVolume) {
  Serve(Spec());
  Hibernate("m-1");
  EXPECT_EQ(volumes(), 1);
  provider_->Discard(Bought("m-1", "m"));
  const absl::Status status = AwaitGone("m-1");
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(volumes(), 0);
  EXPECT_EQ(machines(), 0);
  Serve(Spec("m-2"));
  EXPECT_EQ(volumes(), 1) << "and it can be made anew";
}

TEST_P(CloudVolumesTest, TheVolumeOfAMachineThatIsGoneGoesInAnotherLife) {
  Serve(Spec());
  zone_ = zone();
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Begin();
  Pass(absl::Seconds(2));  // offers come
  Say("fault 503 3");
  provider_->Discard(Bought("m-1", "m"));
  const absl::Status status = AwaitGone("m-1");
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(volumes(), 0);
  provider_->Discard(Bought("m-1", "m"));
  EXPECT_TRUE(AwaitGone("m-1").ok()) << "nothing is left";
}

TEST_P(CloudVolumesTest, AVolumeThatAnotherMachineHasStays) {
  Serve(Spec());
  zone_ = zone();
  provider_->Discard(Bought("m-0", "m"));
  const absl::Status status = AwaitGone("m-0", absl::Minutes(20));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(volumes(), 1);
  EXPECT_EQ(zone(), zone_) << "it runs on";
}

TEST_P(CloudVolumesTest, OffersSayWhatAVolumeCosts) {
  Pass(absl::Seconds(2));
  ASSERT_FALSE(offers_.empty());
  for (const OfferNow& now : offers_) {
    EXPECT_GT(now.offer.volume_per_hour, 0.005) << "100 GB";
    EXPECT_LT(now.offer.volume_per_hour, 0.05);
  }
}

// AWS's machines have one unasked, in a default subnet; the others would have to be asked for one.
TEST_P(CloudVolumesTest, APublicAddressIsTold) {
  const bool has = GetParam().name == "aws";
  provider_->Launch(Spec());
  EXPECT_EQ(Next().public_address, has);
  EXPECT_EQ(Next().kind, Kind::kReady);
  Begin();
  provider_->Adopt(Spec(), "", "127.9.0.1:8500");
  const MachineEvent adopted = Next();
  EXPECT_EQ(adopted.kind, Kind::kAdopted);
  EXPECT_EQ(adopted.public_address, has);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(gone_.public_address, has);
}

// As the clouds bill it: from when it was made until it is gone, whatever machine has it and whichever life of the
// fleet asks.
TEST_P(CloudVolumesTest, AVolumeIsToldWithItsAgeAndItsSize) {
  const absl::Time before = clock_.Now();
  Serve(Spec());
  const absl::Time after = clock_.Now();
  ASSERT_EQ(volumes_told_.size(), 1);
  const VolumeNews first = volumes_told_[0];
  EXPECT_EQ(first.name, "m");
  EXPECT_EQ(first.gigabytes, 100);
  EXPECT_GE(first.made, absl::FromUnixSeconds(absl::ToUnixSeconds(before))) << "in whole seconds";
  EXPECT_LE(first.made, after);
  EXPECT_NEAR(first.per_hour * 730, 100 * BillingRulesOf(GetParam().name).volume_gb_month, 1e-9);

  zone_ = zone();
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Begin();
  Pass(absl::Hours(30));
  const absl::Time asked = clock_.Now();
  provider_->Discard(Bought("m-1", "m"));
  while (volumes() > 0 && clock_.Now() < asked + absl::Minutes(5)) Pass(absl::Seconds(1));
  const absl::Time removed = clock_.Now();
  EXPECT_TRUE(AwaitGone("m-1").ok());
  ASSERT_EQ(volumes_told_.size(), 2) << "once in a life";
  EXPECT_EQ(volumes_told_[1].made, first.made);
  ASSERT_TRUE(gone_.volume_ended.has_value());
  EXPECT_GE(*gone_.volume_ended, removed - absl::Seconds(1));
  EXPECT_LE(*gone_.volume_ended, removed + absl::Seconds(10));

  provider_->Discard(Bought("m-1", "m"));
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(volumes_told_.size(), 2);
  EXPECT_FALSE(gone_.volume_ended.has_value()) << "no list had it";
}

// As the clouds bill it: what the price was, and from when on it is another one.
TEST_P(CloudVolumesTest, OffersSaySinceWhenAPriceIsWhatItIs) {
  if (GetParam().name == "hyperstack") GTEST_SKIP() << "it does not say";
  Pass(absl::Minutes(10));
  const absl::Time changed = clock_.Now();
  emulator_.Look([&](CloudModel& model) {
    for (EmulatedType type : std::vector<EmulatedType>(model.types())) {
      type.spot_price = *type.spot_price * 2;
      model.Sell(type);
    }
  });
  Begin();  // prices are kept for up to half a day
  Pass(absl::Minutes(1));
  int told = 0;
  for (const OfferNow& now : offers_) {
    if (now.offer.zone != GetParam().zone || now.offer.market != Market::kSpot) continue;
    ASSERT_TRUE(now.priced_since.has_value());
    EXPECT_LE(absl::AbsDuration(*now.priced_since - changed), absl::Seconds(1));
    ++told;
  }
  EXPECT_EQ(told, 1);
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudVolumesTest, testing::ValuesIn(AllClouds()),
                         [](const auto& cloud) { return cloud.param.name; });

}  // namespace
}  // namespace spotinference::fleet
