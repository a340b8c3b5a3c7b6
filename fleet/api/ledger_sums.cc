#include "fleet/api/ledger_sums.h"

namespace spotinference::fleet {
namespace {

std::optional<double> OfAMillion(double dollars, double tokens) {
  if (tokens <= 0) return std::nullopt;
  return dollars / tokens * 1e6;
}

}  // namespace

std::optional<double> LedgerSum::OfKey::DollarsOfAMillionTokens() const { return OfAMillion(dollars, tokens); }

std::optional<double> LedgerSum::DollarsOfAMillionTokens() const { return OfAMillion(dollars, tokens); }

std::optional<double> LedgerSum::IdleShare() const {
  double all = 0;
  for (const auto& [use, spent] : time) all += absl::ToDoubleSeconds(spent);
  if (all <= 0) return std::nullopt;
  const auto idle = time.find("idle");
  return idle == time.end() ? 0 : absl::ToDoubleSeconds(idle->second) / all;
}

std::optional<double> LedgerSum::SavingShare() const {
  if (!compared || on_demand_dollars <= 0) return std::nullopt;
  return 1 - dollars / on_demand_dollars;
}

double LedgerSum::InterruptionDollars() const {
  const auto lost = dollars_by_use.find("lost");
  return (lost == dollars_by_use.end() ? 0 : lost->second) + replacing_dollars;
}

std::map<std::string, LedgerSum> SumsOf(const std::vector<LedgerLine>& lines, const std::vector<StorageLine>& storage) {
  std::map<std::string, LedgerSum> models;
  for (const LedgerLine& line : lines) {
    LedgerSum& sum = models[line.model];
    const auto tokens = static_cast<double>(line.tokens);
    sum.time[line.use] += line.time;
    sum.dollars_by_use[line.use] += line.dollars;
    sum.dollars += line.dollars;
    sum.on_demand_dollars += line.on_demand_dollars;
    sum.compared &= line.on_demand_dollars > 0 || line.time == absl::ZeroDuration();
    sum.tokens += tokens;
    sum.replacing_dollars += line.replacing_dollars;
    if (line.use == "busy") {
      LedgerSum::OfKey& key = sum.keys[line.key];
      key.dollars += line.dollars;
      key.tokens += tokens;
    }
  }
  for (const StorageLine& line : storage) {
    LedgerSum& sum = models[line.model];
    sum.dollars += line.dollars;
    const bool is_boot_disk = line.kind == "boot_disk";
    (line.kind == "address" ? sum.address_dollars : is_boot_disk ? sum.boot_disk_dollars : sum.volume_dollars) +=
        line.dollars;
    (is_boot_disk ? sum.boot_disk_gigabyte_hours : sum.gigabyte_hours) += line.gigabyte_hours;
  }
  return models;
}

}  // namespace spotinference::fleet
