// The disk that a machine boots from, which costs beside it: how large it is, told with its start and its end, and
// whether the cloud has both still. One program with cloud_conformance_test.cc.
#include <string>

#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudBootDisksTest : public CloudFixture {
 protected:
  bool keeps() { return Api("x-")->traits().keeps_stopped; }

  // By the emulator, up to now.
  double dollars() {
    double dollars = 0;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) dollars += model.BootDiskBill(machine);
    });
    return dollars;
  }

  void Start(const MachineSpec& spec, bool restore = false) {
    restore ? provider_->Restore(spec) : provider_->Launch(spec);
    const MachineEvent started = Next();
    ASSERT_EQ(started.kind, Kind::kStarted) << started.status;
    EXPECT_EQ(started.boot_gigabytes, GetParam().boot_gigabytes);
    EXPECT_FALSE(started.kept);
    handle_ = started.handle;
    EXPECT_EQ(Next().kind, Kind::kReady);
  }

  absl::Status Gone(bool kept) {
    const absl::Status status = AwaitGone("m-1");
    EXPECT_EQ(gone_.boot_gigabytes, GetParam().boot_gigabytes);
    EXPECT_EQ(gone_.kept, kept);
    return status;
  }
};

TEST_P(CloudBootDisksTest, IsToldWithItsMachine) {
  Start(Spec());
  Pass(absl::Minutes(1));
  provider_->Hibernate("m-1");
  EXPECT_TRUE(Gone(keeps()).ok());
  Start(Spec(), /*restore=*/true);
  provider_->Terminate("m-1");
  EXPECT_TRUE(Gone(false).ok());
  EXPECT_GT(dollars(), 0) << "they are what the cloud charges for";
}

TEST_P(CloudBootDisksTest, OfHyperstackIsChargedForWhileItSleeps) {
  const BillingRules& rules = BillingRulesOf(GetParam().name);
  if (!rules.boot_disk_asleep) GTEST_SKIP() << GetParam().name << "'s costs for as long as it is there";
  Start(Spec());
  Pass(absl::Hours(1));
  EXPECT_EQ(dollars(), 0);
  provider_->Hibernate("m-1");
  EXPECT_TRUE(Gone(true).ok());
  const double before = dollars();
  Pass(absl::Hours(1));
  const double hour = VolumePerHour(rules, GetParam().boot_gigabytes);
  EXPECT_NEAR(dollars() - before, hour, 0.01 * hour);
  Start(Spec(), /*restore=*/true);
  const double slept = dollars();
  Pass(absl::Hours(1));
  EXPECT_EQ(dollars(), slept);
  EXPECT_NEAR(slept, hour, 0.1 * hour);
}

TEST_P(CloudBootDisksTest, IsAsLargeAsTheCloudSays) {
  provider_->Launch(Spec());
  while (bought() == 0) Pass(absl::Milliseconds(100));
  emulator_.Look([](CloudModel& model) { model.machines().begin()->second.boot_gigabytes = 150; });
  const MachineEvent started = Next();
  ASSERT_EQ(started.kind, Kind::kStarted) << started.status;
  EXPECT_EQ(started.boot_gigabytes, 150);
}

TEST_P(CloudBootDisksTest, IsToldOfWhatIsAdopted) {
  const MachineEvent ready = Serve(Spec());
  Begin();
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  const MachineEvent adopted = Next();
  ASSERT_EQ(adopted.kind, Kind::kAdopted);
  EXPECT_EQ(adopted.boot_gigabytes, GetParam().boot_gigabytes);
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(Gone(false)));
}

// By a gateway that has never seen it run.
TEST_P(CloudBootDisksTest, OfAMachineThatIsHibernatedStays) {
  if (!keeps()) GTEST_SKIP() << GetParam().name << " keeps no machine that is stopped";
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Begin();
  provider_->Run();
  for (const std::string& zone : {GetParam().zone, GetParam().other_zone}) {
    Say(absl::StrCat("stock ", GetParam().name, " ", zone, " ", GetParam().type, " 0"));
  }
  provider_->Restore(Spec());
  EXPECT_TRUE(absl::IsResourceExhausted(Gone(true)));
  provider_->Terminate("m-1");  // of which it has no life
  EXPECT_TRUE(Gone(true).ok());
  Begin(/*dry_run=*/true);
  provider_->Run();
  provider_->Restore(Spec());
  EXPECT_TRUE(absl::IsFailedPrecondition(Gone(true)));
  provider_->Discard(Spec());
  EXPECT_TRUE(absl::IsFailedPrecondition(Gone(true)));
  Begin();
  provider_->Discard(Spec());
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_FALSE(gone_.kept);
}

TEST_P(CloudBootDisksTest, GoesWithAMachineThatIsNotWokenAgain) {
  Serve(Spec());
  Say(absl::StrCat("take ", number(), " 0 stopped silent"));
  EXPECT_TRUE(absl::IsUnavailable(Gone(false)));
  emulator_.Look([&](CloudModel& model) {
    EXPECT_EQ(model.machines().rbegin()->second.state, EmulatedMachine::State::kGone);
  });
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudBootDisksTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
