// Volumes and hibernated machines that nobody wants any more are deleted.
#include "fleet/controller_fixture.h"
#include "gmock/gmock.h"

namespace spotinference::fleet {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kDay = absl::Hours(24);

class ControllerVolumesTest : public ControllerTest {
 protected:
  ControllerVolumesTest() { Tell(0.2, 0.3); }

  // Dollars an hour in the zones a and b. A volume costs 0.01.
  void Tell(double a, double b) {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const auto& [zone, price] : {std::pair("a", a), std::pair("b", b)}) {
      event.offers.push_back({{.provider = "fake", .region = "r", .zone = zone, .market = Market::kSpot,
                               .machine_type = "small", .price_per_hour = price, .volume_per_hour = 0.01}});
    }
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  // A machine of the cheapest zone comes, serves and is hibernated.
  void Use(const std::string& id) {
    auto client = Acquire();
    Ready(id);
    ASSERT_TRUE(client->lease.has_value());
    client.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));
    Gone(id);
    provider_.Asked();
  }

  // m-1 sleeps in a, m-2, which was used later, in b.
  void UseBoth() {
    Use("m-1");
    auto client = Acquire();
    Gone("m-1", absl::ResourceExhaustedError("a has none"));
    Ready("m-2");
    ASSERT_TRUE(client->lease.has_value());
    client.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));
    Gone("m-2");
    provider_.Asked();
    ASSERT_EQ(States(), "m-1 hibernated;m-2 hibernated;");
  }

  // An hour at a time, as the fleet looks.
  void Pass(absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += absl::Hours(1)) Advance(absl::Hours(1));
  }

  std::string Deletions() const {
    std::string text;
    for (const DecisionView& decision : fleet_->Decisions()) {
      if (decision.action == "deleting") absl::StrAppend(&text, decision.machine, "@", decision.zone, " ", decision.why);
    }
    return text;
  }
};

// 20 · 3 min · $0.2 = $0.2, for which a volume is there for 20 hours: a day is the least.
TEST_F(ControllerVolumesTest, AHibernatedMachineThatNobodyWantsGoesWithItsVolumeAndItsReason) {
  UseBoth();
  Pass(kDay - absl::Hours(1));
  EXPECT_EQ(provider_.Asked(), "");
  Pass(absl::Hours(2));
  EXPECT_EQ(provider_.Asked(), "discard m-1");
  EXPECT_EQ(provider_.last_spec().volume, "m@a");
  EXPECT_EQ(provider_.last_spec().offer->zone, "a");
  EXPECT_EQ(States(), "m-2 hibernated;");
  EXPECT_TRUE(store_.volumes().at("m@a").ending);
  EXPECT_THAT(Deletions(), HasSubstr("m-1@a its volume m@a was unused for 24h"));
  EXPECT_THAT(Deletions(), HasSubstr("it costs $0.0100/h"));
  EXPECT_EQ(store_.machines().size(), 2);
  Gone("m-1");
  EXPECT_FALSE(store_.volumes().contains("m@a"));
  EXPECT_EQ(store_.machines().size(), 1);
  Pass(40 * kDay);
  EXPECT_EQ(provider_.Asked(), "") << "the last one with weights stays";
  EXPECT_EQ(States(), "m-2 hibernated;");
}

TEST_F(ControllerVolumesTest, SoLongAsConfiguredAndOverARestart) {
  options_.keep_volumes = 10 * kDay;
  Begin();
  Tell(0.2, 0.3);
  UseBoth();
  Pass(6 * kDay);
  Begin();
  Pass(3 * kDay);
  EXPECT_EQ(provider_.Asked(), "");
  Pass(kDay + absl::Hours(1));
  EXPECT_EQ(provider_.Asked(), "discard m-1");
  EXPECT_THAT(Deletions(), HasSubstr("by the configuration"));
}

// Where it has begun it is gone on with, and nothing else takes the volume meanwhile.
TEST_F(ControllerVolumesTest, ADeletionOutlivesTheFleet) {
  UseBoth();
  Pass(2 * kDay);
  EXPECT_EQ(provider_.Asked(), "discard m-1");
  Begin();
  EXPECT_EQ(provider_.Asked(), "discard m-1");
  Tell(0.2, 0.3);
  const auto client = Acquire();
  Gone("m-2", absl::ResourceExhaustedError("b has none"));
  EXPECT_THAT(provider_.Asked(), HasSubstr("launch m-3"));
  EXPECT_EQ(provider_.last_spec().volume, "m@a.2");
  Gone("m-1");
  EXPECT_FALSE(store_.volumes().contains("m@a"));
}

TEST_F(ControllerVolumesTest, WhatCannotBeDeletedIsTriedAgainLater) {
  UseBoth();
  Pass(2 * kDay);
  EXPECT_EQ(provider_.Asked(), "discard m-1");
  EXPECT_EQ(States(), "m-2 hibernated;");
  Gone("m-1", absl::FailedPreconditionError("another machine has it"));
  EXPECT_EQ(States(), "m-1 hibernated;m-2 hibernated;") << "it is there still";
  EXPECT_FALSE(store_.volumes().at("m@a").ending);
  EXPECT_EQ(provider_.Asked(), "");
  Pass(absl::Hours(2));
  EXPECT_EQ(provider_.Asked(), "discard m-1");
}

TEST_F(ControllerVolumesTest, WhatCannotBeWrittenDownIsNotDone) {
  UseBoth();
  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  Pass(2 * kDay);
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(States(), "m-1 hibernated;m-2 hibernated;");
  store_.FailWith(absl::OkStatus());
  Pass(absl::Hours(2));
  EXPECT_EQ(provider_.Asked(), "discard m-1");
}

// As a deletion leaves it that ended while the store could not be written to.
TEST_F(ControllerVolumesTest, AVolumeIsTheMachinesThatIsNotHibernated) {
  UseBoth();
  MachineRecord other = store_.machines().at(1);
  other.serial = 7;
  other.id = "m-7";
  other.state = MachineState::kLaunching;
  ASSERT_TRUE(store_.Write({.machines = {{other.serial, other}}}, Store::Sync::kDurable).ok());
  clock_.Advance(2 * kDay);
  Begin();
  EXPECT_EQ(provider_.Asked(), "adopt m-7, discard m-2") << "m-7 has the one in a, which is full";
}

TEST_F(ControllerVolumesTest, NothingGoesWhileARequestIsParked) {
  UseBoth();
  Advance(kDay - absl::Minutes(3));
  provider_.SellOffers();
  Begin();  // nothing is bought before offers come
  const auto client = Acquire();
  Advance(absl::Minutes(2));
  EXPECT_EQ(client->answers, 0) << "it still waits";
  EXPECT_EQ(provider_.Asked(), "");
  fleet_->Cancel(client->id);
  Advance(absl::Hours(1));
  EXPECT_EQ(provider_.Asked(), "discard m-1");
}

// What a start that came to nothing leaves behind.
TEST_F(ControllerVolumesTest, AVolumeWithoutWeightsGoesAfterAnHour) {
  auto client = Acquire();
  Gone("m-1", absl::ResourceExhaustedError("a has none"));
  Ready("m-2");
  client.reset();
  fleet_->Run();
  provider_.Asked();
  EXPECT_FALSE(store_.volumes().at("m@a").filled);
  Advance(absl::Seconds(90));
  Gone("m-2");
  Pass(absl::Hours(3));
  EXPECT_EQ(provider_.Asked(), "hibernate m-2, discard volume m@a");
  EXPECT_THAT(Deletions(), HasSubstr("there are no weights on it"));
}

TEST_F(ControllerVolumesTest, OfAModelThatIsNotConfiguredTheLastOneGoesToo) {
  Use("m-1");
  options_.models[0].name = "other";
  Begin();
  Tell(0.2, 0.3);
  Pass(2 * kDay);
  EXPECT_EQ(provider_.Asked(), "discard m-1");
  Gone("m-1");
  EXPECT_TRUE(store_.volumes().empty());
  EXPECT_TRUE(store_.machines().empty());
}

}  // namespace
}  // namespace spotinference::fleet
