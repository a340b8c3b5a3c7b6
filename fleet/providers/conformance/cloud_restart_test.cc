// What a provider that begins anew finds in a cloud, whatever its list lacks, and what it leaves alone. One program
// with cloud_conformance_test.cc.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/certificate.h"
#include "fleet/providers/cloud/secret.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

using CloudTest = CloudFixture;

TEST_P(CloudTest, ARestartedFleetFindsItsMachines) {
  const MachineEvent ready = Serve(Spec());
  Begin();
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  const MachineEvent adopted = Next();
  ASSERT_EQ(adopted.kind, Kind::kAdopted);
  EXPECT_EQ(adopted.handle, handle_);
  EXPECT_EQ(adopted.endpoint.address, ready.endpoint.address);
  EXPECT_NE(adopted.endpoint.credentials, nullptr);
  Pass(absl::Minutes(5));
  EXPECT_TRUE(events_.empty());
  EXPECT_EQ(emulator_.billing(), 1);
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1")));
}

TEST_P(CloudTest, ARestartedFleetBelievesNoSingleList) {
  const MachineEvent ready = Serve(Spec());
  Begin();
  Say(absl::StrCat("hide ", number(), " 20"));
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  EXPECT_EQ(Next().kind, Kind::kAdopted);
}

// Its machines power themselves off when nobody speaks to them.
TEST_P(CloudTest, ARestartedFleetSpeaksToItsMachinesWhileTheCloudIsDown) {
  const MachineEvent ready = Serve(Spec());
  Begin();
  Say("down");
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  const int before = engines_.asked();
  Pass(absl::Minutes(10));
  EXPECT_GE(engines_.asked() - before, 10);
  EXPECT_TRUE(events_.empty());
  Say("up");
  EXPECT_EQ(Next().kind, Kind::kAdopted);
}

// By somebody else, and before any list had it: also AWS's, which the fleet itself never stops.
TEST_P(CloudTest, WhatIsStoppedBeforeItIsListedIsStarted) {
  Say("habit list_lag 20");
  provider_->Launch(Spec());
  for (int i = 0; i < 60 && bought() == 0; ++i) Pass(absl::Seconds(1));
  ASSERT_EQ(bought(), 1);
  Say(absl::StrCat("take ", number(), " 0 stopped silent"));
  EXPECT_EQ(AwaitServing("m-1").kind, Kind::kReady);
  EXPECT_EQ(bought(), 1);
}

// What the cloud keeps is neither bought again nor forgotten, with its key.
TEST_P(CloudTest, ARestoreBelievesNoSingleList) {
  if (!Api("x-")->traits().keeps_stopped) GTEST_SKIP() << "this cloud keeps no machine: each restore buys one";
  Serve(Spec());
  const std::string key = NewPrivateKey();
  ASSERT_TRUE(authority_->Certify("m-1", *CertificateRequest(key), enrolment_token()).ok());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  const int before = bought();
  Say(absl::StrCat("hide ", number(), " 20"));
  Serve(Spec(), /*restore=*/true);
  EXPECT_EQ(bought(), before);
  EXPECT_TRUE(authority_->Certify("m-1", *CertificateRequest(key), "").ok());
}

TEST_P(CloudTest, MachinesAreNotLookedForInAnotherAccount) {
  const MachineEvent ready = Serve(Spec());
  EXPECT_EQ(account_, GetParam().account);
  if (!GetParam().asks_account) GTEST_SKIP() << "it is in the configuration";
  Begin();
  Say("habit account 2");
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  EXPECT_EQ(Next(absl::Minutes(10)).kind, Kind::kOffers) << "nothing was heard of the machine";
  provider_->Launch(Spec("m-2"));
  const absl::Status status = AwaitGone("m-2");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_TRUE(absl::StrContains(status.message(), GetParam().account)) << status;
  EXPECT_EQ(bought(), 1);
  Say("habit account 1");
  EXPECT_EQ(Next().kind, Kind::kAdopted);
}

TEST_P(CloudTest, AMachineWithAnotherIdThanWasWrittenDownIsFound) {
  Serve(Spec());
  Begin();
  provider_->Adopt(Spec(), "of an earlier life", "");
  const MachineEvent adopted = Next();
  EXPECT_EQ(adopted.kind, Kind::kAdopted);
  EXPECT_EQ(adopted.handle, handle_);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudTest, ARestoreOfWhatRunsNoticesItsEnd) {
  Serve(Spec());
  Begin();
  Serve(Spec(), /*restore=*/true);
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1")));
}

TEST_P(CloudTest, ARestartedFleetFindsAMachineThatNobodyHeardOf) {
  Say("habit list_lag 10");
  Say(absl::StrCat("fault unheard 1 ", GetParam().create));
  provider_->Launch(Spec());
  while (bought() == 0) Pass(absl::Milliseconds(100));
  Begin();
  provider_->Adopt(Spec(), "", "");
  const MachineEvent adopted = Next();
  ASSERT_EQ(adopted.kind, Kind::kAdopted);
  EXPECT_EQ(adopted.endpoint.address, "");
  provider_->Terminate("m-1");  // as the controller does then
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0);
  provider_->Adopt(Spec("m-9"), "", "");
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-9")));
}

TEST_P(CloudTest, WhatNobodyKnowsIsStopped) {
  Serve(Spec());
  Begin();  // and its store is lost
  Pass(absl::Minutes(1));
  EXPECT_EQ(emulator_.billing(), 1) << "the fleet may yet ask for it";
  Pass(absl::Minutes(2));
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudTest, WhatNobodyKnowsIsDeletedIfItCannotBeStopped) {
  if (GetParam().stop.empty()) GTEST_SKIP() << "a stop is a deletion";
  Serve(Spec());
  Begin();
  Say(absl::StrCat("fault 403 100000 ", GetParam().stop));
  Pass(absl::Minutes(16));
  EXPECT_EQ(emulator_.billing(), 1);
  Pass(absl::Minutes(2));
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudTest, WhatIsSaidToHaveFailedAndRunsIsLeftAlone) {
  Say("habit late_failure 1");
  Serve(Spec());
  EXPECT_EQ(Next(absl::Minutes(3)).kind, Kind::kOffers) << "nothing was heard of the machine";
  EXPECT_EQ(emulator_.billing(), 1);
}

TEST_P(CloudTest, AnothersMachinesAreLeftAlone) {
  auto other = Api("spotinference-other-");
  const auto offers = other->Offers();
  ASSERT_TRUE(offers.ok()) << offers.status();
  const Offer offer = offers->offers[0].offer;
  ASSERT_TRUE(other->CreateVolume("spotinference-other-v", offer, NewPurchaseToken()).ok());
  clock_.Advance(absl::Seconds(1));
  const auto listed = other->List();
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->volumes.size(), 1);
  const std::string volume = listed->volumes[0].id;
  const auto id = other->CreateMachine(
      {.name = "spotinference-other-m", .token = "t", .offer = offer, .user_data = "#!/bin/sh", .volume_id = volume});
  ASSERT_TRUE(id.ok()) << id.status();
  Pass(absl::Minutes(5));
  EXPECT_EQ(emulator_.billing(), 1);
}

// It may bill, so it is told to stop; or be hibernated, so it is not deleted. At AWS none is: it is ended as any other.
TEST_P(CloudTest, WhatNobodyKnowsIsStoppedAlsoInAStateThatNobodyKnows) {
  const bool keeps = Api("x-")->traits().keeps_stopped;
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  if (keeps) Say(absl::StrCat("word ", number(), " SHELVED"));
  Serve(Spec("m-2", "other"));
  Say(absl::StrCat("word ", number(), " MIGRATING"));
  Begin();
  Pass(absl::Minutes(1));
  EXPECT_EQ(emulator_.billing(), 1);
  Pass(absl::Minutes(9));
  EXPECT_EQ(emulator_.billing(), keeps ? 1 : 0);
  Pass(absl::Minutes(10));
  EXPECT_EQ(emulator_.billing(), 0);
  Pass(absl::Hours(2));
  emulator_.Look([&](CloudModel& model) {
    const auto state = keeps ? EmulatedMachine::State::kStopped : EmulatedMachine::State::kGone;
    for (const auto& [number, machine] : model.machines()) EXPECT_EQ(machine.state, state);
  });
}

// After a restart a machine may be bought before offers were asked for.
TEST_P(CloudTest, NoDevicePathIsGuessed) {
  if (GetParam().name != "hyperstack") GTEST_SKIP() << "the others' paths hold for every machine";
  Say("habit ephemeral 1");
  const Offer offer = {.provider = "hyperstack", .zone = GetParam().zone, .machine_type = GetParam().type};
  const auto api = Api("x");
  Say("down");
  EXPECT_FALSE(api->DevicePath({}, offer).ok());
  Say("up");
  const auto path = api->DevicePath({}, offer);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, "/dev/vdc");
  EXPECT_FALSE(api->DevicePath({}, {.machine_type = "of nobody"}).ok());
}

}  // namespace
}  // namespace spotinference::fleet
