// A CloudProvider on the emulated clouds, in a time that a test owns; one suite for every cloud.
#ifndef FLEET_PROVIDERS_CONFORMANCE_CLOUD_FIXTURE_H_
#define FLEET_PROVIDERS_CONFORMANCE_CLOUD_FIXTURE_H_

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/fake_clock.h"
#include "fleet/identity/authority.h"
#include "fleet/probe/probe.h"
#include "fleet/providers/cloud/cloud_provider.h"
#include "fleet/providers/conformance/clouds.h"
#include "fleet/providers/emulator/cloud_emulator.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {

// Machines that are nowhere, whose engines serve as soon as they have booted and have their volume.
class FakeHost : public MachineHost {
 public:
  std::string Address(int64_t machine) override {
    return absl::StrCat("127.9.", machine / 250, ".", 1 + machine % 250);
  }
  void Boot(const EmulatedMachine& machine) override {
    booted_.insert_or_assign(absl::StrCat(machine.address, ":8500"), machine.number);
  }
  void Halt(const EmulatedMachine& machine) override { booted_.erase(absl::StrCat(machine.address, ":8500")); }
  void Erase(const EmulatedMachine& machine) override { with_volume_.erase(machine.number); }
  void Attach(const EmulatedMachine& machine, const EmulatedVolume&) override { with_volume_.insert(machine.number); }
  void Detach(const EmulatedMachine& machine, const EmulatedVolume&) override { with_volume_.erase(machine.number); }
  void Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) override {
    notices_.push_back(absl::StrCat(machine.name, " ", left.has_value() ? absl::FormatDuration(*left) : "stays"));
  }

  absl::Status Tell(const EmulatedMachine&, const std::string&) override { return absl::OkStatus(); }

  // An engine answers there.
  bool IsUp(const std::string& address) const {
    const auto machine = booted_.find(address);
    return machine != booted_.end() && with_volume_.count(machine->second) != 0;
  }
  const std::vector<std::string>& notices() const { return notices_; }

 private:
  std::map<std::string, int64_t> booted_;  // machines, by their engines' addresses
  std::set<int64_t> with_volume_;          // machines
  std::vector<std::string> notices_;
};

class FakeEngines : public Probe {
 public:
  explicit FakeEngines(const FakeHost& host) : host_(host) {}
  void Ask(const Endpoint& endpoint, absl::Duration,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override {
    ++asked_;
    if (silent_ || !host_.IsUp(endpoint.address)) return done(absl::UnavailableError("nobody is there"));
    if (!booting_.empty()) {
      const absl::Status status = booting_.front();
      booting_.pop_front();
      return done(status);
    }
    done(EngineIdentity{.model_hash = "abc", .numerics_id = "n"});
  }
  void AskFigures(const Endpoint&, absl::Duration,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override {
    done(EngineFigures());
  }
  void AwaitNotice(const Endpoint&, uint64_t, absl::Duration,
                   absl::AnyInvocable<void(const absl::Status&)> done) override {
    done(absl::UnimplementedError("no notices"));
  }
  void HandOver(const Endpoint&, absl::Duration, absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    done(0);
  }
  void Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    interrupted_.push_back(absl::StrCat(endpoint.machine_id, " ", absl::FormatDuration(notice)));
    done(0);
  }
  void Silence() { silent_ = true; }  // none ever serves
  // The answers before an engine serves.
  void Boot(std::deque<absl::Status> booting) { booting_ = std::move(booting); }
  const std::vector<std::string>& interrupted() const { return interrupted_; }
  int asked() const { return asked_; }

 private:
  const FakeHost& host_;
  std::deque<absl::Status> booting_;
  std::vector<std::string> interrupted_;
  int asked_ = 0;
  bool silent_ = false;
};

class CloudFixture : public testing::TestWithParam<CloudUnderTest> {
 protected:
  using Kind = MachineEvent::Kind;

  CloudFixture() {
    for (const std::string& line : GetParam().catalogue) Say(line);
    Begin();
  }

  // A new provider, as after a restart of the fleet. What the last one was about to say is lost.
  void Begin(bool dry_run = false) {
    provider_.reset();
    events_.clear();
    CloudProviderOptions options;
    if (dry_run) options.buys_nothing = "--dry_run";
    options.changes_nothing = dry_run;
    options.names = CloudNames(fleet_);
    options.boot = {
        .engine_url = "https://example.org/engine", .engine_sha256 = std::string(64, 'a'), .notice = "local"};
    options.check_account = [this](const std::string& account) {
      if (account_.empty()) account_ = account;
      return account == account_ ? absl::OkStatus() : absl::PermissionDeniedError("machines are in " + account_);
    };
    provider_ = std::make_unique<CloudProvider>(Api(options.names.Prefix()), engines_, *authority_, clock_,
                                                std::move(options));
    provider_->Listen([this](MachineEvent event) {
      if (event.kind == Kind::kOffers) {
        offers_ = std::move(event.offers);
      } else if (event.kind == Kind::kVolume) {
        volumes_told_.push_back(*event.volume);
      } else if (event.kind == Kind::kStray) {
        strays_.push_back(std::move(event));
      } else if (event.kind == Kind::kAsleep) {
        sleeps_.push_back(std::move(event));
      } else {
        events_.push_back(std::move(event));
      }
    });
  }

  std::unique_ptr<CloudApi> Api(const std::string& prefix, bool is_stranger = false) {
    return GetParam().api(emulator_.url(), prefix, clock_, is_stranger, public_address_);
  }

  void Say(const std::string& command) { ASSERT_TRUE(emulator_.Command(command).ok()) << command; }

  static MachineSpec Spec(const std::string& id = "m-1", const std::string& volume = "m") {
    return {.id = id, .volume = volume, .weights = "hf://org/repo/model.gguf", .model_hash = "abc", .backend = "cpu"};
  }

  // Time passes as fast as there is something to do.
  void Pass(absl::Duration time) {
    const absl::Duration end = clock_.Elapsed() + time;
    while (clock_.Elapsed() < end) Tick(end);
    provider_->Run();
  }

  // The next event but offers, volumes and strays; of kind kOffers: there was none for `limit`.
  MachineEvent Next(absl::Duration limit = absl::Minutes(5)) {
    const absl::Duration end = clock_.Elapsed() + limit;
    while (events_.empty() && clock_.Elapsed() < end) Tick(end);
    if (events_.empty()) return {.kind = Kind::kOffers};
    MachineEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

  // kStarted and kReady.
  MachineEvent Serve(const MachineSpec& spec, bool restore = false) {
    restore ? provider_->Restore(spec) : provider_->Launch(spec);
    return AwaitServing(spec.id);
  }
  MachineEvent AwaitServing(const std::string& id, absl::Duration limit = absl::Minutes(5)) {
    MachineEvent event = Next(limit);
    EXPECT_EQ(event.kind, Kind::kStarted) << event.status;
    if (event.kind != Kind::kStarted) return event;
    handle_ = event.handle;
    event = Next(limit);
    EXPECT_EQ(event.kind, Kind::kReady) << event.status;
    EXPECT_EQ(event.machine_id, id);
    return event;
  }

  absl::Status AwaitGone(const std::string& id, absl::Duration limit = absl::Minutes(5)) {
    MachineEvent event = Next(limit);
    while (event.kind == Kind::kStarted) event = Next(limit);
    EXPECT_EQ(event.kind, Kind::kGone);
    EXPECT_EQ(event.machine_id, id);
    gone_ = event;
    return event.status;
  }

  // Machines that were ever bought, and volumes there are.
  int bought() {
    int count = 0;
    emulator_.Look([&](CloudModel& model) { count = static_cast<int>(model.machines().size()); });
    return count;
  }
  int volumes() {
    int count = 0;
    emulator_.Look([&](CloudModel& model) { count = static_cast<int>(model.volumes().size()); });
    return count;
  }
  int addresses() {  // public ones there are
    int count = 0;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) {
        const bool is_there = machine.state != EmulatedMachine::State::kGone || machine.left_address;
        count += machine.is_public && is_there;
      }
    });
    return count;
  }
  int interfaces() {  // that no machine has
    int count = 0;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines())
        count += machine.state == EmulatedMachine::State::kGone && machine.keeps_address;
    });
    return count;
  }
  // In the zone of the one that bills.
  std::string zone() {
    std::string zone;
    emulator_.Look([&](CloudModel& model) {
      for (const auto& [number, machine] : model.machines()) {
        if (machine.state == EmulatedMachine::State::kRunning) zone = machine.zone;
      }
    });
    return zone;
  }
  // As the newest machine was given it.
  std::string enrolment_token() {
    std::string user_data;
    emulator_.Look([&](CloudModel& model) { user_data = model.machines().rbegin()->second.user_data; });
    const std::vector<std::string> parts = absl::StrSplit(user_data, absl::ByAnyChar("\n'"));
    const auto name = std::find(parts.begin(), parts.end(), "token=");
    return name == parts.end() ? "" : *(name + 1);
  }
  std::string number() const {  // of the newest machine
    int64_t last = 0;
    const_cast<CloudFixture*>(this)->emulator_.Look(
        [&](CloudModel& model) { last = model.machines().rbegin()->first; });
    return absl::StrCat(last);
  }

  FakeClock clock_;
  FakeHost host_;
  FakeEngines engines_{host_};
  const std::unique_ptr<Authority> authority_ = *Authority::Open("", clock_, /*is_new=*/true);
  CloudEmulator emulator_{clock_, host_};
  std::unique_ptr<CloudProvider> provider_;
  std::deque<MachineEvent> events_;
  MachineEvent gone_;  // the last that was awaited
  std::vector<OfferNow> offers_;
  std::vector<VolumeNews> volumes_told_;
  std::vector<MachineEvent> strays_, sleeps_;
  std::string handle_;
  std::string account_;  // that machines are in; "": there is none
  bool public_address_ = false;  // of what Begin makes
  std::string fleet_ = "ab12";   // that Begin makes

 private:
  void Tick(absl::Duration end) {
    const absl::Duration next = std::min({provider_->Run(), end, clock_.Elapsed() + absl::Seconds(1)});
    clock_.Advance(std::max(absl::Milliseconds(1), next - clock_.Elapsed()));
    emulator_.Advance();
  }
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CONFORMANCE_CLOUD_FIXTURE_H_
