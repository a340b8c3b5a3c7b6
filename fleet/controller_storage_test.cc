// What volumes cost: from when their cloud made them until they are gone, once, whatever machine has them and whether a
// fleet is there or not. 100 GB at 36 cents an hour: a cent in 100 seconds.
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

class ControllerStorageTest : public ControllerTest {
 protected:
  ControllerStorageTest() { Sell(); }

  void Sell() {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const auto& [zone, price] : {std::pair("a", 0.2), std::pair("b", 0.3)}) {
      event.offers.push_back({{.provider = "fake", .region = "r", .zone = zone, .market = Market::kSpot,
                               .machine_type = "small", .price_per_hour = price, .volume_per_hour = 0.36}});
    }
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  // As a list has it, made so long ago.
  void Told(const std::string& volume, absl::Duration ago, const std::string& machine = "m-1") {
    provider_.Tell({.kind = MachineEvent::Kind::kVolume,
                    .machine_id = machine,
                    .volume = VolumeNews{volume, 100, 0.36, clock_.Now() - ago}});
    fleet_->Run();
  }

  // A machine of the cheapest zone comes, serves and is hibernated; its volume was made at its start.
  void Use(const std::string& id, const std::string& volume) {
    auto client = Acquire();
    Told(volume, absl::ZeroDuration(), id);
    Ready(id);
    ASSERT_TRUE(client->lease.has_value());
    client.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));
    Gone(id);
    provider_.Asked();
  }

  // A machine in the other zone, since this one's cannot be had, serves and is hibernated.
  void UseOther(const std::string& refused, const std::string& id, const std::string& volume) {
    auto client = Acquire();
    Gone(refused, absl::ResourceExhaustedError("a has none"));
    if (!volume.empty()) Told(volume, absl::ZeroDuration(), id);
    Ready(id);
    ASSERT_TRUE(client->lease.has_value());
    client.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));
    Gone(id);
    provider_.Asked();
  }

  // An hour at a time, as the fleet looks, until a volume is to be deleted.
  void AwaitDiscard() {
    for (int hours = 0; hours < 100; ++hours) {
      Advance(absl::Hours(1));
      const std::string asked = provider_.Asked();
      if (absl::StrContains(asked, "discard")) return;
    }
    FAIL() << "nothing is deleted";
  }

  void Deleted(const std::string& id, std::optional<absl::Time> ended) {
    provider_.Tell({.machine_id = id, .volume_ended = ended});
    fleet_->Run();
  }

  double Cents() const {
    double dollars = 0;
    for (const StorageLine& line : fleet_->StorageLines()) dollars += line.dollars;
    return 100 * dollars;
  }

  absl::Duration Booked() const {  // of machines
    absl::Duration time;
    for (const LedgerLine& line : fleet_->LedgerLines()) time += line.time;
    return time;
  }
};

TEST_F(ControllerStorageTest, AVolumeCostsFromWhenItsCloudMadeIt) {
  const auto client = Acquire();
  Advance(absl::Seconds(100));
  EXPECT_TRUE(fleet_->StorageLines().empty()) << "nobody knows that it is there";
  Told("m@a", absl::Seconds(50));
  EXPECT_NEAR(Cents(), 0.5, 1e-9);
  Advance(absl::Seconds(3550));
  ASSERT_EQ(fleet_->StorageLines().size(), 1);
  const StorageLine line = fleet_->StorageLines()[0];
  EXPECT_EQ(line.model + " " + line.kind, "m volume");
  EXPECT_NEAR(line.gigabyte_hours, 100, 1e-9);
  EXPECT_NEAR(line.dollars, 0.36, 1e-9);
  EXPECT_EQ(Booked(), absl::Seconds(3650)) << "and no use of the machine's time has it";
}

TEST_F(ControllerStorageTest, WhateverMachineHasItAndWhileNobodyIsThere) {
  Use("m-1", "m@a");
  Advance(absl::Seconds(10));
  EXPECT_NEAR(Cents(), 1, 1e-9);
  Begin();
  EXPECT_NEAR(Cents(), 1, 1e-9);
  fleet_.reset();
  clock_.Advance(3 * kDay);
  Begin();
  EXPECT_NEAR(Cents(), 1 + 3 * 864, 1e-6);
  Sell();
  const auto client = Acquire();
  Told("m@a", absl::Seconds(100) + 3 * kDay);  // the same, in another life
  EXPECT_NEAR(Cents(), 1 + 3 * 864, 1e-6);
}

TEST_F(ControllerStorageTest, OneThatIsGoneHasCostWhatItCost) {
  Use("m-1", "m@a");
  UseOther("m-1", "m-2", "m@b");
  AwaitDiscard();
  const double before = Cents();
  Deleted("m-1", clock_.Now());
  EXPECT_NEAR(Cents(), before, 1e-6);
  Advance(absl::Seconds(100));
  EXPECT_NEAR(Cents(), before + 1, 1e-6) << "the other one costs on";
  Begin();
  EXPECT_NEAR(Cents(), before + 1, 1e-6);
}

TEST_F(ControllerStorageTest, ItEndsWithTheFirstListThatLackedIt) {
  Use("m-1", "m@a");
  options_.models[0].name = "other";
  Begin();
  Sell();
  AwaitDiscard();
  const double before = Cents();
  Advance(absl::Seconds(1000));
  Deleted("m-1", clock_.Now() - absl::Seconds(900));
  EXPECT_NEAR(Cents(), before + 1, 1e-6);
  Advance(kDay);
  Begin();
  EXPECT_NEAR(Cents(), before + 1, 1e-6);
}

// As when the gateway died in the middle of its deletion.
TEST_F(ControllerStorageTest, WhatAFormerLifeDeletedEndedAsThatOneBeganTo) {
  Use("m-1", "m@a");
  options_.models[0].name = "other";
  Begin();
  Sell();
  AwaitDiscard();
  const double before = Cents();
  fleet_.reset();
  clock_.Advance(5 * kDay);
  Begin();
  EXPECT_NEAR(Cents(), before + 5 * 864, 1e-6) << "who knows";
  Deleted("m-1", std::nullopt);
  EXPECT_NEAR(Cents(), before, 1e-6);
}

TEST_F(ControllerStorageTest, WhatNoListEverHadCostsNothing) {
  UseOther("m-1", "m-2", "");
  AwaitDiscard();  // there are no weights on it
  Deleted("volume m@a", std::nullopt);
  EXPECT_TRUE(fleet_->StorageLines().empty());
  EXPECT_FALSE(store_.volumes().contains("m@a"));
}

// Also where the store cannot write that the first one is gone before the second one comes.
TEST_F(ControllerStorageTest, OneOfItsNameThatComesLaterIsAnother) {
  auto client = Acquire();
  Told("m@a", absl::ZeroDuration());
  fleet_->Cancel(client->id);
  UseOther("m-1", "m-2", "");
  AwaitDiscard();  // there are no weights on it
  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  Deleted("volume m@a", clock_.Now());
  store_.FailWith(absl::OkStatus());
  Advance(absl::Seconds(10));
  const double first = Cents();
  EXPECT_GT(first, 36 - 1e-6) << "an hour at least";
  options_.models[0].max_price = 0.25;  // b is too dear
  Begin();
  Sell();
  EXPECT_NEAR(Cents(), first, 1e-6);
  client = Acquire();
  EXPECT_EQ(provider_.last_spec().volume, "m@a");
  Told("m@a", absl::ZeroDuration(), "m-3");
  Advance(absl::Seconds(100));
  EXPECT_NEAR(Cents(), first + 1, 1e-6);
  Begin();
  EXPECT_NEAR(Cents(), first + 1, 1e-6);
}

// It is on the bill, and a fleet cannot end it by buying nothing.
TEST_F(ControllerStorageTest, TheDaysMoneyIsMachinesAlone) {
  options_.max_dollars_per_day = 0.5;
  Begin();
  Sell();
  Use("m-1", "m@a");
  Advance(absl::Hours(20));
  EXPECT_GT(Cents(), 700);
  const auto client = Acquire();
  EXPECT_EQ(States(), "m-1 restoring;");
}

}  // namespace
}  // namespace spotinference::fleet
