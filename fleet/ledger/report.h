// What the ledger says in a page: what a million tokens cost, what idled, what spot saved, what interruptions cost.
#ifndef FLEET_LEDGER_REPORT_H_
#define FLEET_LEDGER_REPORT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// A line of GET /admin/v1/ledger.
struct LedgerRow {
  std::string model, market, use;
  std::string key;  // "" where it is not told
  double seconds = 0, dollars = 0;
  double on_demand_dollars = 0;  // 0: not told
  double tokens = 0;             // generated; 0: none, or not told
  double replacing_dollars = 0;  // of `dollars`, of starts in the place of machines taken away or dead
};

// One of its "storage".
struct StorageRow {
  std::string model, kind;
  double dollars = 0, gigabyte_hours = 0;
};

struct LedgerPage {
  std::vector<LedgerRow> lines;
  std::vector<StorageRow> storage;
};

// The body of GET /admin/v1/ledger: {"lines":[{"model","market","use","seconds","dollars"}, …]}, with "key",
// "on_demand_dollars", "tokens" and "replacing_dollars" where they are known, and "storage":[{"model","kind","dollars"}, …] with
// "gigabyte_hours", which older gateways did not tell. INVALID_ARGUMENT, which names `name` and the line of the list.
absl::StatusOr<LedgerPage> ParseLedger(absl::string_view text, absl::string_view name);

// Tokens generated, by model: the samples of spotinference_tokens_total with kind="generated" in the text of GET
// /metrics. What is no such sample is passed over.
std::map<std::string, double> GeneratedTokens(absl::string_view metrics);

// Plain text; "-" for what is not known. `tokens` by model, in place of those of the rows. What storage costs is in a
// model's dollars, in those of a million tokens, and against what spot saves: machines on demand would need a volume
// too, but as a rule fewer, so that they are compared as if they had none.
std::string LedgerReport(const LedgerPage& page, const std::map<std::string, double>& tokens);

}  // namespace spotinference::fleet

#endif  // FLEET_LEDGER_REPORT_H_
