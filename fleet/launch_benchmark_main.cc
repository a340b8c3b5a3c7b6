// How long the fleet takes from a request, or from a notice, to its launch call: the controller with its thread and its
// SQLite file, the providers with theirs, over HTTP to the emulated clouds and on this computer itself.
// ./bazelw run //fleet:launch_benchmark [-- --fleets 5], some minutes
//
// Each fleet begins with nothing, is woken, put to rest and woken again, and hears at last of one notice: a zone in
// which machines were just lost is not asked again at once, so that a second one would have nowhere to go. On a cloud
// the engine hears of it, from which nothing streams that could carry the word; here it is an admin's order.
#include <glog/logging.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "fleet/controller.h"
#include "fleet/identity/authority.h"
#include "fleet/providers/cloud/cloud_provider.h"
#include "fleet/providers/conformance/clouds.h"
#include "fleet/providers/emulator/cloud_emulator.h"
#include "fleet/providers/local/local_provider.h"
#include "fleet/store/sqlite_store.h"

ABSL_FLAG(int, fleets, 5, "for each cloud");

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr int kRequests = 1;  // of a fleet at rest; a second rest would wait for a minute, lest its start be late
constexpr char kNetwork[] = "127.9.0.";  // of emulated machines

// Engines serve as soon as their machine has booted. Those of real processes are not asked.
class Engines : public MachineHost, public Probe {
 public:
  std::string Address(int64_t machine) override { return absl::StrCat(kNetwork, machine); }
  void Boot(const EmulatedMachine& machine) override { Set(machine, true); }
  void Halt(const EmulatedMachine& machine) override { Set(machine, false); }
  void Erase(const EmulatedMachine& machine) override { Set(machine, false); }
  void Attach(const EmulatedMachine&, const EmulatedVolume&) override {}
  void Detach(const EmulatedMachine&, const EmulatedVolume&) override {}
  void Notice(const EmulatedMachine&, std::optional<absl::Duration>) override {}
  absl::Status Tell(const EmulatedMachine&, const std::string&) override {
    return absl::NotFoundError("it has no metadata service");
  }

  void Ask(const Endpoint& endpoint, absl::Duration,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override {
    const std::string host = endpoint.address.substr(0, endpoint.address.find(':'));
    if (!Serves(host)) return done(absl::UnavailableError("it boots"));
    done(EngineIdentity{.model_hash = "abc", .numerics_id = "n"});
  }
  void AskFigures(const Endpoint& endpoint, absl::Duration,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override {
    EngineFigures figures;
    absl::MutexLock lock(&mutex_);
    if (noticed_.contains(endpoint.address)) {
      figures.notices = 1;
      figures.notice = EngineNotice{.source = "cloud", .stops = true, .serves_on = true, .left = absl::Minutes(2)};
    }
    done(figures);
  }
  void AwaitNotice(const Endpoint& endpoint, uint64_t notices, absl::Duration,
                   absl::AnyInvocable<void(const absl::Status&)> done) override {
    absl::MutexLock lock(&mutex_);
    if (notices == 0 && noticed_.contains(endpoint.address)) return done(absl::OkStatus());
    if (notices == 0) waits_[endpoint.address] = std::move(done);
  }
  void HearNotice(const Endpoint& endpoint) {
    absl::MutexLock lock(&mutex_);
    noticed_.insert(endpoint.address);
    if (const auto wait = waits_.extract(endpoint.address)) wait.mapped()(absl::OkStatus());
  }
  void HandOver(const Endpoint&, absl::Duration, absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    done(0);
  }
  void Interrupt(const Endpoint&, absl::Duration, absl::Duration,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    done(0);
  }

 private:
  bool Serves(const std::string& address) {
    absl::MutexLock lock(&mutex_);
    return !absl::StartsWith(address, kNetwork) || up_.contains(address);
  }
  void Set(const EmulatedMachine& machine, bool up) {
    absl::MutexLock lock(&mutex_);
    up ? void(up_.insert(machine.address)) : void(up_.erase(machine.address));
  }

  absl::Mutex mutex_;
  std::set<std::string> up_ ABSL_GUARDED_BY(mutex_), noticed_ ABSL_GUARDED_BY(mutex_);  // addresses
  std::map<std::string, absl::AnyInvocable<void(const absl::Status&)>> waits_ ABSL_GUARDED_BY(mutex_);
};

struct Times {  // milliseconds
  std::vector<double> requests;           // to a machine, where its volume is there
  std::vector<double> notices, machines;  // to the first thing bought elsewhere, a volume; to the machine

  void Print(const std::string& name) const {
    std::printf("%-11s", name.c_str());
    for (std::vector<double> values : {requests, notices, machines}) {
      std::sort(values.begin(), values.end());
      std::printf(" %9.1f %8.1f", values[values.size() / 2], values.back());
    }
    std::printf("\n");
    std::fflush(stdout);
  }
};

// One fleet over one provider.
class Benchmark {
 public:
  // When the first machine was bought or started again (or the first volume made) since a moment of Clock::Elapsed();
  // infinite: none was.
  using Called = std::function<absl::Duration(absl::Duration since)>;

  // What tells a machine of its end; nullptr: an admin's order.
  using Notice = std::function<void(const Endpoint&)>;

  Benchmark(Provider& provider, Probe& probe, Notice notice, const std::string& folder, const std::string& weights)
      : notice_(std::move(notice)) {
    auto store = OpenSqliteStore(folder + "/fleet.db");
    CHECK(store.ok()) << store.status();
    store_ = *std::move(store);
    Controller::Options options;
    options.models = {{.name = "m", .weights = weights, .model_hash = "abc", .max_machines = 1}};
    options.on_wake = [this](absl::string_view, absl::string_view stage, absl::Duration) {
      if (stage != "launching") return;
      absl::MutexLock lock(&mutex_);
      started_ = std::min(started_, RealClock().Elapsed());
    };
    auto fleet = Controller::Create(std::move(options), RealClock(), *store_, provider, probe);
    CHECK(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
    fleet_->Start();
  }

  // When a machine was heard to be started since the last call.
  absl::Duration TakeStarted() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(started_, absl::InfiniteDuration());
  }

  void Run(const Called& volume_called, const Called& machine_called, Times& times) {
    for (int i = 0; i <= kRequests; ++i) {
      const absl::Duration requested = RealClock().Elapsed();
      std::optional<Lease> lease(Acquire());
      const absl::Duration called = machine_called(requested);
      if (i > 0) times.requests.push_back(absl::ToDoubleMilliseconds(called - requested));  // else it has no volume yet
      const Endpoint endpoint = lease->endpoint();
      const std::string& id = endpoint.machine_id;
      if (i == kRequests) return Interrupt(endpoint, volume_called, machine_called, times);
      lease.reset();
      fleet_->Hibernate(id, [](const absl::Status& status) { CHECK(status.ok()) << status; });
      AwaitRest();
    }
  }

  // No machine is left running.
  void End() {
    fleet_->BeginShutdown(absl::ZeroDuration());
    CHECK(fleet_->AwaitStopped(kPatience));
  }

 private:
  void Interrupt(const Endpoint& endpoint, const Called& volume_called, const Called& machine_called, Times& times) {
    const std::string& id = endpoint.machine_id;
    const absl::Duration noticed = RealClock().Elapsed();
    if (notice_ != nullptr) notice_(endpoint);
    else fleet_->Interrupt(id, absl::Minutes(2), [](const absl::Status& status) { CHECK(status.ok()) << status; });
    while (Acquire().endpoint().machine_id == id) absl::SleepFor(absl::Milliseconds(20));
    const absl::Duration machine = machine_called(noticed);
    times.notices.push_back(absl::ToDoubleMilliseconds(std::min(volume_called(noticed), machine) - noticed));
    times.machines.push_back(absl::ToDoubleMilliseconds(machine - noticed));
  }

  Lease Acquire() {
    std::optional<Lease> lease;
    absl::Notification answered;
    fleet_->Acquire("m", {.bytes = 1}, [&](AcquireResult result) {
      if (auto* const error = std::get_if<AcquireError>(&result)) LOG(FATAL) << error->message;
      lease.emplace(std::get<Lease>(std::move(result)));
      answered.Notify();
    });
    CHECK(answered.WaitForNotificationWithTimeout(kPatience));
    return *std::move(lease);
  }

  void AwaitRest() {
    const auto rests = [](const MachineView& machine) { return machine.state == "hibernated"; };
    for (const absl::Time until = absl::Now() + kPatience; absl::Now() < until;
         absl::SleepFor(absl::Milliseconds(20))) {
      const std::vector<MachineView> machines = fleet_->Machines();
      if (std::all_of(machines.begin(), machines.end(), rests)) return;
    }
    LOG(FATAL) << "it does not come to rest";
  }

  const Notice notice_;
  absl::Mutex mutex_;
  absl::Duration started_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Controller> fleet_;
};

void MeasureCloud(const CloudUnderTest& cloud, const std::string& folder, Times& times) {
  const Clock& clock = RealClock();
  Engines engines;
  CloudEmulator emulator(clock, engines);
  for (const std::string& line : cloud.catalogue) CHECK(emulator.Command(line).ok()) << line;
  const auto authority = *Authority::Open(folder + "/identity", clock, /*is_new=*/true);
  CloudProviderOptions options = {.names = CloudNames("bench"), .drain = absl::ZeroDuration()};
  options.boot = {.engine_url = "https://example.org/engine", .engine_sha256 = std::string(64, 'a'), .notice = "local"};
  auto api = cloud.api(emulator.url(), options.names.Prefix(), clock, /*is_stranger=*/false, /*public_address=*/false);
  CloudProvider provider(std::move(api), engines, *authority, clock, std::move(options));
  Benchmark benchmark(provider, engines, [&](const Endpoint& endpoint) { engines.HearNotice(endpoint); }, folder,
                      "hf://o/m");
  provider.Start(4);
  absl::SleepFor(absl::Seconds(2));  // its offers come
  const auto first = [&](absl::Duration since, auto tell) {
    absl::Duration at = absl::InfiniteDuration();
    emulator.Look([&](CloudModel& model) {
      tell(model, [&](absl::Duration called) {
        if (called >= since) at = std::min(at, called);
      });
    });
    return at;
  };
  benchmark.Run(
      [&](absl::Duration since) {
        return first(since, [](CloudModel& model, auto called) {
          for (const auto& [number, volume] : model.volumes()) called(volume.listed_at - model.habits().list_lag);
        });
      },
      [&](absl::Duration since) {
        return first(since, [](CloudModel& model, auto called) {
          for (const auto& [number, machine] : model.machines()) {
            if (machine.state != EmulatedMachine::State::kRunning) continue;
            called(machine.since - model.habits().boot);
          }
        });
      },
      times);
}

void MeasureLocal(const std::string& folder, Times& times) {
  std::ofstream(folder + "/weights") << "serve";  // fake_engine.cc
  Engines engines;
  const auto provider = NewLocalProvider({.engine = "fleet/providers/local/fake_engine", .data_dir = folder});
  Benchmark benchmark(*provider, engines, nullptr, folder, folder + "/weights");
  const auto none = [](absl::Duration) { return absl::InfiniteDuration(); };
  benchmark.Run(none, [&](absl::Duration) { return benchmark.TakeStarted(); }, times);
  benchmark.End();
}

int Main() {
  FLAGS_minloglevel = google::GLOG_ERROR;
  std::printf("%-11s %18s %18s %18s\n%-11s %9s %8s %9s %8s %9s %8s\n", "ms to the", "machine, by", "volume, by",
              "machine, by", "call of", "request", "most", "notice", "most", "notice", "most");
  const std::filesystem::path root =
      std::filesystem::temp_directory_path() / absl::StrCat("launches_", absl::ToUnixNanos(absl::Now()));
  std::filesystem::create_directories(root);
  setenv("TEST_TMPDIR", root.c_str(), 1);  // for clouds.h
  const auto measure = [&](const std::string& name, auto fleet) {
    Times times;
    for (int i = 0; i < absl::GetFlag(FLAGS_fleets); ++i) {
      const std::filesystem::path folder = root / absl::StrCat(name, i);
      std::filesystem::create_directories(folder);
      fleet(folder.string(), times);
    }
    times.Print(name);
  };
  measure("local", MeasureLocal);
  for (const CloudUnderTest& cloud : AllClouds()) {
    measure(cloud.name, [&](const std::string& folder, Times& times) { MeasureCloud(cloud, folder, times); });
  }
  std::filesystem::remove_all(root);
  return 0;
}

}  // namespace
}  // namespace spotinference::fleet

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "Measures the time to a launch call, here and on emulated clouds.");
  return spotinference::fleet::Main();
}
