#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/sim/policy.h"

namespace spotinference::fleet::sim {
namespace {

constexpr Nanos kRetry = 60 * kSecond;

int Wanted(const View& view) { return std::max(1, view.needed); }

// Machines that count, and the orders that end those beyond `wanted`: the youngest first.
int EndSurplus(const View& view, int wanted, Orders& orders) {
  std::vector<const MachineView*> counted;
  for (const MachineView& machine : view.machines) {
    if (machine.phase != Phase::kLeaving) counted.push_back(&machine);
  }
  std::sort(counted.begin(), counted.end(), [](const MachineView* a, const MachineView* b) {
    return std::pair(a->phase, a->id) > std::pair(b->phase, b->id);
  });
  for (size_t i = wanted; i < counted.size(); ++i) orders.ends.push_back({counted[i]->id, "more than the load needs"});
  return static_cast<int>(counted.size());
}

class Quiet : public Policy {
 public:
  void OnStarted(int, Nanos) override {}
  void OnStockOut(int, Nanos) override {}
  void OnEnded(int, Nanos) override {}
  void OnLost(int, Nanos, Nanos) override {}
};

class OnDemand : public Quiet {
 public:
  absl::string_view name() const override { return "on_demand"; }

  Orders Decide(const View& view) override {
    Orders orders;
    const int spots = static_cast<int>(view.offers.size()) / 2;
    int cheapest = spots;
    for (int offer = spots; offer < 2 * spots; ++offer) {
      if (view.offers[offer].price_per_hour < view.offers[cheapest].price_per_hour) cheapest = offer;
    }
    for (int have = EndSurplus(view, Wanted(view), orders); have < Wanted(view); ++have) {
      orders.launches.push_back({cheapest, "the load needs it"});
    }
    return orders;
  }
};

// Spot in zones that Next names.
class SpotOnly : public Quiet {
 public:
  void OnStockOut(int offer, Nanos now) override { Failed(offer, now); }

  Orders Decide(const View& view) override {
    Orders orders;
    const int have = EndSurplus(view, Wanted(view), orders);
    if (view.now < retry_at_) return orders;
    for (int i = have; i < Wanted(view); ++i) orders.launches.push_back({Next(view), "the load needs it"});
    return orders;
  }

 protected:
  virtual int Next(const View& view) = 0;
  virtual void Failed(int offer, Nanos now) = 0;
  void WaitUntil(Nanos at) { retry_at_ = at; }

 private:
  Nanos retry_at_ = 0;
};

class SpotOneZone : public SpotOnly {
 public:
  absl::string_view name() const override { return "spot_one_zone"; }

 protected:
  // The cheapest at the beginning.
  int Next(const View& view) override {
    if (!zone_.has_value()) {
      zone_ = 0;
      for (int zone = 1; zone < static_cast<int>(view.offers.size()) / 2; ++zone) {
        if (view.offers[zone].price_per_hour < view.offers[*zone_].price_per_hour) zone_ = zone;
      }
    }
    return *zone_;
  }
  void Failed(int, Nanos now) override { WaitUntil(now + kRetry); }

 private:
  std::optional<int> zone_;
};

class SpotRoundRobin : public SpotOnly {
 public:
  absl::string_view name() const override { return "spot_round_robin"; }

 protected:
  int Next(const View& view) override {
    zones_ = static_cast<int>(view.offers.size()) / 2;
    return turn_++ % zones_;
  }
  // After a round in vain it waits.
  void Failed(int, Nanos now) override {
    if (++failures_ % zones_ == 0) WaitUntil(now + kRetry);
  }

 private:
  int turn_ = 0, failures_ = 0, zones_ = 1;
};

}  // namespace

std::unique_ptr<Policy> OnDemandPolicy() { return std::make_unique<OnDemand>(); }
std::unique_ptr<Policy> SpotOneZonePolicy() { return std::make_unique<SpotOneZone>(); }
std::unique_ptr<Policy> SpotRoundRobinPolicy() { return std::make_unique<SpotRoundRobin>(); }

}  // namespace spotinference::fleet::sim
