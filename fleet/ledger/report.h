// What the ledger says in a page: what a million tokens cost, what idled, what spot saved, what interruptions cost.
#ifndef FLEET_LEDGER_REPORT_H_
#define FLEET_LEDGER_REPORT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fleet/api/fleet.h"

namespace spotinference::fleet {

struct LedgerPage {
  std::vector<LedgerLine> lines;
  std::vector<StorageLine> storage;
};

// The body of GET /admin/v1/ledger: {"lines":[{"model","market","use","seconds","dollars"}, …]}, with "key",
// "on_demand_dollars", "tokens" and "replacing_dollars" where they are known, and
// "storage":[{"model","kind","dollars"}, …] with "gigabyte_hours", which older gateways did not tell; the rest is passed
// over. INVALID_ARGUMENT, which names `name` and the line of the list.
absl::StatusOr<LedgerPage> ParseLedger(absl::string_view text, absl::string_view name);

// Tokens generated, by model: the samples of spotinference_tokens_total with kind="generated" in the text of GET
// /metrics. What is no such sample is passed over.
std::map<std::string, double> GeneratedTokens(absl::string_view metrics);

// Plain text of their sums (fleet/api/ledger_sums.h); "-" for what is not known. `tokens` by model, in place of those of
// the lines.
std::string LedgerReport(const LedgerPage& page, const std::map<std::string, double>& tokens);

}  // namespace spotinference::fleet

#endif  // FLEET_LEDGER_REPORT_H_
