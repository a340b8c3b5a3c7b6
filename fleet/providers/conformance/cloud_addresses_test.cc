// Public addresses: machines are reached at them, and they go with their machines.
#include <string>

#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

// In the emulator nobody outside can reach a machine with a public address at its private one.
class CloudAddressesTest : public CloudFixture {
 protected:
  void BeginOutside() {
    public_address_ = true;
    Begin();
  }
};

TEST_P(CloudAddressesTest, NoneIsBoughtUnlessItIsAskedFor) {
  Serve(Spec());
  EXPECT_EQ(addresses(), 0);
}

TEST_P(CloudAddressesTest, AMachineIsReachedAtItsOwnAndTakesItAlong) {
  BeginOutside();
  for (const bool restore : {false, true}) {
    const MachineEvent ready = Serve(Spec(), restore);
    EXPECT_EQ(ready.kind, Kind::kReady);
    EXPECT_TRUE(host_.IsUp(ready.endpoint.address)) << ready.endpoint.address;
    EXPECT_EQ(addresses(), 1);
    provider_->Hibernate("m-1");
    EXPECT_TRUE(AwaitGone("m-1").ok());
  }
  Serve(Spec(), /*restore=*/true);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(addresses(), 0);
  EXPECT_EQ(interfaces(), 0);
}

TEST_P(CloudAddressesTest, OneThatIsLeftBehindIsDeletedBeforeItsMachineIsGone) {
  BeginOutside();
  Say("habit keeps_addresses 1");
  Serve(Spec());
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(addresses(), 0);
  EXPECT_EQ(interfaces(), 0);
}

TEST_P(CloudAddressesTest, OneWhoseMachineNobodyKnowsIsDeleted) {
  BeginOutside();
  Say("habit keeps_addresses 1");
  Serve(Spec());
  provider_.reset();
  emulator_.Look([&](CloudModel& model) {
    for (auto& [number, machine] : model.machines()) EXPECT_TRUE(model.Delete(machine).ok());
  });
  clock_.Advance(absl::Minutes(1));
  public_address_ = false;  // whatever the configuration says by now
  Begin();
  Pass(absl::Minutes(30));
  EXPECT_EQ(addresses(), 0);
  EXPECT_EQ(interfaces(), 0);
}

// The interface is there before any list has the machine.
TEST_P(CloudAddressesTest, OneWhoseMachineIsNotListedYetStays) {
  BeginOutside();
  Say("habit list_lag 20");
  EXPECT_EQ(Serve(Spec()).kind, Kind::kReady);
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(addresses(), 1);
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudAddressesTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
