// What the ledger comes to, by model: what a million tokens cost, what idled, what spot saved, what interruptions cost.
#ifndef FLEET_API_LEDGER_SUMS_H_
#define FLEET_API_LEDGER_SUMS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fleet/api/fleet.h"

namespace spotinference::fleet {

struct LedgerSum {
  struct OfKey {
    double dollars = 0;  // of the time that its answers kept machines busy
    double tokens = 0;

    std::optional<double> DollarsOfAMillionTokens() const;  // nullopt: there are none
  };

  std::map<std::string, absl::Duration> time;    // by use
  std::map<std::string, double> dollars_by_use;  // of machines
  std::map<std::string, OfKey> keys;             // "": whose answers is not told
  double dollars = 0;                            // with storage
  double on_demand_dollars = 0;                  // of the machines
  bool compared = true;                          // each line that took time says what it would have cost so
  double tokens = 0;                             // generated
  double replacing_dollars = 0;                  // of starts in the place of machines taken away or dead
  double volume_dollars = 0, gigabyte_hours = 0;
  double boot_disk_dollars = 0, boot_disk_gigabyte_hours = 0, address_dollars = 0;

  // Nullopt where it is not known, or there is nothing to tell.
  std::optional<double> DollarsOfAMillionTokens() const;
  std::optional<double> IdleShare() const;  // of the machines' time
  // Against on demand, with storage on our side alone: machines on demand would need volumes too, but as a rule fewer.
  std::optional<double> SavingShare() const;
  double InterruptionDollars() const;  // lost time, and starts in the place of machines taken away or dead
};

std::map<std::string, LedgerSum> SumsOf(const std::vector<LedgerLine>& lines, const std::vector<StorageLine>& storage);

}  // namespace spotinference::fleet

#endif  // FLEET_API_LEDGER_SUMS_H_
