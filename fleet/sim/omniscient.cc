#include "fleet/sim/omniscient.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet::sim {
namespace {

struct Capacity {
  double price;
  int offer;
  double machines;
};

// What existed at `at`, the cheapest first; on demand there is always enough.
std::vector<Capacity> CapacityAt(const RecordedMarket& market, Nanos at) {
  std::vector<Capacity> all;
  const int zones = static_cast<int>(market.zones.size());
  for (int i = 0; i < zones; ++i) {
    const Zone& zone = market.zones[i];
    const size_t step = at / zone.step;
    if (step < zone.capacity.size()) all.push_back({zone.spot_at(at), i, static_cast<double>(zone.capacity[step])});
    all.push_back({zone.on_demand, zones + i, 1e18});
  }
  std::sort(all.begin(), all.end(), [](const Capacity& a, const Capacity& b) {
    return std::pair(a.price, a.offer) < std::pair(b.price, b.offer);
  });
  return all;
}

}  // namespace

Result Omniscient(const RecordedMarket& market, Arrivals arrivals, const Profile& profile) {
  const int zones = static_cast<int>(market.zones.size());
  Result result = {.policy = "omniscient", .market = market.name, .horizon = market.horizon};
  for (int i = 0; i < 2 * zones; ++i) {
    result.offer_names.push_back(absl::StrCat(i < zones ? "spot " : "on-demand ", market.zones[i % zones].name));
  }
  result.machines.assign(2 * zones, std::vector<float>(Result::kBins));
  Nanos step = market.zones[0].step;
  for (const Zone& zone : market.zones) step = std::min(step, zone.step);
  for (Nanos begin = 0; begin < market.horizon; begin += step) {
    double work = 0;  // machine hours
    for (; arrivals.next().at < std::min(begin + step, market.horizon); arrivals.Pop()) {
      const Request& request = arrivals.next();
      work += static_cast<double>(PrefillTime(profile, request.prompt_tokens) +
                                  DecodeTime(profile, request.generated_tokens)) /
              kHour / profile.streams();
      if (request.at >= 900 * kSecond && request.at < market.horizon - ToNanos(profile.max_wait_seconds()))
        ++result.requests;
    }
    const double hours = static_cast<double>(std::min(step, market.horizon - begin)) / kHour;
    result.hours.busy += work;
    for (const Capacity& capacity : CapacityAt(market, begin)) {
      const double taken = std::min(work, capacity.machines * hours);
      work -= taken;
      result.machine_dollars += taken * capacity.price;
      (capacity.offer < zones ? result.spot_hours.busy : result.on_demand_machine_dollars) +=
          capacity.offer < zones ? taken : taken * capacity.price;
      const int bin = static_cast<int>(static_cast<double>(begin) / market.horizon * Result::kBins);
      result.machines[capacity.offer][bin] +=
          static_cast<float>(taken * kHour / (static_cast<double>(market.horizon) / Result::kBins));
      if (work <= 0) break;
    }
  }
  result.within_target = result.requests;
  result.waits.Add(0, result.requests);
  return result;
}

}  // namespace spotinference::fleet::sim
