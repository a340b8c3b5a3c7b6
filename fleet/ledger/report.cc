#include "fleet/ledger/report.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdint>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "fleet/api/ledger_sums.h"

namespace spotinference::fleet {
namespace {

namespace json = boost::json;

constexpr absl::string_view kUses[] = {"busy", "idle", "waking", "lost"};
constexpr double kMostTokens = 1e15;  // of a line

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

bool Read(const json::object& line, const char* name, bool required, absl::Duration& to) {
  double seconds = 0;
  if (!Read(line, name, required, seconds)) return false;
  to = absl::Seconds(seconds);
  return true;
}

bool Read(const json::object& line, const char* name, bool required, int64_t& to) {
  double number = 0;
  if (!Read(line, name, required, number) || number > kMostTokens) return false;
  to = static_cast<int64_t>(number);
  return true;
}

bool ReadLine(const json::value& value, LedgerLine& to) {
  const json::object* const line = value.if_object();
  return line != nullptr && Read(*line, "model", true, to.model) && Read(*line, "market", true, to.market) &&
         Read(*line, "use", true, to.use) && Read(*line, "key", false, to.key) &&
         Read(*line, "seconds", true, to.time) && Read(*line, "dollars", true, to.dollars) &&
         Read(*line, "on_demand_dollars", false, to.on_demand_dollars) && Read(*line, "tokens", false, to.tokens) &&
         Read(*line, "replacing_dollars", false, to.replacing_dollars) &&
         std::find(std::begin(kUses), std::end(kUses), to.use) != std::end(kUses);
}

bool ReadLine(const json::value& value, StorageLine& to) {
  const json::object* const line = value.if_object();
  return line != nullptr && Read(*line, "model", true, to.model) && Read(*line, "kind", true, to.kind) &&
         Read(*line, "dollars", true, to.dollars) && Read(*line, "gigabyte_hours", false, to.gigabyte_hours);
}

template <typename Value>
Value Of(const std::map<std::string, Value>& values, absl::string_view use) {
  const auto found = values.find(std::string(use));
  return found == values.end() ? Value() : found->second;
}

std::string Or(std::optional<double> value, const absl::FormatSpec<double>& format) {
  return value.has_value() ? absl::StrFormat(format, *value) : "-";
}

void AppendModel(const std::string& model, const LedgerSum& sum, std::string& text) {
  absl::StrAppendFormat(&text, "%s  $%.4f\n", model, sum.dollars);
  for (const absl::string_view use : kUses) {
    absl::StrAppendFormat(&text, "  %-22s %10.2f h  $%.4f\n", use, absl::ToDoubleHours(Of(sum.time, use)),
                          Of(sum.dollars_by_use, use));
  }
  if (sum.volume_dollars > 0) {
    absl::StrAppendFormat(&text, "  %-22s %10.0f GB h  $%.4f\n", "volumes", sum.gigabyte_hours, sum.volume_dollars);
  }
  if (sum.boot_disk_dollars > 0) {
    absl::StrAppendFormat(&text, "  %-22s %10.0f GB h  $%.4f\n", "boot disks", sum.boot_disk_gigabyte_hours,
                          sum.boot_disk_dollars);
  }
  if (sum.address_dollars > 0) {
    absl::StrAppendFormat(&text, "  %-22s %12s  $%.4f\n", "addresses", "", sum.address_dollars);
  }
  const std::optional<double> saving = sum.SavingShare();
  absl::StrAppendFormat(&text, "  %-22s %10.1f %%\n", "share of idle tail", 100 * sum.IdleShare().value_or(0));
  absl::StrAppendFormat(&text, "  %-22s %12s\n", "a million tokens", Or(sum.DollarsOfAMillionTokens(), "$%.4f"));
  absl::StrAppendFormat(&text, "  %-22s %12s\n", "saved against on demand",
                        Or(saving.has_value() ? std::optional(100 * *saving) : std::nullopt, "%.1f %%"));
  absl::StrAppendFormat(&text, "  %-22s %12s  lost, and waking in their place\n", "interruptions",
                        absl::StrFormat("$%.4f", sum.InterruptionDollars()));
  for (const auto& [key, of_key] : sum.keys) {
    if (key.empty()) continue;
    const std::optional<double> million = of_key.DollarsOfAMillionTokens();
    absl::StrAppendFormat(&text, "  key %-18s %12s%s\n", key, absl::StrFormat("$%.4f", of_key.dollars),
                          million.has_value() ? absl::StrFormat("  busy; $%.4f a million tokens", *million) : "");
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
  std::string text;
  for (auto& [model, sum] : SumsOf(page.lines, page.storage)) {
    if (const auto generated = tokens.find(model); generated != tokens.end()) sum.tokens = generated->second;
    AppendModel(model, sum, text);
  }
  return text.empty() ? "no machine has run yet\n" : text;
}

}  // namespace spotinference::fleet
