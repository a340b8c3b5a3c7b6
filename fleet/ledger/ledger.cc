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

void Ledger::Set(absl::string_view machine, absl::string_view model, Use use, absl::Duration now) {
  const std::string id(machine);
  const Key key(model, use);
  if (const auto open = open_.find(id); open != open_.end() && open->second.key == key) return;
  End(machine, now);
  open_[id] = {key, now};
}

void Ledger::End(absl::string_view machine, absl::Duration now) {
  const auto open = open_.find(std::string(machine));
  if (open == open_.end()) return;
  closed_[open->second.key] += now - open->second.since;
  open_.erase(open);
}

std::vector<Ledger::Line> Ledger::Totals(absl::Duration now) const {
  std::map<Key, absl::Duration> totals = closed_;
  for (const auto& [machine, open] : open_) totals[open.key] += now - open.since;
  std::vector<Line> lines;
  for (const auto& [key, time] : totals) lines.push_back({key.first, key.second, time});
  return lines;
}

}  // namespace spotinference::fleet
