#include "fleet/faults/upkeep_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr double kCent = 0.01;
constexpr absl::Duration kWritten = absl::Minutes(30);  // longer than the store cannot write
constexpr absl::Duration kDeletion = absl::Seconds(10);  // it takes no longer
constexpr absl::Duration kClocksDiffer = absl::Minutes(5);  // a run of before ended no later than that before an order

double Cost(double per_hour, absl::Duration time) { return per_hour * std::max(0.0, absl::ToDoubleHours(time)); }

}  // namespace

double UpkeepWatch::PerHourOf(const EmulatedMachine& machine) const {
  return (OnlyAsleep() ? 0 : VolumePerHour(rules_, machine.boot_gigabytes)) +
         (machine.public_address && rules_.address_stays ? rules_.address_hour : 0);
}

double UpkeepWatch::CostOf(const EmulatedMachine& machine) const {
  return cloud_.model().BootDiskBill(machine) + (rules_.address_stays ? cloud_.model().AddressBill(machine) : 0);
}

double UpkeepWatch::Dollars() const {
  double dollars = closed_;
  for (const auto& [number, piece] : pieces_) dollars += piece.dollars;
  return dollars;
}

// It is a hash, and would be made for each machine that sleeps after each step.
const std::string& UpkeepWatch::NameOf(const std::string& id) {
  std::string& name = names_by_id_[id];
  if (name.empty()) name = names_.Machine(id);
  return name;
}

UpkeepWatch::Row* UpkeepWatch::FindRow(const std::string& id) {
  const auto key = rows_by_name_.find(NameOf(id));
  const auto row = key == rows_by_name_.end() ? rows_.end() : rows_.find(key->second);
  return row == rows_.end() ? nullptr : &row->second;
}

UpkeepWatch::Row* UpkeepWatch::FindRowOf(Piece& piece) {
  if (std::exchange(piece.found_at, row_changes_) == row_changes_) return piece.found;
  const auto row = rows_.find(piece.row);
  return piece.found = row == rows_.end() ? nullptr : &row->second;
}

void UpkeepWatch::OnDiscard(const MachineSpec& spec) {
  if (Row* const row = FindRow(spec.id)) row->discard_at = std::min(row->discard_at, sim_.now());
}

void UpkeepWatch::OnDeath() {
  Check();
  told_.clear();
}

void UpkeepWatch::OnEvent(const MachineEvent& event) {
  using enum MachineEvent::Kind;
  if (event.kind == kAsleep || (event.kind == kStray && event.ended.has_value())) return NoteNobodys(event);
  Row* const row = FindRow(event.machine_id);
  if (row == nullptr) return;
  if (event.boot_gigabytes > 0) row->disk_told = VolumePerHour(rules_, cloud_.kind().boot_gigabytes);
  if (event.public_address && rules_.address_stays) row->address_told = rules_.address_hour;
  row->started |= event.kind == MachineEvent::Kind::kStarted || event.kind == MachineEvent::Kind::kAdopted;
  if (event.kind != MachineEvent::Kind::kGone) return;
  if (OnlyAsleep()) NoteSleep(event, *row);
  if (event.kept) {
    row->asleep_at = sim_.now();
    return;
  }
  row->word = sim_.now();
  const auto at = [](absl::Time time) { return time - SimCloud::TimeOf(absl::ZeroDuration()); };
  if (event.volume_ended.has_value()) row->ended = at(*event.volume_ended);
  else if (row->discard_at < absl::InfiniteDuration()) row->ended = row->discard_at;
  else if (event.ended.has_value() && at(*event.ended) > row->asleep_at) row->ended = at(*event.ended);
}

// Until then Count has it under what may be missing.
void UpkeepWatch::NoteNobodys(const MachineEvent& told) {
  const bool is_asleep = told.kind == MachineEvent::Kind::kAsleep;
  absl::Time until = *told.ended;
  for (const auto& [serial, record] : store_.machines()) {
    if (NameOf(record.id) != told.machine_id) continue;
    if (!is_asleep) return;
    if (record.bought > absl::InfinitePast()) until = std::min(until, record.bought);
  }
  if (until <= *told.began) return;
  const double disk = is_asleep || !OnlyAsleep() ? VolumePerHour(rules_, told.boot_gigabytes) : 0;
  const double address = told.public_address && rules_.address_stays ? rules_.address_hour : 0;
  const absl::Duration began = *told.began - SimCloud::TimeOf(absl::ZeroDuration());
  const absl::Duration ended = until - SimCloud::TimeOf(absl::ZeroDuration());
  const auto found = cloud_.model().machines().find(SimCloud::NumberOf(told.handle));
  if (found == cloud_.model().machines().end()) return void(over_ += Cost(disk + address, ended - began));
  // It was there for less, or not asleep for all of it: no list had told of that yet.
  const EmulatedMachine& machine = found->second;
  const bool is_gone = machine.state == EmulatedMachine::State::kGone;
  const bool sleeps = machine.state == EmulatedMachine::State::kStopped;
  const absl::Duration gone = is_gone ? ended - std::max(began, machine.since) : absl::ZeroDuration();
  const bool ran_since = sleeps || machine.launched > began;
  const absl::Duration woke = ran_since ? machine.launched : machine.since - (is_gone ? kDeletion : absl::ZeroDuration());
  const absl::Duration awake = std::min(ended, sleeps ? machine.since : ended) - std::max(began, woke);
  const double less = Cost(address, gone) + Cost(disk, OnlyAsleep() ? awake : gone);
  over_ += less;
  if (!asleep_.contains(told.machine_id))  // else Count has it for the controller's
    told_.emplace_back(sim_.now(), Cost(disk + address, ended - began) - less);
}

void UpkeepWatch::Check() {
  for (; !told_.empty() && told_.front().first < sim_.now() - kWritten; told_.pop_front()) under_ -= told_.front().second;
  longest_skew_ = std::max(longest_skew_, absl::AbsDuration(sim_.clock.skew));
  ++looks_;
  asleep_.clear();
  for (const auto& [serial, record] : store_.machines()) {
    if (record.state == MachineState::kHibernated) asleep_.insert(NameOf(record.id));
    if (record.bought == absl::InfinitePast()) continue;
    const Key key = {record.id, record.bought};
    const auto [row, is_new] = rows_.try_emplace(key);
    row->second.look = looks_;
    if (!is_new) continue;
    ++row_changes_;
    row->second = {.name = NameOf(record.id), .since = sim_.now(), .slept_until = sim_.now(), .look = looks_};
    rows_by_name_[row->second.name] = key;
  }
  for (const auto& [number, machine] : cloud_.model().machines()) Count(machine);
  for (auto piece = pieces_.begin(); piece != pieces_.end();) {
    if (cloud_.model().machines().contains(piece->first)) {
      ++piece;
      continue;
    }
    closed_ += piece->second.dollars;
    piece = pieces_.erase(piece);
  }
  for (auto row = rows_.begin(); row != rows_.end();) {
    CountSleep(row->second);
    const bool is_there = row->second.look == looks_;
    row->second.sleeps = is_there && asleep_.contains(row->second.name);
    if (is_there) {
      ++row;
      continue;
    }
    const auto [more, less] = DoubtOf(row->second);
    over_ += more;
    under_ += less;
    row = rows_.erase(row);
    ++row_changes_;
  }
  checked_at_ = sim_.now();
  skew_ = sim_.clock.skew;
}

// Since the last look, at which the store had it as `sleeps` says.
void UpkeepWatch::CountSleep(Row& row) {
  if (!OnlyAsleep()) return;
  const double slept = std::exchange(row.slept, 0);
  const double booked = row.sleeps ? Cost(row.disk_told, sim_.now() - checked_at_) : 0;
  const double doubt = Cost(row.disk_told, absl::AbsDuration(sim_.clock.skew - skew_));
  over_ += std::max(0.0, booked - slept) + doubt;
  under_ += std::max(0.0, slept - booked) + doubt;
  if (!row.sleeps) return;
  row.slept_until = sim_.now();
  row.started = false;
}

// What the ledger may have of the sleep that it hears of, beyond what the store has of it; or of one that is over less.
void UpkeepWatch::NoteSleep(const MachineEvent& gone, Row& row) {
  const absl::Duration awake = sim_.now() - row.slept_until;
  if (!gone.kept) {
    const bool by_decision = row.discard_at < absl::InfiniteDuration() && !gone.volume_ended.has_value();
    if (by_decision) under_ += Cost(row.disk_told, sim_.now() - row.discard_at);
  } else if (!row.started || absl::IsResourceExhausted(gone.status)) {
    over_ += Cost(row.disk_told, awake);
  } else if (gone.ended.has_value()) {
    over_ += Cost(row.disk_told, std::min(sim_.clock.Now() - *gone.ended, awake + kClocksDiffer));
  }
}

// What comes on top when its row is over, or of one that never had a row, is in no ledger; but a machine that the
// controller believes to be asleep has one for as long as it sleeps.
void UpkeepWatch::Count(const EmulatedMachine& machine) {
  const auto [found, is_new] = pieces_.try_emplace(machine.number);
  Piece& piece = found->second;
  if (is_new) {
    const auto key = rows_by_name_.find(machine.name);
    if (key != rows_by_name_.end()) piece.row = key->second;
  }
  const double more = CostOf(machine) - piece.dollars;
  piece.dollars += more;
  const double slept = OnlyAsleep() ? cloud_.model().BootDiskBill(machine) - piece.slept : 0;
  piece.slept += slept;
  Row* const row = FindRowOf(piece);
  if (row == nullptr) {
    const bool sleeps = machine.state == EmulatedMachine::State::kStopped && asleep_.contains(machine.name);
    if (!sleeps) under_ += more;
    return;
  }
  row->dollars += more - slept;
  row->slept += slept;
  row->per_hour = std::max(row->per_hour, PerHourOf(machine));
}

std::pair<double, double> UpkeepWatch::DoubtOf(const Row& row) const {
  const double told = (OnlyAsleep() ? 0 : row.disk_told) + row.address_told;
  const absl::Duration word = std::min(row.word, sim_.now());
  const double most = told == 0 ? 0 : Cost(row.per_hour, word - row.since + 2 * longest_skew_);
  const double least = Cost(told, std::min(word, row.ended) - row.since - 2 * longest_skew_);
  return {std::max(0.0, most - row.dollars), std::max(0.0, row.dollars - least)};
}

void UpkeepWatch::CheckLedger(double dollars) {
  Check();
  double more = over_, less = under_;
  for (const auto& [at, cost] : told_) less -= cost;
  for (const auto& [key, row] : rows_) {
    const auto [over, under] = DoubtOf(row);
    more += over;
    less += under;
  }
  const double bill = Dollars();
  if (dollars <= bill + more + kCent && dollars >= bill - less - kCent) return;
  sim_.Break(absl::StrCat("the ledger has ", dollars, " dollars of machines' disks and addresses and the cloud's bill ",
                          bill, "; for what it does not tell ", more, " more and ", less, " less are right"));
}

}  // namespace spotinference::fleet
