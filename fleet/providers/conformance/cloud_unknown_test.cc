// What a cloud has added since its adapter was written: members of objects, states of machines and of operations.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

constexpr char kPrefix[] = "spotinference-ab12-";

std::string TextOf(const std::optional<absl::Time>& time) { return time.has_value() ? absl::FormatTime(*time) : "-"; }

std::string TextOf(const CloudRun& run) {
  return absl::StrCat(TextOf(run.began), " to ", TextOf(run.ended), run.reclaimed ? " reclaimed" : "");
}

std::string TextOf(const OfferNow& now) {
  const Offer& offer = now.offer;
  return absl::StrCat("offer ", offer.region, " ", offer.zone, " ", static_cast<int>(offer.market), " ",
                      offer.machine_type, " ", offer.accelerator, " ", offer.accelerators, " ", offer.price_per_hour,
                      " ", offer.volume_per_hour, " ", now.stock.value_or(-1), " ", TextOf(now.priced_since), " ",
                      now.barred, " ", now.bars_restores);
}

std::string TextOf(const MachineEvent& event) {
  return absl::StrCat("event ", static_cast<int>(event.kind), " ", event.machine_id, " ", event.handle, " ",
                      event.endpoint.address, " ", event.status.ToString(), " ", TextOf(event.began), " ",
                      TextOf(event.ended), " ", event.reclaimed, event.public_address, event.kept, event.never_ran,
                      event.crashed, " ", event.boot_gigabytes);
}

// A life on a cloud, and all that is told of it.
class World : public CloudFixture {
 public:
  explicit World(const std::vector<std::string>& commands) {
    for (const std::string& command : commands) Say(command);
    Begin();
    api_ = Api(kPrefix);
  }
  void TestBody() override {}

  std::vector<std::string> Live() {
    LookAround();
    provider_->Launch(Spec());
    Await({Kind::kReady, Kind::kGone});
    LookAround();
    provider_->Hibernate("m-1");
    Await({Kind::kGone});
    LookAround();
    provider_->Restore(Spec());
    Await({Kind::kReady, Kind::kGone});
    const std::string address = last_.endpoint.address, handle = handle_;
    Begin();
    provider_->Adopt(Spec(), handle, address);
    Await({Kind::kAdopted});
    Say(absl::StrCat("take ", number(), " 0 gone silent"));
    Await({Kind::kGone});
    LookAround();
    Refuse();
    Begin();  // a stray, and one that powers itself off
    Pass(absl::Minutes(4));
    provider_->Launch(Spec("m-5"));
    Await({Kind::kReady, Kind::kGone});
    Say("poweroff " + number());
    Await({Kind::kGone});
    provider_->Discard(Spec("d", "m"));
    Await({Kind::kGone});
    LookAround();
    return std::move(said_);
  }

 private:
  // Where there is no stock, no room, no right, no such machine, no valid token any more.
  void Refuse() {
    const auto stock = [this](int count) {
      for (const std::string& zone : {GetParam().zone, GetParam().other_zone})
        Say(absl::StrCat("stock ", GetParam().name, " ", zone, " ", GetParam().type, " ", count));
    };
    provider_->Run();
    stock(0);
    provider_->Launch(Spec("m-2"));
    Await({Kind::kReady, Kind::kGone});
    stock(2);
    Say("habit quota 0");
    provider_->Launch(Spec("m-3"));
    Await({Kind::kReady, Kind::kGone});
    LookAround();
    Say("habit quota 1000");
    Say("expire");
    if (GetParam().has_places) Say("unreachable " + GetParam().zone.substr(0, GetParam().zone.size() - 1));
    LookAround();
    Say("reachable");
  Pass(absl::Minutes(10));  // until what the quota refused may be tried again
    Add(api_->DeleteMachine({.id = "i-1", .name = "nobody", .zone = GetParam().zone}).ToString());
    Add(Api(kPrefix, /*is_stranger=*/true)->List().status().ToString());
    Api(kPrefix);  // whose credentials are the environment's
    for (const std::string& call : {GetParam().create, GetParam().create_volume, GetParam().list}) {
      Say(absl::StrCat("fault 429:3 1 ", call));
      Say(absl::StrCat("fault unheard 1 ", call));
    }
    provider_->Launch(Spec("m-4", "v-4"));
    Await({Kind::kReady, Kind::kGone});
    LookAround();
  }

  void Add(std::string line) { said_.push_back(absl::StrCat(absl::FormatDuration(clock_.Elapsed()), " ", line)); }

  void Await(const std::vector<Kind>& kinds) {
    do {
      last_ = Next(absl::Minutes(30));
      if (last_.kind == Kind::kStarted) handle_ = last_.handle;
      Add(TextOf(last_));
    } while (last_.kind != Kind::kOffers && std::find(kinds.begin(), kinds.end(), last_.kind) == kinds.end());
  }

  void LookAround() {
    Pass(absl::Minutes(2));
    Add(absl::StrCat("bought ", bought(), " billing ", emulator_.billing(), " volumes ", volumes(), " addresses ",
                     addresses(), " account ", account_));
    for (const OfferNow& now : offers_) Add(TextOf(now));
    for (const VolumeNews& news : std::exchange(volumes_told_, {})) {
      Add(absl::StrCat("volume ", news.name, " ", news.gigabytes, " ", news.per_hour, " ", TextOf(news.made)));
    }
    for (const MachineEvent& stray : std::exchange(strays_, {})) Add(TextOf(stray));
    const auto account = api_->Account();
    Add(account.ok() ? *account : account.status().ToString());
    const auto inventory = api_->List();
    if (!inventory.ok()) return Add(inventory.status().ToString());
    for (const CloudMachine& machine : inventory->machines) {
      Add(absl::StrCat("machine ", machine.id, " ", machine.name, " ", machine.zone, " ", machine.type, " ",
                       static_cast<int>(machine.market), " ", machine.address, " ", machine.public_address, " ",
                       machine.boot_gigabytes, " ", static_cast<int>(machine.state), " ", machine.is_off, " ",
                       machine.word, " ", TextOf(machine.run)));
      const auto run = api_->LatestRun(machine);
      Add(run.ok() ? TextOf(*run) : run.status().ToString());
    }
    for (const CloudVolume& volume : inventory->volumes) {
      Add(absl::StrCat("volume ", volume.id, " ", volume.name, " ", volume.zone, " ", volume.ready, " ", volume.machine,
                       " ", volume.attached, " ", volume.word, " ", volume.gigabytes, " ", TextOf(volume.made)));
    }
    for (const UnheardPlace& place : inventory->unheard) Add(absl::StrCat(place.place, " ", place.status.ToString()));
    for (const auto& failure : inventory->failures) Add(absl::StrCat(failure.name, " ", failure.status.ToString()));
    const auto offers = api_->Offers();
    if (!offers.ok()) return Add(offers.status().ToString());
    for (const OfferNow& now : offers->offers) Add(TextOf(now));
    for (const UnheardPlace& place : offers->unheard) Add(absl::StrCat(place.place, " ", place.status.ToString()));
    Add(offers->quotas.ToString());
  }

  std::unique_ptr<CloudApi> api_;
  MachineEvent last_;
  std::vector<std::string> said_;
};

class CloudUnknownTest : public CloudFixture {
 protected:
  void Word(const std::string& word) { Say(absl::StrCat("word ", number(), word.empty() ? "" : " ", word)); }
};

TEST_P(CloudUnknownTest, NewFieldsChangeNothing) {
  for (const std::string command : {"habit ephemeral 0", "habit ephemeral 1", "habit no_hibernation 1"}) {
    SCOPED_TRACE(command);
    const std::vector<std::string> usual = World({command}).Live();
    EXPECT_EQ(usual, World({command, "habit new_fields 1"}).Live());
    EXPECT_GT(usual.size(), 60);
    const std::string ready = absl::StrCat(" event ", static_cast<int>(Kind::kReady), " m-");
    EXPECT_EQ(std::count_if(usual.begin(), usual.end(),
                            [&](const std::string& line) { return absl::StrContains(line, ready); }),
              4)
        << absl::StrJoin(usual, "\n");
    if (GetParam().name != "hyperstack") break;  // the habits are its own
  }
}

TEST_P(CloudUnknownTest, AMachineInAStateThatNobodyKnowsIsNeitherGoneNorBoughtAgain) {
  const MachineEvent ready = Serve(Spec());
  Word("MIGRATING");
  EXPECT_EQ(Next(absl::Minutes(30)).kind, Kind::kOffers) << "nothing was heard of the machine";
  Begin();
  provider_->Adopt(Spec(), handle_, ready.endpoint.address);
  EXPECT_EQ(Next().kind, Kind::kAdopted);
  EXPECT_EQ(Next(absl::Minutes(30)).kind, Kind::kOffers);
  EXPECT_TRUE(strays_.empty());
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(emulator_.billing(), 1);
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_TRUE(gone_.ended.has_value()) << "it is charged for until then";
  EXPECT_FALSE(gone_.never_ran);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudUnknownTest, OneThatIsLaunchedInAStateThatNobodyKnowsIsWaitedFor) {
  Say("habit boot 60");
  provider_->Launch(Spec());
  while (bought() == 0) Pass(absl::Milliseconds(100));
  Word("MIGRATING");
  EXPECT_EQ(Next(absl::Minutes(30)).kind, Kind::kOffers) << "it was said to run, or to be gone";
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(emulator_.billing(), 1);
  Word("");
  AwaitServing("m-1");
  EXPECT_EQ(bought(), 1);
}

TEST_P(CloudUnknownTest, OneThatIsLaunchedAndNeverKnownIsEndedAndChargedFor) {
  provider_->Launch(Spec());
  while (bought() == 0) Pass(absl::Milliseconds(100));
  Word("MIGRATING");
  Pass(absl::Minutes(10));
  provider_->Terminate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_FALSE(gone_.never_ran);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(CloudUnknownTest, OneThatIsHibernatedInAStateThatNobodyKnowsIsStartedOnceItIsKnown) {
  if (GetParam().start.empty()) GTEST_SKIP() << "a start is a purchase";
  Serve(Spec());
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  Word("SHELVED");
  provider_->Restore(Spec());
  EXPECT_EQ(Next(absl::Minutes(10)).kind, Kind::kOffers);
  EXPECT_EQ(bought(), 1);
  EXPECT_EQ(emulator_.billing(), 0);
  Word("");
  AwaitServing("m-1");
  EXPECT_EQ(bought(), 1);
}

// All other values than those that are known mean that it is still under way.
TEST_P(CloudUnknownTest, AnOperationInAStateThatNobodyKnowsIsUnderWay) {
  Say("habit odd_operations 1");
  Say("habit boot 20");
  Say("habit remove 10");
  for (const std::string id : {"m-1", "m-2"}) {
    Serve(Spec(id));
    id == "m-1" ? provider_->Hibernate(id) : provider_->Terminate(id);
    EXPECT_TRUE(AwaitGone(id).ok());
    EXPECT_TRUE(gone_.ended.has_value()) << "it was not waited for";
    EXPECT_EQ(emulator_.billing(), 0);
  }
  for (const std::string& zone : {GetParam().zone, GetParam().other_zone}) {
    Say(absl::StrCat("stock ", GetParam().name, " ", zone, " ", GetParam().type, " 0"));
  }
  provider_->Launch(Spec("m-3"));
  EXPECT_TRUE(absl::IsResourceExhausted(AwaitGone("m-3")));
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudUnknownTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
