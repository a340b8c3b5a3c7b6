// A recorded spot market: how many machines of one kind each zone would have given at each moment, and what they cost.
//
// Traces are JSON as skypilot-org/spot-traces has them: {"metadata":{"gap_seconds":N},"data":[machines at each step,
// …]}, with "prices" of the same length in some. A file's path says the rest:
// .../1-node/aws-10-26-2022/us-west-2a_v100_1.json is zone us-west-2a of AWS, one V100 a machine. A probe of one node
// says whether the zone had capacity at all; the caller says how much that is.
#ifndef FLEET_SIM_MARKET_H_
#define FLEET_SIM_MARKET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet::sim {

using Nanos = int64_t;  // since the simulation's begin
constexpr Nanos kSecond = 1'000'000'000, kHour = 3600 * kSecond;

struct Trace {
  Nanos step = 0;
  std::vector<int> machines;   // at each step
  std::vector<double> prices;  // dollars an hour, as long as `machines` or empty
};

// INVALID_ARGUMENT: `name`, and the line where there is one.
absl::StatusOr<Trace> ParseTrace(absl::string_view text, absl::string_view name);

// One line of the price list.
struct PriceRow {
  std::string provider, machine_type, accelerator, region, zone;
  int accelerators = 0;
  double on_demand = 0, spot = 0;  // dollars an hour of the whole machine; 0: not offered
};

// CSV: provider,instance_type,accelerator,count,region,zone,on_demand_usd_per_hour,spot_usd_per_hour, with that head.
absl::StatusOr<std::vector<PriceRow>> ParsePrices(absl::string_view text, absl::string_view name);

struct Zone {
  std::string provider, region, name;
  std::string machine_type;
  double on_demand = 0;      // dollars an hour; infinity: not offered
  std::vector<double> spot;  // one for all steps, or one a step
  Nanos step = 0;
  std::vector<int> capacity;  // spot machines at each step; none after the last

  double spot_at(Nanos at) const;
};

struct RecordedMarket {
  std::string name;         // "aws-10-26-2022 v100_1"
  std::string accelerator;  // "V100"
  int accelerators = 0;
  std::string price_source;  // for people
  Nanos horizon = 0;         // the end of the longest trace
  std::vector<Zone> zones;
};

struct MarketOptions {
  int zone_capacity = 4;          // machines, where a trace says only that there was capacity
  double unpriced_on_demand = 1;  // dollars an hour, for a machine that no price is known of
  double unpriced_spot_share = 0.3;
};

// All traces under `dir`, at any depth: one market for each folder and kind of machine, in the order of their names.
// Trace zones are paired with the list's zones of the same region in the order of their names, which is a guess:
// accounts' letters are not the physical zones. Another number of accelerators is priced by the accelerator; a region
// without the accelerator at the mean of the others.
absl::StatusOr<std::vector<RecordedMarket>> ReadMarkets(const std::string& dir, const std::vector<PriceRow>& prices,
                                                        const MarketOptions& options);

// A market that was not recorded, of the recorded one's statistics: days of it (all zones together, from any moment on)
// drawn with replacement, one after the other, for as long as it was. The moving-block bootstrap (Künsch, "The
// jackknife and the bootstrap for general stationary observations", 1989).
RecordedMarket Resampled(const RecordedMarket& market, uint64_t seed);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_MARKET_H_
