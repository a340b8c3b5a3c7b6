// The controller and the planner in simulated time against a hostile world: starts that fail, hang
// or are refused, crashes, engines that stop answering, clients who leave, a store that cannot
// write, and a fleet that is killed at any moment and begins again on the same store. A failing
// seed is printed and fails again.
#include <glog/logging.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "fleet/controller.h"
#include "fleet/store/memory_store.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kHorizon = absl::Hours(4);  // then no more clients come
constexpr absl::Duration kSettle = absl::Hours(2);   // and everything must have ended
constexpr absl::Duration kWakeCap = absl::Seconds(200);
constexpr absl::Duration kMaxWait = absl::Seconds(150);

// The provider and the engines of the simulated world.
class World : public Provider, public Probe {
 public:
  World(uint64_t seed, FakeClock& clock, const MemoryStore& store)
      : random_(seed), clock_(clock), store_(store) {}

  // --- Chance and time.

  bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
  absl::Duration Around(absl::Duration mean) {
    return std::exponential_distribution<double>(1)(random_) * mean;
  }
  void After(absl::Duration delay, std::function<void()> what) {
    agenda_.emplace(clock_.Elapsed() + delay, std::move(what));
  }
  absl::Duration next() const {
    return agenda_.empty() ? absl::InfiniteDuration() : agenda_.begin()->first;
  }
  void RunNext() {
    auto what = agenda_.extract(agenda_.begin());
    what.mapped()();
  }

  // --- What the invariants need to know.

  bool Serves(const std::string& id) const {
    const auto found = machines_.find(id);
    return found != machines_.end() && found->second.ready && !found->second.stopping;
  }
  int alive() const { return static_cast<int>(machines_.size()); }
  int launches() const { return launches_; }
  void set_demand(std::function<int()> demand) { demand_ = std::move(demand); }

  // --- Provider

  const Caps& caps() const override { return caps_; }
  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override {
    listener_ = std::move(listener);
  }
  void Launch(const MachineSpec& spec) override { Begin(spec, MachineState::kLaunching); }
  void Restore(const MachineSpec& spec) override { Begin(spec, MachineState::kRestoring); }

  void Adopt(const MachineSpec& spec, absl::string_view, absl::string_view address) override {
    After(Around(absl::Milliseconds(50)), [this, id = spec.id, address = std::string(address)] {
      if (!machines_.contains(id)) return TellGone(id, absl::UnavailableError("gone"));
      Tell({.kind = MachineEvent::Kind::kAdopted,
            .machine_id = id,
            .handle = "h",
            .endpoint = {.machine_id = id, .address = address, .token = "t"}});
    });
  }

  void Hibernate(absl::string_view id) override {
    StopIn(std::string(id), Around(absl::Seconds(3)));
  }
  void Terminate(absl::string_view id) override {
    StopIn(std::string(id), Around(absl::Seconds(1)));
  }
  void TerminateLost(absl::string_view id) override { Terminate(id); }
  void Discard(const MachineSpec& spec) override { ADD_FAILURE() << spec.volume << " is deleted"; }

  // --- Probe

  void Ask(const Endpoint& endpoint, absl::Duration deadline,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override {
    const bool answers = Serves(endpoint.machine_id) && !machines_[endpoint.machine_id].sick;
    auto shared = std::make_shared<decltype(done)>(std::move(done));
    After(answers ? absl::Milliseconds(2) : deadline, [answers, shared] {
      if (answers) return (*shared)(EngineIdentity{"abc", "n"});
      (*shared)(absl::DeadlineExceededError("no answer"));
    });
  }

  void AwaitNotice(const Endpoint&, uint64_t, absl::Duration deadline,
                   absl::AnyInvocable<void(const absl::Status&)> done) override {
    After(deadline, [done = std::make_shared<decltype(done)>(std::move(done))] {
      (*done)(absl::DeadlineExceededError("no news"));
    });
  }
  void HandOver(const Endpoint&, absl::Duration, absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    done(0);
  }
  void Interrupt(const Endpoint&, absl::Duration, absl::Duration,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    done(0);
  }

  // An engine has counted its own seconds.
  void AskFigures(const Endpoint& endpoint, absl::Duration deadline,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override {
    absl::StatusOr<EngineFigures> answer = absl::DeadlineExceededError("no answer");
    if (const auto found = machines_.find(endpoint.machine_id);
        found != machines_.end() && found->second.ready && !found->second.sick) {
      answer = EngineFigures{
          .totals = {.programs_compiled = 1, .busy = clock_.Elapsed() - found->second.began},
          .weights_bytes = 1};
    }
    auto shared = std::make_shared<decltype(done)>(std::move(done));
    After(answer.ok() ? absl::Milliseconds(2) : deadline,
          [answer, shared] { (*shared)(answer); });
  }

 private:
  struct Life {
    std::string volume;
    int number = 0;
    bool ready = false;
    bool stopping = false;
    bool sick = false;
    absl::Duration began;
  };

  void Tell(MachineEvent event) {
    if (listener_) listener_(std::move(event));
  }
  void TellGone(const std::string& id, absl::Status status) {
    Tell({.kind = MachineEvent::Kind::kGone, .machine_id = id, .status = std::move(status)});
  }
  // Runs `what` then if the machine is still in this life.
  void AfterInLife(const std::string& id, absl::Duration delay, std::function<void(Life&)> what) {
    After(delay, [this, id, number = machines_[id].number, what = std::move(what)] {
      const auto found = machines_.find(id);
      if (found != machines_.end() && found->second.number == number) what(found->second);
    });
  }
  void End(const std::string& id, absl::Status status) {
    machines_.erase(id);
    CloseWake(id);
    TellGone(id, std::move(status));
  }

  void Begin(const MachineSpec& spec, MachineState state) {
    const std::string& id = spec.id;
    ++launches_;
    EXPECT_GT(demand_(), 0) << id << " was launched though nobody waits";
    EXPECT_FALSE(machines_.contains(id)) << id << " runs already";
    for (const auto& [other, life] : machines_)
      EXPECT_NE(life.volume, spec.volume) << id << " and " << other;
    EXPECT_LT(machines_.size(), 1) << "more than max machines";
    bool written = false;
    for (const auto& [serial, record] : store_.machines())
      written |= record.id == id && record.state == state;
    EXPECT_TRUE(written) << id << " was launched before it was written down";

    Life& life = machines_[id];
    life.volume = spec.volume;
    life.number = ++lives_;
    life.began = clock_.Elapsed();
    OpenWake(id);
    if (Chance(0.08))
      return AfterInLife(id, Around(absl::Seconds(1)), [this, id](Life& l) {
        if (!l.stopping) End(id, absl::ResourceExhaustedError("dry"));
      });
    AfterInLife(id, Around(absl::Seconds(4)), [this, id](Life& l) {
      if (!l.stopping) Boot(id);
    });
  }

  void Boot(const std::string& id) {
    Tell({.kind = MachineEvent::Kind::kStarted, .machine_id = id, .handle = "h"});
    if (Chance(0.1)) return;  // hangs for ever
    const bool fails = Chance(0.2);
    const absl::Status how =
        Chance(0.2) ? absl::FailedPreconditionError("bad") : absl::UnavailableError("failed");
    AfterInLife(id, Around(absl::Seconds(15)), [this, id, fails, how](Life& life) {
      if (life.stopping) return;
      if (fails) return End(id, how);
      life.ready = true;
      CloseWake(id);
      Tell({.kind = MachineEvent::Kind::kReady,
            .machine_id = id,
            .endpoint = {.machine_id = id,
                         .address = "a",
                         .token = "t",
                         .model_hash = "abc",
                         .numerics_id = "n"}});
      if (Chance(0.3)) {
        AfterInLife(id, Around(absl::Seconds(60)),
                    [this, id](Life&) { End(id, absl::UnavailableError("signal 9")); });
      } else if (Chance(0.2)) {
        AfterInLife(id, Around(absl::Seconds(60)), [](Life& l) { l.sick = true; });
      }
    });
  }

  void StopIn(const std::string& id, absl::Duration delay) {
    if (!machines_.contains(id)) {
      return After(delay, [this, id] {
        if (!machines_.contains(id)) TellGone(id, absl::OkStatus());
      });
    }
    machines_[id].stopping = true;
    CloseWake(id);
    AfterInLife(id, delay, [this, id](Life&) { End(id, absl::OkStatus()); });
  }

  // From a launch to ready, or to the order to stop, or to its end: what a wake bills. A retry at
  // the same moment is another attempt of the same wake.
  void OpenWake(const std::string& id) {
    if (wake_closed_ != clock_.Elapsed() || wake_served_) wake_began_ = clock_.Elapsed();
    waking_ = id;
    wake_served_ = false;
  }
  void CloseWake(const std::string& id) {
    if (waking_ != id) return;
    waking_.clear();
    EXPECT_LE(clock_.Elapsed() - wake_began_, kWakeCap) << "a wake billed past its cap";
    wake_closed_ = clock_.Elapsed();
    const auto found = machines_.find(id);
    wake_served_ = found != machines_.end();  // ready or told to stop: this wake is over
  }

  std::mt19937_64 random_;
  FakeClock& clock_;
  const MemoryStore& store_;
  const Caps caps_ = {.name = "world", .market = "spot", .zone = "z", .hibernates = true};
  absl::AnyInvocable<void(MachineEvent)> listener_;
  std::multimap<absl::Duration, std::function<void()>> agenda_;
  std::map<std::string, Life> machines_;  // those that exist and bill
  std::function<int()> demand_;
  int lives_ = 0;
  int launches_ = 0;
  std::string waking_;
  absl::Duration wake_began_ = absl::ZeroDuration();
  absl::Duration wake_closed_ = -absl::InfiniteDuration();
  bool wake_served_ = false;
};

// Clients, the fleet, and its end now and then.
class Simulation {
 public:
  explicit Simulation(uint64_t seed) : world_(seed, clock_, store_) {
    world_.set_demand([this] { return fleet_->Models()[0].parked; });
  }

  void Run() {
    BeginFleet();
    ScheduleClients();
    ScheduleTrouble();
    while (clock_.Elapsed() < kHorizon + kSettle) {
      const absl::Duration timer = fleet_->Run();
      CheckFigures();
      const absl::Duration next = std::min({world_.next(), timer, kHorizon + kSettle});
      if (next > clock_.Elapsed()) clock_.Advance(next - clock_.Elapsed());
      if (world_.next() <= clock_.Elapsed()) world_.RunNext();
    }
    fleet_->Run();
    EXPECT_EQ(world_.alive(), 0) << "a machine leaked, or idle did not reach zero";
    EXPECT_TRUE(waiting_.empty()) << waiting_.size() << " clients were never answered";
    EXPECT_EQ(fleet_->Models()[0].active, 0);
    EXPECT_GT(served_, 0);
    EXPECT_GT(compiled_, 0);
  }

  int served() const { return served_; }
  int refused() const { return refused_; }
  int deaths() const { return deaths_; }
  int launches() const { return world_.launches(); }

 private:
  void BeginFleet() {
    Controller::Options options;
    options.models = {{.name = "m",
                       .model_hash = "abc",
                       .wake_cap = kWakeCap,
                       .park = {.requests = 20, .longest = kMaxWait}}};
    auto fleet = Controller::Create(std::move(options), clock_, store_, world_, world_);
    ASSERT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
  }

  void CheckFigures() {
    const EngineFigures figures = fleet_->Models()[0].engines;
    EXPECT_GE(figures.totals.programs_compiled, seen_.programs_compiled) << "a counter fell";
    EXPECT_GE(figures.totals.busy, seen_.busy) << "a counter fell";
    EXPECT_LE(figures.totals.programs_compiled, world_.launches()) << "counted twice";
    EXPECT_LE(figures.weights_bytes, 1);
    compiled_ = std::max(compiled_, figures.totals.programs_compiled);
    seen_ = figures.totals;
  }

  void ScheduleClients() {
    // Bursts between long silences.
    for (absl::Duration at; at < kHorizon; at += world_.Around(absl::Minutes(6))) {
      const int burst = 1 + static_cast<int>(world_.Around(absl::Seconds(4)) / absl::Seconds(1));
      for (int i = 0; i < burst; ++i)
        world_.After(at + world_.Around(absl::Seconds(20)), [this] { NewClient(); });
    }
  }

  void ScheduleTrouble() {
    for (absl::Duration at = world_.Around(absl::Minutes(40)); at < kHorizon;
         at += world_.Around(absl::Minutes(40))) {
      world_.After(at, [this] {
        ++deaths_;
        ++epoch_;  // clients of the dead process are gone with it
        waiting_.clear();
        leases_.clear();
        fleet_.reset();
        seen_ = {};
        BeginFleet();
      });
    }
    for (absl::Duration at = world_.Around(absl::Hours(2)); at < kHorizon;
         at += world_.Around(absl::Hours(2))) {
      world_.After(at, [this] { store_.FailWith(absl::ResourceExhaustedError("full")); });
      world_.After(at + world_.Around(absl::Seconds(30)),
                   [this] { store_.FailWith(absl::OkStatus()); });
    }
  }

  void NewClient() {
    const int client = ++clients_;
    const absl::Duration came = clock_.Elapsed();
    waiting_.insert(client);
    const Fleet::WaitId id =
        fleet_->Acquire("m", {.bytes = 1}, [this, client, came, epoch = epoch_](AcquireResult result) {
          EXPECT_EQ(epoch, epoch_);
          EXPECT_EQ(waiting_.erase(client), 1) << "answered twice, or after it was cancelled";
          EXPECT_LE(clock_.Elapsed() - came, std::min(kWakeCap, kMaxWait));
          if (auto* lease = std::get_if<Lease>(&result)) return Serve(client, came, std::move(*lease));
          ++refused_;
        });
    if (waiting_.contains(client) && world_.Chance(0.2)) {
      world_.After(world_.Around(absl::Seconds(20)), [this, client, id, epoch = epoch_] {
        if (epoch != epoch_) return;
        fleet_->Cancel(id);
        waiting_.erase(client);
      });
    }
  }

  void Serve(int client, absl::Duration came, Lease lease) {
    ++served_;
    const std::string machine = lease.endpoint().machine_id;
    EXPECT_TRUE(world_.Serves(machine)) << "a lease on a machine that does not serve";
    lease.NoteWaited(clock_.Elapsed() - came);
    leases_.emplace(client, std::move(lease));
    const bool broken = world_.Chance(0.1);
    world_.After(world_.Around(absl::Seconds(30)), [this, client, machine, broken, epoch = epoch_] {
      if (epoch != epoch_) return;
      if (broken) fleet_->ReportBroken(machine, "reset");
      leases_.erase(client);
    });
  }

  FakeClock clock_;
  MemoryStore store_;
  World world_;
  std::unique_ptr<Controller> fleet_;
  std::set<int> waiting_;
  std::map<int, Lease> leases_;
  int clients_ = 0;
  int epoch_ = 0;
  int served_ = 0;
  int refused_ = 0;
  int deaths_ = 0;
  EngineTotals seen_;  // of this life of the fleet
  int64_t compiled_ = 0;
};

TEST(ControllerSimulation, HoldsItsInvariantsInAHostileWorld) {
  FLAGS_minloglevel = google::GLOG_FATAL;
  int served = 0, refused = 0, deaths = 0, launches = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(seed);
    simulation.Run();
    served += simulation.served();
    refused += simulation.refused();
    deaths += simulation.deaths();
    launches += simulation.launches();
    if (HasFailure()) break;
  }
  std::printf("%d served, %d refused, %d launches, %d lives\n", served, refused, launches, deaths);
  // The world must be hostile and yet habitable, or the invariants above would be idle.
  EXPECT_GT(served, refused);
  EXPECT_GT(refused, 100);
  EXPECT_GT(deaths, 100);
}

}  // namespace
}  // namespace spotinference::fleet
