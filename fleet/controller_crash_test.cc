// The gateway dies at every single step of a launch, a hibernation, a wake, an interruption and an order, before or
// after the step was done, and begins again on the same store: no machine is leaked, none runs twice, no order that was
// answered is forgotten, the ledger has every second that the provider's own meter has, also right after a death, and each
// volume is known, and which of them have weights.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "fleet/controller.h"
#include "fleet/providers/fake_provider.h"
#include "fleet/store/mortal_store.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

// Machines that do at once what they are told, when Settle is called. It outlives the controllers.
class World : public Provider {
 public:
  // `sells`: machines of two zones.
  World(const FakeClock& clock, Death& death, bool sells) : clock_(clock), death_(death) { caps_.sells_offers = sells; }

  const Caps& caps() const override { return caps_; }
  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override {
    listener_ = std::move(listener);
    if (!caps_.sells_offers) return;
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const char* zone : {"a", "b"})
      event.offers.push_back({{.provider = "world", .zone = zone, .market = Market::kSpot, .price_per_hour = 1}});
    Tell(std::move(event));
  }
  void Launch(const MachineSpec& spec) override { Start(spec); }
  void Restore(const MachineSpec& spec) override { Start(spec); }
  void Adopt(const MachineSpec& spec, absl::string_view, absl::string_view address) override {
    if (!death_.Step()) return;
    adoptions_.emplace_back(spec.id, address);
  }
  void Hibernate(absl::string_view id) override { Stop(id); }
  void Terminate(absl::string_view id) override { Stop(id); }
  void TerminateLost(absl::string_view id) override { Stop(id); }
  void Discard(const MachineSpec& spec) override {
    if (!death_.Step()) return;
    for (const auto& [id, machine] : alive_) EXPECT_NE(machine.volume, spec.volume) << id << " has it";
    volumes_.erase(spec.volume);
    stopping_.insert(spec.id);
  }

  // What was told since then happens, and is heard.
  bool Settle() {
    bool any = false;
    for (const auto& [id, address] : std::exchange(adoptions_, {})) {
      any = true;
      if (!alive_.contains(id)) {
        MachineEvent gone = {.machine_id = id, .status = absl::UnavailableError("gone")};
        if (const auto ended = ended_.find(id); ended != ended_.end()) gone.ended = ended->second;
        Tell(std::move(gone));
      } else Tell({.kind = MachineEvent::Kind::kAdopted, .machine_id = id, .handle = "h", .endpoint = At(id, address)});
    }
    for (const std::string& id : std::exchange(starting_, {})) {
      any = true;
      Tell({.kind = MachineEvent::Kind::kStarted, .machine_id = id, .handle = "h"});
      Tell({.kind = MachineEvent::Kind::kReady, .machine_id = id, .endpoint = At(id, id + ":1")});
    }
    for (const std::string& id : std::exchange(stopping_, {})) {
      any = true;
      End(id);
      Tell({.machine_id = id});
    }
    return any;
  }

  // Its controller is dead: what it was told happens unheard.
  void Orphan() {
    listener_ = nullptr;
    adoptions_.clear();
    Settle();
    starting_.clear();
  }
  void TakeAllAway() {
    while (!alive_.empty()) End(alive_.begin()->first);
  }

  size_t alive() const { return alive_.size(); }
  const std::set<std::string>& volumes() const { return volumes_; }
  // By its own meter, up to now.
  absl::Duration billed() const {
    absl::Duration billed = billed_;
    for (const auto& [id, machine] : alive_) billed += clock_.Elapsed() - machine.since;
    return billed;
  }

 private:
  struct Alive {
    std::string volume;
    absl::Duration since;
  };

  static Endpoint At(const std::string& id, const std::string& address) {
    return {.machine_id = id, .address = address, .token = "t", .model_hash = "abc", .numerics_id = "n"};
  }
  void Tell(MachineEvent event) {
    if (listener_) listener_(std::move(event));
  }
  void Start(const MachineSpec& spec) {
    if (!death_.Step()) return;
    EXPECT_FALSE(alive_.contains(spec.id)) << spec.id << " was started twice";
    EXPECT_FALSE(stopping_.contains(spec.id)) << spec.id << " is started while something of that name is deleted";
    for (const auto& [id, machine] : alive_) EXPECT_NE(machine.volume, spec.volume) << id << " and " << spec.id;
    alive_[spec.id] = {spec.volume, clock_.Elapsed()};
    if (spec.offer.has_value()) volumes_.insert(spec.volume);
    starting_.insert(spec.id);
  }
  void End(std::string id) {
    const auto found = alive_.find(id);
    if (found == alive_.end()) return;
    billed_ += clock_.Elapsed() - found->second.since;
    ended_[id] = clock_.Now();
    alive_.erase(found);
  }
  void Stop(absl::string_view id) {
    if (death_.Step()) stopping_.insert(std::string(id));
  }

  const FakeClock& clock_;
  Death& death_;
  Caps caps_ = {.name = "world", .market = "spot", .zone = "z", .price_per_hour = 1, .hibernates = true};
  absl::AnyInvocable<void(MachineEvent)> listener_;
  std::map<std::string, Alive> alive_;  // and billing
  std::map<std::string, absl::Time> ended_;
  std::set<std::string> volumes_;  // of machines that were sold, by name
  std::set<std::string> starting_, stopping_;
  std::vector<std::pair<std::string, std::string>> adoptions_;
  absl::Duration billed_;
};

class CrashTest {
 public:
  // `takes`: the provider takes all machines away while nobody looks.
  CrashTest(Death death, bool takes, bool sells)
      : takes_(takes), death_(death), world_(clock_, death_, sells), store_(death_) {
    Begin();
  }

  // Launch, hibernation, wake, interruption with its replacement, hibernation; whatever the death has left open; a wake
  // by order.
  void Run() {
    Ask();
    Idle();
    Ask();
    if (client_.has_value()) Interrupt(client_->endpoint().machine_id);
    Settle();
    client_.reset();
    Ask();
    Advance(absl::Seconds(2));
    Idle();
    Ask();
    if (!client_.has_value()) Ask();  // the death took the first one along
    EXPECT_TRUE(client_.has_value()) << "it cannot be woken any more";
    Idle();
    Order();
    Idle();
    EXPECT_EQ(world_.alive(), 0) << "a machine is leaked";
    CheckVolumes();
    for (int i = 0; i < 3; ++i) Advance(absl::Hours(1));
    CheckVolumes();
    EXPECT_LE(world_.volumes().size(), 1) << "a volume is kept that nobody wants";
    EXPECT_EQ(filled_.empty(), world_.volumes().empty()) << "the last one with weights is gone";
    EXPECT_EQ(Billed(), world_.billed());
  }

  bool died() const { return died_; }
  int steps() const { return death_.steps_so_far; }

 private:
  void Begin() {
    Controller::Options options;
    options.models = {{.name = "m", .model_hash = "abc", .idle_timeout = absl::Seconds(90)}};
    options.keep_volumes = absl::Hours(1);
    auto fleet = Controller::Create(std::move(options), clock_, store_, world_, probe_);
    ASSERT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
    Settle();
  }

  // Until nothing happens any more. A dead process does nothing; another one begins in its place.
  void Settle() {
    do {
      fleet_->Run();
      if (death_.dead()) return Rise();
      if (probe_.open_questions() > 0) probe_.Answer(EngineIdentity{"abc", "n"});
      while (!probe_.figures_asked().empty()) probe_.AnswerFigures(EngineFigures{});
    } while (world_.Settle());
    fleet_->Run();
    if (death_.dead()) Rise();
  }

  void Rise() {
    died_ = true;
    client_.reset();
    fleet_.reset();
    world_.Orphan();
    clock_.Advance(absl::Seconds(13));
    if (takes_) world_.TakeAllAway();
    clock_.Advance(absl::Seconds(17));
    death_ = {};
    CheckVolumes();
    Begin();
    EXPECT_EQ(Billed(), world_.billed()) << "right after its death";
    for (const MachineView& machine : fleet_->Machines()) {
      if (machine.id != interrupted_) continue;
      EXPECT_NE(machine.state, "serving") << "an order that was answered is forgotten";
    }
  }

  // By what the store has, as another life finds it.
  void CheckVolumes() {
    const MemoryStore& store = store_.memory();
    for (const std::string& name : world_.volumes()) {
      const auto volume = store.volumes().find(name);
      const bool held = std::any_of(store.machines().begin(), store.machines().end(),
                                    [&](const auto& machine) { return machine.second.volume == name; });
      EXPECT_TRUE(held || volume != store.volumes().end()) << name << " is forgotten, and bills";
    }
    for (const auto& [name, volume] : store.volumes()) {
      if (volume.ending) continue;
      if (volume.filled) filled_.insert(name);
      else EXPECT_FALSE(filled_.contains(name)) << "the weights on " << name << " are forgotten";
    }
  }

  void Ask() {
    fleet_->Acquire("m", {.bytes = 1}, [this](AcquireResult result) {
      if (auto* lease = std::get_if<Lease>(&result)) client_.emplace(std::move(*lease));
    });
    Settle();
    Advance(absl::Seconds(7));  // it works
  }

  void Interrupt(const std::string& machine) {
    fleet_->Interrupt(machine, absl::Seconds(2), [this, machine](const absl::Status& status) {
      if (status.ok() && !death_.dead()) interrupted_ = machine;
    });
  }

  void Order() {
    bool answered = false;
    fleet_->WakeModel("m", [&](const absl::Status& status) { answered = status.ok() && !death_.dead(); });
    Settle();
    EXPECT_TRUE(!answered || takes_ || world_.alive() == 1) << "an order that was answered is forgotten";
  }

  void Idle() {
    client_.reset();
    Settle();
    for (int i = 0; i < 3; ++i) Advance(absl::Seconds(90));
  }

  void Advance(absl::Duration time) {
    clock_.Advance(time);
    Settle();
  }

  absl::Duration Billed() const {
    absl::Duration sum;
    for (const LedgerLine& line : fleet_->LedgerLines()) sum += line.time;
    return sum;
  }

  const bool takes_;
  FakeClock clock_;
  Death death_;
  World world_;
  MortalStore store_;
  FakeProbe probe_;
  std::unique_ptr<Controller> fleet_;
  std::optional<Lease> client_;
  std::string interrupted_;  // the machine, once the order was answered
  std::set<std::string> filled_;  // volumes that are known to have weights
  bool died_ = false;
};

class ControllerCrash : public testing::TestWithParam<bool> {};

TEST_P(ControllerCrash, AtEveryStepOfEveryLife) {
  CrashTest undisturbed{Death{}, /*takes=*/false, GetParam()};
  undisturbed.Run();
  const int steps = undisturbed.steps();
  EXPECT_GT(steps, 20);
  for (int step = 1; step <= steps; ++step) {
    for (const int variant : {0, 1, 2, 3}) {
      const bool done = variant % 2 == 1, takes = variant >= 2;
      SCOPED_TRACE(absl::StrCat("dies ", done ? "after" : "before", " step ", step, " of ", steps,
                                takes ? ", and its machines are taken away" : ""));
      CrashTest test{Death{step, done}, takes, GetParam()};
      test.Run();
      EXPECT_TRUE(test.died());
      if (testing::Test::HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sells, ControllerCrash, testing::Bool());

}  // namespace
}  // namespace spotinference::fleet
