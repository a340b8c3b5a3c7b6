#include "fleet/sim/ours.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/plan/idle_timeout.h"
#include "fleet/plan/plan.h"

namespace spotinference::fleet::sim {
namespace {

class Ours : public Policy {
 public:
  Ours(const Profile& profile, const PlacementLimits& limits)
      : profile_(profile), target_(TargetOf(profile)), limits_(limits) {}

  absl::string_view name() const override { return "ours"; }

  void OnStarted(int offer, Nanos now) override { memory_.Began(offer, absl::Nanoseconds(now)); }
  void OnStockOut(int offer, Nanos now) override { memory_.StockOut(offer, absl::Nanoseconds(now)); }
  void OnEnded(int offer, Nanos now) override { memory_.Ended(offer, absl::Nanoseconds(now)); }
  void OnLost(int offer, Nanos serves_until, Nanos now) override {
    memory_.Lost(offer, absl::Nanoseconds(serves_until), absl::Nanoseconds(now));
  }

  Orders Decide(const View& view) override {
    NoteGap(view);
    const absl::Duration now = absl::Nanoseconds(view.now);
    const absl::Duration timeout = idle_.Choose(StartTime());
    const bool awake = !view.idle || (was_asked_ && now < absl::Nanoseconds(view.idle_since) + timeout);
    std::vector<PlacementMachine> machines;
    std::vector<int> ids;
    for (const MachineView& machine : view.machines) {
      if (machine.phase == Phase::kLeaving) continue;
      machines.push_back({.offer = machine.offer,
                          .exists = machine.phase != Phase::kAsked,
                          .serves = machine.phase == Phase::kServing});
      ids.push_back(machine.id);
    }
    const Placement placement =
        Place({.needed = awake ? std::max(1, view.needed) : 0, .busy = view.busy, .budget_used = view.budget_used},
              target_, limits_, Offers(view, now), machines, now);
    Orders orders;
    for (const Placement::End& end : placement.ends) orders.ends.push_back({ids[end.machine], end.why});
    Wake(view, placement, timeout, now, orders);
    return orders;
  }

 private:
  absl::Duration StartTime() const { return absl::Seconds(profile_.launch_seconds() + profile_.boot_seconds()); }

  void NoteGap(const View& view) {
    if (view.idle) {
      gap_since_ = view.idle_since;
    } else {
      if (gap_since_ >= 0 && was_asked_) idle_.AddGap(absl::Nanoseconds(view.now - gap_since_));
      gap_since_ = -1;
      was_asked_ = true;
    }
  }

  std::vector<PlacementOffer> Offers(const View& view, absl::Duration now) const {
    std::vector<PlacementOffer> offers;
    for (int i = 0; i < static_cast<int>(view.offers.size()); ++i) {
      offers.push_back({.price_per_hour = view.offers[i].price_per_hour,
                        .market = view.offers[i].market,
                        .outlook = memory_.Of(i, now),
                        .start = StartTime(),
                        .fill = absl::Seconds(profile_.weights_gb() / profile_.download_gb_per_s()),
                        .filled = view.filled[i]});
    }
    return offers;
  }

  // What PlanModel says of the model with as many machines as the placement has.
  void Wake(const View& view, const Placement& placement, absl::Duration timeout, absl::Duration now, Orders& orders) {
    std::vector<Observation> observed;
    for (const MachineView& machine : view.machines) {
      bool ends = machine.phase == Phase::kLeaving;
      for (const Orders::End& end : orders.ends) ends |= end.machine == machine.id;
      if (ends) continue;
      observed.push_back({.id = absl::StrCat(machine.id),
                          .state = machine.phase == Phase::kAsked      ? MachineState::kLaunching
                                   : machine.phase == Phase::kStarting ? MachineState::kBooting
                                                                       : MachineState::kServing,
                          .since = absl::Nanoseconds(machine.since),
                          .leases = machine.answers,
                          .idle_since = absl::Nanoseconds(machine.idle_since)});
    }
    const Desired desired = {
        .min_machines = placement.machines, .max_machines = std::max(1, placement.machines), .idle_timeout = timeout};
    const Demand demand = {.waiting = view.waiting, .idle_since = absl::Nanoseconds(view.idle_since)};
    Plan plan = PlanModel(desired, demand, observed, wake_, now);
    wake_ = plan.wake;
    size_t launched = 0;
    for (const Action& action : plan.actions) {
      if (action.kind == Action::Kind::kLaunch && launched < placement.launches.size()) {
        const Placement::Launch& launch = placement.launches[launched++];
        orders.launches.push_back({launch.offer, launch.why});
      } else if (action.kind == Action::Kind::kDrain || action.kind == Action::Kind::kStop) {
        orders.ends.push_back({std::stoi(action.machine_id), action.why});
      }
    }
  }

  const Profile profile_;
  const ServiceTarget target_;
  const PlacementLimits limits_;
  MarketMemory memory_;
  IdleTimeout idle_;
  fleet::Wake wake_;
  Nanos gap_since_ = -1;
  bool was_asked_ = false;
};

}  // namespace

std::unique_ptr<Policy> OurPolicy(const Profile& profile, const PlacementLimits& limits) {
  return std::make_unique<Ours>(profile, limits);
}

}  // namespace spotinference::fleet::sim
