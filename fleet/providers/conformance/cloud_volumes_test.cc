// What is deleted on every cloud: hibernated machines and volumes that nobody wants, and nothing else.
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
