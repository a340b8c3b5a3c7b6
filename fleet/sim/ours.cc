#include "fleet/sim/ours.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/plan/buyer.h"
#include "fleet/plan/idle_timeout.h"
#include "fleet/plan/plan.h"

namespace spotinference::fleet::sim {
namespace {

constexpr absl::string_view kModel = "model";

class Ours : public Policy {
 public:
  Ours(const Profile& profile, const OurOptions& options)
      : profile_(profile), options_(options), wish_(options_.wish) {}

  absl::string_view name() const override { return "ours"; }

  void OnStarted(int offer, Nanos now) override { buyer_.Began(offers_[offer], absl::Nanoseconds(now)); }
  void OnStockOut(int offer, Nanos now) override { buyer_.StockOut(offers_[offer], absl::Nanoseconds(now)); }
  void OnEnded(int offer, Nanos now) override { buyer_.Ended(offers_[offer], absl::Nanoseconds(now)); }
  void OnLost(int offer, Nanos serves_until, Nanos now) override {
    buyer_.Lost(offers_[offer], absl::Nanoseconds(serves_until), absl::Nanoseconds(now));
  }
  void OnArrived(Nanos now) override { buyer_.Arrived(kModel, wish_, absl::Nanoseconds(now)); }
  void OnServed(Nanos took, Nanos now) override {
    buyer_.Served(kModel, absl::Nanoseconds(took), absl::Nanoseconds(now));
  }
  void OnAnswered(const Answer& answer, Nanos now) override {
    buyer_.Answered(kModel, wish_,
                    {.queued = absl::Nanoseconds(answer.queued),
                     .waited = absl::Nanoseconds(answer.waited),
                     .refused = answer.refused,
                     .awake = answer.awake},
                    absl::Nanoseconds(now));
  }

  Orders Decide(const View& view) override {
    NoteGap(view);
    TellPrices(view.offers);
    const double dollars_left = DollarsLeft(view);
    Desired desired = {.min_machines = wish_.min_machines,
                       .max_machines = wish_.max_machines,
                       .wake_cap = options_.wake_cap,
                       .idle_timeout = options_.idle_timeout.value_or(idle_.Choose(StartTime(profile_)))};
    Orders orders;
    std::vector<Orders::Launch> to_buy;
    const bool serves = std::any_of(view.machines.begin(), view.machines.end(),
                                    [](const MachineView& machine) { return machine.phase == Phase::kServing; });
    const bool in_use = !view.idle || wish_.min_machines > 0;
    if (dollars_left <= 0) {  // as the controller: nothing may run before tomorrow
      desired.min_machines = desired.max_machines = 0;
      orders.refuses = true;
    } else if (in_use || (serves && absl::Nanoseconds(view.now - view.idle_since) < desired.idle_timeout)) {
      to_buy = Choose(view, dollars_left, desired, orders);
    }
    Wake(view, desired, to_buy, orders);
    return orders;
  }

 private:
  void NoteGap(const View& view) {
    if (view.idle) {
      gap_since_ = view.idle_since;
    } else {
      if (gap_since_ >= 0 && was_asked_) idle_.AddGap(absl::Nanoseconds(view.now - gap_since_));
      gap_since_ = -1;
      was_asked_ = true;
    }
  }

  // Of the day. Since the last look the machines of then ran at the prices of then.
  double DollarsLeft(const View& view) {
    const Nanos day = 24 * kHour;
    if (view.now / day != looked_at_ / day) {
      dollars_today_ = 0;
      looked_at_ = view.now / day * day;
    }
    dollars_today_ += per_hour_ * static_cast<double>(view.now - looked_at_) / kHour;
    looked_at_ = view.now;
    per_hour_ = 0;
    for (const MachineView& machine : view.machines) {
      if (machine.phase != Phase::kAsked) per_hour_ += view.offers[machine.offer].price_per_hour;
    }
    return options_.max_dollars_per_day - dollars_today_;
  }

  void TellPrices(absl::Span<const Offer> offers) {
    if (std::equal(offers.begin(), offers.end(), offers_.begin(), offers_.end(), [](const Offer& a, const Offer& b) {
          return a.price_per_hour == b.price_per_hour;
        })) {
      return;
    }
    offers_.assign(offers.begin(), offers.end());
    std::vector<Offer> sold;
    for (const Offer& offer : offers) {
      if (std::isfinite(offer.price_per_hour)) sold.push_back(offer);
    }
    buyer_.SetOffers(std::move(sold));
  }

  int IndexOf(const Offer& offer) const {
    return static_cast<int>(std::find_if(offers_.begin(), offers_.end(),
                                         [&](const Offer& other) { return SamePlace(offer, other); }) -
                            offers_.begin());
  }

  // Orders what is to go; returns what is to be bought.
  std::vector<Orders::Launch> Choose(const View& view, double dollars_left, Desired& desired, Orders& orders) {
    std::vector<Buyer::Machine> machines;
    for (const MachineView& machine : view.machines) {
      if (machine.phase == Phase::kLeaving) continue;
      machines.push_back({.id = absl::StrCat(machine.id),
                          .offer = offers_[machine.offer],
                          .exists = machine.phase != Phase::kAsked,
                          .serves = machine.phase == Phase::kServing});
    }
    std::vector<Offer> filled;
    // A zone's volumes are told once, with its spot offer.
    for (size_t i = 0; i < offers_.size() / 2; ++i) filled.insert(filled.end(), view.filled[i], offers_[i]);
    const Buyer::Load load = {.waiting = view.waiting,
                              .start = StartTime(profile_),
                              .fill = absl::Seconds(profile_.weights_gb() / profile_.download_gb_per_s())};
    const Buyer::Decision decision =
        buyer_.Decide(kModel, wish_, load, machines, filled, dollars_left, absl::Nanoseconds(view.now));
    if (!decision.why_none.empty() && machines.empty()) {
      RecordFailure(Failure::kNoCapacity, decision.why_none, absl::ZeroDuration(), absl::Nanoseconds(view.now), wake_);
    }
    for (const auto& [id, why] : decision.ends) orders.ends.push_back({std::stoi(id), why});
    std::vector<Orders::Launch> to_buy;
    for (const auto& [offer, why] : decision.launches) to_buy.push_back({IndexOf(offer), why});
    const int there = static_cast<int>(machines.size() - decision.ends.size());
    const size_t most = std::max(1, desired.max_machines - there);
    if (to_buy.size() > most) to_buy.resize(most);
    desired.min_machines = there + static_cast<int>(to_buy.size());
    desired.max_machines = std::max(desired.max_machines, desired.min_machines);
    return to_buy;
  }

  // What PlanModel says of the model with as many machines as were chosen.
  void Wake(const View& view, const Desired& desired, const std::vector<Orders::Launch>& to_buy, Orders& orders) {
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
    const Demand demand = {
        .waiting = view.parked, .resuming = view.resuming, .idle_since = absl::Nanoseconds(view.idle_since)};
    Plan plan = PlanModel(desired, demand, observed, wake_, absl::Nanoseconds(view.now));
    wake_ = plan.wake;
    size_t launched = 0;
    for (const Action& action : plan.actions) {
      if (action.kind == Action::Kind::kLaunch && launched < to_buy.size()) {
        orders.launches.push_back(to_buy[launched++]);
      } else if (action.kind == Action::Kind::kLaunch) {  // Controller::NoneToBuy
        RecordFailure(Failure::kNoCapacity, "no zone", absl::ZeroDuration(), absl::Nanoseconds(view.now), wake_);
        orders.refuses = true;
      } else if (action.kind == Action::Kind::kDrain || action.kind == Action::Kind::kStop) {
        orders.ends.push_back({std::stoi(action.machine_id), action.why});
      }
      orders.refuses |= action.kind == Action::Kind::kRefuse;
    }
  }

  const Profile profile_;
  Buyer buyer_;
  const OurOptions options_;
  const Wish& wish_;
  std::vector<Offer> offers_;  // as last seen
  IdleTimeout idle_;
  fleet::Wake wake_;
  Nanos gap_since_ = -1;
  bool was_asked_ = false;
  Nanos looked_at_ = 0;
  double dollars_today_ = 0, per_hour_ = 0;
};

}  // namespace

OurOptions OurDefaults(const Profile& profile) {
  return {
      .wish = {.max_machines = profile.max_machines(), .streams = profile.streams(), .target = TargetOf(profile)}};
}

std::unique_ptr<Policy> OurPolicy(const Profile& profile, const OurOptions& options) {
  return std::make_unique<Ours>(profile, options);
}

}  // namespace spotinference::fleet::sim
