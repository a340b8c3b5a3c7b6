#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/sim/market.h"

namespace spotinference::fleet::sim {
namespace {

namespace json = boost::json;

constexpr int64_t kMostMachines = 1'000'000;
constexpr double kDearest = 1e6;                 // dollars an hour
constexpr int64_t kLongestStep = 7 * 24 * 3600;  // seconds
constexpr size_t kMostSteps = 10'000'000;
constexpr int64_t kLongestTrace = 10 * 366 * int64_t{24} * 3600;  // seconds

absl::Status Wrong(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
}

std::string Shown(const json::value& value) { return json::serialize(value).substr(0, 40); }

absl::StatusOr<json::object> ParseObject(absl::string_view text, absl::string_view name) {
  json::stream_parser parser;
  boost::system::error_code error;
  size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error) {
    read = std::min(text.find_first_not_of(" \t\r\n", read), text.size());
    if (read < text.size()) error = json::make_error_code(json::error::extra_data);
  }
  if (!error) parser.finish(error);
  if (error) {
    const int64_t line = 1 + std::count(text.begin(), text.begin() + read, '\n');
    return Wrong(absl::StrCat(name, ":", line), error.message());
  }
  json::value value = parser.release();
  if (!value.is_object()) return Wrong(name, "not a JSON object");
  return std::move(value.get_object());
}

absl::StatusOr<const json::array*> Array(const json::object& object, absl::string_view key, absl::string_view name) {
  const json::value* const value = object.if_contains({key.data(), key.size()});
  if (value == nullptr || !value->is_array()) return Wrong(name, absl::StrCat("'", key, "' is not an array"));
  if (value->get_array().size() > kMostSteps) return Wrong(name, absl::StrCat("more than ", kMostSteps, " steps"));
  return &value->get_array();
}

absl::StatusOr<Nanos> ReadStep(const json::object& object, absl::string_view name) {
  const json::value* const metadata = object.if_contains("metadata");
  const json::value* const gap =
      metadata != nullptr && metadata->is_object() ? metadata->get_object().if_contains("gap_seconds") : nullptr;
  if (gap == nullptr || !gap->is_int64() || gap->get_int64() < 1 || gap->get_int64() > kLongestStep) {
    return Wrong(name, absl::StrCat("'metadata.gap_seconds' is ", gap == nullptr ? "missing" : Shown(*gap),
                                    "; a whole number from 1 to ", kLongestStep, " is wanted"));
  }
  return gap->get_int64() * kSecond;
}

absl::StatusOr<std::vector<double>> ReadPrices(const json::object& object, size_t steps, absl::string_view name) {
  std::vector<double> prices;
  if (!object.contains("prices")) return prices;
  ASSIGN_OR_RETURN(const json::array* const values, Array(object, "prices", name));
  for (const json::value& value : *values) {
    const double price = value.is_number() ? value.to_number<double>() : -1;
    if (!(price >= 0 && price <= kDearest)) {
      return Wrong(name,
                   absl::StrCat("prices[", prices.size(), "] is ", Shown(value), ", no price in dollars an hour"));
    }
    prices.push_back(price);
  }
  if (prices.size() != steps) return Wrong(name, absl::StrCat(prices.size(), " prices for ", steps, " steps"));
  return prices;
}

}  // namespace

absl::StatusOr<Trace> ParseTrace(absl::string_view text, absl::string_view name) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text, name));
  Trace trace;
  ASSIGN_OR_RETURN(trace.step, ReadStep(object, name));
  ASSIGN_OR_RETURN(const json::array* const data, Array(object, "data", name));
  if (data->empty()) return Wrong(name, "'data' has no step");
  if (static_cast<int64_t>(data->size()) > kLongestTrace / (trace.step / kSecond)) {
    return Wrong(name, "longer than ten years");
  }
  for (const json::value& value : *data) {
    const int64_t* const machines = value.if_int64();
    if (machines == nullptr || *machines < 0 || *machines > kMostMachines) {
      return Wrong(name, absl::StrCat("data[", trace.machines.size(), "] is ", Shown(value),
                                      "; a number of machines from 0 to ", kMostMachines, " is wanted"));
    }
    trace.machines.push_back(static_cast<int>(*machines));
  }
  ASSIGN_OR_RETURN(trace.prices, ReadPrices(object, trace.machines.size(), name));
  return trace;
}

}  // namespace spotinference::fleet::sim
