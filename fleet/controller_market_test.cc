// A controller whose provider sells machines of several zones and markets.
#include "fleet/controller_market_fixture.h"
#include "gmock/gmock.h"

namespace spotinference::fleet {
namespace {

using testing::HasSubstr;

TEST_F(ControllerMarketTest, TheCheapestIsBoughtAndShownWithItsReason) {
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  EXPECT_EQ(Zone(), "a");
  EXPECT_EQ(MarketOf(), Market::kSpot);
  EXPECT_EQ(provider_.last_spec().volume, "m@a");
  const std::vector<MachineView> machines = fleet_->Machines();
  ASSERT_EQ(machines.size(), 1);
  EXPECT_EQ(machines[0].zone, "a");
  EXPECT_EQ(machines[0].market, "spot");
  EXPECT_EQ(machines[0].price_per_hour, 0.2);
  EXPECT_THAT(machines[0].reason, HasSubstr("0.2"));
  Ready("m-1");
  EXPECT_TRUE(client->lease.has_value());
}

// A cloud may take a start on and say only then that it has no machine: it is hibernated still, with its disk.
TEST_F(ControllerMarketTest, AMachineWhoseRestoreFindsNoStockAfterAllIsNotForgotten) {
  auto client = Acquire();
  Ready("m-1");
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1, hibernate m-1, restore m-1");
  provider_.TellStarted("m-1");
  Gone("m-1", absl::ResourceExhaustedError("no capacity after all"));
  EXPECT_THAT(States(), HasSubstr("m-1 hibernated;"));
}

TEST_F(ControllerMarketTest, TheLedgerTellsKeysTokensAndThePriceOnDemand) {
  auto client = Acquire(Claim{.bytes = 1, .key = "laptop"});
  Ready("m-1");
  client->lease->CountToken();
  client->lease->CountToken();
  Advance(absl::Hours(1));
  client.reset();
  fleet_->Run();
  std::string busy;
  for (const LedgerLine& line : fleet_->LedgerLines()) {
    if (line.use != "busy") continue;
    absl::StrAppend(&busy, line.key, " ", absl::FormatDuration(line.time), " $", line.dollars, " of $",
                    line.on_demand_dollars, " ", line.tokens);
  }
  EXPECT_EQ(busy, "laptop 1h $0.2 of $1 2");
}

TEST_F(ControllerMarketTest, TokensOfAMachineThatWasTakenAreCounted) {
  auto client = Acquire(Claim{.bytes = 1, .key = "laptop"});
  Ready("m-1");
  client->lease->CountToken();
  Gone("m-1", absl::UnavailableError("taken"));
  client->lease.reset();
  fleet_->Run();
  int64_t tokens = 0;
  for (const LedgerLine& line : fleet_->LedgerLines()) tokens += line.tokens;
  EXPECT_EQ(tokens, 1);
}

TEST_F(ControllerMarketTest, WhatTheMarketHasShownOutlivesTheFleet) {
  auto client = Acquire();
  EXPECT_EQ(Zone(), "a");
  Ready("m-1");
  client->lease.reset();
  Gone("m-1", absl::UnavailableError("taken"));
  Advance(absl::Seconds(20));
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  client = Acquire();
  EXPECT_EQ(Zone(), "b") << "a has just taken one away";
}

// What waits within an engine has a lease, and yet no answer.
TEST_F(ControllerMarketTest, AQueueWithinAnEngineWantsMachines) {
  options_.models[0].max_machines = 2;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  const auto client = Acquire();
  Ready("m-1");
  EXPECT_EQ(States(), "m-1 serving;");
  AnswerFigures(EngineFigures{.running_sequences = 1, .waiting_sequences = 400});
  EXPECT_EQ(States(), "m-1 serving;m-2 launching;");
}

// Nobody waits for what will not come, and why is said to who asks and to the admin.
TEST_F(ControllerMarketTest, ACloudThatRefusesItsCredentialsIsSaidSo) {
  provider_.SellOffers();
  Begin();
  auto waits = Acquire();
  EXPECT_EQ(waits->answers, 0) << "its prices may come yet";
  provider_.Tell({.kind = MachineEvent::Kind::kOffers, .status = absl::UnauthenticatedError("aws: no key")});
  fleet_->Run();
  ASSERT_TRUE(waits->error.has_value());
  EXPECT_EQ(waits->error->reason, AcquireError::Reason::kNoCapacity);
  EXPECT_THAT(waits->error->message, HasSubstr("what is sold is not known: aws: no key"));
  EXPECT_THAT(fleet_->Decisions()[0].why, HasSubstr("aws: no key"));
  Tell({OfferOf("a", Market::kSpot, 0.2)});
  Advance(absl::Seconds(10));
  waits = Acquire();
  EXPECT_EQ(States(), "m-1 launching;");
}

// A new one would be empty: the weights would have to come first. Also where the fleet has begun anew meanwhile.
TEST_F(ControllerMarketTest, TheVolumeOfALostMachineIsKnownToBeFull) {
  auto client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(Kill("m-1").ok());
  client->lease.reset();
  Gone("m-1");
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.199)});
  client = Acquire();
  EXPECT_EQ(Zone(), "a");
  EXPECT_EQ(provider_.last_spec().volume, "m@a");
}

// A start there that comes to nothing takes no weights away.
TEST_F(ControllerMarketTest, AVolumeStaysFullWhenAMachineOfItDoesNotServe) {
  auto client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(Kill("m-1").ok());
  client->lease.reset();
  Gone("m-1");
  client = Acquire();
  EXPECT_FALSE(client->lease.has_value());
  provider_.TellStarted("m-2");
  fleet_->Run();
  Advance(absl::Minutes(10));
  Gone("m-2");
  ASSERT_EQ(store_.volumes().size(), 1);
  EXPECT_TRUE(store_.volumes().at("m@a").filled);
  EXPECT_EQ(store_.volumes().at("m@a").machine, "m-2");
}

// Boots and never serves: as good as no stock.
TEST_F(ControllerMarketTest, APlaceWhereStartsHangIsLeftAlone) {
  auto client = Acquire();
  provider_.TellStarted("m-1");
  fleet_->Run();
  EXPECT_EQ(Zone(), "a");
  Advance(absl::Minutes(10));
  Gone("m-1");
  provider_.Asked();
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_EQ(Zone(), "b");
}

TEST_F(ControllerMarketTest, RefusalsThatComeAgainFillNoList) {
  Tell({});
  for (int i = 0; i < 5; ++i) {
    const auto refused = Acquire();
    Advance(absl::Seconds(1));
  }
  int refusals = 0;
  for (const DecisionView& decision : fleet_->Decisions()) refusals += decision.action == "refused";
  EXPECT_LE(refusals, 1);
}

TEST_F(ControllerMarketTest, DecisionsAreKeptWithTheirReasonsNewestFirst) {
  auto client = Acquire();
  Ready("m-1");
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  const std::vector<DecisionView> decisions = fleet_->Decisions();
  std::string actions;
  for (const DecisionView& decision : decisions) absl::StrAppend(&actions, decision.machine, " ", decision.action, ";");
  EXPECT_EQ(actions, "m-1 hibernating;m-1 draining;m-1 launching;");
  EXPECT_THAT(decisions[1].why, HasSubstr("idle for 1m30s"));
  EXPECT_THAT(decisions[2].why, HasSubstr("0.2"));
  EXPECT_EQ(decisions[2].zone, "a");
  EXPECT_EQ(decisions[2].market, "spot");
  EXPECT_EQ(decisions[2].price_per_hour, 0.2);
  EXPECT_EQ(decisions[2].waiting, 1);
}

TEST_F(ControllerMarketTest, DecisionsOutliveTheFleet) {
  auto client = Acquire();
  Ready("m-1");
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  Advance(absl::Seconds(1));
  const size_t before = fleet_->Decisions().size();
  ASSERT_EQ(before, 3);
  Begin();
  const std::vector<DecisionView> decisions = fleet_->Decisions();
  ASSERT_EQ(decisions.size(), before);
  EXPECT_EQ(decisions[2].action, "launching");
  EXPECT_THAT(decisions[2].why, HasSubstr("0.2"));
  client = Acquire();
  EXPECT_EQ(fleet_->Decisions().size(), before + 1) << "and go on";
}

// So that a storm of refusals writes once a second, and the last word of a life is not lost.
TEST_F(ControllerMarketTest, DecisionsAreWrittenNowAndThenAndAtTheEnd) {
  auto client = Acquire();
  EXPECT_EQ(store_.Load()->decisions.size(), 1);
  Ready("m-1");
  ASSERT_TRUE(Kill("m-1").ok());
  EXPECT_EQ(store_.Load()->decisions.size(), 1);
  Advance(absl::Seconds(1));
  EXPECT_EQ(store_.Load()->decisions.size(), fleet_->Decisions().size());
  Gone("m-1");
  fleet_->BeginShutdown(absl::Seconds(5));
  fleet_->Run();
  EXPECT_EQ(store_.Load()->decisions.size(), fleet_->Decisions().size());
}

TEST_F(ControllerMarketTest, AStockOutIsFollowedByALaunchElsewhereAtOnce) {
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  Gone("m-1", absl::ResourceExhaustedError("no capacity in a"));
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_EQ(Zone(), "b");
  Gone("m-2", absl::ResourceExhaustedError("no capacity in b"));
  EXPECT_EQ(provider_.Asked(), "launch m-3");
  EXPECT_EQ(MarketOf(), Market::kOnDemand);
  Ready("m-3");
  EXPECT_TRUE(client->lease.has_value());
}

// Whoever waits waits on while there is another place; the second failure refuses only where there is none.
TEST_F(ControllerMarketTest, AStartThatFailsIsTriedElsewhereAtOnce) {
  const auto client = Acquire();
  for (const char* machine : {"m-1", "m-2"}) {
    EXPECT_EQ(provider_.Asked(), absl::StrCat("launch ", machine));
    EXPECT_EQ(Zone(), machine == std::string("m-1") ? "a" : "b");
    provider_.TellStarted(machine);
    Advance(absl::Seconds(20));
    Gone(machine, absl::UnavailableError("its volume is not attached"));
    EXPECT_FALSE(client->error.has_value());
  }
  EXPECT_EQ(provider_.Asked(), "launch m-3");
  EXPECT_EQ(MarketOf(), Market::kOnDemand);
  Ready("m-3");
  EXPECT_TRUE(client->lease.has_value());
}

TEST_F(ControllerMarketTest, StartsThatFailEverywhereAreLeftAloneForAWhile) {
  const auto client = Acquire();
  for (const char* machine : {"m-1", "m-2", "m-3"}) {
    EXPECT_FALSE(client->error.has_value()) << machine;
    provider_.TellStarted(machine);
    Advance(absl::Seconds(20));
    Gone(machine, absl::UnavailableError("it broke"));
  }
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2, launch m-3");
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kBackOff);
  EXPECT_THAT(client->error->message, HasSubstr("it broke"));
  EXPECT_GE(client->error->retry_after, absl::Seconds(20));
}

// What may come of another zone is asked for beside what is sure, in one wake of the fleet: nothing else need happen.
TEST_F(ControllerMarketTest, AllThatIsToBeBoughtNowIsBoughtNow) {
  auto client = Acquire();
  for (const char* machine : {"m-1", "m-2"}) Gone(machine, absl::ResourceExhaustedError("no spot"));
  Ready("m-3");
  EXPECT_EQ(MarketOf(), Market::kOnDemand);
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-3");
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2, launch m-3, hibernate m-3");
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "restore m-3, launch m-4");
  EXPECT_EQ(Zone(), "a");
  for (int again = 0; again < 3; ++again) fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "");
}

// Who waits on is not told that no zone has a machine.
TEST_F(ControllerMarketTest, WhenAWakePassesItsCapAnotherPlaceIsAskedAtOnce) {
  options_.models[0].max_machines = 2;  // the one that is being stopped is one of them
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  const auto client = Acquire();
  Advance(absl::Minutes(5));
  const auto resumes = Acquire(Claim{.bytes = 1, .cuts = {CutOf(MachineLife::End::kLost)}, .begun = true});
  Advance(absl::Minutes(5));
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kWakeTimeout);
  EXPECT_EQ(provider_.Asked(), "launch m-1, terminate m-1, launch m-2");
  EXPECT_EQ(Zone(), "b");
  Ready("m-2");
  EXPECT_TRUE(resumes->lease.has_value());
}

// Once it is known that a model cannot be served, nowhere.
TEST_F(ControllerMarketTest, AStartThatWouldFailAgainIsTriedNowhereElse) {
  const auto client = Acquire();
  provider_.TellStarted("m-1");
  fleet_->Run();
  Gone("m-1", absl::FailedPreconditionError("another hash"));
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kBackOff);
}

// A place where a start failed is better than none, and as good as any in the next wake.
TEST_F(ControllerMarketTest, AStartThatFailsIsTriedThereAgainWhereNothingElseIsLeft) {
  auto client = Acquire();
  provider_.TellStarted("m-1");
  Gone("m-1", absl::UnavailableError("it broke"));
  Gone("m-2", absl::ResourceExhaustedError("no capacity in b"));
  Gone("m-3", absl::ResourceExhaustedError("none on demand"));
  EXPECT_EQ(provider_.Asked(), "launch m-1, launch m-2, launch m-3, launch m-4");
  EXPECT_EQ(Zone(), "a");
  EXPECT_EQ(MarketOf(), Market::kSpot);
  Ready("m-4");
  EXPECT_TRUE(client->lease.has_value());
}

// All of it is one wake: it ends at its cap.
TEST_F(ControllerMarketTest, StartsElsewhereMakeAWakeNoLonger) {
  const auto client = Acquire();
  for (const char* machine : {"m-1", "m-2"}) {
    provider_.TellStarted(machine);
    Advance(absl::Minutes(4));
    Gone(machine, absl::UnavailableError("it broke"));
  }
  provider_.TellStarted("m-3");
  fleet_->Run();
  provider_.Asked();
  Advance(absl::Minutes(2));
  EXPECT_EQ(provider_.Asked(), "terminate m-3");
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kWakeTimeout);
}

TEST_F(ControllerMarketTest, WhereEveryOfferIsDryTheClientHearsSo) {
  const auto client = Acquire();
  for (int n = 1; n <= 3; ++n) Gone(absl::StrCat("m-", n), absl::ResourceExhaustedError("dry"));
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kNoCapacity);
  EXPECT_GT(client->error->retry_after, absl::ZeroDuration());
}

TEST_F(ControllerMarketTest, ANoticeInOneZoneIsAnsweredInAnother) {
  const auto client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(client->lease.has_value());
  provider_.Asked();
  EXPECT_TRUE(Interrupt("m-1", absl::Seconds(120)).ok());
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_NE(Zone(), "a");
}

TEST_F(ControllerMarketTest, AnIdleModelGoesToSleepAndWakesOnItsVolume) {
  auto client = Acquire();
  Ready("m-1");
  client->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(91));
  provider_.Asked();
  Gone("m-1");
  EXPECT_EQ(States(), "m-1 hibernated;");
  const auto again = Acquire();
  EXPECT_EQ(provider_.Asked(), "restore m-1");
}

TEST_F(ControllerMarketTest, AHibernatedMachineInADryZoneDoesNotHoldTheModel) {
  auto client = Acquire();
  Ready("m-1");
  client->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(91));
  Gone("m-1");
  provider_.Asked();
  const auto again = Acquire();
  EXPECT_EQ(provider_.Asked(), "restore m-1");
  Gone("m-1", absl::ResourceExhaustedError("no capacity to restore on"));
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_EQ(Zone(), "b");
  Ready("m-2");
  EXPECT_TRUE(again->lease.has_value());
}

TEST_F(ControllerMarketTest, WhatMayNotBeBoughtIsSaid) {
  options_.models[0].max_price = 0.1;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "");
  ASSERT_TRUE(client->error.has_value());
  EXPECT_EQ(client->error->reason, AcquireError::Reason::kNoCapacity);
  EXPECT_THAT(client->error->message, HasSubstr("machines.max_price rules out 2"));
}

// Of a provider that sells offers nothing is asked without one, and the client waits until they are known.
TEST_F(ControllerMarketTest, WhereOffersAreSoldNothingIsBoughtBeforeTheyAreKnown) {
  provider_.SellOffers();
  Begin();
  Tell({});
  const auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "");
  EXPECT_FALSE(client->error.has_value());
  Tell({OfferOf("a", Market::kSpot, 0.2)});
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  EXPECT_EQ(Zone(), "a");
}

TEST_F(ControllerMarketTest, AnInterruptionIsOfTheProviderThatSoldTheMachine) {
  Offer offer = OfferOf("c", Market::kSpot, 0.05);
  offer.provider = "another";
  Tell({offer, OfferOf("a", Market::kSpot, 0.2)});
  const auto client = Acquire();
  Ready("m-1");
  Crash("m-1");
  ASSERT_EQ(fleet_->Interruptions().size(), 1);
  EXPECT_EQ(fleet_->Interruptions()[0].provider, "another");
}

TEST_F(ControllerMarketTest, ARestoreThatWasRefusedLeavesTheMachineAsItWas) {
  auto client = Acquire();
  Ready("m-1");
  client->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(91));
  Gone("m-1");
  const auto again = Acquire();
  Gone("m-1", absl::FailedPreconditionError("--dry_run: nothing is bought"));
  EXPECT_THAT(States(), HasSubstr("m-1 hibernated"));
}

// One comes; what is wanted beside it is to be had nowhere.
TEST_F(ControllerMarketTest, FewerMachinesThanWantedAreNoReasonToAskForEver) {
  options_.models[0].min_machines = options_.models[0].max_machines = 3;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  const auto client = Acquire();
  const std::vector<MachineView> asked = fleet_->Machines();
  ASSERT_GE(asked.size(), 2);
  provider_.TellStarted(asked[0].id);
  fleet_->Run();
  for (int round = 0; round < 10; ++round) {
    for (const MachineView& machine : fleet_->Machines()) {
      if (machine.id != asked[0].id) Gone(machine.id, absl::ResourceExhaustedError("dry"));
    }
  }
  EXPECT_EQ(States(), asked[0].id + " booting;");
  provider_.TellReady(asked[0].id);
  fleet_->Run();
  EXPECT_TRUE(client->lease.has_value());
}

TEST_F(ControllerMarketTest, AZoneThatRefusesForAnyReasonIsLeftAndTheModelIsNotBlamed) {
  const auto client = Acquire();
  Gone("m-1", absl::FailedPreconditionError("the quota of zone a is 0"));
  EXPECT_EQ(Zone(), "b");
  Gone("m-2", absl::InternalError("500"));
  EXPECT_EQ(MarketOf(), Market::kOnDemand);
  Gone("m-3", absl::InternalError("503"));
  ASSERT_TRUE(client->error.has_value());
  EXPECT_THAT(client->error->message, HasSubstr("503"));
}

// A quota is the account's: what it refuses says nothing of the zone, which is bought in as soon as there is room.
TEST_F(ControllerMarketTest, AQuotaIsNamedAndNotLearnedOfTheMarket) {
  const auto tell = [&](const std::string& barred) {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    event.offers.push_back({.offer = OfferOf("a", Market::kSpot, 0.2), .barred = barred});
    event.offers.push_back({.offer = OfferOf("b", Market::kSpot, 0.3), .barred = barred});
    provider_.Tell(std::move(event));
    fleet_->Run();
  };
  tell("");
  auto client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  tell("the quota G (limit 0)");  // providers say so before they say that the machine is gone
  Gone("m-1", OverQuota("VcpuLimitExceeded"));
  ASSERT_TRUE(client->error.has_value());
  EXPECT_THAT(client->error->message, HasSubstr("the quota G (limit 0) rules out 2"));
  EXPECT_EQ(provider_.Asked(), "");
  tell("");
  Advance(absl::Minutes(2));
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_EQ(Zone(), "a") << "a stock-out would have closed it";
}

// It counts already, or so it does where a quota might keep it from being started again.
TEST_F(ControllerMarketTest, WhatIsHibernatedNeedsNoRoomInAQuota) {
  auto client = Acquire();
  Ready("m-1");
  client.reset();
  fleet_->Run();
  Advance(absl::Seconds(90));
  Gone("m-1");
  MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
  event.offers.push_back({.offer = OfferOf("a", Market::kSpot, 0.2), .barred = "the quota G (limit 1)"});
  event.offers.push_back({.offer = OfferOf("b", Market::kSpot, 0.1), .barred = "the quota G (limit 1)"});
  provider_.Tell(std::move(event));
  fleet_->Run();
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "launch m-1, hibernate m-1, restore m-1");
}

// A provider's recommendation: the machine serves on until another one serves in its place.
TEST_F(ControllerMarketTest, AMachineAtRiskIsReplacedBeforeItGoes) {
  const auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  Advance(absl::Seconds(30));
  EngineFigures figures = {.running_sequences = 1};
  figures.notice = EngineNotice{.source = "aws", .stops = false, .reason = "rebalance"};
  AnswerFigures(figures);
  EXPECT_THAT(provider_.Asked(), HasSubstr("launch m-2"));
  EXPECT_THAT(States(), HasSubstr("m-1 serving"));
  Ready("m-2");
  EXPECT_THAT(States(), HasSubstr("m-1 draining"));
}

TEST_F(ControllerMarketTest, AMachineAtRiskStaysWhereNoOtherMayBeBought) {
  const auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
  event.offers.push_back({.offer = OfferOf("a", Market::kSpot, 0.2), .barred = "the quota G (limit 1)"});
  event.offers.push_back({.offer = OfferOf("b", Market::kSpot, 0.3), .barred = "the quota G (limit 1)"});
  provider_.Tell(std::move(event));
  fleet_->Run();
  Advance(absl::Seconds(30));
  EngineFigures figures = {.running_sequences = 1};
  figures.notice = EngineNotice{.source = "aws", .stops = false, .reason = "rebalance"};
  AnswerFigures(figures);
  Advance(absl::Minutes(10));
  EXPECT_EQ(States(), "m-1 serving;");
  EXPECT_EQ(provider_.Asked(), "");
}

// A single offer has a price, too.
TEST_F(ControllerMarketTest, ASingleOfferIsPaidFor) {
  provider_.SellOffers();
  options_.max_dollars_per_day = 1;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 2)});
  const auto client = Acquire();
  Ready("m-1");
  ASSERT_TRUE(client->lease.has_value());
  for (int i = 0; i < 40; ++i) Advance(absl::Minutes(1));
  EXPECT_THAT(provider_.Asked(), HasSubstr("hibernate m-1"));
}

// The price of the only place rises above what the model may pay.
TEST_F(ControllerMarketTest, AMachineThatBecameTooDearEndsItsAnswersFirst) {
  options_.models[0].max_price = 0.25;
  provider_.SellOffers();
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2)});
  auto client = Acquire();
  Ready("m-1");
  provider_.Asked();
  Tell({OfferOf("a", Market::kSpot, 0.3)});
  Advance(absl::Minutes(29));
  EXPECT_EQ(States(), "m-1 serving;");
  Advance(absl::Minutes(1));
  EXPECT_EQ(States(), "m-1 draining;");
  EXPECT_THAT(fleet_->Machines()[0].reason, HasSubstr("above machines.max_price, $0.2500/h, for 30m"));
  Advance(absl::Minutes(5));
  EXPECT_EQ(provider_.Asked(), "") << "an answer is on it, and there is no other machine";
  client->lease.reset();
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");
  Gone("m-1");
  EXPECT_THAT(Acquire()->error->message, HasSubstr("machines.max_price"));
  Tell({OfferOf("a", Market::kSpot, 0.24)});
  Advance(absl::Seconds(6));
  client = Acquire();
  EXPECT_EQ(provider_.Asked(), "restore m-1");
}

}  // namespace
}  // namespace spotinference::fleet
