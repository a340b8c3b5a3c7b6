// What machines cost, also over a restart: the ledger is written down with everything that is written of a machine, and
// now and then in between. What machines cost while no fleet was there is booked when their provider has said what
// became of them.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr absl::Duration kBookKept = absl::Seconds(15);  // whose tokens, and busy or idle, a crash forgets

Use UseOf(State state, int leases) {
  switch (state) {
    case State::kLost: return Use::kLost;
    case State::kLaunching:
    case State::kRestoring:
    case State::kBooting: return Use::kWaking;
    default: return leases > 0 ? Use::kBusy : Use::kIdle;
  }
}

}  // namespace

// Before the machines of the store get the states of this life.
void Controller::RecallBook(const Store::Contents& contents) {
  ledger_.Recall(contents.book.entries);
  day_ = contents.spending.day;
  before_day_ = ledger_.Dollars(began_) - contents.spending.dollars;
  written_dollars_ = contents.spending.dollars;
  for (auto& [id, machine] : machines_) {
    const MachineRecord& record = machine.record;
    if (record.state == State::kHibernated) continue;
    const absl::Duration ago = clock_.Now() - std::max(record.since, contents.book.until);
    machine.absence = Absence{began_ - std::max(absl::ZeroDuration(), ago), UseOf(record.state, /*leases=*/0)};
  }
}

Ledger::Item Controller::ItemOf(const Machine& machine) const {
  const Offer offer = SoldAs(machine);
  std::string market = MarketOf(machine);
  const double on_demand = market == MarketName(Market::kOnDemand) ? offer.price_per_hour : buyer_.OnDemandPrice(offer);
  return {machine.record.model, std::move(market), offer.price_per_hour, on_demand};
}

void Controller::Account(const Machine& machine) {
  const absl::Duration now = clock_.Elapsed();
  if (machine.record.state == State::kHibernated) return ledger_.End(machine.record.id, now);
  ledger_.Set(machine.record.id, ItemOf(machine), UseOf(machine.record.state, machine.leases), now);
  ledger_.SetAnswers(machine.record.id, machine.answers, now);
}

void Controller::BookAbsence(const Machine& machine, absl::Duration until, Ledger& ledger) const {
  if (!machine.absence.has_value()) return;
  ledger.Book(ItemOf(machine), machine.absence->use, machine.absence->from, std::min(until, began_));
}

// What nobody ever heard of, and is not there, has not been there.
void Controller::EndBilling(Machine& machine, std::optional<absl::Time> ended) {
  const absl::Duration now = clock_.Elapsed();
  absl::Duration end = now;
  if (ended.has_value()) end = now - std::max(absl::ZeroDuration(), clock_.Now() - *ended);
  else if (machine.absence.has_value() && machine.record.handle.empty()) end = machine.absence->from;
  BookAbsence(machine, end, ledger_);
  machine.absence.reset();
  ledger_.End(machine.record.id, end);
}

void Controller::KeepBook() {
  Ledger ledger = ledger_;
  // What is not told yet would be forgotten by another crash.
  for (const auto& [id, machine] : machines_) BookAbsence(machine, began_, ledger);
  book_due_ = clock_.Elapsed() + kBookKept;
  effects_.push_back([this, book = Store::Book{ledger.Entries(clock_.Elapsed()), clock_.Now()}] {
    const absl::Status status = store_.PutBook(book);
    LOG_IF(ERROR, !status.ok()) << status;
  });
}

// No timer of its own: while a machine serves there are heartbeats.
void Controller::KeepBookIfDue() {
  if (clock_.Elapsed() < book_due_) return;
  const bool bills = std::any_of(machines_.begin(), machines_.end(), [](const auto& machine) {
    return machine.second.record.state != State::kHibernated;
  });
  if (bills) KeepBook();
}

}  // namespace spotinference::fleet
