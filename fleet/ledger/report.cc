#include "fleet/ledger/report.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace spotinference::fleet {
namespace {

namespace json = boost::json;

constexpr absl::string_view kUses[] = {"busy", "idle", "waking", "lost"};

bool Read(const json::object& line, const char* name, bool required, std::string& to) {
  const json::value* const value = line.if_contains(name);
  if (value == nullptr) return !required;
  if (!value->is_string()) return false;
  to = std::string(value->get_string());
  return true;
}

bool Read(const json::object& line, const char* name, bool required, double& to) {
  const json::value* const value = line.if_contains(name);
  if (value == nullptr) return !required;
  if (!value->is_number()) return false;
  to = value->to_number<double>();
  return std::isfinite(to) && to >= 0;
}

bool ReadLine(const json::value& value, LedgerRow& row) {
  const json::object* const line = value.if_object();
  return line != nullptr && Read(*line, "model", true, row.model) && Read(*line, "market", true, row.market) &&
         Read(*line, "use", true, row.use) && Read(*line, "key", false, row.key) &&
         Read(*line, "seconds", true, row.seconds) && Read(*line, "dollars", true, row.dollars) &&
         Read(*line, "on_demand_dollars", false, row.on_demand_dollars) && Read(*line, "tokens", false, row.tokens) &&
         Read(*line, "replacing_dollars", false, row.replacing_dollars) &&
         std::find(std::begin(kUses), std::end(kUses), row.use) != std::end(kUses);
}

bool ReadLine(const json::value& value, StorageRow& row) {
  const json::object* const line = value.if_object();
  return line != nullptr && Read(*line, "model", true, row.model) && Read(*line, "kind", true, row.kind) &&
         Read(*line, "dollars", true, row.dollars) && Read(*line, "gigabyte_hours", false, row.gigabyte_hours);
}

struct Sums {
  std::map<std::string, double> seconds, dollars;  // by use
  std::map<std::string, double> by_key;            // dollars of busy time
  std::map<std::string, double> tokens_by_key;
  double tokens = 0, replacing = 0;
  double all = 0, on_demand = 0;                   // dollars
  bool compared = true;                            // each line says what it would have cost on demand
  double volumes = 0, gigabyte_hours = 0, addresses = 0;  // dollars but for the second
};

double Dollars(const Sums& sums, const std::string& use) {
  const auto found = sums.dollars.find(use);
  return found == sums.dollars.end() ? 0 : found->second;
}

std::string Or(bool known, const std::string& text) { return known ? text : "-"; }

std::string Value(const std::map<std::string, double>& values, absl::string_view use, const char* format) {
  const auto found = values.find(std::string(use));
  const double value = found == values.end() ? 0 : found->second;
  return absl::string_view(format) == "h" ? absl::StrFormat("%.2f", value / 3600) : absl::StrFormat("$%.4f", value);
}

std::map<std::string, Sums> SumsOf(const LedgerPage& page) {
  std::map<std::string, Sums> models;
  for (const LedgerRow& row : page.lines) {
    Sums& sums = models[row.model];
    sums.seconds[row.use] += row.seconds;
    sums.dollars[row.use] += row.dollars;
    sums.all += row.dollars;
    sums.on_demand += row.on_demand_dollars;
    sums.compared &= row.on_demand_dollars > 0 || row.seconds == 0;
    sums.tokens += row.tokens;
    sums.replacing += row.replacing_dollars;
    if (row.use == "busy") {
      sums.by_key[row.key] += row.dollars;
      sums.tokens_by_key[row.key] += row.tokens;
    }
  }
  for (const StorageRow& row : page.storage) {
    Sums& sums = models[row.model];
    sums.all += row.dollars;
    (row.kind == "address" ? sums.addresses : sums.volumes) += row.dollars;
    sums.gigabyte_hours += row.gigabyte_hours;
  }
  return models;
}

void AppendModel(const std::string& model, const Sums& sums, std::string& text) {
  absl::StrAppendFormat(&text, "%s  $%.4f\n", model, sums.all);
  double seconds = 0;
  for (const absl::string_view use : kUses) {
    absl::StrAppendFormat(&text, "  %-22s %10s h  %s\n", use, Value(sums.seconds, use, "h"),
                          Value(sums.dollars, use, "$"));
  }
  for (const auto& [use, time] : sums.seconds) seconds += time;
  if (sums.volumes > 0) {
    absl::StrAppendFormat(&text, "  %-22s %10.0f GB h  $%.4f\n", "volumes", sums.gigabyte_hours, sums.volumes);
  }
  if (sums.addresses > 0) absl::StrAppendFormat(&text, "  %-22s %12s  $%.4f\n", "addresses", "", sums.addresses);
  const auto idle = sums.seconds.find("idle");
  const double idle_share = idle == sums.seconds.end() || seconds <= 0 ? 0 : idle->second / seconds;
  const bool counted = sums.tokens > 0;
  const double million = counted ? sums.tokens / 1e6 : 1;
  absl::StrAppendFormat(&text, "  %-22s %10.1f %%\n", "share of idle tail", 100 * idle_share);
  absl::StrAppendFormat(&text, "  %-22s %12s\n", "a million tokens",
                        Or(counted, absl::StrFormat("$%.4f", sums.all / million)));
  absl::StrAppendFormat(&text, "  %-22s %12s\n", "saved against on demand",
                        Or(sums.compared && sums.on_demand > 0,
                           absl::StrFormat("%.1f %%", 100 * (1 - sums.all / std::max(1e-12, sums.on_demand)))));
  absl::StrAppendFormat(&text, "  %-22s %12s  lost, and waking in their place\n", "interruptions",
                        absl::StrFormat("$%.4f", Dollars(sums, "lost") + sums.replacing));
  for (const auto& [key, dollars] : sums.by_key) {
    if (key.empty()) continue;
    const double of_key = sums.tokens_by_key.at(key);
    absl::StrAppendFormat(&text, "  key %-18s %12s%s\n", key, absl::StrFormat("$%.4f", dollars),
                          of_key > 0 ? absl::StrFormat("  busy; $%.4f a million tokens", dollars / of_key * 1e6) : "");
  }
}

}  // namespace

absl::StatusOr<LedgerPage> ParseLedger(absl::string_view text, absl::string_view name) {
  boost::system::error_code error;
  const json::value parsed = json::parse({text.data(), text.size()}, error);
  const json::object* const object = error ? nullptr : parsed.if_object();
  const json::value* const lines = object == nullptr ? nullptr : object->if_contains("lines");
  const json::value* const storage = object == nullptr ? nullptr : object->if_contains("storage");
  if (lines == nullptr || !lines->is_array() || (storage != nullptr && !storage->is_array())) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": not the body of /admin/v1/ledger", error ? absl::StrCat(": ", error.message()) : ""));
  }
  LedgerPage page;
  for (const json::value& value : lines->get_array()) {
    if (!ReadLine(value, page.lines.emplace_back())) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": lines[", page.lines.size() - 1,
                       "] is not {model, market, use, seconds, dollars} with a use of busy, "
                       "idle, waking, lost and numbers from 0"));
    }
  }
  if (storage == nullptr) return page;
  for (const json::value& value : storage->get_array()) {
    if (!ReadLine(value, page.storage.emplace_back())) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": storage[", page.storage.size() - 1,
                                                     "] is not {model, kind, dollars} with numbers from 0"));
    }
  }
  return page;
}

std::map<std::string, double> GeneratedTokens(absl::string_view metrics) {
  std::map<std::string, double> tokens;
  for (const absl::string_view line : absl::StrSplit(metrics, '\n')) {
    constexpr absl::string_view kModel = "model=\"";
    const size_t at = line.find(kModel), end = line.rfind(' ');
    double value;
    if (!absl::StartsWith(line, "spotinference_tokens_total{") || !absl::StrContains(line, "kind=\"generated\"") ||
        at == absl::string_view::npos || !absl::SimpleAtod(line.substr(end + 1), &value)) {
      continue;
    }
    const absl::string_view name = line.substr(at + kModel.size());
    tokens[std::string(name.substr(0, name.find('"')))] += value;
  }
  return tokens;
}

std::string LedgerReport(const LedgerPage& page, const std::map<std::string, double>& tokens) {
  std::map<std::string, Sums> models = SumsOf(page);
  std::string text;
  for (auto& [model, sums] : models) {
    if (const auto generated = tokens.find(model); generated != tokens.end()) sums.tokens = generated->second;
    AppendModel(model, sums, text);
  }
  return text.empty() ? "no machine has run yet\n" : text;
}

}  // namespace spotinference::fleet
