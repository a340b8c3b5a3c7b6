// A dry run says what it would do, once, and asks for nothing.
#include <algorithm>
#include <string>
#include <utility>

#include "fleet/controller_fixture.h"
#include "gmock/gmock.h"

namespace spotinference::fleet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

DecisionView PurchaseOf(const Controller& fleet) {
  for (const DecisionView& decision : fleet.Decisions()) {
    if (decision.action == "would buy") return decision;
  }
  return {};
}

class ControllerDryRunTest : public ControllerTest {
 protected:
  ControllerDryRunTest() { provider_.SellOffers(); }

  // The next life of the fleet, of which all that it wrote stays.
  void BeginDryRun() {
    provider_.Asked();
    options_.dry_run = true;
    Begin();
    provider_.Asked();  // what it looks at
    Sell();
  }

  void Sell(double a = 0.2) {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const auto& [zone, price] : {std::pair("a", a), std::pair("b", 0.3)}) {
      event.offers.push_back({{.provider = "fake", .region = "r", .zone = zone, .market = Market::kSpot,
                               .machine_type = "small", .price_per_hour = price, .volume_per_hour = 0.01}});
    }
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  // m-1 serves in a, bought in earnest, and the dry run has found it again.
  void Adopt() {
    Sell();
    {
      const auto client = Acquire();
      Ready("m-1");
    }
    fleet_->Run();
    BeginDryRun();
    provider_.TellAdopted("m-1", "m-1:1");
    fleet_->Run();
    probe_.Answer(EngineIdentity{"abc", "n"});
    fleet_->Run();
    ASSERT_EQ(States(), "m-1 serving;");
  }

  std::string WouldDo() const {
    std::string text;
    for (const DecisionView& decision : fleet_->Decisions()) {
      if (decision.action.starts_with("would ")) {
        absl::StrAppend(&text, decision.action, " ", decision.machine, "@", decision.zone, " $",
                        decision.price_per_hour, ": ", decision.why, "\n");
      }
    }
    return text;
  }
  int Said() const {
    const std::string text = WouldDo();
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
};

TEST_F(ControllerDryRunTest, WhatWouldBeBoughtIsSaidOnceAndToWhoeverWaits) {
  BeginDryRun();
  const auto client = Acquire();
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kNoCapacity);
  EXPECT_THAT(client->error->message,
              HasSubstr("--dry_run: would buy a machine, small, of fake in a at 0.2 dollars an hour, spot"));
  EXPECT_THAT(WouldDo(), AllOf(HasSubstr("would buy @a $0.2: "), HasSubstr("1 for the load")));
  EXPECT_THAT(WouldDo(), testing::Not(HasSubstr("spend")));
  EXPECT_EQ(PurchaseOf(*fleet_).market, "spot");
  for (int i = 0; i < 20; ++i) {
    Advance(absl::Seconds(7));
    EXPECT_TRUE(Acquire()->error.has_value());
  }
  EXPECT_EQ(Said(), 1) << WouldDo();
  Sell(0.1);
  Advance(absl::Seconds(7));
  EXPECT_TRUE(Acquire()->error.has_value());
  EXPECT_EQ(Said(), 2) << "another price is news";
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(States(), "");
  EXPECT_TRUE(store_.machines().empty());
  EXPECT_TRUE(store_.volumes().empty());
}

class ControllerDryRunOfOneOfferTest : public ControllerTest {};

TEST_F(ControllerDryRunOfOneOfferTest, SaysWhereItWouldBuy) {
  options_.dry_run = true;
  Begin();
  EXPECT_TRUE(Acquire()->error.has_value());
  EXPECT_EQ(PurchaseOf(*fleet_).market, "spot");
  EXPECT_EQ(PurchaseOf(*fleet_).zone, "z");
}

TEST_F(ControllerDryRunTest, ALimitOfNothingHidesNoPlan) {
  options_.max_dollars_per_day = 0;
  Begin();
  Sell();
  EXPECT_THAT(Acquire()->error->message, HasSubstr("the day's 0 dollars"));
  BeginDryRun();
  EXPECT_THAT(Acquire()->error->message,
              AllOf(HasSubstr("would buy a machine, small"), HasSubstr("if spend.max_dollars_per_day were not 0")));
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_TRUE(store_.machines().empty());
}

TEST_F(ControllerDryRunTest, AllThatAreWantedAreSaid) {
  options_.models[0].min_machines = options_.models[0].max_machines = 3;
  BeginDryRun();
  for (int i = 0; i < 10; ++i) Advance(absl::Seconds(7));
  EXPECT_EQ(Said(), 3) << WouldDo();
  EXPECT_EQ(provider_.Asked(), "");
}

TEST_F(ControllerDryRunTest, AMachineThatIsIdleRunsOn) {
  Adopt();
  Advance(absl::Seconds(90));
  EXPECT_EQ(WouldDo(), "would stop m-1@a $0.2: idle for 1m30s\n");
  for (int i = 0; i < 20; ++i) Advance(absl::Seconds(30));
  EXPECT_EQ(Said(), 1) << WouldDo();
  EXPECT_TRUE(Acquire()->lease.has_value()) << "it serves";
  fleet_->Run();
  Advance(absl::Seconds(90));
  EXPECT_EQ(Said(), 2) << "it was used in between";
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(States(), "m-1 serving;");
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kServing);
}

TEST_F(ControllerDryRunTest, AtItsEndMachinesRunOn) {
  Adopt();
  fleet_->BeginShutdown(absl::Seconds(5));
  EXPECT_FALSE(fleet_->AwaitStopped(absl::ZeroDuration())) << "it has not been said yet";
  fleet_->Run();
  EXPECT_TRUE(fleet_->AwaitStopped(absl::ZeroDuration()));
  EXPECT_EQ(WouldDo(), "would stop m-1@a $0.2: no longer wanted\n");
  EXPECT_EQ(provider_.Asked(), "");
}

TEST_F(ControllerDryRunTest, OrdersAreRefused) {
  Adopt();
  EXPECT_TRUE(absl::IsFailedPrecondition(Kill("m-1")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Hibernate("m-1")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Interrupt("m-1", absl::Seconds(30))));
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(probe_.Interrupted(), "");
  EXPECT_EQ(States(), "m-1 serving;");
}

TEST_F(ControllerDryRunTest, AnOrderToWakeShowsWhatItWouldTake) {
  BeginDryRun();
  EXPECT_TRUE(WakeUp("m").ok());
  Advance(absl::Minutes(11));
  EXPECT_EQ(Said(), 1) << WouldDo();
  EXPECT_EQ(provider_.Asked(), "");
}

// Which its next life in earnest ends.
TEST_F(ControllerDryRunTest, WhatAFormerLifeLeftIsLeft) {
  Adopt();
  options_.dry_run = false;
  Begin();
  provider_.TellAdopted("m-1", "m-1:1");
  fleet_->Run();
  probe_.Answer(EngineIdentity{"def", "n"});  // of no use
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "adopt m-1, terminate m-1");
  BeginDryRun();
  provider_.TellAdopted("m-1", "m-1:1");
  fleet_->Run();
  EXPECT_EQ(WouldDo(), "would end m-1@a $0.2: left by a former life, of no use\n");
  for (int i = 0; i < 20; ++i) Advance(absl::Seconds(30));
  EXPECT_EQ(Said(), 1) << WouldDo();
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(store_.machines().at(1).state, MachineState::kTerminating);
}

TEST_F(ControllerDryRunTest, AMachineWhoseEngineIsGoneIsNotEnded) {
  Adopt();
  fleet_->ReportBroken("m-1", "a stream broke");
  fleet_->Run();
  probe_.Answer(absl::UnavailableError("nobody is there"));
  for (int i = 0; i < 20; ++i) Advance(absl::Seconds(30));
  EXPECT_EQ(WouldDo(), "would end m-1@a $0.2: lost\n");
  EXPECT_EQ(provider_.Asked(), "");
}

TEST_F(ControllerDryRunTest, VolumesAndHibernatedMachinesStay) {
  Sell();
  for (const char* id : {"m-1", "m-2"}) {
    auto client = Acquire();
    if (id == std::string("m-2")) Gone("m-1", absl::ResourceExhaustedError("a has none"));
    Ready(id);
    client.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));
    Gone(id);
  }
  ASSERT_EQ(States(), "m-1 hibernated;m-2 hibernated;");
  BeginDryRun();
  for (int hour = 0; hour < 48; ++hour) Advance(absl::Hours(1));
  EXPECT_THAT(WouldDo(), HasSubstr("would delete m-1@a $0.2: the volume m@a and m-1: unused for"));
  EXPECT_EQ(Said(), 1) << WouldDo();
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_EQ(States(), "m-1 hibernated;m-2 hibernated;");
  EXPECT_FALSE(store_.volumes().at("m@a").ending);
  EXPECT_THAT(Acquire()->error->message, HasSubstr("--dry_run: would start m-"));
  EXPECT_EQ(provider_.Asked(), "");
}

}  // namespace
}  // namespace spotinference::fleet
