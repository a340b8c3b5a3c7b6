#include "fleet/faults/watch.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;

constexpr absl::Duration kForget = absl::Hours(1);  // as the longest of the clouds' lists
constexpr double kCent = 0.01;
constexpr absl::Duration kLate = absl::Seconds(10);  // by sabotage
constexpr double kExact = 1e-6;  // what rounding adds up to
constexpr absl::Duration kUnlisted = absl::Minutes(30);  // no list is missing, or behind, for longer
constexpr absl::Duration kLongestSkew = absl::Minutes(5);  // of the controller's clock against the cloud's

bool Runs(const EmulatedMachine& machine) {
  return machine.state == State::kStarting || machine.state == State::kRunning || machine.state == State::kRestoring;
}

const char* KindName(MachineEvent::Kind kind) {
  switch (kind) {
    case MachineEvent::Kind::kStarted: return "started";
    case MachineEvent::Kind::kReady: return "ready";
    case MachineEvent::Kind::kDownload: return "download";
    case MachineEvent::Kind::kAdopted: return "adopted";
    case MachineEvent::Kind::kEnded: return "ended";
    case MachineEvent::Kind::kGone: return "gone";
    case MachineEvent::Kind::kVolume: return "has its volume";
    case MachineEvent::Kind::kStray: return "is nobody's";
    case MachineEvent::Kind::kAsleep: return "sleeps";
    case MachineEvent::Kind::kOffers: return "offers";
  }
  return "";
}

// What a run costs, with the address that its machine loses with it.
struct Tariff {
  Tariff(SimCloud& cloud, const Offer& offer)
      : rules(BillingRulesOf(offer.provider)),
        market(offer.market),
        prices(PricesOf(*cloud.model().FindType(offer.provider, offer.zone, offer.machine_type), market)),
        address_hour(cloud.kind().public_addresses && !rules.address_stays ? rules.address_hour : 0) {}

  static const std::vector<PriceSpan>& PricesOf(const EmulatedType& type, Market market) {
    return market == Market::kSpot ? type.spot_prices : type.on_demand_prices;
  }
  double Bill(absl::Duration from, absl::Duration to, bool reclaimed) const {
    return BillOfRun(rules, market, from, to, reclaimed, prices) + address_hour * absl::ToDoubleHours(to - from);
  }
  double Charged(absl::Duration time, double per_hour) const {
    return BillOfRun(rules, market, absl::ZeroDuration(), time, false, {{.per_hour = per_hour}}) +
           address_hour * absl::ToDoubleHours(time);
  }

  const BillingRules& rules;
  const Market market;
  const std::vector<PriceSpan>& prices;
  const double address_hour;
};

}  // namespace

Watch::Watch(Sim& sim, SimCloud& cloud, const Death& death, const MemoryStore& store, const CloudNames& names,
             Limits limits, Sabotage sabotage)
    : sim_(sim), cloud_(cloud), death_(death), store_(store), names_(names), limits_(std::move(limits)),
      budget_(sim, {"", limits_.max_dollars_per_day, limits_.end, kLongestSkew}), sabotage_(sabotage),
      storage_(sim, cloud, store, names), upkeep_(sim, cloud, store, names), strays_(sim, cloud, store),
      times_(sim, store) {
  for (const auto& [name, model] : limits_.models) {
    if (model.max_dollars_per_day == std::numeric_limits<double>::infinity()) continue;
    budgets_.try_emplace(name, sim, BudgetWatch::Limits{absl::StrCat(name, "'s"), model.max_dollars_per_day,
                                                        limits_.end, kLongestSkew});
  }
}

void Watch::Use(Provider* provider) {
  provider_ = provider;
  if (provider == nullptr) died_at_ = sim_.now();
  strays_.OnLife(/*begins=*/provider != nullptr);
  if (provider == nullptr) times_.OnDeath();
  if (provider == nullptr) upkeep_.OnDeath();
  budget_.OnLife();
  for (auto& [name, budget] : budgets_) budget.OnLife();
  asked_.clear();
}

void Watch::Listen(absl::AnyInvocable<void(MachineEvent)> listener) {
  if (listener == nullptr) {
    provider_->Listen(nullptr);
    listener_ = nullptr;
    return;
  }
  listener_ = std::move(listener);
  provider_->Listen([this](MachineEvent event) {
    if (sabotage_ == Sabotage::kMisbooks && event.ended.has_value()) *event.ended -= absl::Seconds(10);
    if (sabotage_ == Sabotage::kFewGpus) {
      for (OfferNow& now : event.offers) now.offer.accelerators = 1;
    }
    if (sabotage_ == Sabotage::kSmallDisks) event.boot_gigabytes /= 2;
    if (sabotage_ == Sabotage::kForgetsDisks) event.kept = false;
    if (sabotage_ == Sabotage::kYoungVolumes && event.volume.has_value()) event.volume->made += absl::Hours(10);
    OnEvent(event);
    if (sabotage_ == Sabotage::kHidesStrays && event.kind == MachineEvent::Kind::kStray) return;
    if (sabotage_ == Sabotage::kHidesSleepers && event.kind == MachineEvent::Kind::kAsleep) return;
    if (sabotage_ == Sabotage::kLateWord && event.kind == MachineEvent::Kind::kReady)
      return sim_.After(kLate, [this, event] { if (listener_) listener_(event); });
    listener_(std::move(event));
  });
}

void Watch::OnEvent(const MachineEvent& event) {
  active_ = true;
  storage_.OnEvent(event);
  upkeep_.OnEvent(event);
  times_.OnEvent(event);
  if (event.kind == MachineEvent::Kind::kStray) strays_.OnEvent(event, asked_.contains(event.machine_id));
  if (event.kind == MachineEvent::Kind::kOffers) {
    if (event.status.ok()) offers_ = event.offers;
    return;
  }
  sim_.Note(absl::StrCat("provider: ", event.machine_id, " ", KindName(event.kind), " ", event.status.ToString()));
  const auto asked = asked_.find(names_.Machine(event.machine_id));
  if (asked == asked_.end()) return;
  if (event.kind == MachineEvent::Kind::kStarted || event.kind == MachineEvent::Kind::kAdopted) {
    runs_.at(asked->first).started = true;
  }
  if (event.kind == MachineEvent::Kind::kReady) {
    asked->second.wakes = false;
    served_from_.insert(asked->second.volume);
  }
  if (event.kind != MachineEvent::Kind::kGone) return;
  NoteRun(event);
  asked_.erase(asked);
}

// --- What the controller asks.

void Watch::Begin(const MachineSpec& spec, bool wakes) {
  active_ = true;
  const std::string name = names_.Machine(spec.id);
  Asked& asked = asked_[name] = {spec.id, spec.volume, "", names_.Volume(spec.volume), sim_.now(), !wakes, wakes};
  const auto written = std::find_if(store_.machines().begin(), store_.machines().end(),
                                    [&](const auto& record) { return record.second.id == spec.id; });
  if (written == store_.machines().end())
    return sim_.Break(absl::StrCat(spec.id, " was not written down before it was asked for"));
  asked.model = models_[name] = written->second.model;
  if (wakes) CheckPurchase(asked, *spec.offer);
}

void Watch::CheckPurchase(const Asked& asked, const Offer& place) {
  budget_.OnPurchase(asked.id, SpentOf(""));
  if (const auto own = budgets_.find(asked.model); own != budgets_.end())
    own->second.OnPurchase(asked.id, SpentOf(asked.model));
  const double most = limits_.models.at(asked.model).max_price;
  for (const OfferNow& now : offers_) {  // as the controller knows them
    if (SamePlace(now.offer, place) && now.offer.price_per_hour > most)
      sim_.Break(absl::StrCat(asked.id, " is bought at ", now.offer.price_per_hour, " dollars an hour, of ", most));
  }
}

const EmulatedType& Watch::TypeOf(const Offer& offer) const {
  return *cloud_.model().FindType(offer.provider, offer.zone, offer.machine_type);
}

void Watch::Launch(const MachineSpec& spec) {
  if (death_.dead()) return;
  ++launches;
  const Offer& offer = *spec.offer;
  const std::string name = names_.Machine(spec.id);
  runs_[name] = {sim_.now(), offer, cloud_.last_date(), BillOf(name)};
  times_.OnOrder(spec.id, TypeOf(*spec.offer).accelerators);
  sim_.Note(absl::StrCat("controller: launch ", spec.id, " in ", offer.zone, " ", MarketName(offer.market)));
  Begin(spec, true);
  MachineSpec heard = spec;
  if (sabotage_ == Sabotage::kMixesVolumes) heard.volume += "-other";
  provider_->Launch(heard);
}

void Watch::Restore(const MachineSpec& spec) {
  if (death_.dead()) return;
  ++restores;
  const std::string name = names_.Machine(spec.id);
  runs_[name] = {sim_.now(), *spec.offer, cloud_.last_date(), BillOf(name)};
  times_.OnOrder(spec.id, TypeOf(*spec.offer).accelerators);
  sim_.Note(absl::StrCat("controller: restore ", spec.id));
  Begin(spec, true);
  provider_->Restore(spec);
}

void Watch::Adopt(const MachineSpec& spec, absl::string_view handle, absl::string_view address) {
  if (death_.dead()) return;
  sim_.Note(absl::StrCat("controller: adopt ", spec.id, " ", handle, " ", address));
  Begin(spec, false);
  // A life that died may have written down, as the last thing that it did, a run that it then never asked for.
  Run& run = runs_.try_emplace(names_.Machine(spec.id), Run{died_at_, *spec.offer}).first->second;
  const bool restores_only = std::any_of(store_.machines().begin(), store_.machines().end(), [&](const auto& record) {
    return record.second.id == spec.id && record.second.state == MachineState::kRestoring;
  });
  if (std::exchange(run.over, false) && restores_only) {
    run.asked = died_at_;
    run.started = false;
  }
  run.stepped += SteppedSince(run.asked);
  provider_->Adopt(spec, handle, address);
}

// False: sabotage keeps it from the provider.
bool Watch::End(absl::string_view machine_id) {
  active_ = true;
  const auto asked = asked_.find(names_.Machine(machine_id));
  if (asked != asked_.end()) {
    asked->second.wakes = false;
    if (!asked->second.ended.has_value()) asked->second.ended = healthy_;
  }
  if (sabotage_ == Sabotage::kDeaf) return false;
  if (sabotage_ != Sabotage::kLeak) return true;
  const MachineEvent gone = {.machine_id = std::string(machine_id)};
  OnEvent(gone);
  listener_(gone);
  return false;
}

void Watch::Hibernate(absl::string_view machine_id) {
  if (death_.dead()) return;
  sim_.Note(absl::StrCat("controller: hibernate ", machine_id));
  if (End(machine_id)) provider_->Hibernate(machine_id);
}

void Watch::Terminate(absl::string_view machine_id) {
  if (death_.dead()) return;
  sim_.Note(absl::StrCat("controller: terminate ", machine_id));
  if (End(machine_id)) provider_->Terminate(machine_id);
}

void Watch::TerminateLost(absl::string_view machine_id) {
  if (death_.dead()) return;
  sim_.Note(absl::StrCat("controller: terminate ", machine_id, ", which is lost"));
  if (End(machine_id)) provider_->TerminateLost(machine_id);
}

void Watch::Discard(const MachineSpec& spec) {
  if (death_.dead()) return;
  ++discards;
  active_ = true;
  storage_.OnDiscard(spec);
  upkeep_.OnDiscard(spec);
  sim_.Note(absl::StrCat("controller: discard ", spec.id, " with ", spec.volume));
  for (const auto& [name, asked] : asked_) {
    if (asked.volume == spec.volume) sim_.Break(absl::StrCat(spec.volume, " is deleted, and ", asked.id, " has it"));
  }
  const auto is_filled = [&](const auto& row) {
    const VolumeRecord& other = row.second;
    return other.name != spec.volume && other.model == store_.volumes().at(spec.volume).model && !other.ending &&
           (other.filled || served_from_.contains(other.name));
  };
  const auto known = store_.volumes().find(spec.volume);
  const bool last = known != store_.volumes().end() && known->second.filled &&
                    std::none_of(store_.volumes().begin(), store_.volumes().end(), is_filled);
  if (last) sim_.Break(absl::StrCat(spec.volume, " is deleted, and was its model's last one with weights"));
  served_from_.erase(spec.volume);
  if (sabotage_ == Sabotage::kKeepsVolumes) return listener_({.machine_id = spec.id});
  provider_->Discard(spec);
}

// --- What must hold.

double Watch::Dollars() const {
  double dollars = closed_dollars_;
  for (const auto& [number, machine] : cloud_.model().machines()) dollars += cloud_.model().Bill(machine);
  return dollars;
}

void Watch::Check(bool healthy) {
  storage_.Check();
  upkeep_.Check();
  strays_.Check(sim_.now() - checked_at_, [this](const EmulatedMachine& machine) { return IsKnown(machine); });
  if (skews_.empty() || skews_.back().second != sim_.clock.skew) skews_.emplace_back(sim_.now(), sim_.clock.skew);
  if (healthy && provider_ != nullptr) healthy_ += sim_.now() - checked_at_;
  checked_at_ = sim_.now();
  ForgetGone();
  std::set<absl::string_view> running;
  for (const auto& [number, machine] : cloud_.model().machines()) {
    CheckMachine(machine);
    if (Runs(machine) && !running.insert(machine.name).second)
      sim_.Break(absl::StrCat(machine.name, " was bought twice and runs twice"));
  }
  CheckAttached();
  for (const auto& [name, asked] : asked_) {
    if (asked.wakes && sim_.now() - asked.began > limits_.wake_cap)
      sim_.Break(absl::StrCat("the wake of ", asked.id, " goes on after its cap of ",
                              absl::FormatDuration(limits_.wake_cap)));
  }
  CheckBudgets();
}

void Watch::CheckMachine(const EmulatedMachine& machine) {
  if (!Runs(machine)) return void(unknown_since_.erase(machine.number));
  const auto asked = asked_.find(machine.name);
  if (asked == asked_.end()) {
    const absl::Duration since = unknown_since_.try_emplace(machine.number, healthy_).first->second;
    if (provider_ != nullptr) orphans_.insert(machine.number);
    // Its next life begins to look for it, and finds what is in lists.
    if (provider_ == nullptr || !cloud_.IsListed(machine)) unknown_since_[machine.number] = healthy_;
    if (healthy_ - since > limits_.leak)
      sim_.Break(absl::StrCat(machine.name, " (i-", machine.number, ") is leaked: it runs and nobody knows it"));
    return;
  }
  unknown_since_.erase(machine.number);
  orphans_.erase(machine.number);
  if (asked->second.ended.has_value() && healthy_ - *asked->second.ended > limits_.end)
    sim_.Break(absl::StrCat(asked->second.id, " bills ", absl::FormatDuration(healthy_ - *asked->second.ended),
                            " after its end was decided"));
}

// Nothing on a machine can read what is another model's.
void Watch::CheckAttached() const {
  const auto& machines = cloud_.model().machines();
  for (const auto& [number, volume] : cloud_.model().volumes()) {
    const auto machine = machines.find(volume.machine);
    if (machine == machines.end() || machine->second.state == State::kGone) continue;
    const auto asked = asked_.find(machine->second.name);
    if (asked != asked_.end() && volume.name != asked->second.volume_name)
      sim_.Break(absl::StrCat(asked->second.id, " has the volume ", volume.name, ", which is another's"));
  }
}

double Watch::BillOf(const std::string& name) const {
  double dollars = 0;
  for (const auto& [number, machine] : cloud_.model().machines()) {
    if (machine.name == name) dollars += cloud_.model().Bill(machine);
  }
  return dollars;
}

// The controller's clock, to and fro.
absl::Duration Watch::SteppedSince(absl::Duration time) const {
  absl::Duration least = sim_.clock.skew, most = least;
  for (auto skew = skews_.rbegin(); skew != skews_.rend(); ++skew) {
    least = std::min(least, skew->second);
    most = std::max(most, skew->second);
    if (skew->first <= time) break;
  }
  return most - least;
}

// What the cloud does not say of a run that is over bounds what the ledger can know of it: it has the time from the
// order to the word of its end, or nothing where no list ever had it running.
void Watch::NoteRun(const MachineEvent& gone) {
  const std::string name = names_.Machine(gone.machine_id);
  Run& run = runs_.at(name);
  run.over = true;
  const Tariff tariff(cloud_, run.offer);
  absl::Duration from = sim_.now(), to = from;  // the newest machine of its name, since it was asked for
  absl::Duration ordered = from, left = from;  // as wide as it may be told
  bool free = false, exact = false;
  double before = 0;  // of one that was over before, and that no answer of before says to have been
  double earlier = 0;  // of others since then, which were gone before any list had them
  for (const auto& [number, machine] : cloud_.model().machines()) {
    if (machine.name != name) continue;
    ordered = std::max(machine.launched, run.asked);
    left = machine.state == State::kGone ? machine.since : sim_.now();
    if (!machine.began.has_value()) continue;
    earlier += tariff.Bill(from, to, free);
    exact = machine.ended.has_value() && gone.began == SimCloud::TimeOf(*machine.began) &&
            gone.ended == SimCloud::TimeOf(*machine.ended);
    to = std::min(machine.ended.value_or(sim_.now()), sim_.now());
    from = std::min(to, std::max(*machine.began, run.asked));
    free = machine.reclaimed;
    const bool is_known = !asked_.at(name).adopted && SimCloud::TimeOf(to) <= run.asked_after;
    before = exact && to <= run.asked && !is_known ? tariff.Bill(*machine.began, to, gone.reclaimed) : 0;
  }
  under_ += earlier;
  over_ += before;
  // Where the price has moved, what is paid is uncertain by as much for the time that is not told; also until the
  // change is told.
  const auto [least, most] = RangeOf(tariff.prices, run.asked - kLongestSkew);
  const double paid = tariff.Bill(from, to, free);
  // Of the address nobody knows where no list had the machine running.
  if (gone.handle.empty()) under_ += tariff.address_hour * absl::ToDoubleHours(to - from);
  if (gone.began.has_value() && gone.ended.has_value()) {
    over_ += std::max(0.0, tariff.Bill(exact ? from : ordered, exact ? to : left, gone.reclaimed) - paid);
    // Of runs of one machine the cloud tells the latest: no list had one that began and ended before.
    const double unlisted = run.started ? 0 : BillOf(name) - run.billed - earlier - paid;
    under_ += std::clamp(unlisted, 0.0, tariff.Charged(kUnlisted, most));
    if (cloud_.PricesAreKnown()) return;
    const double doubt = tariff.Charged(to - from, most) - tariff.Charged(to - from, least);
    over_ += doubt;
    under_ += doubt;
  } else if (gone.never_ran) {
    under_ += paid;
  } else {
    over_ += tariff.Charged(sim_.now() - run.asked, most) - paid;
    // One that was started again may have cost the least that a start costs before.
    const absl::Duration least_time = tariff.rules.minimum + tariff.rules.granularity;
    under_ += std::clamp(BillOf(name) - run.billed - paid, 0.0, tariff.Charged(least_time, most));
    const bool unseen = gone.handle.empty() && asked_.at(name).adopted;
    under_ += unseen ? paid : std::max(0.0, paid - tariff.Charged(to - from, least));
    // What passes while no controller lives is known by the wall clock alone.
    if (run.stepped > absl::ZeroDuration()) {
      over_ += tariff.Charged(run.stepped, most);
      under_ += std::min(paid, tariff.Charged(run.stepped, most));
    }
    // Without its begin the end that is told is taken by the controller's clock.
    if (gone.ended.has_value()) under_ += std::min(paid, tariff.Charged(kLongestSkew, most));
  }
}

// What it costs is somebody's.
bool Watch::IsKnown(const EmulatedMachine& machine) const {
  return asked_.contains(machine.name) ||
         std::any_of(store_.machines().begin(), store_.machines().end(), [&](const auto& record) {
           return record.second.state != MachineState::kHibernated && names_.Machine(record.second.id) == machine.name;
         });
}

bool Watch::Rests() const {
  const auto& machines = cloud_.model().machines();
  return asked_.empty() && strays_.rests() && std::all_of(machines.begin(), machines.end(), [](const auto& machine) {
    return machine.second.state == State::kStopped || machine.second.state == State::kGone;
  });
}

double Watch::AddressBill(const EmulatedMachine& machine) const {
  return BillingRulesOf(machine.cloud).address_stays ? 0 : cloud_.model().AddressBill(machine);
}

// Where all was told since the last rest, to the cent: what was not told before says nothing of the runs since.
void Watch::CheckLedger(double dollars) {
  double bill = Dollars() + closed_addresses_;
  for (const auto& [number, machine] : cloud_.model().machines()) bill += AddressBill(machine);
  const double beyond = dollars - bill, untold = this->untold();
  const double since = std::exchange(checked_untold_, untold) == untold ? beyond - checked_beyond_ : 0;
  checked_beyond_ = beyond;
  if (beyond > over() + kCent || beyond < -under() - kCent) {
    sim_.Break(absl::StrCat("the ledger has ", dollars, " dollars and the cloud's bill ", bill,
                            "; for what it does not tell ", over(), " more and ", under(), " less are right"));
  } else if (std::abs(since) > kExact) {
    sim_.Break(absl::StrCat("the ledger has ", dollars, " dollars and the cloud's bill ", bill, ", of which ", since,
                            " came since the last rest, and all was told since"));
  }
}

// Of one model's machines; "": of all.
BudgetWatch::Now Watch::SpentOf(absl::string_view model) const {
  BudgetWatch::Now now = {.healthy = healthy_, .lives = provider_ != nullptr};
  if (model.empty()) {
    now.dollars = Dollars();
    now.untold = strays_.under();
    now.untold_for_good = strays_.untold_for_good();
    return now;
  }
  const auto is_its = [&](const std::string& name) {
    const auto its = models_.find(name);
    return its != models_.end() && its->second == model;
  };
  now.untold = strays_.under(is_its);
  now.untold_for_good = strays_.untold_for_good(is_its);
  const auto closed = closed_by_model_.find(model);
  now.dollars = closed == closed_by_model_.end() ? 0 : closed->second;
  for (const auto& [number, machine] : cloud_.model().machines()) {
    if (is_its(machine.name)) now.dollars += cloud_.model().Bill(machine);
  }
  return now;
}

void Watch::CheckBudgets() {
  const auto bills = [this](absl::string_view model) {
    const auto& machines = cloud_.model().machines();
    return std::any_of(machines.begin(), machines.end(), [&](const auto& machine) {
      const auto asked = asked_.find(machine.second.name);
      return Runs(machine.second) && asked != asked_.end() && (model.empty() || asked->second.model == model);
    });
  };
  budget_.Check(SpentOf(""), [&] { return bills(""); });
  for (auto& [name, budget] : budgets_) budget.Check(SpentOf(name), [&, name = name] { return bills(name); });
}

void Watch::ForgetGone() {
  std::map<int64_t, EmulatedMachine>& machines = cloud_.model().machines();
  for (auto machine = machines.begin(); machine != machines.end();) {
    if (machine->second.state != State::kGone || sim_.now() - machine->second.since < kForget) {
      ++machine;
      continue;
    }
    closed_dollars_ += cloud_.model().Bill(machine->second);
    if (const auto model = models_.find(machine->second.name); model != models_.end())
      closed_by_model_[model->second] += cloud_.model().Bill(machine->second);
    closed_addresses_ += AddressBill(machine->second);
    machine = machines.erase(machine);
  }
}

bool Watch::IsWritten(const EmulatedMachine& machine) const {
  const auto is_it = [&](const std::string& id) { return names_.Machine(id) == machine.name; };
  return std::any_of(store_.machines().begin(), store_.machines().end(),
                     [&](const auto& record) { return is_it(record.second.id); }) ||
         std::any_of(store_.volumes().begin(), store_.volumes().end(),
                     [&](const auto& volume) { return volume.second.ending && is_it(volume.second.machine); });
}

void Watch::CheckAtRest() {
  for (const auto& [number, machine] : cloud_.model().machines()) {
    if (machine.state == State::kGone) continue;
    const bool known = IsWritten(machine) || orphans_.contains(number);
    const bool rests = machine.state == State::kStopped || machine.state == State::kDeleting;  // with its volume
    if (!rests || !known)
      sim_.Break(absl::StrCat("at rest ", machine.name, " (i-", number, ") is ", Runs(machine) ? "running" : "there",
                              known ? "" : ", and nobody knows it"));
  }
  CheckVolumes();
}

void Watch::CheckVolumes() {
  std::set<std::string> known;
  for (const auto& [name, volume] : store_.volumes()) known.insert(names_.Volume(name));
  for (const auto& [serial, machine] : store_.machines()) known.insert(names_.Volume(machine.volume));
  std::set<std::pair<std::string, std::string>> volumes;
  for (const auto& [number, volume] : cloud_.model().volumes()) {
    if (!volumes.emplace(volume.name, volume.zone).second)
      sim_.Break(absl::StrCat(volume.name, " was made twice in ", volume.zone));
    if (!known.contains(volume.name)) sim_.Break(absl::StrCat("nobody knows the volume ", volume.name));
  }
}

}  // namespace spotinference::fleet
