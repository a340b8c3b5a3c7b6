#include "fleet/ledger/ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kLatest = 32;  // what is told of a machine from its end until that is heard of

double ShareAfter(absl::Duration from, absl::Duration to, absl::Duration end) {
  return to <= end ? 0 : absl::FDivDuration(to - std::max(from, end), to - from);
}

}  // namespace

absl::string_view UseName(Use use) {
  switch (use) {
    case Use::kBusy: return "busy";
    case Use::kIdle: return "idle";
    case Use::kWaking: return "waking";
    case Use::kLost: return "lost";
  }
  return "";
}

std::optional<Use> ParseUse(absl::string_view name) {
  for (const Use use : {Use::kBusy, Use::kIdle, Use::kWaking, Use::kLost}) {
    if (UseName(use) == name) return use;
  }
  return std::nullopt;
}

Ledger::Sum& Ledger::Sum::operator+=(const Sum& other) {
  time += other.time;
  dollars += other.dollars;
  on_demand_dollars += other.on_demand_dollars;
  tokens += other.tokens;
  address_dollars += other.address_dollars;
  replacing_dollars += other.replacing_dollars;
  return *this;
}

void Ledger::Add(const Open& open, absl::Duration now, Sums& sums) {
  if (now <= open.since) return;
  const absl::Duration time = now - open.since;
  const auto add = [&](const std::string& key, absl::Duration part) {
    const double hours = absl::FDivDuration(part, absl::Hours(1));
    const double dollars = hours * open.item.price_per_hour;
    sums[{open.item.model, open.item.market, open.use, key}] += {
        part * open.item.accelerators, dollars, hours * open.item.on_demand_per_hour, 0, hours * open.item.address_per_hour,
        open.item.replaces ? dollars : 0};
  };
  int left_answers = 0;
  for (const auto& [key, count] : open.answers) left_answers += count;
  if (open.use != Use::kBusy || left_answers == 0) return add("", time);
  absl::Duration left = time;
  for (const auto& [key, count] : open.answers) {  // so divided that the parts make the whole
    const absl::Duration part = count == left_answers ? left : left * count / left_answers;
    add(key, part);
    left -= part;
    left_answers -= count;
  }
}

Ledger::Open* Ledger::Settle(absl::string_view machine, absl::Duration now) {
  const auto found = open_.find(machine);
  if (found == open_.end()) return nullptr;
  Open& open = found->second;
  Piece piece = {.from = open.since, .to = now};
  Add(open, now, piece.sums);
  for (const auto& [row, sum] : piece.sums) open.booked[row] += sum;
  if (!piece.sums.empty()) open.latest.push_back(std::move(piece));
  if (open.latest.size() > kLatest) open.latest.pop_front();
  open.dollars += Dollars(open, now);
  if (open.since < absl::InfiniteDuration()) open.since = now;
  return &open;
}

void Ledger::Set(absl::string_view machine, const Item& item, Use use, absl::Duration now) {
  const auto known = open_.find(machine);
  const bool goes_on = known != open_.end() && known->second.since <= now && known->second.use == use &&
                       known->second.item == item;
  if (goes_on) return;
  Open* open = Settle(machine, now);
  if (open == nullptr) open = &open_[std::string(machine)];
  open->since = now;
  open->item = item;
  open->use = use;
}

void Ledger::SetAnswers(absl::string_view machine, std::map<std::string, int> by_key, absl::Duration now) {
  const auto known = open_.find(machine);
  if (known == open_.end() || known->second.answers == by_key) return;
  Settle(machine, now)->answers = std::move(by_key);
}

void Ledger::CountTokens(const std::string& model, const std::string& market, const std::string& key, int64_t tokens) {
  if (tokens != 0) closed_[{model, market, Use::kBusy, key}].tokens += tokens;
}

void Ledger::End(absl::string_view machine, absl::Duration now, std::optional<double> charged,
                 double address, std::optional<double> on_demand) {
  Open* const open = Settle(machine, now);
  if (open == nullptr) return;
  TakeBack(*open, now);
  if (charged.has_value()) {
    Charge(*open, *charged, on_demand);
    ChargeAddress(*open, address);
  }
  for (const auto& [row, sum] : open->booked) closed_[row] += sum;
  closed_dollars_ += open->dollars;
  open_.erase(open_.find(machine));
}

void Ledger::TakeBack(Open& open, absl::Duration end) {
  for (const Piece& piece : open.latest) {
    const double part = ShareAfter(piece.from, piece.to, end);
    if (part == 0) continue;
    for (const auto& [row, sum] : piece.sums) {
      Sum& booked = open.booked[row];
      booked += {-(sum.time * part), -part * sum.dollars, -part * sum.on_demand_dollars, 0, -part * sum.address_dollars,
                 -part * sum.replacing_dollars};
      if (booked.time <= absl::ZeroDuration()) open.booked.erase(row);
    }
  }
  open.dollars = 0;
  for (const auto& [row, sum] : open.booked) open.dollars += sum.dollars;
}

// Rounded up to a minute, or of a cloud that charges less than the time from the order on: it is every use's.
void Ledger::Charge(Open& open, double dollars, std::optional<double> on_demand) {
  double compared = 0;
  for (const auto& [row, sum] : open.booked) compared += sum.on_demand_dollars;
  if (open.dollars > 0) {
    const double factor = dollars / open.dollars;
    for (auto& [row, sum] : open.booked) {
      sum.dollars *= factor;
      sum.replacing_dollars *= factor;
      sum.on_demand_dollars *= !on_demand.has_value() ? factor : compared > 0 ? *on_demand / compared : 0;
    }
  } else if (dollars > 0) {
    open.booked[{open.item.model, open.item.market, open.use, ""}].dollars += dollars;
  }
  if (compared == 0 && on_demand.value_or(0) > 0)
    open.booked[{open.item.model, open.item.market, open.use, ""}].on_demand_dollars += *on_demand;
  open.dollars = dollars;
}

void Ledger::ChargeAddress(Open& open, double dollars) {
  double booked = 0;
  for (const auto& [row, sum] : open.booked) booked += sum.address_dollars;
  for (auto& [row, sum] : open.booked) sum.address_dollars *= booked > 0 ? dollars / booked : 0;
  if (booked == 0 && dollars > 0)
    open.booked[{open.item.model, open.item.market, open.use, ""}].address_dollars = dollars;
}

void Ledger::Book(absl::string_view machine, const Item& item, Use use, absl::Duration from, absl::Duration to) {
  if (from >= to) return;
  const Open time = {.item = item, .use = use, .since = from};
  const auto open = open_.find(machine);
  Add(time, to, open == open_.end() ? closed_ : open->second.booked);
  (open == open_.end() ? closed_dollars_ : open->second.dollars) += Dollars(time, to);
}

void Ledger::BookStorage(const StorageSums& storage) {
  for (const auto& [of, sum] : storage) {
    storage_[of].gigabyte_hours += sum.gigabyte_hours;
    storage_[of].dollars += sum.dollars;
  }
}

void Ledger::Recall(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    Open* const open = entry.machine.empty() ? nullptr : &open_[entry.machine];
    (open == nullptr ? closed_ : open->booked)[{entry.model, entry.market, entry.use, entry.key}] += {
        entry.time,   entry.dollars,         entry.on_demand_dollars,
        entry.tokens, entry.address_dollars, entry.replacing_dollars};
    (open == nullptr ? closed_dollars_ : open->dollars) += entry.dollars;
  }
}

std::optional<absl::Duration> Ledger::Time(absl::string_view machine, absl::Duration now) const {
  const auto open = open_.find(machine);
  if (open == open_.end()) return std::nullopt;
  absl::Duration booked;
  for (const auto& [row, sum] : open->second.booked) booked += sum.time;
  for (const Piece& piece : open->second.latest) {
    const double part = ShareAfter(piece.from, piece.to, now);
    for (const auto& [row, sum] : piece.sums) booked -= sum.time * part;
  }
  return std::max(absl::ZeroDuration(), now - open->second.since) + booked / open->second.item.accelerators;
}

std::vector<std::string> Ledger::OpenWithPrefix(absl::string_view prefix) const {
  std::vector<std::string> machines;
  for (auto open = open_.lower_bound(prefix); open != open_.end() && absl::StartsWith(open->first, prefix); ++open)
    machines.push_back(open->first);
  return machines;
}

Ledger::Sums Ledger::All(absl::Duration now) const {
  Sums sums = closed_;
  for (const auto& [machine, open] : open_) {
    for (const auto& [row, sum] : open.booked) sums[row] += sum;
    Add(open, now, sums);
  }
  return sums;
}

void Ledger::AddEntries(const Sums& sums, const std::string& machine, std::vector<Entry>& entries) {
  for (const auto& [row, sum] : sums) {
    if (sum.time == absl::ZeroDuration() && sum.tokens == 0 && sum.dollars == 0 && sum.address_dollars == 0 &&
        machine.empty()) {
      continue;
    }
    const auto& [model, market, use, key] = row;
    entries.push_back({model, market, use, key, sum.time, sum.dollars, sum.on_demand_dollars, sum.tokens, machine,
                       sum.address_dollars, sum.replacing_dollars});
  }
}

std::vector<Ledger::Entry> Ledger::Entries(absl::Duration now) const {
  std::vector<Entry> entries;
  AddEntries(All(now), "", entries);
  return entries;
}

std::vector<Ledger::Entry> Ledger::EntriesByMachine(absl::Duration now) const {
  std::vector<Entry> entries;
  AddEntries(closed_, "", entries);
  for (const auto& [machine, open] : open_) {
    Sums sums = open.booked;
    sums[{open.item.model, open.item.market, open.use, ""}];  // one that has just begun is in it, too
    Add(open, now, sums);
    AddEntries(sums, machine, entries);
  }
  return entries;
}

std::vector<Ledger::Line> Ledger::Totals(absl::Duration now) const {
  std::vector<Line> lines;
  for (const auto& [row, sum] : All(now)) {  // keys of one line are neighbours
    const auto& [model, market, use, key] = row;
    if (lines.empty() || lines.back().model != model || lines.back().market != market || lines.back().use != use) {
      lines.push_back({.model = model, .market = market, .use = use});
    }
    lines.back().time += sum.time;
    lines.back().dollars += sum.dollars;
  }
  return lines;
}

double Ledger::Dollars(const Open& open, absl::Duration now) {
  const absl::Duration time = std::max(absl::ZeroDuration(), now - open.since);
  return absl::FDivDuration(time, absl::Hours(1)) * open.item.price_per_hour;
}

double Ledger::DollarsOf(absl::string_view model, absl::Duration now) const {
  double dollars = 0;
  for (const auto& [key, sum] : closed_) dollars += std::get<0>(key) == model ? sum.dollars : 0;
  for (const auto& [machine, open] : open_) dollars += open.item.model == model ? open.dollars + Dollars(open, now) : 0;
  return dollars;
}

double Ledger::Dollars(absl::Duration now) const {
  double dollars = closed_dollars_;
  for (const auto& [machine, open] : open_) dollars += open.dollars + Dollars(open, now);
  return dollars;
}

}  // namespace spotinference::fleet
