// What every cloud's adapter, and the provider over it, must do: when all goes well, and when it does not.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/api/status.h"
#include "engine/base/certificate.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/cloud/secret.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

using CloudTest = CloudFixture;

TEST_P(CloudTest, LaunchesHibernatesAndRestores) {
  for (const bool restore : {false, true}) {
    const MachineEvent ready = Serve(Spec(), restore);
    EXPECT_FALSE(handle_.empty());
    EXPECT_EQ(ready.endpoint.model_hash, "abc");
    EXPECT_NE(ready.endpoint.credentials, nullptr);
    EXPECT_TRUE(host_.IsUp(ready.endpoint.address));
    EXPECT_EQ(emulator_.billing(), 1);
    EXPECT_EQ(volumes(), 1);
    provider_->Launch(Spec());  // the same name: no second machine
    Pass(absl::Seconds(5));
    provider_->Hibernate("m-1");
    EXPECT_TRUE(AwaitGone("m-1").ok());
    ASSERT_FALSE(engines_.interrupted().empty());
    EXPECT_EQ(engines_.interrupted().back(), "m-1 5s") << "its KV goes to the volume";
    EXPECT_EQ(emulator_.billing(), 0);
  }
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, TellsHowFarADownloadIs) {
  engines_.Boot({absl::UnavailableError("the engine boots"), DownloadingError(3, 9), DownloadingError(9, 9)});
  provider_->Launch(Spec());
  EXPECT_EQ(Next().kind, Kind::kStarted);
  for (const uint64_t done : {3, 9}) {
    const MachineEvent event = Next();
    EXPECT_EQ(event.kind, Kind::kDownload);
    EXPECT_EQ(event.machine_id, "m-1");
    EXPECT_EQ(event.done_bytes, done);
    EXPECT_EQ(event.total_bytes, 9);
  }
  EXPECT_EQ(Next().kind, Kind::kReady);
}

TEST_P(CloudTest, TerminatesAndKeepsTheVolume) {
  Serve(Spec());
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0);
  EXPECT_EQ(volumes(), 1);
  provider_->Terminate("m-1");  // nobody knows it any more
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Serve(Spec("m-2"));
  EXPECT_EQ(volumes(), 1) << "the new machine has the old volume";
}

TEST_P(CloudTest, AMachineIsKnownFromItsPurchaseUntilItsEndIsDecided) {
  const auto certify = [this](const std::string& key, const std::string& token) {
    return authority_->Certify("m-1", *CertificateRequest(key), token).status();
  };
  const std::string key = NewPrivateKey(), other = NewPrivateKey();
  Serve(Spec());
  const std::string token = enrolment_token();
  EXPECT_TRUE(absl::IsPermissionDenied(certify(key, "another token")));
  EXPECT_TRUE(certify(key, token).ok());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  const bool kept = Api("x-")->traits().keeps_stopped;
  EXPECT_EQ(certify(key, "").code(), kept ? absl::StatusCode::kOk : absl::StatusCode::kNotFound);

  Serve(Spec(), /*restore=*/true);
  if (kept) {
    EXPECT_TRUE(certify(key, "").ok()) << "without a new token";
    EXPECT_TRUE(absl::IsPermissionDenied(certify(other, token)));
  } else {
    EXPECT_NE(enrolment_token(), token) << "it is another machine";
    EXPECT_TRUE(absl::IsPermissionDenied(certify(key, token)));
    EXPECT_TRUE(certify(other, enrolment_token()).ok());
  }
  provider_->Terminate("m-1");
  EXPECT_TRUE(absl::IsNotFound(certify(kept ? key : other, ""))) << "before it is gone";
  EXPECT_TRUE(AwaitGone("m-1").ok());
}

TEST_P(CloudTest, AHibernatedMachineThatIsNotKnownIsOfNoUse) {
  if (!Api("x-")->traits().keeps_stopped) GTEST_SKIP() << "it is always bought anew";
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  authority_->Forget("m-1");
  provider_->Restore(Spec());
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1")));
  EXPECT_EQ(emulator_.billing(), 0);
  Serve(Spec("m-2"));
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, EveryTryOfAPurchaseHasTheSameToken) {
  Say(absl::StrCat("fault unheard 1 ", GetParam().create));
  Serve(Spec());
  EXPECT_EQ(bought(), 1);
  EXPECT_TRUE(authority_->Certify("m-1", *CertificateRequest(NewPrivateKey()), enrolment_token()).ok());
}

TEST_P(CloudTest, BuysAsItIsTold) {
  provider_->Run();
  for (const OfferNow& now : offers_) {
    if (now.offer.zone != GetParam().other_zone) continue;
    MachineSpec spec = Spec();
    spec.offer = now.offer;
    Serve(spec);
    EXPECT_EQ(zone(), GetParam().other_zone);
    emulator_.Look([&](CloudModel& model) {
      EXPECT_EQ(model.machines().begin()->second.spot, now.offer.market == Market::kSpot);
    });
    return;
  }
  FAIL() << "no offer";
}

TEST_P(CloudTest, AMachineKnowsWhereItsVolumeIs) {
  for (const char* ephemeral : {"0", "1"}) {
    Say(absl::StrCat("habit ephemeral ", ephemeral));
    Begin();
    Serve(Spec(absl::StrCat("m-", ephemeral), absl::StrCat("v-", ephemeral)));
    emulator_.Look([&](CloudModel& model) {
      const std::string& device = model.volumes().rbegin()->second.device;
      EXPECT_TRUE(absl::StrContains(model.machines().rbegin()->second.user_data, absl::StrCat("device='", device, "'")))
          << device;
    });
  }
}

TEST_P(CloudTest, ACreateWithoutAnAnswerIsFoundAgain) {
  Say(absl::StrCat("fault unheard 1 ", GetParam().create));
  Serve(Spec());
  EXPECT_EQ(bought(), 1);
  Say(absl::StrCat("fault lost 1 ", GetParam().create));
  Serve(Spec("m-2", "v-2"));
  EXPECT_EQ(bought(), 2);
}

TEST_P(CloudTest, WhatIsNotListedYetIsNotBoughtTwice) {
  Say("habit list_lag 20");
  Say(absl::StrCat("fault unheard 2 ", GetParam().create));
  Serve(Spec());
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, WhatIsNotListedForLongIsMadeOnceAllTheSame) {
  Say("habit list_lag 100");
  for (const std::string& call : {GetParam().create, GetParam().create_volume}) {
    Say(absl::StrCat("fault unheard 1 ", call));
  }
  Serve(Spec());
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, WhatIsBusyIsTriedAgain) {
  Say(absl::StrCat("fault 412 3 ", GetParam().create));
  Serve(Spec());
  Say(absl::StrCat("fault 412 1000 ", GetParam().create));
  provider_->Launch(Spec("m-2", "v-2"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-2", absl::Minutes(10)))) << "it may succeed at another time";
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudTest, ACreateInDoubtIsNotLeaked) {
  Say("habit list_lag 20");
  Say(absl::StrCat("fault unheard 1 ", GetParam().create));
  provider_->Launch(Spec());
  while (bought() == 0) Pass(absl::Milliseconds(100));
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0) << "gone was told of a machine that bills";
}

TEST_P(CloudTest, OutlastsThrottlingAndErrors) {
  for (const char* kind : {"429", "503", "500", "garbage", "lost"}) Say(absl::StrCat("fault ", kind, " 3"));
  Serve(Spec());
  for (const char* kind : {"429", "503", "500", "garbage", "lost"}) Say(absl::StrCat("fault ", kind, " 2"));
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudTest, AnApiThatIsDownTakesNoMachineAway) {
  Serve(Spec());
  Say("down");
  EXPECT_EQ(Next(absl::Minutes(10)).kind, Kind::kOffers) << "nothing was heard of the machine";
  Say("up");
  Pass(absl::Minutes(1));
  EXPECT_TRUE(events_.empty());
  EXPECT_EQ(emulator_.billing(), 1);
}

TEST_P(CloudTest, AClockThatIsWrongHarmsNobody) {
  for (const int minutes : {-12, 12}) {
    Say(absl::StrCat("skew ", minutes * 60));
    const std::string id = absl::StrCat("m", minutes);
    Serve(Spec(id));
    provider_->Terminate(id);
    EXPECT_TRUE(AwaitGone(id).ok());
  }
}

TEST_P(CloudTest, GoesWhereThereIsStock) {
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().zone, " ", GetParam().type, " 0"));
  Serve(Spec());
  EXPECT_EQ(zone(), GetParam().other_zone);
}

TEST_P(CloudTest, NoStockAnywhere) {
  provider_->Run();  // the offers are those of before
  for (const std::string& zone : {GetParam().zone, GetParam().other_zone}) {
    Say(absl::StrCat("stock ", GetParam().name, " ", zone, " ", GetParam().type, " 0"));
  }
  provider_->Launch(Spec());
  const MachineEvent gone = Next();  // and it was never said to have started: it is the zone that has none
  EXPECT_EQ(gone.kind, Kind::kGone);
  EXPECT_TRUE(absl::IsResourceExhausted(gone.status)) << gone.status;
  EXPECT_EQ(emulator_.billing(), 0);
  emulator_.Look([&](CloudModel& model) {  // Azure keeps a machine that failed
    for (const auto& [number, machine] : model.machines()) EXPECT_EQ(machine.state, EmulatedMachine::State::kGone);
  });
}

TEST_P(CloudTest, ARestoreWithoutStockLeavesAllAsItIs) {
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  provider_->Run();
  for (const std::string& zone : {GetParam().zone, GetParam().other_zone}) {
    Say(absl::StrCat("stock ", GetParam().name, " ", zone, " ", GetParam().type, " 0"));
  }
  provider_->Restore(Spec());
  EXPECT_TRUE(absl::IsResourceExhausted(AwaitGone("m-1")));
  Say(absl::StrCat("stock ", GetParam().name, " ", GetParam().zone, " ", GetParam().type, " 1"));
  Pass(absl::Minutes(2));
  Serve(Spec(), /*restore=*/true);
  EXPECT_EQ(zone(), GetParam().zone);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, AMachineThatIsTakenAwayIsGone) {
  for (const char* how : {"gone", "stopped"}) {
    SCOPED_TRACE(how);
    const std::string id = absl::StrCat("m-", how);
    Serve(Spec(id));
    Say(absl::StrCat("take ", number(), " 0 ", how, " silent"));
    EXPECT_TRUE(absl::IsUnavailable(AwaitGone(id)));
    EXPECT_EQ(emulator_.billing(), 0);
    emulator_.Look([&](CloudModel& model) {
      EXPECT_EQ(model.machines().rbegin()->second.state, EmulatedMachine::State::kGone) << "nobody would end it later";
    });
  }
}

TEST_P(CloudTest, AnEngineThatDiesOnAMachineThatRunsHasCrashed) {
  Serve(Spec());
  Pass(absl::Seconds(5));
  provider_->TerminateLost("m-1");
  MachineEvent event = Next();
  EXPECT_EQ(event.kind, Kind::kEnded);
  EXPECT_TRUE(event.crashed);
  event = Next();
  EXPECT_EQ(event.kind, Kind::kGone);
  EXPECT_TRUE(event.crashed);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudTest, AnEngineThatGoesWithItsMachineHasNotCrashed) {
  for (const char* how : {"gone", "stopped"}) {
    SCOPED_TRACE(how);
    const std::string id = absl::StrCat("m-", how);
    Serve(Spec(id));
    Pass(absl::Seconds(5));
    Say(absl::StrCat("take ", number(), " 0 ", how, " silent"));
    provider_->TerminateLost(id);
    MachineEvent event = Next();
    EXPECT_EQ(event.kind, Kind::kEnded);
    EXPECT_FALSE(event.crashed);
    EXPECT_FALSE(Next().crashed);
    EXPECT_EQ(emulator_.billing(), 0);
  }
}

TEST_P(CloudTest, WhereNoListTellsNobodyIsBlamed) {
  Serve(Spec());
  Pass(absl::Seconds(5));
  Say("down");
  provider_->TerminateLost("m-1");
  Pass(absl::Seconds(20));
  Say("up");
  const MachineEvent event = Next();
  EXPECT_EQ(event.kind, Kind::kGone);
  EXPECT_FALSE(event.crashed);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudTest, AListThatLacksAMachineDoesNotTakeItAway) {
  Serve(Spec());
  Say(absl::StrCat("hide ", number(), " 50"));
  EXPECT_EQ(Next(absl::Minutes(3)).kind, Kind::kOffers) << "nothing was heard of the machine";
  Say(absl::StrCat("hide ", number(), " 20"));
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0) << "gone was told of a machine that bills";
}

TEST_P(CloudTest, AnAnswerWithoutAListIsNoEmptyList) {
  Serve(Spec());
  Say("fault empty 500");
  EXPECT_EQ(Next(absl::Minutes(3)).kind, Kind::kOffers) << "nothing was heard of the machine";
  EXPECT_EQ(emulator_.billing(), 1);
}

TEST_P(CloudTest, AnOperationThatCannotBeAskedAboutHidesNoMachine) {
  for (const char* status : {"503", "403"}) {
    Say(absl::StrCat("fault ", status, " 30 /operations/"));
    Serve(Spec(status, status));
  }
}

TEST_P(CloudTest, AVolumeIsNotTakenFromAMachineThatIsNotListed) {
  Serve(Spec());
  Begin();  // and its store is lost
  Say(absl::StrCat("hide ", number(), " 40"));
  provider_->Launch(Spec("m-2"));
  Pass(absl::Seconds(39));
  emulator_.Look([&](CloudModel& model) {
    const EmulatedVolume& volume = model.volumes().begin()->second;
    EXPECT_EQ(volume.machine, model.machines().begin()->first);
    EXPECT_EQ(volume.state, EmulatedVolume::State::kAttached);
  });
  AwaitServing("m-2");  // when the first one is stopped, as nobody's
  EXPECT_EQ(emulator_.billing(), 1);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, ANoticeReachesTheMachine) {
  Serve(Spec());
  Say(absl::StrCat("take ", number(), " 30 gone"));
  ASSERT_EQ(host_.notices().size(), 1);
  EXPECT_TRUE(absl::EndsWith(host_.notices()[0], " 30s"));
  Pass(absl::Seconds(20));
  Say(absl::StrCat("withdraw ", number()));
  EXPECT_EQ(Next(absl::Minutes(2)).kind, Kind::kOffers);
}

TEST_P(CloudTest, AStopThatNeverEndsIsADeletion) {
  Serve(Spec());
  Say("habit stop_never_ends 1");
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1", absl::Minutes(20)).ok());
  EXPECT_EQ(emulator_.billing(), 0);
  Say("habit stop_never_ends 0");
  Serve(Spec(), /*restore=*/true);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, AStopThatIsRefusedIsADeletion) {
  if (GetParam().stop.empty()) GTEST_SKIP() << "a stop is a deletion";
  Serve(Spec());
  Say(absl::StrCat("fault 403 1000 ", GetParam().stop));
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1", absl::Minutes(20)).ok());
  EXPECT_EQ(emulator_.billing(), 0);
  Serve(Spec(), /*restore=*/true);
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, AStartThatIsRefusedLeavesAllAsItIs) {
  if (GetParam().start.empty()) GTEST_SKIP() << "a start is a purchase";
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Say(absl::StrCat("fault 403 1 ", GetParam().start));
  provider_->Restore(Spec());
  EXPECT_TRUE(absl::IsFailedPrecondition(AwaitGone("m-1")));
  Pass(absl::Minutes(5));
  Serve(Spec(), /*restore=*/true);
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudTest, AVolumeOfADeadMachineIsTakenFromIt) {
  Serve(Spec());
  Say("habit dead_keep_volumes 1");
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  EXPECT_TRUE(absl::IsUnavailable(AwaitGone("m-1")));
  Serve(Spec("m-2"));
  EXPECT_EQ(volumes(), 1);
}

TEST_P(CloudTest, AnAttachmentThatNeverEndsEndsTheStart) {
  Say("habit attach_never_ends 1");
  provider_->Launch(Spec());
  if (Api("x-")->traits().attaches_at_creation) {  // it counts as attached from the beginning: the fleet's cap ends it
    EXPECT_EQ(Next().kind, Kind::kStarted);
    EXPECT_EQ(Next(absl::Minutes(10)).kind, Kind::kOffers) << "without its volume it does not serve";
    provider_->Hibernate("m-1");
    EXPECT_TRUE(AwaitGone("m-1").ok());
  } else {
    const absl::Status status = AwaitGone("m-1", absl::Minutes(10));
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  }
  EXPECT_EQ(emulator_.billing(), 0);
  Say("habit attach_never_ends 0");
  Serve(Spec("m-2"));
  EXPECT_EQ(emulator_.billing(), 1);
  EXPECT_EQ(volumes(), 1) << "the volume was freed";
}

TEST_P(CloudTest, WhoListensLateHearsOfTheOffers) {
  provider_->Run();
  offers_.clear();
  size_t heard = 0;
  provider_->Listen([&](MachineEvent event) { heard += event.offers.size(); });
  EXPECT_GE(heard, 2);
  provider_->Listen(nullptr);
}

TEST_P(CloudTest, AListOfManyPagesIsReadToItsEnd) {
  auto api = Api("spotinference-ab12-");
  const auto offers = api->Offers();
  ASSERT_TRUE(offers.ok()) << offers.status();
  for (int i = 0; i < 130; ++i) {
    const std::string name = absl::StrCat("spotinference-ab12-v-", i);
    ASSERT_TRUE(api->CreateVolume(name, offers->offers[0].offer, NewPurchaseToken()).ok());
  }
  clock_.Advance(absl::Seconds(1));
  const auto inventory = api->List();
  ASSERT_TRUE(inventory.ok()) << inventory.status();
  EXPECT_EQ(inventory->volumes.size(), 130);
}

TEST_P(CloudTest, AFileOfThisComputerIsOnNoMachine) {
  MachineSpec spec = Spec();
  spec.weights = "/models/a.gguf";
  provider_->Launch(spec);
  EXPECT_TRUE(absl::IsFailedPrecondition(AwaitGone("m-1")));
  EXPECT_EQ(bought() + volumes(), 0);
}

TEST_P(CloudTest, WithoutMoneyNothingIsMade) {
  CloudProviderOptions options;
  options.names = CloudNames("ab12");
  options.buys_nothing = "spend.max_dollars_per_day is 0";
  CloudProvider poor(Api("spotinference-ab12-"), engines_, *authority_, clock_, options);
  std::vector<MachineEvent> events;
  poor.Listen([&](MachineEvent event) {
    if (event.kind != Kind::kOffers) events.push_back(std::move(event));
  });
  poor.Launch(Spec());
  poor.Restore(Spec("m-2"));
  poor.Run();
  ASSERT_EQ(events.size(), 2);
  for (const MachineEvent& event : events) {
    EXPECT_TRUE(absl::IsFailedPrecondition(event.status)) << event.status;
    EXPECT_TRUE(absl::StrContains(event.status.message(), "max_dollars_per_day is 0"));
    EXPECT_TRUE(absl::StrContains(event.status.message(), GetParam().type)) << "it says what it would buy";
  }
  EXPECT_EQ(bought() + volumes(), 0);
}

TEST_P(CloudTest, WithoutRightsItFailsForGood) {
  CloudProviderOptions options;
  options.names = CloudNames("ab12");
  CloudProvider stranger(Api("spotinference-ab12-", /*is_stranger=*/true), engines_, *authority_, clock_, options);
  std::vector<MachineEvent> events;
  absl::Status offers;
  stranger.Listen([&](MachineEvent event) {
    if (event.kind != Kind::kOffers) events.push_back(std::move(event));
    else offers = event.status;
  });
  stranger.Launch(Spec());
  for (int i = 0; i < 100 && events.empty(); ++i) {
    stranger.Run();
    clock_.Advance(absl::Seconds(1));
  }
  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(events[0].kind, Kind::kGone);
  EXPECT_TRUE(absl::IsFailedPrecondition(events[0].status)) << events[0].status;
  EXPECT_TRUE(absl::IsUnauthenticated(offers) || absl::IsPermissionDenied(offers)) << offers;
  EXPECT_TRUE(absl::StartsWith(offers.message(), GetParam().name + ": ")) << offers;
}

// Whatever is lost, repeated or refused on the way: one machine a name at most, and none that bills once its end was
// told.
TEST_P(CloudTest, HoldsItsInvariantsInAHostileWorld) {
  const auto hold_one_volume_a_zone = [this] {
    emulator_.Look([](CloudModel& model) {
      std::set<std::string> zones;
      for (const auto& [number, volume] : model.volumes()) EXPECT_TRUE(zones.insert(volume.zone).second) << volume.zone;
    });
  };
  for (int seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Say(absl::StrCat("chaos ", seed, " 0.25"));
    Say(absl::StrCat("habit list_lag ", seed % 3 * 5));
    Begin();
    const std::string id = absl::StrCat("m-", seed);
    provider_->Launch(Spec(id));
    MachineEvent event = Next(absl::Minutes(30));
    while (event.kind == Kind::kStarted) event = Next(absl::Minutes(30));
    ASSERT_EQ(event.kind, Kind::kReady) << event.status;
    EXPECT_EQ(emulator_.billing(), 1);
    if (seed % 2 == 0) {
      Begin();
      provider_->Adopt(Spec(id), handle_, event.endpoint.address);
      ASSERT_EQ(Next(absl::Minutes(30)).kind, Kind::kAdopted);
    }
    seed % 3 == 0 ? provider_->Hibernate(id) : provider_->Terminate(id);
    EXPECT_TRUE(AwaitGone(id, absl::Minutes(60)).ok());
    EXPECT_EQ(emulator_.billing(), 0);
    if (seed % 3 == 0) {
      provider_->Terminate(id);
      ASSERT_TRUE(AwaitGone(id, absl::Minutes(60)).ok());
    }
    hold_one_volume_a_zone();
  }
  Say("chaos 0 0");
  Pass(absl::Minutes(5));
  EXPECT_EQ(emulator_.billing(), 0);
  // A zone never has two; another zone gets one where the first one's place could not be asked for long.
  if (!GetParam().has_places) {
    EXPECT_EQ(volumes(), 1);
  }
  hold_one_volume_a_zone();
}

// One that hears nothing for long powers itself off, and two clouds go on to charge for it.
TEST_P(CloudTest, WhatPoweredItselfOffIsEnded) {
  Serve(Spec());
  Say("poweroff " + number());
  EXPECT_FALSE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0);
  Serve(Spec("m-2"));
  Begin();  // a fleet that does not know it
  Say("poweroff " + number());
  Pass(absl::Minutes(5));
  EXPECT_EQ(emulator_.billing(), 0);
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
