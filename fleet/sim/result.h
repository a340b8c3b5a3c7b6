// What a policy's run came to.
#ifndef FLEET_SIM_RESULT_H_
#define FLEET_SIM_RESULT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fleet/sim/market.h"

namespace spotinference::fleet::sim {

// Waiting times to the millisecond, up to an hour.
class WaitHistogram {
 public:
  void Add(Nanos wait, int64_t count = 1);
  void Add(const WaitHistogram& other);
  int64_t count() const { return count_; }
  int64_t Within(Nanos wait) const;
  // Seconds; of so many, of whom those that are not counted waited for ever: an hour. 0 where there is none.
  double Percentile(double share, int64_t of) const;

  static constexpr int64_t kLongestMs = 3'600'000;

 private:
  std::vector<int64_t> by_ms_ = std::vector<int64_t>(1);
  int64_t count_ = 0;
};

struct GpuHours {
  double busy = 0, idle = 0, waking = 0, lost = 0;
  double sum() const { return busy + idle + waking + lost; }
};

struct Decision {
  Nanos at;
  std::string what;  // "launch spot us-west-2a", "end …"
  std::string why;
};

struct Result {
  std::string policy, market;
  double machine_dollars = 0, volume_dollars = 0, on_demand_machine_dollars = 0;  // the last: on-demand machines' share
  int64_t requests = 0;  // that arrived early enough to be answered before the end
  int64_t within_target = 0;
  int64_t refused = 0, timed_out = 0;
  int64_t moved = 0;          // answers that lost their machine
  int64_t interruptions = 0;  // machines taken
  int64_t wakes = 0;          // machines that began to boot
  int64_t launches = 0, stock_outs = 0, sleeps = 0;
  GpuHours hours, spot_hours;
  Nanos horizon = 0;
  WaitHistogram waits;  // for first tokens, of requests that got one
  std::vector<std::string> offer_names;
  std::vector<std::vector<float>> machines;  // by offer, mean over each of kBins equal times
  std::vector<Decision> decisions;           // the first kDecisions

  static constexpr int kBins = 400, kDecisions = 300;

  // Of all requests, also those that were refused or left.
  double WaitedPercentile(double share) const { return waits.Percentile(share, requests); }
  double cost() const { return machine_dollars + volume_dollars; }
  double served_within_target() const { return requests == 0 ? 1 : static_cast<double>(within_target) / requests; }
};

// "0.02 s"; "never", where the request of that rank was not served.
std::string WaitText(double seconds);

// Sums over markets: money, requests, hours; without series and decisions.
Result SumOf(const std::vector<Result>& results);

// What policies are measured by in the same market: on demand only, and omniscient where that was run, too.
struct Reference {
  double on_demand_dollars = 0;
  std::optional<double> least_dollars;
};

// What it costs beyond omniscient, as a share of that; nullopt: not known, or of nothing.
std::optional<double> GapToLeast(const Result& result, const std::optional<double>& least_dollars);

// The object of surface.md, and more.
std::string ToJson(const Result& total, const Reference& reference, const std::vector<Result>& markets,
                   const std::vector<Reference>& by_market);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_RESULT_H_
