#include "fleet/sim/result.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "absl/strings/str_format.h"

namespace spotinference::fleet::sim {
namespace {

namespace json = boost::json;

// To a cent's hundredth and a millisecond, so that a file can be read and compared.
double Rounded(double value) { return std::round(value * 1e4) / 1e4; }

json::object HoursObject(const GpuHours& hours) {
  return {{"busy", Rounded(hours.busy)},
          {"idle", Rounded(hours.idle)},
          {"waking", Rounded(hours.waking)},
          {"lost", Rounded(hours.lost)}};
}

json::object Object(const Result& r, const Reference& reference) {
  json::object object = {
      {"policy", r.policy},
      {"cost_dollars", Rounded(r.cost())},
      {"on_demand_cost_dollars", Rounded(reference.on_demand_dollars)},
      {"served_within_target", std::round(r.served_within_target() * 1e7) / 1e7},
      {"requests", r.requests},
      {"waited_p50_s", Rounded(r.WaitedPercentile(0.5))},
      {"waited_p99_s", Rounded(r.WaitedPercentile(0.99))},
      {"waited_p999_s", Rounded(r.WaitedPercentile(0.999))},
      {"interruptions", r.interruptions},
      {"wakes", r.wakes},
      {"gpu_hours", HoursObject(r.hours)},
      {"spot_gpu_hours", Rounded(r.spot_hours.sum())},
      {"machine_cost_dollars", Rounded(r.machine_dollars)},
      {"volume_cost_dollars", Rounded(r.volume_dollars)},
      {"on_demand_machine_dollars", Rounded(r.on_demand_machine_dollars)},
      {"refused", r.refused},
      {"timed_out", r.timed_out},
      {"moved_answers", r.moved},
      {"launches", r.launches},
      {"stock_outs", r.stock_outs},
      {"simulated_hours", Rounded(static_cast<double>(r.horizon) / kHour)},
  };
  if (const auto gap = GapToLeast(r, reference.least_dollars)) object["gap_to_omniscient"] = Rounded(*gap);
  if (!r.market.empty()) object["market"] = r.market;
  return object;
}

}  // namespace

void WaitHistogram::Add(Nanos wait, int64_t count) {
  const int64_t ms = std::clamp<int64_t>(wait / (kSecond / 1000), 0, kLongestMs);
  if (ms >= static_cast<int64_t>(by_ms_.size())) by_ms_.resize(ms + 1);
  by_ms_[ms] += count;
  count_ += count;
}

void WaitHistogram::Add(const WaitHistogram& other) {
  if (other.by_ms_.size() > by_ms_.size()) by_ms_.resize(other.by_ms_.size());
  for (size_t ms = 0; ms < other.by_ms_.size(); ++ms) by_ms_[ms] += other.by_ms_[ms];
  count_ += other.count_;
}

int64_t WaitHistogram::Within(Nanos wait) const {
  int64_t sum = 0;
  const int64_t last = std::min<int64_t>(wait / (kSecond / 1000), by_ms_.size() - 1);
  for (int64_t ms = 0; ms <= last; ++ms) sum += by_ms_[ms];
  return sum;
}

double WaitHistogram::Percentile(double share, int64_t of) const {
  int64_t left = static_cast<int64_t>(std::ceil(share * of));
  for (size_t ms = 0; ms < by_ms_.size(); ++ms) {
    left -= by_ms_[ms];
    if (left <= 0) return ms / 1000.0;
  }
  return kLongestMs / 1000.0;
}

std::string WaitText(double seconds) {
  return seconds >= WaitHistogram::kLongestMs / 1000.0 ? "never" : absl::StrFormat("%.2f s", seconds);
}

Result SumOf(const std::vector<Result>& results) {
  Result sum;
  for (const Result& r : results) {
    sum.policy = r.policy;
    sum.machine_dollars += r.machine_dollars;
    sum.volume_dollars += r.volume_dollars;
    sum.on_demand_machine_dollars += r.on_demand_machine_dollars;
    sum.requests += r.requests;
    sum.within_target += r.within_target;
    sum.refused += r.refused;
    sum.timed_out += r.timed_out;
    sum.moved += r.moved;
    sum.interruptions += r.interruptions;
    sum.wakes += r.wakes;
    sum.launches += r.launches;
    sum.stock_outs += r.stock_outs;
    sum.horizon += r.horizon;
    for (const auto& [to, from] : {std::pair(&sum.hours, &r.hours), std::pair(&sum.spot_hours, &r.spot_hours)}) {
      to->busy += from->busy;
      to->idle += from->idle;
      to->waking += from->waking;
      to->lost += from->lost;
    }
    sum.waits.Add(r.waits);
  }
  return sum;
}

std::optional<double> GapToLeast(const Result& result, const std::optional<double>& least_dollars) {
  if (!least_dollars.has_value() || *least_dollars <= 0) return std::nullopt;
  return result.cost() / *least_dollars - 1;
}

std::string ToJson(const Result& total, const Reference& reference, const std::vector<Result>& markets,
                   const std::vector<Reference>& by_market) {
  json::object object = Object(total, reference);
  json::array parts;
  for (size_t i = 0; i < markets.size(); ++i) parts.push_back(Object(markets[i], by_market[i]));
  object["markets"] = std::move(parts);
  return json::serialize(object) + "\n";
}

}  // namespace spotinference::fleet::sim
