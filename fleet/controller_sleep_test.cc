// What a disk costs that its cloud charges for only while its machine sleeps, as Hyperstack: 73 GB at 7 cents a month are
// 0.7 cents an hour. Each sleep is in the ledger once, whatever fails and wherever the gateway dies.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

// It fails one write, and its process dies at another.
class FaultyStore : public Store {
 public:
  explicit FaultyStore(MemoryStore& store) : store_(store) {}

  absl::StatusOr<Contents> Load() override { return store_.Load(); }
  absl::Status Write(const Changes& changes, Sync sync) override {
    ++writes;
    if (writes == fails_at) return absl::ResourceExhaustedError("no space left");
    if (dead()) return absl::OkStatus();
    return store_.Write(changes, sync);
  }
  bool dead() const { return writes >= dies_at; }

  int writes = 0, fails_at = 0, dies_at = 1;

 private:
  MemoryStore& store_;
};

class ControllerSleepTest : public ControllerTest {
 protected:
  ControllerSleepTest() {
    options_.models[0].max_price = 1.5;
    BeginAgain();
  }

  void Sell() {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const auto& [zone, price] : {std::pair("a", 1), std::pair("b", 2)})  // which is too dear
      event.offers.push_back({{.provider = "hyperstack", .zone = zone, .price_per_hour = 1.0 * price,
                               .volume_per_hour = 0.36}});
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  void BeginAgain(absl::Duration absent = absl::ZeroDuration()) {
    fleet_.reset();
    clock_.Advance(absent);
    Begin();
    Sell();
  }

  void Tell(MachineEvent event) {
    event.machine_id = id_;
    event.boot_gigabytes = 73;
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  // Until it is asked to be hibernated.
  void Serve(const std::string& model = "m") {
    auto client = Acquire(/*bytes=*/1, model);
    Tell({.kind = MachineEvent::Kind::kStarted, .handle = "i-1"});
    provider_.TellReady(id_);
    fleet_->Run();
    if (client->lease.has_value()) client->lease.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));
    EXPECT_TRUE(absl::StrContains(provider_.Asked(), "hibernate " + id_));
  }

  void Sleep(std::optional<absl::Duration> over_since = std::nullopt) {
    MachineEvent gone = {.handle = "i-1", .kept = true};
    if (over_since.has_value()) gone.ended = clock_.Now() - *over_since;
    if (over_since.has_value()) gone.began = clock_.Now() - *over_since - absl::Seconds(60);
    Tell(std::move(gone));
    EXPECT_TRUE(absl::StrContains(States(), id_ + " hibernated;"));
  }

  void Refuse() {
    Tell({.kept = true, .status = absl::ResourceExhaustedError("no stock")});
    EXPECT_EQ(States(), absl::StrCat(id_, " hibernated;"));
  }

  double Hours() const {  // asleep
    double dollars = 0, gigabyte_hours = 0;
    for (const StorageLine& line : fleet_->StorageLines()) {
      if (line.kind != "boot_disk") continue;
      dollars += line.dollars;
      gigabyte_hours += line.gigabyte_hours;
    }
    EXPECT_NEAR(dollars, 0.007 * gigabyte_hours / 73, 1e-9);
    return gigabyte_hours / 73;
  }

  std::string id_ = "m-1";
};

TEST_F(ControllerSleepTest, ADiskCostsWhileItsMachineSleeps) {
  Serve();
  Advance(absl::Hours(1));
  EXPECT_EQ(Hours(), 0);
  Sleep();
  Advance(absl::Hours(1));
  EXPECT_NEAR(Hours(), 1, 1e-9);
  BeginAgain(absl::Hours(2));
  EXPECT_NEAR(Hours(), 3, 1e-9) << "also while no fleet is there";
  Serve();
  EXPECT_NEAR(Hours(), 3, 1e-9);
  BeginAgain(absl::Hours(1));
  EXPECT_NEAR(Hours(), 3, 1e-9);
  Sleep();
  Advance(absl::Hours(1));
  EXPECT_NEAR(Hours(), 4, 1e-9);
}

TEST_F(ControllerSleepTest, FromTheEndOfItsRunWhereThatIsTold) {
  Serve();
  BeginAgain(absl::Hours(5));
  Sleep(absl::Hours(4));
  EXPECT_NEAR(Hours(), 4, 1e-9) << "it slept while no fleet was there";
  Serve();
  Advance(absl::Minutes(30));
  Sleep(absl::Minutes(30));
  EXPECT_NEAR(Hours(), 4.5, 1e-9);
  Serve();
  Sleep(absl::Hours(3));
  EXPECT_NEAR(Hours(), 4.5, 1e-9) << "a run that was over before it was ordered is another one's";
}

TEST_F(ControllerSleepTest, WhatWasNotStartedHasSleptOn) {
  Serve();
  Sleep();
  Advance(absl::Hours(1));
  const auto client = Acquire();
  ASSERT_EQ(States(), "m-1 restoring;");
  Advance(absl::Minutes(5));
  EXPECT_NEAR(Hours(), 1, 1e-9);
  Refuse();
  EXPECT_NEAR(Hours(), 1 + 5 / 60.0, 1e-9);
  Advance(absl::Hours(1));
  EXPECT_NEAR(Hours(), 2 + 5 / 60.0, 1e-9);
}

TEST_F(ControllerSleepTest, ItIsThereUntilItIsDeletedWithItsVolume) {
  Serve();
  Sleep();
  options_.models[0].name = "other";
  BeginAgain(absl::Hours(1));
  std::string asked;
  for (int hours = 0; hours < 100 && asked.empty(); ++hours) {
    Advance(absl::Hours(1));
    asked = provider_.Asked();
  }
  ASSERT_EQ(asked, "discard m-1");
  const double before = Hours();
  EXPECT_GT(before, 1);
  Advance(absl::Hours(2));
  EXPECT_NEAR(Hours(), before + 2, 1e-9);
  provider_.Tell({.machine_id = "m-1", .volume_ended = clock_.Now() - absl::Hours(1)});
  fleet_->Run();
  EXPECT_NEAR(Hours(), before + 1, 1e-9);
  BeginAgain(absl::Hours(2));
  EXPECT_NEAR(Hours(), before + 1, 1e-9);
}

TEST_F(ControllerSleepTest, ItsMachineIsGoneAndItIsToo) {
  Serve();
  Tell({.handle = "i-1", .status = absl::OkStatus()});
  Advance(absl::Hours(1));
  EXPECT_EQ(Hours(), 0) << "it is not kept";
}

// Its deletion was answered and not done. From the order of its restore on its record has the disk again.
TEST_F(ControllerSleepTest, ItsMachineIsToldGoneAndSleepsOn) {
  Serve();
  Tell({.handle = "i-1"});
  ASSERT_EQ(States(), "m-1 hibernated;");
  const absl::Time gone = clock_.Now();
  const auto tell = [&](absl::Time from, absl::Time to) {
    Tell({.kind = MachineEvent::Kind::kAsleep, .handle = "i-1", .began = from, .ended = to,
          .offer = Offer{.provider = "hyperstack", .zone = "a"}});
  };
  Advance(absl::Hours(1));
  tell(gone, clock_.Now());
  EXPECT_NEAR(Hours(), 1, 1e-9);
  Advance(absl::Minutes(30));
  const auto client = Acquire();
  Advance(absl::Seconds(10));
  tell(gone + absl::Hours(1), clock_.Now());
  EXPECT_NEAR(Hours(), 1.5, 1e-9);
  for (const StorageLine& line : fleet_->StorageLines()) EXPECT_EQ(line.model, "m");
}

// A run, a sleep, a restore that is refused, more sleep, another run and another sleep. Whenever the gateway dies, the next
// one's ledger has all of the sleep up to then.
TEST_F(ControllerSleepTest, NothingIsLostOrDoubledWhereverTheStoreFailsAndTheGatewayDies) {
  int most = 30;  // writes
  for (int fails_at = 0; fails_at <= most; ++fails_at) {
    for (int dies_at = 1; dies_at <= most + 1; ++dies_at) {
      SCOPED_TRACE(absl::StrCat("fails at ", fails_at, ", dies at ", dies_at));
      fleet_.reset();
      store_ = MemoryStore();
      FaultyStore store(store_);
      store.fails_at = fails_at;
      store.dies_at = dies_at;
      fleet_ = *Controller::Create(options_, clock_, store, provider_, probe_);
      Sell();
      double slept = 0;
      const auto pass = [&](absl::Duration time) {
        if (store.dead()) return;
        if (absl::StrContains(States(), "hibernated")) slept += absl::ToDoubleHours(time);
        Advance(time);
      };
      const auto wake = [&](const std::string& state) {  // a start that is not written down is tried again
        for (int tries = 0; tries < 2 && !store.dead(); ++tries) {
          auto client = Acquire();
          id_ = States().substr(0, States().find(' '));
          if (absl::StrContains(States(), state)) return client;
          fleet_->Cancel(client->id);
          pass(absl::Seconds(5));
          pass(absl::Minutes(10));
        }
        return std::make_unique<Client>();
      };
      const auto run_and_sleep = [&] {
        auto client = wake(id_.empty() ? "launching" : "restoring");
        Tell({.kind = MachineEvent::Kind::kStarted, .handle = "i-1"});
        provider_.TellReady(id_);
        fleet_->Run();
        client.reset();
        fleet_->Run();
        pass(absl::Seconds(90));
        if (!store.dead()) Sleep();
        pass(absl::Seconds(5));
        pass(absl::Hours(1));
      };
      id_.clear();
      run_and_sleep();
      if (auto client = wake("restoring"); !store.dead()) {
        Refuse();
        fleet_->Cancel(client->id);
      }
      pass(absl::Seconds(5));
      pass(absl::Minutes(20));
      run_and_sleep();
      most = std::max(most, store.writes);
      Begin();
      // What the store could not write is tried again in five seconds.
      const double lost = fails_at > 0 && dies_at == fails_at + 1 ? 5 / 3600.0 : 0;
      EXPECT_NEAR(Hours(), slept, lost + 1e-9);
      if (HasFailure()) return;
    }
  }
}

// What could not be written of one restore is not in the book that another one's order writes.
TEST_F(ControllerSleepTest, AnotherMachinesBookDoublesNothing) {
  options_.models.push_back(options_.models[0]);
  options_.models[1].name = "n";
  for (int i = 0; i < 64; ++i) {
    const int fails_after = 1 + i / 8, dies_after = 1 + i % 8;
    fleet_.reset();
    store_ = MemoryStore();
    FaultyStore store(store_);
    store.dies_at = 1000;
    fleet_ = *Controller::Create(options_, clock_, store, provider_, probe_);
    Sell();
    for (const char* const model : {"m", "n"}) {
      id_ = absl::StrCat(model, "-", *model == 'm' ? 1 : 2);
      Serve(model);
      Sleep();
    }
    Advance(absl::Hours(1));
    for (const char* const model : {"m", "n"}) fleet_->Acquire(model, Claim{.bytes = 1}, [](AcquireResult) {});
    store.fails_at = store.writes + fails_after;
    store.dies_at = store.writes + dies_after;
    fleet_->Run();
    Begin();
    EXPECT_NEAR(Hours(), 2 + 90 / 3600.0, 1e-9) << fails_after << " " << dies_after;
  }
}

}  // namespace
}  // namespace spotinference::fleet
