// A dry run looks at a cloud and changes nothing in it, whatever it is asked to end and whatever it finds there. One
// program with cloud_conformance_test.cc.
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudDryRunTest : public CloudFixture {
 protected:
  // All that the cloud has.
  std::string World() {
    std::string world;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) {
        absl::StrAppend(&world, machine.name, " ", static_cast<int>(machine.state), ";");
      }
      for (const auto& [number, volume] : model.volumes()) {
        absl::StrAppend(&world, volume.name, " at ", volume.machine, ";");
      }
    });
    return world;
  }
};

TEST_P(CloudDryRunTest, WhatItIsAskedToEndRunsOn) {
  const MachineEvent ready = Serve(Spec());
  Begin(/*dry_run=*/true);
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  ASSERT_EQ(Next().kind, Kind::kAdopted);
  const std::string before = World();
  provider_->Hibernate("m-1");
  provider_->Terminate("m-1");
  provider_->TerminateLost("m-1");
  Pass(absl::Hours(1));
  EXPECT_EQ(World(), before);
  EXPECT_EQ(emulator_.billing(), 1);
  EXPECT_TRUE(events_.empty());
  EXPECT_TRUE(engines_.interrupted().empty());
  EXPECT_TRUE(authority_->ExpectAgain("m-1").ok()) << "its key is known still";
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1"))) << "what goes by itself is heard of";
}

TEST_P(CloudDryRunTest, NothingIsBoughtOrDeleted) {
  Serve(Spec());
  Begin(/*dry_run=*/true);
  Pass(absl::Minutes(1));
  const std::string before = World();
  provider_->Launch(Spec("m-2", "n"));
  const absl::Status refused = AwaitGone("m-2");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_TRUE(absl::StrContains(refused.message(), GetParam().type)) << refused;
  provider_->Discard(Spec("m-3", "m"));
  EXPECT_TRUE(absl::IsFailedPrecondition(AwaitGone("m-3")));
  EXPECT_EQ(World(), before);
}

// Also where the cloud itself has stopped it, which has to be deleted else.
TEST_P(CloudDryRunTest, WhatNobodyKnowsAndWhatIsOfNoUseStays) {
  const MachineEvent ready = Serve(Spec());
  Begin(/*dry_run=*/true);
  const std::string before = World();
  Pass(absl::Hours(1));
  EXPECT_EQ(World(), before) << "nobody has known it for an hour";
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  ASSERT_EQ(Next().kind, Kind::kAdopted);
  Say(absl::StrCat("take ", number(), " 0 stopped silent"));
  Pass(absl::Minutes(1));
  const std::string stopped = World();
  Pass(absl::Hours(1));
  EXPECT_EQ(World(), stopped);
  EXPECT_TRUE(authority_->ExpectAgain("m-1").ok());
}

// A plan that nobody could carry out is none: without the right to list machines none is bought.
TEST_P(CloudDryRunTest, WhereMachinesMayNotBeListedNothingWouldBeBought) {
  Begin(/*dry_run=*/true);
  for (const auto& [status, words] : {std::pair("401", "credentials"), std::pair("403", "listed")}) {
    Pass(absl::Minutes(2));
    ASSERT_FALSE(offers_.empty());
    for (const OfferNow& now : offers_) EXPECT_EQ(now.barred, "");
    for (const char* const call : {"/core/virtual-machines?", "Action=DescribeInstances", "/aggregated/",
                                   "virtualMachines?"}) {
      Say(absl::StrCat("fault ", status, " 1000 ", call));
    }
    Pass(absl::Seconds(30));
    for (const OfferNow& now : offers_) {
      EXPECT_TRUE(absl::StrContains(now.barred, words)) << now.barred;
      EXPECT_TRUE(absl::StrContains(now.barred, status)) << now.barred;
      EXPECT_TRUE(now.bars_restores);
    }
    Say("forgive");
  }
  Pass(absl::Minutes(2));
  for (const OfferNow& now : offers_) EXPECT_EQ(now.barred, "");
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudDryRunTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
