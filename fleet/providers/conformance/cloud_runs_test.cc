// What every cloud tells of a run that is over: when it began, when it ended, and whether the cloud took the machine
// back. One program with cloud_conformance_test.cc.
#include <string>

#include "absl/strings/str_cat.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudRunTest : public CloudFixture {
 protected:
  MachineEvent Gone(absl::Duration limit = absl::Minutes(5)) {
    MachineEvent event = Next(limit);
    while (event.kind == Kind::kStarted) event = Next(limit);
    EXPECT_EQ(event.kind, Kind::kGone);
    return event;
  }

  // It was bought, and taken back before a list had it running, and started again: the cloud tells of its latest run
  // alone.
  void ExpectNotToldInPart() {
    const auto hide = [this] {  // as soon as it is bought
      bool is_bought = false;
      emulator_.Look([&](CloudModel& model) {
        for (auto& [number, machine] : model.machines()) model.Hide(machine, absl::Seconds(40));
        is_bought = !model.machines().empty();
      });
      return is_bought;
    };
    for (int i = 0; i < 120 && !hide(); ++i) Pass(absl::Seconds(1));
    Pass(absl::Seconds(39));
    Say(absl::StrCat("take ", number(), " 0 stopped silent"));
    MachineEvent event = Next(absl::Minutes(5));
    while (event.kind == Kind::kStarted || event.kind == Kind::kVolume) event = Next(absl::Minutes(5));
    ASSERT_EQ(event.kind, Kind::kReady) << event.status;
    Pass(absl::Minutes(5));
    provider_->Terminate("m-1");
    EXPECT_EQ(Gone().began, std::nullopt);
  }

  // Clouds tell whole seconds, cut off.
  static void ExpectWithin(const std::optional<absl::Time>& time, absl::Time from, absl::Time to) {
    ASSERT_TRUE(time.has_value());
    EXPECT_GE(*time, from - absl::Seconds(1));
    EXPECT_LE(*time, to);
  }
};

TEST_P(CloudRunTest, OfAHibernatedMachine) {
  const absl::Time asked = clock_.Now();
  Serve(Spec());
  const absl::Time served = clock_.Now();
  Pass(absl::Minutes(10));
  const absl::Time stopped = clock_.Now();
  provider_->Hibernate("m-1");
  const MachineEvent gone = Gone();
  ExpectWithin(gone.began, asked, served);
  ExpectWithin(gone.ended, stopped, clock_.Now());
  EXPECT_FALSE(gone.reclaimed);
  EXPECT_FALSE(gone.never_ran);
}

// Of which no list has a row.
TEST_P(CloudRunTest, OfADeletedMachine) {
  const absl::Time asked = clock_.Now();
  Serve(Spec());
  const absl::Time served = clock_.Now();
  Pass(absl::Minutes(10));
  const absl::Time ended = clock_.Now();
  provider_->Terminate("m-1");
  Pass(absl::Milliseconds(300));
  const absl::Time over = clock_.Now();  // its deletion takes 200 ms, and is known by lists later
  const MachineEvent gone = Gone();
  ExpectWithin(gone.began, asked, served);
  ExpectWithin(gone.ended, ended, over);
  EXPECT_FALSE(gone.reclaimed);
}

TEST_P(CloudRunTest, OfAMachineThatAnEarlierGatewayHasBegun) {
  const absl::Time asked = clock_.Now();
  const MachineEvent ready = Serve(Spec());
  const absl::Time served = clock_.Now();
  Begin();
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  EXPECT_EQ(Next().kind, Kind::kAdopted);
  Pass(absl::Minutes(10));
  const absl::Time ended = clock_.Now();
  provider_->Terminate("m-1");
  const MachineEvent gone = Gone();
  ExpectWithin(gone.ended, ended, clock_.Now());
  if (GetParam().begins_are_own) EXPECT_FALSE(gone.began.has_value());
  else ExpectWithin(gone.began, asked, served);
}

TEST_P(CloudRunTest, OfAMachineThatTheCloudTakesBack) {
  Serve(Spec());
  Pass(absl::Minutes(10));
  const absl::Time taken = clock_.Now();
  const bool keeps = Api("x-")->traits().keeps_stopped;
  Say(absl::StrCat("take ", number(), " 0 ", keeps ? "stopped" : "gone", " silent"));
  const MachineEvent gone = Gone();
  EXPECT_FALSE(gone.status.ok());
  ExpectWithin(gone.ended, taken, taken + absl::Seconds(1));
  EXPECT_EQ(gone.reclaimed, GetParam().tells_reclaims);
}

// What was done with it appears late, as what was made does.
TEST_P(CloudRunTest, IsWaitedFor) {
  Serve(Spec());
  Pass(absl::Minutes(10));
  Say("habit list_lag 20");
  const absl::Time ended = clock_.Now();
  provider_->Terminate("m-1");
  const MachineEvent gone = Gone();
  ExpectWithin(gone.ended, ended, ended + absl::Seconds(1));
}

TEST_P(CloudRunTest, IsNotWaitedForForEver) {
  if (GetParam().run.empty()) GTEST_SKIP() << "it is told in lists";
  for (const char* const status : {"403", "503"}) {
    SCOPED_TRACE(status);
    Serve(Spec(status, status));
    Pass(absl::Minutes(10));
    Say(absl::StrCat("fault ", status, " 1000 ", GetParam().run));
    const absl::Time ended = clock_.Now();
    provider_->Terminate(status);
    const MachineEvent gone = Gone(absl::Minutes(1));
    EXPECT_FALSE(gone.ended.has_value());
    EXPECT_LE(clock_.Now() - ended, absl::Minutes(1));
    Say("forgive");
  }
}

// A machine's second run is so short that at its end what is told is still the first one's.
TEST_P(CloudRunTest, IsNoEarlierOne) {
  Serve(Spec());
  Pass(absl::Minutes(10));
  provider_->Hibernate("m-1");
  const MachineEvent first = Gone();
  ASSERT_TRUE(first.ended.has_value());
  Pass(absl::Minutes(1));
  Say("habit list_lag 15");
  MachineSpec spec = Spec();
  spec.billed_until = *first.ended;
  const absl::Time asked = clock_.Now();
  Serve(spec, /*restore=*/true);
  const absl::Time ended = clock_.Now();
  provider_->Terminate("m-1");
  const MachineEvent second = Gone();
  ExpectWithin(second.began, asked, ended);
  ExpectWithin(second.ended, ended, clock_.Now());
}

// Nobody was told of the first run, which was over just before the machine was to start again: the clocks of the cloud
// and of the fleet may differ by more than that. The start has no answer, and is given up.
TEST_P(CloudRunTest, IsNotOneThatWasOverBeforeTheStartWasAskedFor) {
  Serve(Spec());
  Pass(absl::Minutes(10));
  provider_->Hibernate("m-1");
  ASSERT_TRUE(Gone().ended.has_value());
  Pass(absl::Seconds(20));
  const std::string start = GetParam().start.empty() ? GetParam().create : GetParam().start;
  Say(absl::StrCat("fault 503 1000 ", start));
  provider_->Restore(Spec());
  Pass(absl::Seconds(1));
  provider_->Terminate("m-1");
  const MachineEvent second = Gone();
  EXPECT_FALSE(second.began.has_value());
  EXPECT_FALSE(second.ended.has_value());
}

TEST_P(CloudRunTest, IsNotToldInPart) {
  if (!Api("x-")->traits().keeps_stopped) GTEST_SKIP() << GetParam().name << " has nothing that could be started again";
  provider_->Launch(Spec());
  ExpectNotToldInPart();
}

// What was hibernated was there no more, and another one was bought.
TEST_P(CloudRunTest, IsNotToldInPartWhereItWasMadeAnew) {
  if (!Api("x-")->traits().keeps_stopped) GTEST_SKIP() << GetParam().name << " has nothing that could be started again";
  provider_->Restore(Spec());
  ExpectNotToldInPart();
}

TEST_P(CloudRunTest, OfWhatWasNeverBought) {
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().zone, " ", GetParam().type, " 0"));
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().other_zone, " ", GetParam().type, " 0"));
  provider_->Launch(Spec());
  const MachineEvent gone = Next();
  ASSERT_EQ(gone.kind, Kind::kGone);
  EXPECT_TRUE(gone.never_ran);
  EXPECT_FALSE(gone.ended.has_value());
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudRunTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
