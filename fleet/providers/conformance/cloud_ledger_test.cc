// What the fleet's ledger has once all is over is the emulated cloud's bill to the cent: the controller, the provider and
// the adapter of every cloud, over wakes, sleep, a machine that is taken away, one that vanishes from lists, and a restart.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fleet/controller.h"
#include "fleet/providers/conformance/cloud_fixture.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;

constexpr double kCent = 0.01;       // at kDearer prices one or two seconds: AWS dates in whole ones
constexpr int kDearer = 100;
constexpr double kStorage = 2.5e-5;  // ten seconds of a disk, twenty of an address

class CloudLedgerTest : public CloudFixture {
 protected:
  CloudLedgerTest() {
    for (const std::string& line : GetParam().catalogue) Say(Dear(line));
    BeginFleet();
  }

  static std::string Dear(const std::string& line) {
    std::vector<std::string> words = absl::StrSplit(line, ' ');
    for (const size_t price : {7, 8}) {
      double dollars = 0;
      if (absl::SimpleAtod(words[price], &dollars)) words[price] = absl::StrCat(kDearer * dollars);
    }
    return absl::StrJoin(words, " ");
  }

  // Another life of the fleet on the same store, which knows nothing but that.
  void BeginFleet() {
    fleet_.reset();
    Begin();
    Controller::Options options;
    options.models = {{.name = "m", .weights = "hf://org/repo/model.gguf", .model_hash = "abc", .max_machines = 1,
                       .idle_timeout = absl::Minutes(2)}};
    auto fleet = Controller::Create(std::move(options), clock_, store_, *provider_, engines_);
    ASSERT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
    PassAll(absl::Seconds(2));  // offers come
  }

  void PassAll(absl::Duration time) {
    for (absl::Duration end = clock_.Elapsed() + time; clock_.Elapsed() < end;) {
      fleet_->Run();
      Pass(absl::Seconds(1));
    }
    fleet_->Run();
  }

  // An answer that takes so long, after which the machine goes to sleep.
  void Use(absl::Duration time) {
    std::optional<Lease> lease;
    fleet_->Acquire("m", {.bytes = 1}, [&](AcquireResult result) {
      if (auto* granted = std::get_if<Lease>(&result)) lease.emplace(std::move(*granted));
    });
    PassAll(absl::Minutes(2));
    ASSERT_TRUE(lease.has_value());
    PassAll(time);
    lease.reset();
  }
  void Sleep() {
    PassAll(absl::Minutes(5));
    EXPECT_EQ(emulator_.billing(), 0);
  }

  std::string running() {
    std::string number;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [its, machine] : model.machines()) {
        if (machine.state == State::kRunning) number = absl::StrCat(its);
      }
    });
    return number;
  }

  // Of what is on the bill, and what the cloud does not tell.
  struct Bill {
    bool machines = true;  // false: what ran was free
    bool disks = true;
    double more_seconds = 0;  // of the dearest machine, which the ledger may have beyond
  };
  void ExpectLedgerIsBill(const Bill& expected) {
    double machines = 0, volumes = 0, addresses = 0, disks = 0, dearest = 0;
    emulator_.Look([&](CloudModel& model) {
      volumes = model.deleted_volumes_dollars();
      for (const auto& [number, volume] : model.volumes()) volumes += model.Bill(volume);
      for (const auto& [number, machine] : model.machines()) {
        machines += model.Bill(machine);
        addresses += model.AddressBill(machine);
        disks += model.BootDiskBill(machine);
        dearest = std::max(dearest, machine.price_per_hour);
      }
    });
    EXPECT_EQ(machines > 100 * kCent, expected.machines) << machines;
    EXPECT_GT(volumes, 100 * kStorage);
    EXPECT_EQ(addresses > 0, public_address_ || GetParam().name == "aws") << "AWS's subnets give one";
    EXPECT_EQ(disks > 0, expected.disks);
    double booked = 0;
    for (const LedgerLine& line : fleet_->LedgerLines()) booked += line.dollars;
    std::map<std::string, double> stored;
    for (const StorageLine& line : fleet_->StorageLines()) stored[line.kind] += line.dollars;
    EXPECT_GE(booked, machines - kCent);
    EXPECT_LE(booked, machines + kCent + expected.more_seconds / 3600 * dearest);
    EXPECT_NEAR(stored["volume"], volumes, std::max(kStorage, 0.01 * volumes));
    EXPECT_NEAR(stored["address"], addresses, std::max(kStorage, 0.01 * addresses));
    EXPECT_NEAR(stored["boot_disk"], disks, std::max(kStorage, 0.01 * disks));
  }
  void ExpectLedgerIsBill() { ExpectLedgerIsBill(Bill()); }

  MemoryStore store_;
  std::unique_ptr<Controller> fleet_;
};

TEST_P(CloudLedgerTest, OfWakesAndSleep) {
  for (const int minutes : {20, 1, 75}) {
    Use(absl::Minutes(minutes));
    Sleep();
    ExpectLedgerIsBill();
    PassAll(absl::Hours(2));
    ExpectLedgerIsBill();
  }
}

TEST_P(CloudLedgerTest, WithAPublicAddress) {
  public_address_ = true;
  BeginFleet();
  Use(absl::Hours(3));
  Sleep();
  PassAll(absl::Hours(3));
  ExpectLedgerIsBill();
}

// As clouds do: AWS ends it, the others stop it.
TEST_P(CloudLedgerTest, OfMachinesThatAreTakenAway) {
  const char* const to = Api("x-")->traits().keeps_stopped ? "stopped" : "gone";
  for (const int minutes : {10, 70}) {
    Use(absl::Minutes(minutes));
    Say(absl::StrCat("take ", running(), " 0 ", to, " silent"));
    Sleep();
    const bool is_free = GetParam().name == "aws" && minutes < 60;
    ExpectLedgerIsBill({.machines = !is_free});
  }
}

TEST_P(CloudLedgerTest, OverARestart) {
  Use(absl::Minutes(30));
  clock_.Advance(absl::Minutes(3));
  BeginFleet();
  Sleep();
  ExpectLedgerIsBill();
}

// It is given up and deleted. AWS tells of its end in lists alone, and none has it: the ledger has it until it is held
// for gone, 18 s later. Hyperstack's disk costs only while its machine sleeps, which this one never does.
TEST_P(CloudLedgerTest, OfAMachineThatNoListHas) {
  Use(absl::Minutes(30));
  Say(absl::StrCat("hide ", running(), " 400"));
  PassAll(absl::Minutes(20));
  Sleep();
  const bool is_aws = GetParam().name == "aws", is_hyperstack = GetParam().name == "hyperstack";
  ExpectLedgerIsBill({.disks = !is_hyperstack, .more_seconds = is_aws ? 20.0 : 0});
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudLedgerTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
