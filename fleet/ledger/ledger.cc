#include "fleet/ledger/ledger.h"

namespace spotinference::fleet {

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

void Ledger::Add(const Open& open, absl::Duration now, Sums& sums) {
  const absl::Duration time = now - open.since;
  const auto add = [&](const std::string& key, absl::Duration part) {
    Sum& sum = sums[{open.item.model, open.item.market, open.use, key}];
    const double hours = absl::FDivDuration(part, absl::Hours(1));
    sum.time += part;
    sum.dollars += hours * open.item.price_per_hour;
    sum.on_demand_dollars += hours * open.item.on_demand_per_hour;
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
  const auto open = open_.find(machine);
  if (open == open_.end()) return nullptr;
  if (now > open->second.since) {
    Add(open->second, now, closed_);
    closed_dollars_ += Dollars(open->second, now);
  }
  open->second.since = now;
  return &open->second;
}

void Ledger::Set(absl::string_view machine, const Item& item, Use use, absl::Duration now) {
  Open* open = Settle(machine, now);
  if (open == nullptr) {
    open = &open_[std::string(machine)];
    open->since = now;
  }
  open->item = item;
  open->use = use;
}

void Ledger::SetAnswers(absl::string_view machine, std::map<std::string, int> by_key, absl::Duration now) {
  if (Open* const open = Settle(machine, now); open != nullptr) open->answers = std::move(by_key);
}

void Ledger::CountTokens(const std::string& model, const std::string& market, const std::string& key, int64_t tokens) {
  if (tokens != 0) closed_[{model, market, Use::kBusy, key}].tokens += tokens;
}

void Ledger::End(absl::string_view machine, absl::Duration now) {
  if (Settle(machine, now) != nullptr) open_.erase(open_.find(machine));
}

void Ledger::Book(const Item& item, Use use, absl::Duration from, absl::Duration to) {
  if (from >= to) return;
  const Open open = {.item = item, .use = use, .since = from};
  Add(open, to, closed_);
  closed_dollars_ += Dollars(open, to);
}

void Ledger::Recall(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    Sum& sum = closed_[{entry.model, entry.market, entry.use, entry.key}];
    sum.time += entry.time;
    sum.dollars += entry.dollars;
    sum.on_demand_dollars += entry.on_demand_dollars;
    sum.tokens += entry.tokens;
    closed_dollars_ += entry.dollars;
  }
}

Ledger::Sums Ledger::All(absl::Duration now) const {
  Sums sums = closed_;
  for (const auto& [machine, open] : open_) Add(open, now, sums);
  return sums;
}

std::vector<Ledger::Entry> Ledger::Entries(absl::Duration now) const {
  std::vector<Entry> entries;
  for (const auto& [row, sum] : All(now)) {
    if (sum.time == absl::ZeroDuration() && sum.tokens == 0) continue;
    const auto& [model, market, use, key] = row;
    entries.push_back({model, market, use, key, sum.time, sum.dollars, sum.on_demand_dollars, sum.tokens});
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
  return absl::FDivDuration(now - open.since, absl::Hours(1)) * open.item.price_per_hour;
}

double Ledger::Dollars(absl::Duration now) const {
  double dollars = closed_dollars_;
  for (const auto& [machine, open] : open_) dollars += Dollars(open, now);
  return dollars;
}

}  // namespace spotinference::fleet
