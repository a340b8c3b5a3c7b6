#include "fleet/sim/omniscient.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "fleet/ledger/billing.h"
#include "fleet/sim/world.h"

namespace spotinference::fleet::sim {
namespace {

constexpr Nanos kFinest = 300 * kSecond;  // nothing is told apart within
constexpr size_t kMostPrices = 256;       // of more the dearer ones are taken for the next cheaper one

// What one zone could give in a step: at most so many machines, and at least this price.
struct Capacity {
  double price = 0;
  double machines = 0, free_machines = 0;  // the latter of the former
};

class Bound {
 public:
  Bound(const RecordedMarket& market, const Profile& profile) : market_(market), profile_(profile) {
    step_ = kFinest;
    for (const Zone& zone : market.zones) {
      step_ = std::min(step_, zone.step);
      on_demand_ = std::min(on_demand_, zone.on_demand);
    }
    steps_ = static_cast<size_t>((market.horizon + step_ - 1) / step_);
    work_.resize(steps_);
    result_ = {.policy = "omniscient", .market = market.name, .horizon = market.horizon};
    result_.offer_names = {"spot", "on-demand"};
    result_.machines.assign(2, std::vector<float>(Result::kBins));
  }

  Result Run(Arrivals arrivals) {
    Collect(arrivals);
    for (const Zone& zone : market_.zones) capacities_.push_back(CapacityOf(zone));
    double dollars = 0, done = Sweep(-1, nullptr);  // what is free
    for (const double price : Prices()) {
      const double more = Sweep(price, nullptr);
      dollars += price * (more - done);
      done = more;
    }
    const double left = result_.hours.busy - Sweep(on_demand_, &result_.machines);
    result_.spot_hours.busy = result_.hours.busy - left;
    result_.on_demand_machine_dollars = left > 0 ? left * on_demand_ : 0;
    result_.machine_dollars = dollars + result_.on_demand_machine_dollars;
    result_.within_target = result_.requests;
    result_.waits.Add(0, result_.requests);
    return std::move(result_);
  }

 private:
  // Machine hours by the step of their arrival, and how many steps later they may be done.
  void Collect(Arrivals& arrivals) {
    const Nanos max_wait = ToNanos(profile_.max_wait_seconds());
    Nanos longest = 0;
    for (; arrivals.next().at < market_.horizon - max_wait; arrivals.Pop()) {
      const Request& request = arrivals.next();
      if (!IsCounted(request, market_, profile_)) continue;
      ++result_.requests;
      const Nanos service =
          PrefillTime(profile_, request.prompt_tokens) + DecodeTime(profile_, request.generated_tokens);
      if (service > market_.horizon - max_wait - request.at) continue;  // may be open at the end
      longest = std::max(longest, service);
      const double hours = static_cast<double>(service) / kHour / profile_.streams();
      work_[request.at / step_] += hours;
      result_.hours.busy += hours;
    }
    window_ = static_cast<size_t>((max_wait + longest) / step_ + 1);
  }

  std::vector<Capacity> CapacityOf(const Zone& zone) const {
    const auto machines_at = [&](Nanos at) {
      const size_t step = at / zone.step;
      return step < zone.capacity.size() ? zone.capacity[step] : 0;
    };
    const Nanos free = absl::ToInt64Nanoseconds(BillingRulesOf(zone.provider).free_reclaim);
    // Falls before each of the zone's steps, added up.
    std::vector<double> falls(zone.capacity.size() + 2);
    for (size_t i = 1; i <= zone.capacity.size(); ++i) {
      const Nanos at = zone.step * static_cast<Nanos>(i);
      falls[i + 1] = falls[i] + std::max(0, machines_at(at - zone.step) - machines_at(at));
    }
    std::vector<Capacity> capacities;
    for (size_t i = 0; i < steps_; ++i) {
      // A zone's own steps are no shorter: within this one it changes once at most.
      const Nanos begin = step_ * static_cast<Nanos>(i), last = begin + step_ - 1;
      const auto fallen = [&](Nanos at) { return falls[std::min<size_t>(at / zone.step + 1, falls.size() - 1)]; };
      const double machines = std::max(machines_at(begin), machines_at(last));
      const double soon = free > 0 ? fallen(last + free) - fallen(begin) : 0;
      capacities.push_back({.price = std::min(zone.spot_at(begin), zone.spot_at(last)),
                            .machines = machines,
                            .free_machines = std::min(machines, soon)});
    }
    return capacities;
  }

  // Spot prices below on demand, ascending.
  std::vector<double> Prices() {
    std::set<double> all;
    for (const std::vector<Capacity>& zone : capacities_) {
      for (const Capacity& capacity : zone) {
        if (capacity.price < on_demand_) all.insert(capacity.price);
      }
    }
    std::vector<double> prices(all.begin(), all.end());
    const size_t every = (prices.size() + kMostPrices - 1) / kMostPrices;
    if (every <= 1) return prices;
    std::vector<double> kept;
    for (size_t i = 0; i < prices.size(); i += every) kept.push_back(prices[i]);
    for (std::vector<Capacity>& zone : capacities_) {
      for (Capacity& capacity : zone) {
        const auto above = std::upper_bound(kept.begin(), kept.end(), capacity.price);
        if (above != kept.begin()) capacity.price = *std::prev(above);
      }
    }
    return kept;
  }

  // Machine hours that capacity at up to `price` can do, and the free ones. `machines`: gets it by time, and what it
  // cannot do.
  double Sweep(double price, std::vector<std::vector<float>>* machines) const {
    std::deque<std::pair<size_t, double>> open;  // the last step in which it may be done, hours
    double done = 0;
    const auto note = [&](int series, size_t step, double hours) {
      if (machines == nullptr) return;
      const size_t bin = std::min<size_t>(Result::kBins - 1, step * Result::kBins / steps_);
      (*machines)[series][bin] += static_cast<float>(hours * kHour * Result::kBins / market_.horizon);
    };
    for (size_t i = 0; i < steps_; ++i) {
      for (; !open.empty() && open.front().first < i; open.pop_front()) note(1, i, open.front().second);
      if (work_[i] > 0) open.push_back({i + window_, work_[i]});
      double left = 0;
      for (const std::vector<Capacity>& zone : capacities_) {
        left += zone[i].price <= price ? zone[i].machines : zone[i].free_machines;
      }
      left *= static_cast<double>(step_) / kHour;
      while (left > 0 && !open.empty()) {
        const double taken = std::min(left, open.front().second);
        left -= taken;
        done += taken;
        note(0, i, taken);
        open.front().second -= taken;
        if (open.front().second <= 0) open.pop_front();
      }
    }
    return done;
  }

  const RecordedMarket& market_;
  const Profile& profile_;
  Nanos step_ = 0;
  size_t steps_ = 0, window_ = 0;
  double on_demand_ = std::numeric_limits<double>::infinity();  // the cheapest
  std::vector<double> work_;
  std::vector<std::vector<Capacity>> capacities_;  // by zone and step
  Result result_;
};

}  // namespace

Result Omniscient(const RecordedMarket& market, Arrivals arrivals, const Profile& profile) {
  return Bound(market, profile).Run(std::move(arrivals));
}

}  // namespace spotinference::fleet::sim
