#include "fleet/faults/fleet_life.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;

constexpr int kThreads = 3;  // calls that a provider makes at a time
constexpr int kZones = 3;
constexpr absl::Duration kRest = absl::Hours(4);  // longer than the longest back-off and a wake
constexpr absl::Duration kNoPoll = absl::Minutes(5);
constexpr char kType[] = "gpu";
constexpr double kEnough = 200;  // dollars a day
constexpr int kManyMachines = 1000;
constexpr double kDoubt = 0.01;  // of turns

// A machine that is to end: its engine's last seconds, lies that are noticed after LifeLimits::settle each, a boot that
// it must have behind it, calls and their back-off.
constexpr absl::Duration kEnd = absl::Minutes(10);
// Two of the rare polls, the orphan's time, and its end.
constexpr absl::Duration kLeak = absl::Minutes(22);

const char* StateName(State state) {
  constexpr const char* kNames[] = {"starting",  "running",  "stopping", "stopped", "restoring",
                                    "deleting", "gone",     "failed",   "off"};
  return kNames[static_cast<int>(state)];
}

const char* StateName(EmulatedVolume::State state) {
  constexpr const char* kNames[] = {"being made", "free", "attaching", "attached", "detaching"};
  return kNames[static_cast<int>(state)];
}

double DrawDollarsPerDay(Sim& sim) { return 0.1 * (1 + sim.Below(8)); }

std::vector<ModelSpec> DrawModels(Sim& sim) {
  std::vector<ModelSpec> models;
  for (int i = 0, count = 1 + sim.Below(2); i < count; ++i) {
    models.push_back({.name = absl::StrCat("m", i),
                      .weights = "hf://o/m",
                      .model_hash = kModelHash,
                      .max_machines = 1 + sim.Below(2),
                      .idle_timeout = absl::Minutes(2 + sim.Below(5)),
                      .wake_cap = absl::Minutes(10),
                      .park = {.requests = 30}});
    if (sim.Chance(0.2)) models.back().idle_timeout.reset();
    if (sim.Chance(0.15)) models.back().min_machines = 1;
    if (sim.Chance(0.2)) models.back().max_price = 0.5 + 0.5 * sim.Below(5);
    if (sim.Chance(0.15)) models.back().max_dollars_per_day = DrawDollarsPerDay(sim);
  }
  return models;
}

// Of refusals, as they name them.
std::vector<std::string> CausesOf(const std::vector<ModelSpec>& models, double max_dollars_per_day, int quota) {
  bool poor = max_dollars_per_day < kEnough, thrifty = false;
  for (const ModelSpec& model : models) {
    poor |= model.max_dollars_per_day.has_value();
    thrifty |= model.max_price < std::numeric_limits<double>::infinity();
  }
  std::vector<std::string> causes;
  if (poor) causes.push_back("max_dollars_per_day");
  if (thrifty) causes.push_back("machines.max_price");
  if (quota < kManyMachines) causes.push_back("quota");
  return causes;
}

Watch::Limits LimitsOf(const std::vector<ModelSpec>& models, double max_dollars_per_day) {
  Watch::Limits limits = {
      .wake_cap = models[0].wake_cap, .max_dollars_per_day = max_dollars_per_day, .end = kEnd, .leak = kLeak};
  for (const ModelSpec& model : models) {
    limits.models[model.name] = {
        model.max_dollars_per_day.value_or(std::numeric_limits<double>::infinity()), model.max_price};
  }
  return limits;
}

}  // namespace

FleetLife::FleetLife(const Options& options)
    : sim_(options.seed, options.events),
      sabotage_(options.sabotage),
      length_(options.length),
      faults_(options.faults.has_value() ? *options.faults : DrawFaults(sim_)),
      nothing_goes_wrong_(options.faults == Faults{}),
      engines_(sim_, faults_),
      cloud_(sim_, faults_, SimCloud::Kinds()[sim_.Below(static_cast<int>(SimCloud::Kinds().size()))], engines_),
      store_(death_),
      models_(options.model.has_value() ? std::vector{*options.model} : DrawModels(sim_)),
      max_dollars_per_day_(
          options.max_dollars_per_day.value_or(sim_.Chance(0.7) ? kEnough : DrawDollarsPerDay(sim_))),
      quota_(sim_.Chance(0.15) ? 1 + sim_.Below(3) : kManyMachines),
      watch_(sim_, cloud_, death_, store_.memory(), names_, LimitsOf(models_, max_dollars_per_day_), sabotage_),
      clients_(sim_, engines_,
               {.longest_wait = std::min(models_[0].wake_cap, models_[0].park.longest),
                .longest_refusal = LongestBackOff(models_[0].wake_cap) + models_[0].wake_cap,
                .park_requests = models_[0].park.requests,
                .causes = CausesOf(models_, max_dollars_per_day_, quota_)}) {
  cloud_.model().habits().quota = quota_;
  engines_.CountAnswers([this](int64_t machine) { return clients_.AnswersOn(machine); });
  engines_.OnBroken([this](int64_t machine, bool hangs) { clients_.OnBroken(machine, hangs); });
  cloud_.forgets_tokens = sabotage_ == Sabotage::kBuyTwice;
  clients_.loses_answers = sabotage_ == Sabotage::kLosesAnswers;
  clients_.hides_answers = sabotage_ == Sabotage::kHidesAnswers;
}

FleetLife::~FleetLife() {
  clients_.Use(nullptr);
  fleet_.reset();
  provider_.reset();
}

FleetLife::Counts FleetLife::counts() const {
  return {.served = clients_.served, .refused = clients_.refused, .resumed = clients_.resumed,
          .cut_off = clients_.cut_off, .launches = watch_.launches, .restores = watch_.restores, .deaths = deaths_,
          .reclaims = reclaims_, .discards = watch_.discards, .orphans = watch_.orphans(), .dollars = watch_.Dollars(),
          .storage_dollars = watch_.storage().Dollars(), .upkeep_dollars = watch_.upkeep().Dollars(),
          .untold = watch_.untold(), .storage_untold = watch_.storage().untold(),
          .upkeep_untold = watch_.upkeep().untold()};
}

void FleetLife::Run() {
  RunToEnd();
  if (!broken().has_value()) return;
  sim_.Note(absl::StrCat("a fleet at ", cloud_.kind().traits.name, " with ", max_dollars_per_day_, " dollars a day"));
  for (const auto& [number, machine] : cloud_.model().machines()) {
    sim_.Note(absl::StrCat("i-", number, " ", machine.name, " in ", machine.zone, " is ", StateName(machine.state),
                           " since ", absl::FormatDuration(machine.since)));
  }
  for (const auto& [number, volume] : cloud_.model().volumes()) {
    sim_.Note(absl::StrCat("i-", number, " ", volume.name, " in ", volume.zone, " is ", StateName(volume.state),
                           volume.machine == 0 ? "" : absl::StrCat(" of i-", volume.machine)));
  }
}

void FleetLife::RunToEnd() {
  Sell();
  ScheduleClients();
  ScheduleTrouble();
  Begin();
  Live(length_ / 20);
  WantNone();
  Live(length_);
  EndTrouble();
  Live(length_ + kRest);
  CheckAtRest();
  const int64_t served = clients_.served;
  for (const ModelSpec& model : models_) clients_.Come(model.name);
  Live(length_ + 2 * kRest);
  CheckAtRest();
  const int64_t answered = clients_.served + clients_.left - served;
  const auto can = std::count_if(models_.begin(), models_.end(),
                                 [this](const ModelSpec& model) { return CanBeServed(model); });
  if (answered < can)
    sim_.Break("a request came in calm days and was not served");
}

void FleetLife::CheckAtRest() {
  if (broken().has_value()) return;
  watch_.CheckAtRest();
  CheckLedger();
  CheckStorage();
}

// Of machines, with what costs while they run.
void FleetLife::CheckLedger() {
  double dollars = 0;
  TimeWatch::Times times;
  for (const LedgerLine& line : fleet_->LedgerLines()) {
    dollars += line.dollars;
    times[line.use] += line.time;
  }
  for (const StorageLine& line : fleet_->StorageLines())
    dollars += line.kind == "address" && !AddressStays() ? line.dollars : 0;
  watch_.CheckLedger(dollars);
  watch_.CheckTimeLedger(times);
}

void FleetLife::CheckStorage() {
  double volumes = 0, upkeep = 0;
  for (const StorageLine& line : fleet_->StorageLines()) {
    volumes += line.kind == "volume" ? line.dollars : 0;
    upkeep += line.kind == "boot_disk" || (line.kind == "address" && AddressStays()) ? line.dollars : 0;
  }
  watch_.CheckVolumesLedger(volumes);
  watch_.CheckUpkeepLedger(upkeep);
}

bool FleetLife::AddressStays() const { return BillingRulesOf(cloud_.kind().traits.name).address_stays; }

void FleetLife::Sell() {
  const int gpus = sim_.Chance(0.3) ? 4 : 1;
  for (int zone = 0; zone < kZones; ++zone) {
    const double price = 2 + sim_.Below(10) / 10.0;
    cloud_.model().Sell({.cloud = cloud_.kind().traits.name,
                         .region = "r",
                         .zone = absl::StrCat("z", zone),
                         .type = kType,
                         .accelerators = gpus,
                         .on_demand_price = price,
                         .spot_price = price * (2 + sim_.Below(4)) / 10,
                         .stock = 4});
  }
}

void FleetLife::ScheduleClients() {
  for (const ModelSpec& model : models_) {
    sim_.Often(absl::Hours(4 + sim_.Below(36)), [this, name = model.name] {
      if (!trouble_) return;
      for (int i = 0, burst = 1 + sim_.Below(8); i < burst; ++i)
        sim_.After(sim_.Around(absl::Minutes(2)), [this, name] { clients_.Come(name); });
    });
  }
}

void FleetLife::ScheduleTrouble() {
  const auto often = [this](absl::Duration mean, std::function<void()> what) {
    sim_.Often(mean, [this, what = std::move(what)] {
      if (trouble_) what();
    });
  };
  // `set` and back again.
  const auto phase = [this, often](absl::Duration every, absl::Duration mean, const char* name,
                                   std::function<void(bool)> set) {
    often(every, [this, mean, name, set] {
      const absl::Duration left = sim_.Around(mean);
      sim_.Note(absl::StrCat("trouble: ", name, " for ", absl::FormatDuration(left)));
      sim_.Trouble(left + absl::Minutes(5));
      set(true);
      sim_.After(left, [set] { set(false); });
    });
  };
  phase(faults_.outage, absl::Minutes(10), "the API is down", [this](bool on) { cloud_.down = on; });
  phase(faults_.full_disk, absl::Minutes(2), "the store cannot write", [this](bool on) {
    store_.memory().FailWith(on ? absl::ResourceExhaustedError("no space left") : absl::OkStatus());
  });
  phase(faults_.stuck, absl::Minutes(30), "stops and attachments never end", [this](bool on) {
    CloudModel::Habits& habits = cloud_.model().habits();
    habits.stop_never_ends = habits.attach_never_ends = habits.dead_keep_volumes = on;
  });
  often(faults_.dry, [this] {
    const std::string zone = absl::StrCat("z", sim_.Below(kZones));
    EmulatedType& type = *cloud_.model().FindType(cloud_.kind().traits.name, zone, kType);
    const absl::Duration left = sim_.Around(absl::Hours(1));
    sim_.Note(absl::StrCat("trouble: ", type.zone, " is dry for ", absl::FormatDuration(left)));
    sim_.Trouble(left + absl::Minutes(5));
    type.stock -= 100;
    sim_.After(left, [this, zone = type.zone] {
      cloud_.model().FindType(cloud_.kind().traits.name, zone, kType)->stock += 100;
    });
  });
  // Limits are kept by the price that was last heard of: poor fleets' prices stay as they are.
  const bool prices_move = cloud_.kind().tells_prices && !IsPoor();
  often(prices_move ? faults_.price : absl::InfiniteDuration(), [this] {
    const std::string zone = absl::StrCat("z", sim_.Below(kZones));
    const EmulatedType& type = *cloud_.model().FindType(cloud_.kind().traits.name, zone, kType);
    const double price = type.on_demand_price * (2 + sim_.Below(4)) / 10;
    if (cloud_.PricesAreKnown()) cloud_.ChangePrice(type, price);
  });
  often(faults_.reclaim, [this] { Reclaim(); });
  often(faults_.at_risk, [this] { PutAtRisk(); });
  often(faults_.stray, [this] { Stray(); });
  often(faults_.clock_step, [this] {
    sim_.clock.skew = absl::Seconds(sim_.Below(600) - 300);
    sim_.Note(absl::StrCat("trouble: the wall clock is off by ", absl::FormatDuration(sim_.clock.skew)));
    sim_.Trouble();
  });
  often(faults_.kill, [this] {
    death_.step = death_.steps_so_far + 1 + sim_.Below(12);
    death_.done = sim_.Chance(0.5);
  });
}

EmulatedMachine* FleetLife::DrawRunning() {
  std::vector<EmulatedMachine*> running;
  for (auto& [number, machine] : cloud_.model().machines()) {
    if (machine.state == State::kRunning && machine.spot) running.push_back(&machine);
  }
  return running.empty() ? nullptr : running[sim_.Below(static_cast<int>(running.size()))];
}

void FleetLife::PutAtRisk() {
  const EmulatedMachine* const machine = DrawRunning();
  if (machine == nullptr) return;
  sim_.Note(absl::StrCat("trouble: ", machine->name, " is at risk"));
  engines_.PutAtRisk(machine->number);
  if (sim_.Chance(0.5)) sim_.After(sim_.Around(absl::Minutes(5)), [this] { Reclaim(); });
}

void FleetLife::Reclaim() {
  EmulatedMachine* const drawn = DrawRunning();
  reclaims_next_ = drawn == nullptr;  // as soon as one runs
  if (drawn == nullptr) return;
  EmulatedMachine& machine = *drawn;
  const absl::Duration notice = absl::Seconds(30) * sim_.Below(5);
  const State to = cloud_.kind().traits.keeps_stopped && sim_.Chance(0.5) ? State::kStopped : State::kGone;
  const bool silent = sim_.Chance(0.3);
  ++reclaims_;
  sim_.Note(absl::StrCat("trouble: ", machine.name, " is taken away in ", absl::FormatDuration(notice),
                         silent ? ", unsaid" : ""));
  sim_.Trouble(notice + absl::Minutes(5));
  cloud_.model().TakeAway(machine, notice, to, silent);
  if (silent || !sim_.Chance(0.2)) return;
  sim_.After(notice / 2, [this, number = machine.number] {
    EmulatedMachine* const there = cloud_.model().FindMachine(cloud_.kind().traits.name, number);
    if (there != nullptr && there->state == State::kRunning) cloud_.model().Withdraw(*there);
  });
}

// Somebody starts a machine that sleeps, or a purchase of long ago comes true; or one that runs is in no list.
void FleetLife::Stray() {
  CloudModel& model = cloud_.model();
  std::vector<EmulatedMachine*> machines;
  for (auto& [number, machine] : model.machines()) {
    if (machine.state == State::kRunning || machine.state == State::kStopped) machines.push_back(&machine);
  }
  if (strays_ < 5 && (machines.empty() || sim_.Chance(0.1))) {
    const std::string name = names_.Machine(absl::StrCat("stray-", ++strays_));
    sim_.Note(absl::StrCat("trouble: ", name, " is there"));
    model.Buy({.cloud = cloud_.kind().traits.name,
               .name = name,
               .zone = absl::StrCat("z", sim_.Below(kZones)),
               .type = kType,
               .spot = sim_.Chance(0.5),
               .public_address = cloud_.kind().public_addresses,
               .boot_gigabytes = cloud_.kind().boot_gigabytes}).IgnoreError();
    return;
  }
  if (machines.empty()) return;
  EmulatedMachine& machine = *machines[sim_.Below(static_cast<int>(machines.size()))];
  if (machine.state == State::kStopped) {
    sim_.Note(absl::StrCat("trouble: ", machine.name, " is started"));
    model.Start(machine).IgnoreError();
    return;
  }
  const absl::Duration hidden = sim_.Around(absl::Minutes(5));
  sim_.Note(absl::StrCat("trouble: ", machine.name, " is in no list for ", absl::FormatDuration(hidden)));
  sim_.Trouble(hidden + absl::Minutes(10));
  model.Hide(machine, hidden);
}

void FleetLife::EndTrouble() {
  sim_.Note("calm days begin");
  trouble_ = false;
  faults_ = {};
  if (!death_.dead()) death_.step = 0;
}

// A fleet with `min` never comes to rest: another controller begins, without it.
void FleetLife::WantNone() {
  bool wanted = false;
  for (ModelSpec& model : models_) wanted |= std::exchange(model.min_machines, 0) > 0;
  if (wanted) Rise();
}

// Of one that wants money and of one that must share a quota nobody can say.
bool FleetLife::CanBeServed(const ModelSpec& model) const {
  if (max_dollars_per_day_ < kEnough || model.max_dollars_per_day.has_value() || quota_ < kManyMachines) return false;
  const std::vector<EmulatedType>& types = cloud_.model().types();
  return std::any_of(types.begin(), types.end(), [&](const EmulatedType& type) {
    return std::min(type.on_demand_price, *type.spot_price) <= model.max_price;
  });
}

bool FleetLife::IsPoor() const {
  return max_dollars_per_day_ < kEnough || std::any_of(models_.begin(), models_.end(), [](const ModelSpec& model) {
           return model.max_dollars_per_day.has_value();
         });
}

// --- Lives of the controller.

void FleetLife::Begin() {
  death_ = {};
  CloudProviderOptions options = {.names = names_, .idle_poll = kNoPoll, .offers_poll = kNoPoll};
  options.boot.engine_url = "https://engine";
  auto api = cloud_.Connect(death_, [this](absl::Duration time) {
    ++calls_under_way_;
    if (!death_.dead()) Pass(sim_.now() + time);
    --calls_under_way_;
  });
  provider_ = std::make_unique<CloudProvider>(std::move(api), engines_, *authority_, sim_.clock, std::move(options));
  watch_.Use(provider_.get());
  Controller::Options fleet = {.models = models_, .max_dollars_per_day = max_dollars_per_day_};
  if (sabotage_ == Sabotage::kOverspends) fleet.max_dollars_per_day.reset();
  for (ModelSpec& model : fleet.models) {
    if (sabotage_ == Sabotage::kOverspends) model.max_dollars_per_day.reset();
    if (sabotage_ == Sabotage::kPaysAnyPrice) model.max_price = std::numeric_limits<double>::infinity();
    if (sabotage_ == Sabotage::kLongWakes) model.wake_cap *= 2;
  }
  auto created = Controller::Create(std::move(fleet), sim_.clock, store_, watch_, engines_);
  if (!created.ok()) return sim_.Break(created.status().ToString());
  fleet_ = *std::move(created);
  fleet_due_ = sim_.now();
  clients_.Use(fleet_.get());
}

void FleetLife::Rise() {
  ++deaths_;
  sim_.Note("the controller is dead");
  clients_.Use(nullptr);
  fleet_.reset();
  watch_.Use(nullptr);
  provider_.reset();
  const absl::Duration absent = sim_.Chance(0.5) ? sim_.Around(absl::Minutes(5)) : absl::ZeroDuration();
  sim_.Trouble(absent + absl::Minutes(5));
  Pass(sim_.now() + absent);
  sim_.Note("another controller begins");
  Begin();
}

void FleetLife::Live(absl::Duration until) {
  while (sim_.now() < until && !broken().has_value()) {
    Pass(until);
    if (death_.dead()) Rise();
  }
}

void FleetLife::Pass(absl::Duration until) {
  while (!broken().has_value()) {
    if (fleet_ != nullptr) Turn();
    watch_.Check(!cloud_.down);
    if (nothing_goes_wrong_) watch_.NoteUses([this](const std::string& id) { return clients_.HasAnswerOn(id); });
    if (fleet_ != nullptr && death_.dead()) return;
    // Once for each rest: while nothing runs neither of the two moves.
    const int64_t runs = watch_.launches + watch_.restores;
    if (fleet_ != nullptr && runs != checked_runs_ && watch_.Rests()) {
      checked_runs_ = runs;
      CheckLedger();
    }
    if (sim_.now() >= until) return;
    absl::Duration next = std::min({until, sim_.next(), cloud_.model().NextChange()});
    if (fleet_ != nullptr) next = std::min({next, fleet_due_, provider_due_});
    sim_.clock.elapsed = std::max(sim_.now(), next);
    cloud_.model().Advance();
    if (reclaims_next_ && trouble_) Reclaim();
    sim_.RunDue();
  }
}

void FleetLife::Turn() {
  do {
    const bool runs = fleet_->HasNews() || sim_.now() >= fleet_due_;
    if (runs) fleet_due_ = fleet_->Run();
    if (death_.dead()) return;
    if (sabotage_ == Sabotage::kOversleeps && fleet_due_ > sim_.now()) fleet_due_ = absl::InfiniteDuration();
    if (!fleet_->HasNews() && fleet_due_ > sim_.now() && sim_.Chance(kDoubt)) DoubtRest(/*at_once=*/runs);
    if (death_.dead()) return;
    provider_due_ = calls_under_way_ < kThreads ? provider_->Run() : absl::InfiniteDuration();
  } while (fleet_->HasNews() && !death_.dead());
}

// A controller that rests is run all the same. When it has just run nothing at all may come of that; later what is best
// may have become another thing with time alone, which it looks at once a minute.
void FleetLife::DoubtRest(bool at_once) {
  const absl::Duration due = fleet_due_;
  const int steps = death_.steps_so_far;
  watch_.TakeActivity();
  fleet_due_ = fleet_->Run();
  const bool acts = watch_.TakeActivity() || fleet_->HasNews();
  const bool did = at_once ? acts || fleet_due_ < due || death_.steps_so_far != steps
                           : acts && due > sim_.now() + absl::Minutes(1);
  if (did) {
    sim_.Break(absl::StrCat("the controller had something to do, and would have rested for ",
                            absl::FormatDuration(due - sim_.now())));
  }
}

}  // namespace spotinference::fleet
