#include "fleet/controller.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr absl::Duration kHealthDeadline = absl::Seconds(1);
constexpr absl::Duration kUnmeasuredWake = absl::Seconds(5);
constexpr absl::Duration kLastDrain = absl::Minutes(10);  // the SDKs wait no longer for an answer

AcquireError::Reason ReasonOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kWakeTimeout: return AcquireError::Reason::kWakeTimeout;
    case Refusal::kNoCapacity: return AcquireError::Reason::kNoCapacity;
    case Refusal::kBackOff: return AcquireError::Reason::kBackOff;
  }
  return AcquireError::Reason::kBackOff;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Controller>> Controller::Create(Options options, const Clock& clock,
                                                               Store& store, Provider& provider,
                                                               Probe& probe) {
  ASSIGN_OR_RETURN(const Store::Contents contents, store.Load());
  auto controller =
      absl::WrapUnique(new Controller(std::move(options), clock, store, provider, probe));
  absl::MutexLock lock(&controller->mutex_);
  controller->Restore(contents);
  return controller;
}

Controller::Controller(Options options, const Clock& clock, Store& store, Provider& provider,
                       Probe& probe)
    : options_(std::move(options)),
      clock_(clock),
      store_(store),
      provider_(provider),
      probe_(probe) {
  absl::MutexLock lock(&mutex_);
  for (const ModelSpec& spec : options_.models) {
    Model& model = models_[spec.name];
    model.spec = spec;
    model.spec.park.longest = std::min(spec.park.longest, spec.wake_cap);
    model.idle_since = clock_.Elapsed();
  }
  provider_.Listen([this, inbox = inbox_](MachineEvent event) {
    inbox->Post([this, event = std::move(event)]() mutable { OnEvent(std::move(event)); });
  });
}

Controller::~Controller() {
  provider_.Listen(nullptr);
  inbox_->Close();
  if (thread_.joinable()) thread_.join();
  if (!unwritten_.empty()) Persist({}).IgnoreError();
}

void Controller::Start() {
  thread_ = std::thread([this] {
    absl::Duration next;
    do {
      next = Run();
    } while (inbox_->Await(next - clock_.Elapsed()));
  });
}

absl::Duration Controller::Run() {
  absl::Duration next;
  bool acted;  // then more may be to be done, which is chosen when what was done is on its way
  std::vector<Inbox::Task> tasks = inbox_->TakeAll();
  do {
    std::vector<absl::AnyInvocable<void()>> effects;
    {
      absl::MutexLock lock(&mutex_);
      for (Inbox::Task& task : tasks) task();
      next_ = absl::InfiniteDuration();
      acted = false;
      for (auto& [name, model] : models_) {
        ExpireWaiters(model);
        GrantParked(model, IntoFull::kNo);
        const bool acts = PlanAndAct(model);
        if (!acts) {
          GrantParked(model, IntoFull::kIfNoneComes);
          HandOverWhereThereIsRoom(model);
        }
        RememberWake(model);
        acted |= acts;
      }
      if (!acted) {
        for (auto& [id, machine] : machines_) {
          Beat(machine);
          if (!machine.ask_again_at.has_value()) continue;
          if (clock_.Elapsed() >= *machine.ask_again_at) AskIdentity(machine);
          else next_ = std::min(next_, *machine.ask_again_at);
        }
        EndVolumes();
        KeepBookIfDue();
        RememberMarket();
        RememberDecisions();
      }
      next = next_;
      shutdown_planned_ = shutdown_drain_limit_.has_value();
      effects.swap(effects_);
    }
    for (auto& effect : effects) effect();
    next = std::min(next, PersistAgain());
    tasks = inbox_->TakeAll();
  } while (acted || !tasks.empty());
  return next;
}

// --- What the controller is asked.

void Controller::ReportBroken(absl::string_view machine_id, absl::string_view why) {
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  if (found == machines_.end()) return;
  CheckHealth(found->second, why);
  inbox_->Post([] {});
}

// Its figures carry the notice, and unlike a question about its health they may fail a few times.
void Controller::ReportNotice(absl::string_view machine_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  if (found == machines_.end() || found->second.interruption.has_value()) return;
  found->second.heartbeat.due = clock_.Elapsed();
  inbox_->Post([] {});
}

void Controller::CheckHealth(Machine& machine, absl::string_view why) {
  if (machine.suspect || !IsAnswering(machine.record.state)) return;
  LOG(WARNING) << machine.record.id << " is said to be broken: " << why;
  machine.suspect = true;  // nobody else is sent there until it has answered
  machine.fate->Doubt(true);
  effects_.push_back([this, endpoint = machine.endpoint, life = machine.life, asked_at = clock_.Elapsed()] {
    probe_.Ask(endpoint, kHealthDeadline,
               [this, inbox = inbox_, id = endpoint.machine_id, life,
                asked_at](absl::StatusOr<EngineIdentity> health) {
                 inbox->Post([this, id, life, health = std::move(health), asked_at] {
                   OnChecked(id, life, health, asked_at);
                 });
               });
  });
}

void Controller::BeginShutdown(absl::Duration drain_limit) {
  absl::MutexLock lock(&mutex_);
  shutdown_drain_limit_ = drain_limit;
  for (auto& [name, model] : models_) {
    Refuse(model, {AcquireError::Reason::kShutdown, "the server is stopping"}, /*also_who_resumes=*/true);
  }
  inbox_->Post([] {});
}

bool Controller::AwaitStopped(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &Controller::Stopped), timeout);
}

bool Controller::Stopped() const {
  if (options_.dry_run) return shutdown_planned_;
  return std::all_of(machines_.begin(), machines_.end(), [](const auto& machine) {
    return machine.second.record.state == State::kHibernated;
  });
}

// --- What is done about it.

bool Controller::PlanAndAct(Model& model) {
  Desired desired = {
      .min_machines = model.spec.min_machines,
      .max_machines = model.spec.max_machines,
      .wake_cap = model.spec.wake_cap,
      .idle_timeout = model.spec.idle_timeout.has_value() ? *model.spec.idle_timeout
                                                          : model.idle.Choose(ExpectedWake(model))};
  if (shutdown_drain_limit_.has_value()) {
    desired.min_machines = desired.max_machines = 0;
    desired.drain_limit = *shutdown_drain_limit_;
  }
  const double left = DollarsLeft(model);
  if (left <= 0 && CostsMoney(model)) {
    RefuseForMoney(model, desired);
  } else {
    next_ = std::min(next_, ChooseOffers(model, DemandFor(model), left, desired));
  }
  if (!shutdown_drain_limit_.has_value() && FindServing(model.spec.name) == nullptr && PaysFor(kLastDrain, left)) {
    desired.drain_limit = kLastDrain;  // answers of the last machine would only wait elsewhere
  }
  if (desired.max_machines > 0) model.unwanted_since.reset();
  else if (!model.unwanted_since.has_value()) model.unwanted_since = clock_.Elapsed();
  desired.unwanted_since = model.unwanted_since.value_or(-absl::InfiniteDuration());
  std::vector<Observation> observed;
  observed.reserve(machines_.size());
  for (const auto& [id, machine] : machines_) {
    if (machine.record.model != model.spec.name) continue;
    observed.push_back({id, machine.record.state, machine.since, machine.leases, machine.idle_since,
                        machine.interruption.has_value() ? machine.interruption->taken_at : std::nullopt,
                        machine.asked_for});
  }
  Plan plan = PlanModel(desired, DemandFor(model), observed, model.wake, clock_.Elapsed());
  model.wake = std::move(plan.wake);
  bool acted = false;
  for (const Action& action : plan.actions) acted |= Act(model, action);
  next_ = std::min(next_, plan.next);
  if (!acted) model.planned_at = clock_.Elapsed();
  return acted;
}

Demand Controller::DemandFor(Model& model) {
  Demand demand = {.waiting = static_cast<int>(model.parked.size()),
                   .resuming = model.parked.resuming(),
                   .idle_since = model.idle_since};
  if (clock_.Elapsed() >= model.ordered_until || FindServing(model.spec.name) != nullptr) {
    model.ordered_until = -absl::InfiniteDuration();
  } else {  // an order waits as one who resumes does: nobody is there to be refused
    ++demand.waiting;
    ++demand.resuming;
    next_ = std::min(next_, model.ordered_until);
  }
  return demand;
}

// False: nothing has changed.
bool Controller::Act(Model& model, const Action& action) {
  switch (action.kind) {
    case Action::Kind::kLaunch:
    case Action::Kind::kRestore: return Buy(model, action.machine_id, action.why);
    case Action::Kind::kDrain: {
      Machine& machine = machines_[action.machine_id];
      if (Withholds(machine, "stop", action.why)) return false;
      RecordServed(clock_.Elapsed() - machine.since, model.wake);
      SetState(machine, State::kDraining, action.why);
      Write(machine);
      return true;
    }
    case Action::Kind::kStop: {
      Machine& machine = machines_[action.machine_id];
      if (Withholds(machine, "stop", action.why)) return false;
      // A place where machines do not come to serve is as good as one that has none.
      if (IsWaking(machine.record.state) && machine.record.offer.has_value() &&
          clock_.Elapsed() - machine.asked_for >= model.spec.wake_cap) {
        NoteStockOut(machine);
      }
      Stop(machine, State::kHibernating, action.why);
      return true;
    }
    case Action::Kind::kTerminate:
      Stop(machines_[action.machine_id], State::kTerminating, action.why);
      return !options_.dry_run;
    case Action::Kind::kRefuse:
      GrantParked(model, IntoFull::kYes);  // who only waited for another machine
      Refuse(model,
             {ReasonOf(action.refusal), absl::StrCat(model.spec.name, " cannot be served: ", action.why),
              std::max(absl::ZeroDuration(), model.wake.blocked_until - clock_.Elapsed())},
             /*also_who_resumes=*/false);
      return true;
  }
  return false;
}

void Controller::Launch(Model& model, std::optional<Offer> offer, absl::string_view why) {
  const int64_t serial = next_serial_++;
  MachineRecord record = {.serial = serial,
                          .id = absl::StrCat(model.spec.name, "-", serial),
                          .model = model.spec.name,
                          .provider = offer.has_value() ? offer->provider : provider_.caps().name,
                          .volume = VolumeFor(model, offer),
                          .offer = std::move(offer)};
  Machine& machine = machines_[record.id];
  machine.record = std::move(record);
  TakeVolume(machine);
  BeginLife(machine, State::kLaunching, why);
}

void Controller::BeginLife(Machine& machine, MachineState state, absl::string_view why) {
  machine.life = ++last_life_;
  machine.leases = 0;
  machine.answers.clear();
  machine.restored = state == State::kRestoring;
  machine.suspect = machine.reserved = machine.alone = machine.proved = false;
  machine.fate = std::make_shared<MachineLife>();
  machine.interruption.reset();
  machine.download.reset();
  machine.at_risk = machine.in_market = false;
  machine.whole_run = true;
  const bool is_there = machine.record.bought > absl::InfinitePast();
  if (!is_there) {
    machine.record.bought = clock_.Now();
    machine.record.boot_gigabytes = 0;
    machine.record.public_address = false;
  }
  if (!BillingRulesOf(machine.record.provider).address_stays) machine.record.public_address = false;
  machine.record.prices.clear();
  if (auto& offer = machine.record.offer; offer.has_value()) {
    offer->price_per_hour = buyer_.Current(*offer).price_per_hour;
  }
  if (state == State::kRestoring) {  // of the run before its cloud may tell only now, when it is booked
    machine.record.billed_until = std::max(machine.record.billed_until, clock_.Now() - kClocksDiffer);
  }
  BeginReplacement(machine);
  machine.asked_for = clock_.Elapsed();
  SetState(machine, state, why);
  effects_.push_back([this, spec = SpecOf(machine), state, is_there, changes = ChangesOf(machine)]() mutable {
    const auto sync =
        provider_.caps().outlives_host ? Store::Sync::kDurable : Store::Sync::kOrdered;
    if (absl::Status status = PersistFirst(changes, sync); !status.ok()) {
      if (state == State::kRestoring) {  // it sleeps on; the next book that is written has what it slept before
        changes.machines.begin()->second->state = State::kHibernated;
        Persist(std::move(changes)).IgnoreError();
      }
      MachineEvent gone = {.machine_id = spec.id,
                           .kept = is_there,
                           .status = absl::InternalError(
                               absl::StrCat("cannot write down its start: ", status.message()))};
      inbox_->Post([this, gone = std::move(gone)]() mutable { OnEvent(std::move(gone)); });
    } else if (state == State::kRestoring) {
      provider_.Restore(spec);
    } else {
      provider_.Launch(spec);
    }
  });
}

void Controller::BeginServing(Machine& machine, Endpoint endpoint) {
  machine.record.address = endpoint.address;
  machine.record.numerics_id = endpoint.numerics_id;
  machine.endpoint = std::move(endpoint);
  machine.endpoint.life = absl::StrCat(machine.record.id, "/", machine.life);
  machine.idle_since = clock_.Elapsed();
  SetState(machine, State::kServing, "");
  NoteFilled(machine);
  NoteReplacement(machine);
  if (Model* const model = FindModel(machine.record.model); model != nullptr) {
    model->ordered_until = -absl::InfiniteDuration();
    GrantParked(*model, IntoFull::kNo);
  }
  Write(machine);  // after the answers, which need not wait for it
}

void Controller::Stop(Machine& machine, MachineState state, absl::string_view why) {
  if (Withholds(machine, state == State::kHibernating ? "stop" : "end", why)) return;
  // What was bought and never served has nothing to keep but its volume, and a cloud may take long to stop what boots.
  const bool never_served = IsWaking(machine.record.state) && !machine.restored && machine.record.address.empty();
  if (never_served) state = State::kTerminating;
  const bool lost = machine.record.state == State::kLost;
  const bool taken = machine.interruption.has_value() && machine.interruption->taken_at.has_value();
  const bool asks_why = lost && !taken && machine.fate->end() == MachineLife::End::kNone;
  if (!lost) {  // else its end is still to be known
    machine.fate->EndBy(taken                           ? MachineLife::End::kNotice
                        : state == State::kHibernating ? MachineLife::End::kHibernated
                                                       : MachineLife::End::kKilled);
  }
  SetState(machine, state, why);
  Write(machine);
  effects_.push_back([this, id = machine.record.id, state, asks_why] {
    state == State::kHibernating ? provider_.Hibernate(id)
    : asks_why                   ? provider_.TerminateLost(id)
                                 : provider_.Terminate(id);
  });
}

void Controller::Forget(Machine& machine) {
  EndHeartbeat(machine);
  ledger_.End(machine.record.id, clock_.Elapsed());
  EndUpkeep(machine.record, clock_.Now());  // what may be left nobody knows any more
  FreeVolume(machine);
  Store::Changes changes = ChangesOf(machine);
  changes.machines[machine.record.serial].reset();
  Keep(std::move(changes));
  machines_.erase(machine.record.id);
}

// --- Pieces.

Controller::Model* Controller::FindModel(absl::string_view name) {
  const auto found = models_.find(name);
  return found == models_.end() ? nullptr : &found->second;
}

Controller::Machine* Controller::FindServing(absl::string_view model) {
  return FindIdlest(model, [](const Machine& machine) { return machine.record.state == State::kServing; });
}

// A machine that is being asked whether it lives may have to be replaced.
Controller::Machine* Controller::FindAdmitting(const Model& model, IntoFull into_full) {
  Machine* best = nullptr;
  Destination first;
  bool another_comes = false;
  for (auto& [id, machine] : machines_) {
    if (machine.record.model != model.spec.name) continue;
    another_comes |= IsWaking(machine.record.state) || machine.suspect;
    const bool leaves = machine.record.state == State::kDraining && machine.interruption.has_value() &&
                        machine.interruption->serves_on;
    if (machine.record.state != State::kServing && !leaves) continue;
    if (machine.suspect || machine.reserved || machine.alone) continue;
    const Destination here = {machine.IsFull(model.seats, model.spec.streams), leaves, machine.leases};
    if (best != nullptr && !(here < first)) continue;
    best = &machine;
    first = here;
  }
  return best != nullptr && MaySend(first, into_full, another_comes) ? best : nullptr;
}

Controller::Machine* Controller::FindIdlest(absl::string_view model, absl::FunctionRef<bool(const Machine&)> fits) {
  Machine* best = nullptr;
  for (auto& [id, machine] : machines_) {
    if (machine.record.model != model || machine.suspect || machine.reserved || machine.alone) continue;
    if (!fits(machine)) continue;
    if (best == nullptr || machine.leases < best->leases) best = &machine;
  }
  return best;
}

Lease Controller::Grant(Machine& machine, const std::string& key, const Buyer::Answer& so_far, bool alone) {
  ++machine.leases;
  ++machine.heartbeat.granted;
  ++machine.answers[key];
  said_.erase(machine.record.id);  // what is said of it next is news
  machine.alone = alone;
  Account(machine);
  return Lease(machine.endpoint, machine.fate, alone,
               [this, inbox = inbox_, id = machine.record.id, life = machine.life, model = machine.record.model,
                market = MarketOf(machine), key, so_far, granted = clock_.Elapsed()](const Lease::Use& use) {
                 inbox->Post([=, this] {
                   // Also of a machine that is gone.
                   ledger_.CountTokens(model, market, key, use.tokens);
                   NoteUse(model, so_far, use);
                   OnReleased(id, life, key, clock_.Elapsed() - granted - use.queued);
                 });
               });
}

int Controller::Leases(absl::string_view model) const {
  int leases = 0;
  for (const auto& [id, machine] : machines_)
    leases += machine.record.model == model ? machine.leases : 0;
  return leases;
}

absl::Duration Controller::ExpectedWake(const Model& model) const {
  return model.measured_wake.value_or(kUnmeasuredWake);
}

void Controller::SetState(Machine& machine, MachineState state, absl::string_view why) {
  LOG(INFO) << Heading(machine) << machine.record.id << " is " << MachineStateName(state) << (why.empty() ? "" : ": ")
            << why;
  if (!IsAnswering(state)) EndHeartbeat(machine);
  ledger_.BookStorage(SleepOf(machine.record, clock_.Now()));
  machine.record.reason = std::string(why);
  machine.record.state = state;
  machine.record.since = clock_.Now();
  machine.since = clock_.Elapsed();
  if (!why.empty() && state != State::kBooting && state != State::kHibernated) {
    NoteDecision(machine.record.model, &machine, MachineStateName(state), why);
  }
  Account(machine);
}

void Controller::NoteWake(const std::string& model, absl::string_view stage, absl::Duration took) {
  if (!options_.on_wake) return;
  effects_.push_back([this, model, stage, took] { options_.on_wake(model, stage, took); });
}

MachineSpec Controller::SpecOf(const Machine& machine) const {
  MachineSpec spec = {
      .id = machine.record.id, .provider = machine.record.provider, .volume = machine.record.volume};
  spec.offer = machine.record.offer;
  spec.billed_until = machine.record.billed_until;
  if (const auto model = models_.find(machine.record.model); model != models_.end()) {
    spec.weights = model->second.spec.weights;
    spec.model_hash = model->second.spec.model_hash;
    spec.head_hash = model->second.spec.head_hash;
    spec.backend = model->second.spec.backend;
    spec.context_tokens = model->second.spec.context_tokens;
  }
  return spec;
}

}  // namespace spotinference::fleet
