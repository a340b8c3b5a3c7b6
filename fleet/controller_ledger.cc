// What machines cost, also over a restart: the ledger is written down with everything that is written of a machine, and
// now and then in between. What machines cost while no fleet was there is booked when their provider has said what
// became of them.
//
// A machine is booked from the decision to start it until its end was heard of, at the prices that were told meanwhile.
// At its end that becomes what its cloud charges by its rules (ledger/billing.h), for the time that the cloud says and
// at the prices of that time. Where it says none the rules are held to the time that was booked, which is no less.
#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "fleet/controller.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr absl::Duration kBookKept = absl::Seconds(15);  // whose tokens, and busy or idle, a crash forgets

// While it runs; one that stays with a stopped machine is that one's upkeep.
double AddressPerHour(const MachineRecord& machine) {
  const BillingRules& rules = BillingRulesOf(machine.provider);
  return machine.public_address && !rules.address_stays ? rules.address_hour : 0;
}

// By its cloud's clock, what is not billed already; it ends where it begins if it has not been. nullopt: the cloud does
// not say.
std::optional<std::pair<absl::Time, absl::Time>> RunOf(MachineRecord& machine, const MachineEvent& gone) {
  const absl::Time before = machine.billed_until;
  if (gone.ended.has_value()) machine.billed_until = std::max(before, *gone.ended);
  if (gone.never_ran) return std::pair(absl::UnixEpoch(), absl::UnixEpoch());
  if (!gone.began.has_value() || !gone.ended.has_value()) return std::nullopt;
  return std::pair(std::max(*gone.began, before), *gone.ended);
}

}  // namespace

// What is taken away, or died, is lost from when it serves nobody any more.
Use Controller::UseOf(const Machine& machine) {
  const State state = machine.record.state;
  if (IsWaking(state)) return Use::kWaking;
  const std::optional<Interruption>& end = machine.interruption;
  const bool may_serve = IsAnswering(state) && (machine.leases > 0 || (end.has_value() && end->serves_on));
  if (state == State::kLost || (end.has_value() && !may_serve)) return Use::kLost;
  return machine.leases > 0 ? Use::kBusy : Use::kIdle;
}

// Before the machines of the store get the states of this life.
void Controller::RecallBook(const Store::Contents& contents) {
  std::vector<Ledger::Entry> entries = contents.book.entries;
  std::set<std::string> open;
  for (Ledger::Entry& entry : entries) {
    const auto machine = machines_.find(entry.machine);
    const bool is_stray = absl::StartsWith(entry.machine, kStray) && clock_.Now() - contents.book.until < kBeyondBelief;
    const bool goes_on = machine != machines_.end() && machine->second.record.state != State::kHibernated;
    if (goes_on) open.insert(entry.machine);
    else if (!is_stray) entry.machine.clear();
  }
  ledger_.Recall(entries);
  ledger_.BookStorage(contents.book.storage);
  former_until_ = contents.book.until;
  day_.number = contents.spending.day;
  day_.before = ledger_.Dollars(began_) - contents.spending.dollars;
  for (auto& [name, model] : models_) {
    const auto spent = contents.spending.models.find(name);
    model.before_day =
        ledger_.DollarsOf(name, began_) - (spent == contents.spending.models.end() ? 0 : spent->second);
  }
  day_.written = contents.spending.dollars;
  for (auto& [id, machine] : machines_) {
    const MachineRecord& record = machine.record;
    machine.whole_run = open.contains(id);
    if (record.state == State::kHibernated) continue;
    const absl::Duration ago = clock_.Now() - std::max(record.since, contents.book.until);
    machine.absence = Absence{began_ - std::max(absl::ZeroDuration(), ago), UseOf(machine)};
  }
}

Ledger::Item Controller::ItemOf(const Machine& machine) const {
  const Offer offer = SoldAs(machine);
  std::string market = MarketOf(machine);
  const double on_demand = market == MarketName(Market::kOnDemand) ? offer.price_per_hour : buyer_.OnDemandPrice(offer);
  const bool replaces = machine.replaces.has_value() && IsWaking(machine.record.state);
  return {machine.record.model, std::move(market), offer.price_per_hour, on_demand, AddressPerHour(machine.record),
          replaces, std::max(1, offer.accelerators)};
}

void Controller::Account(const Machine& machine) {
  const absl::Duration now = clock_.Elapsed();
  if (machine.record.state == State::kHibernated) return ledger_.End(machine.record.id, now);
  ledger_.Set(machine.record.id, ItemOf(machine), UseOf(machine), now);
  ledger_.SetAnswers(machine.record.id, machine.answers, now);
}

void Controller::BookAbsence(const Machine& machine, absl::Duration until, Ledger& ledger) const {
  if (!machine.absence.has_value()) return;
  ledger.Book(machine.record.id, ItemOf(machine), machine.absence->use, machine.absence->from, std::min(until, began_));
}

// What nobody ever heard of, and is not there, has not been there.
void Controller::EndBilling(Machine& machine, const MachineEvent& gone) {
  const absl::Duration now = clock_.Elapsed();
  machine.record.NoteUpkeep(gone.public_address, gone.boot_gigabytes);
  absl::Duration end = now;
  if (gone.ended.has_value()) end = now - std::max(absl::ZeroDuration(), clock_.Now() - *gone.ended);
  else if (machine.absence.has_value() && machine.record.handle.empty() && gone.handle.empty())
    end = machine.absence->from;
  BookAbsence(machine, end, ledger_);
  machine.absence.reset();
  const MachineRecord& record = machine.record;
  const BillingRules& rules = BillingRulesOf(record.provider);
  if (!record.offer.has_value() || rules.provider != record.provider) return ledger_.End(record.id, end);
  const std::optional<std::pair<absl::Time, absl::Time>> told = RunOf(machine.record, gone);
  const bool run_is_told = told.has_value() && told->first < told->second;
  if (!gone.kept) EndUpkeep(machine.record, run_is_told ? told->second : clock_.Now());
  if (told.has_value() && !run_is_told) return ledger_.Drop(record.id);
  if (!machine.whole_run) return ledger_.End(record.id, end);
  const absl::Duration booked = ledger_.Time(record.id, now).value_or(absl::ZeroDuration());
  const bool is_believed = told.has_value() && told->second - told->first <= booked + kBeyondBelief;
  if (is_believed)  // it ran for no less, however the two clocks differ
    end = std::max(end, now - std::max(absl::ZeroDuration(), booked - (told->second - told->first)));
  const absl::Time over = clock_.Now() - (now - end);
  const std::pair<absl::Time, absl::Time> run =
      is_believed ? *told : std::pair(over - ledger_.Time(record.id, end).value_or(absl::ZeroDuration()), over);
  std::vector<PriceSpan> prices = {{.since = -absl::InfiniteDuration(), .per_hour = record.offer->price_per_hour}};
  for (const PriceChange& change : record.prices) prices.push_back({change.since - absl::UnixEpoch(), change.per_hour});
  const absl::Duration from = run.first - absl::UnixEpoch(), to = run.second - absl::UnixEpoch();
  const PriceSpan on_demand = {.since = from, .per_hour = ItemOf(machine).on_demand_per_hour};
  ledger_.End(record.id, end, BillOfRun(rules, record.offer->market, from, to, gone.reclaimed, prices),
              AddressPerHour(record) * absl::ToDoubleHours(to - from),
              BillOfRun(rules, Market::kOnDemand, from, to, /*reclaimed=*/false, {&on_demand, 1}));
}

// A machine's price is that of what is sold in its place.
void Controller::NotePrices(const std::vector<OfferNow>& offers) {
  const auto note = [&](Machine& machine) {
    MachineRecord& record = machine.record;
    if (record.state == State::kHibernated || !record.offer.has_value()) return false;
    const auto sold = std::find_if(offers.begin(), offers.end(),
                                   [&](const OfferNow& now) { return SamePlace(now.offer, *record.offer); });
    const double price = sold == offers.end() ? 0 : sold->offer.price_per_hour;
    if (price <= 0 || !std::isfinite(price) || price == SoldAs(machine).price_per_hour) return false;
    const absl::Time earliest = record.prices.empty() ? absl::InfinitePast() : record.prices.back().since;
    record.prices.push_back({std::max(earliest, sold->priced_since.value_or(clock_.Now())), price});
    LOG(INFO) << record.id << " costs " << price << " dollars an hour from " << record.prices.back().since << " on";
    Account(machine);
    return true;
  };
  for (auto& [id, machine] : machines_) {
    if (note(machine)) Write(machine);
  }
  for (auto& [name, stray] : strays_) note(stray);
}

// With what the day has cost of it: a crash between the two would forget that.
Store::Changes Controller::MakeBook() {
  Ledger ledger = ledger_;
  // What is not told yet would be forgotten by another crash.
  for (const auto& [id, machine] : machines_) BookAbsence(machine, began_, ledger);
  const absl::Duration now = clock_.Elapsed();
  day_.written = ledger_.Dollars(now) - day_.before;
  Store::Spending spending = {day_.number, day_.written};
  for (const auto& [name, model] : models_) spending.models[name] = ledger_.DollarsOf(name, now) - model.before_day;
  return {.spending = std::move(spending),
          .book = Store::Book{ledger.EntriesByMachine(now), clock_.Now(), ledger.storage()}};
}

// No timer of its own: while a machine serves there are heartbeats.
void Controller::KeepBookIfDue() {
  if (clock_.Elapsed() < book_due_) return;
  const bool bills = !strays_.empty() || std::any_of(machines_.begin(), machines_.end(), [](const auto& machine) {
    return machine.second.record.state != State::kHibernated;
  });
  if (!bills) return;
  book_due_ = clock_.Elapsed() + kBookKept;
  Keep(MakeBook());
  market_news_ = true;
}

}  // namespace spotinference::fleet
