// What the fleet's machines cost: keep the body of GET /admin/v1/ledger in a file, then
// ./bazelw run //fleet:report -- --ledger ledger.json [--metrics FILE]
#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "engine/base/flags.h"
#include "fleet/ledger/report.h"
#include "fleet/sim/files.h"

ABSL_FLAG(std::string, ledger, "", "the body of GET /admin/v1/ledger");
ABSL_FLAG(std::string, metrics, "", "the body of GET /metrics, of the same moment: tokens by model");

int main(int argc, char** argv) {
  using namespace spotinference;
  ParseFlags(argc, argv, "What the fleet's machines cost, and for what.");
  const std::string path = UserPath(absl::GetFlag(FLAGS_ledger)), metrics_path = UserPath(absl::GetFlag(FLAGS_metrics));
  if (path.empty()) {
    std::cerr << "--ledger is needed\n";
    return 2;
  }
  const auto text = fleet::ReadFile(path);
  const absl::StatusOr<std::string> metrics = metrics_path.empty() ? std::string() : fleet::ReadFile(metrics_path);
  const absl::StatusOr<fleet::LedgerPage> page = text.ok() ? fleet::ParseLedger(*text, path) : text.status();
  if (!page.ok() || !metrics.ok()) {
    std::cerr << (page.ok() ? metrics.status() : page.status()).message() << "\n";
    return 1;
  }
  std::cout << fleet::LedgerReport(*page, fleet::GeneratedTokens(*metrics));
}
