#include "fleet/sim/spothedge.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet::sim {
namespace {

constexpr Nanos kRetry = 60 * kSecond;  // after every zone has failed in turn

class SpotHedge : public Policy {
 public:
  SpotHedge(int zones, int extra) : zones_(zones), extra_(extra), placer_(zones) {}

  absl::string_view name() const override { return "spothedge"; }

  void OnStarted(int offer, Nanos) override {
    if (offer >= zones_) return;
    placer_.Launched(offer);
    failures_ = 0;
  }
  void OnStockOut(int offer, Nanos now) override {
    placer_.Preempted(offer);
    if (++failures_ % zones_ == 0) retry_at_ = now + kRetry;
  }
  void OnEnded(int, Nanos) override {}
  void OnLost(int offer, Nanos, Nanos) override { placer_.Preempted(offer); }

  Orders Decide(const View& view) override {
    Orders orders;
    const int target = std::max(1, view.needed);
    std::vector<int> count(zones_);
    std::vector<double> prices;
    for (int zone = 0; zone < zones_; ++zone) prices.push_back(view.offers[zone].price_per_hour);
    std::vector<const MachineView*> spot, on_demand;
    int ready = 0;
    for (const MachineView& machine : view.machines) {
      if (machine.phase == Phase::kLeaving) continue;
      (machine.offer < zones_ ? spot : on_demand).push_back(&machine);
      if (machine.offer >= zones_) continue;
      ++count[machine.offer];
      ready += machine.phase == Phase::kServing;
    }
    Trim(spot, target + extra_, "beyond N_Tar + N_Extra", orders);
    for (size_t have = spot.size(); have < static_cast<size_t>(target + extra_) && view.now >= retry_at_; ++have) {
      const int zone = placer_.Next(count, prices);
      ++count[zone];
      orders.launches.push_back({zone, absl::StrCat("N_Tar ", target, " + N_Extra ", extra_, ", ", have, " there")});
    }
    const int fallback = HedgeOnDemand(target, extra_, ready);
    Trim(on_demand, fallback, absl::StrCat(ready, " spot machines are ready"), orders);
    int cheapest = zones_;
    for (int offer = zones_; offer < 2 * zones_; ++offer) {
      if (view.offers[offer].price_per_hour < view.offers[cheapest].price_per_hour) cheapest = offer;
    }
    for (int have = static_cast<int>(on_demand.size()); have < fallback; ++have) {
      orders.launches.push_back({cheapest, absl::StrCat("only ", ready, " spot machines are ready")});
    }
    return orders;
  }

 private:
  // Those that do not serve go first, then the youngest.
  static void Trim(std::vector<const MachineView*> machines, size_t keep, const std::string& why, Orders& orders) {
    std::sort(machines.begin(), machines.end(), [](const MachineView* a, const MachineView* b) {
      return std::pair(a->phase != Phase::kServing, a->id) < std::pair(b->phase != Phase::kServing, b->id);
    });
    for (size_t i = keep; i < machines.size(); ++i) orders.ends.push_back({machines[i]->id, why});
  }

  const int zones_, extra_;
  HedgePlacer placer_;
  int failures_ = 0;
  Nanos retry_at_ = 0;
};

}  // namespace

void HedgePlacer::Preempted(int zone) {
  available_[zone] = false;
  if (std::count(available_.begin(), available_.end(), true) < 2) available_.assign(available_.size(), true);
}

int HedgePlacer::Next(absl::Span<const int> machines, absl::Span<const double> prices) const {
  int best = -1;
  for (int zone = 0; zone < static_cast<int>(available_.size()); ++zone) {
    if (!available_[zone]) continue;
    if (best < 0 || std::pair(machines[zone], prices[zone]) < std::pair(machines[best], prices[best])) best = zone;
  }
  return best;
}

int HedgeOnDemand(int target, int extra, int ready) { return std::clamp(target + extra - ready, 0, target); }

std::unique_ptr<Policy> SpotHedgePolicy(int zones, int extra) { return std::make_unique<SpotHedge>(zones, extra); }

}  // namespace spotinference::fleet::sim
