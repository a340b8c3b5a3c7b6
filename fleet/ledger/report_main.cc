// What the fleet's machines cost: curl -H "authorization: Bearer $ADMIN_KEY" http://…/admin/v1/ledger > ledger.json,
// then
// ./bazelw run //fleet:report -- --ledger ledger.json [--metrics FILE]
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>

#include "absl/flags/flag.h"
#include "engine/base/flags.h"
#include "fleet/ledger/report.h"

ABSL_FLAG(std::string, ledger, "", "the body of GET /admin/v1/ledger");
ABSL_FLAG(std::string, metrics, "", "the body of GET /metrics, of the same moment: tokens by model");

namespace {

bool ReadAll(const std::string& path, std::string& text) {
  std::ifstream file(path, std::ios::binary);
  text.assign(std::istreambuf_iterator<char>(file), {});
  if (file.bad() || !file.is_open()) std::cerr << path << ": cannot be read\n";
  return !file.bad() && file.is_open();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace spotinference;
  ParseFlags(argc, argv, "What the fleet's machines cost, and for what.");
  const std::string path = UserPath(absl::GetFlag(FLAGS_ledger)), metrics_path = UserPath(absl::GetFlag(FLAGS_metrics));
  if (path.empty()) {
    std::cerr << "--ledger is needed\n";
    return 2;
  }
  std::string text, metrics;
  if (!ReadAll(path, text) || (!metrics_path.empty() && !ReadAll(metrics_path, metrics))) return 1;
  const auto rows = fleet::ParseLedger(text, path);
  if (!rows.ok()) {
    std::cerr << rows.status().message() << "\n";
    return 1;
  }
  std::cout << fleet::LedgerReport(*rows, fleet::GeneratedTokens(metrics));
}
