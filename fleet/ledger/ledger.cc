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

void Ledger::Set(absl::string_view machine, const Item& item, Use use, absl::Duration now) {
  const std::string id(machine);
  const Open next = {{item.model, item.market, use}, item.price_per_hour, now};
  if (const auto open = open_.find(id);
      open != open_.end() && open->second.key == next.key && open->second.price_per_hour == next.price_per_hour) {
    return;
  }
  End(machine, now);
  open_[id] = next;
}

void Ledger::Add(const Open& open, absl::Duration now, Total& total) {
  total.time += now - open.since;
  total.dollars += absl::FDivDuration(now - open.since, absl::Hours(1)) * open.price_per_hour;
}

void Ledger::End(absl::string_view machine, absl::Duration now) {
  const auto open = open_.find(machine);
  if (open == open_.end()) return;
  Add(open->second, now, closed_[open->second.key]);
  open_.erase(open);
}

std::vector<Ledger::Line> Ledger::Totals(absl::Duration now) const {
  std::map<Key, Total> totals = closed_;
  for (const auto& [machine, open] : open_) Add(open, now, totals[open.key]);
  std::vector<Line> lines;
  for (const auto& [key, total] : totals) {
    const auto& [model, market, use] = key;
    lines.push_back({model, market, use, total.time, total.dollars});
  }
  return lines;
}

double Ledger::Dollars(absl::Duration now) const {
  double dollars = 0;
  for (const Line& line : Totals(now)) dollars += line.dollars;
  return dollars;
}

}  // namespace spotinference::fleet
