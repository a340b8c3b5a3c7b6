// What the fleet's ledger has once all is over is the emulated cloud's bill to the cent: the controller, the provider and
// the adapter of every cloud, over wakes, sleep, a machine that is taken away, one that vanishes from lists, and a restart.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"
#include "fleet/providers/conformance/cloud_fixture.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;

constexpr double kCent = 0.01;

class CloudLedgerTest : public CloudFixture {
 protected:
  CloudLedgerTest() { BeginFleet(); }

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

  void ExpectLedgerIsBill() {
    double machines = 0, volumes = 0, addresses = 0, disks = 0;
    emulator_.Look([&](CloudModel& model) {
      volumes = model.deleted_volumes_dollars();
      for (const auto& [number, volume] : model.volumes()) volumes += model.Bill(volume);
      for (const auto& [number, machine] : model.machines()) {
        machines += model.Bill(machine);
        addresses += model.AddressBill(machine);
        disks += model.BootDiskBill(machine);
      }
    });
    EXPECT_GT(machines + volumes, 0) << "else this shows nothing";
    for (const LedgerLine& line : fleet_->LedgerLines()) machines -= line.dollars;
    for (const StorageLine& line : fleet_->StorageLines()) {
      double& of = line.kind == "volume" ? volumes : line.kind == "address" ? addresses : disks;
      of -= line.dollars;
    }
    EXPECT_NEAR(machines, 0, kCent);
    EXPECT_NEAR(volumes, 0, kCent);
    EXPECT_NEAR(addresses, 0, kCent);
    EXPECT_NEAR(disks, 0, kCent);
  }

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
    ExpectLedgerIsBill();
  }
}

TEST_P(CloudLedgerTest, OverARestart) {
  Use(absl::Minutes(30));
  clock_.Advance(absl::Minutes(3));
  BeginFleet();
  Sleep();
  ExpectLedgerIsBill();
}

// It is given up, comes back as one that nobody knows, and is ended.
TEST_P(CloudLedgerTest, OfAMachineThatNoListHas) {
  Use(absl::Minutes(30));
  Say(absl::StrCat("hide ", running(), " 400"));
  PassAll(absl::Minutes(20));
  Sleep();
  ExpectLedgerIsBill();
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudLedgerTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
