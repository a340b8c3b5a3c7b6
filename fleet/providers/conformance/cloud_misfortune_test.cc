// What befalls a cloud by itself, by seed: no machine is leaked, none is there twice, and when calm days come the fleet
// serves again.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudMisfortuneTest : public CloudFixture {
 protected:
  // The machine's own word that ends its start, or its life.
  Kind AwaitWord(const std::string& id, absl::Duration limit) {
    for (MachineEvent event = Next(limit); event.kind != Kind::kOffers; event = Next(limit)) {
      if (event.machine_id != id || (event.kind != Kind::kReady && event.kind != Kind::kGone)) continue;
      if (event.kind == Kind::kGone) {
        EXPECT_EQ(there(id), 0) << "it was told to be gone";
      }
      return event.kind;
    }
    ADD_FAILURE() << id << ": nothing was heard of it";
    return Kind::kGone;
  }

  // Machines of that name that the cloud may charge for.
  int there(const std::string& id) {
    int count = 0;
    emulator_.Look([&](CloudModel& model) {
      using State = EmulatedMachine::State;
      for (const auto& [number, machine] : model.machines()) {
        const bool rests = machine.state == State::kStopped || machine.state == State::kStopping ||
                           machine.state == State::kGone || machine.state == State::kDeleting ||
                           machine.state == State::kFailed;
        count += !rests && absl::StrContains(machine.name, absl::StrCat("-", id, "-"));
      }
    });
    return count;
  }
};

TEST_P(CloudMisfortuneTest, WhatIsDoneTwiceIsThereOnce) {
  Say("fault twice 1000");
  Serve(Spec());
  EXPECT_EQ(bought(), 1);
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Serve(Spec(), /*restore=*/true);
  EXPECT_EQ(emulator_.billing(), 1);
  EXPECT_EQ(volumes(), 1);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudMisfortuneTest, WhatIsAnsweredAsBeforeIsAskedAgain) {
  Serve(Spec());
  for (int round = 0; round < 4; ++round) {
    Pass(absl::Seconds(20));
    Say(absl::StrCat("fault stale ", 3 + round));
    provider_->Hibernate("m-1");
    EXPECT_TRUE(AwaitGone("m-1").ok());
    EXPECT_EQ(emulator_.billing(), 0) << "gone was told of a machine that bills";
    Say(absl::StrCat("fault stale ", 3 + round));
    Serve(Spec(), /*restore=*/true);
    EXPECT_EQ(emulator_.billing(), 1);
  }
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudMisfortuneTest, AVolumeThatGoesOnToBeAttachedToADeadMachineIsTakenFromIt) {
  Say("habit attach_never_ends 1");
  Say("habit dead_keep_volumes 1");
  provider_->Launch(Spec());
  Pass(absl::Seconds(5));
  provider_->Terminate("m-1");
  EXPECT_EQ(AwaitWord("m-1", absl::Minutes(30)), Kind::kGone);
  Say("habit attach_never_ends 0");
  Serve(Spec("m-2"));
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudMisfortuneTest, LeaksNothingAndServesAgain) {
  for (int seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Say(absl::StrCat("chaos ", seed, " 0.05 40"));
    for (int round = 0; round < 5; ++round) {
      const std::string id = absl::StrCat("m", seed, "x", round);
      provider_->Launch(Spec(id));
      Kind word = AwaitWord(id, absl::Hours(3));
      if (word == Kind::kReady) {
        EXPECT_LE(there(id), 1);
        Pass(absl::Minutes(5));
        round % 2 == 0 ? provider_->Hibernate(id) : provider_->Terminate(id);
        EXPECT_EQ(AwaitWord(id, absl::Hours(3)), Kind::kGone);
      }
      Pass(absl::Minutes(1));
      events_.clear();
    }
    Say("chaos 0 0");
    Pass(absl::Minutes(30));
    EXPECT_EQ(emulator_.billing(), 0);
    Serve(Spec(absl::StrCat("m", seed)));
    provider_->Terminate(absl::StrCat("m", seed));
    EXPECT_TRUE(AwaitGone(absl::StrCat("m", seed)).ok());
  }
  for (const CloudEmulator::Told& told : emulator_.told()) {
    if (!told.again.has_value()) continue;
    EXPECT_GE(*told.again - told.at, told.wait) << told.call << ": it was told to come later";
  }
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudMisfortuneTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
