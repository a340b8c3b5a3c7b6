// Any bytes as a ledger or metrics: a report, or an error that names the file.
#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "fleet/ledger/report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference::fleet;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tokens = GeneratedTokens(text);
  const auto rows = ParseLedger(text, "f");
  if (rows.ok() ? LedgerReport(*rows, tokens).empty() : !absl::StartsWith(rows.status().message(), "f: ")) std::abort();
  return 0;
}
