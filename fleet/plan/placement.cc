#include "fleet/plan/placement.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace spotinference::fleet {
namespace {

constexpr double kWaitUsed = 0.5;  // of the target's wait, while machines are missing
constexpr double kCaution = 2;     // half the budget gone: all caution
constexpr int kAny = std::numeric_limits<int>::max();
constexpr double kKept = 0.85;  // of its price: what a machine that is there counts for
constexpr absl::Duration kShortestRun = absl::Minutes(15), kLastMinutes = absl::Minutes(2);

double Hours(absl::Duration time) { return absl::FDivDuration(time, absl::Hours(1)); }

class Placer {
 public:
  Placer(const PlacementLoad& load, const ServiceTarget& target, const PlacementLimits& limits,
         absl::Span<const PlacementOffer> offers, absl::Span<const PlacementMachine> machines, absl::Duration now)
      : target_(target),
        limits_(limits),
        offers_(offers),
        machines_(machines),
        now_(now),
        together_(load.budget_used > 1),
        load_(std::clamp(load.needed, limits.min_machines, limits.max_machines)),
        held_(offers.size()),
        risky_(offers.size()),
        want_(offers.size()),
        asked_(offers.size()) {
    out_.steps = static_cast<int64_t>(machines.size());
    for (const PlacementMachine& machine : machines) {
      if (!machine.at_risk) ++held_[machine.offer];
      rate_ += offers[machine.offer].price_per_hour;
      existing_ += machine.exists;
      serving_ += machine.serves;
    }
    for (size_t i = 0; i < offers.size(); ++i) risky_[i] = Missed(offers[i]) > target.missed / 2;
    absl::Duration fallback = absl::InfiniteDuration();
    for (const PlacementOffer& offer : offers) {
      if (offer.market == Market::kOnDemand) fallback = std::min(fallback, offer.start);
    }
    // For a fallback that never comes 1.
    const double share = 1 / (1 + kWaitUsed * absl::FDivDuration(target.wait, fallback));
    const double cautious = std::clamp(kCaution * load.budget_used, 0.0, 1.0);
    survivors_ = std::min(load_, static_cast<int>(std::ceil(cautious * share * load.busy)));
  }

  Placement Run() && {
    out_.machines = static_cast<int>(machines_.size());
    if (limits_.dollars_left <= rate_ * Hours(kLastMinutes) && !machines_.empty()) {
      EndAll("the day's budget is spent");
      return std::move(out_);
    }
    if (load_ > 0) ChooseAndHope();
    Launch();
    End();
    return std::move(out_);
  }

 private:
  // A part of an offer: what is there, or what could be bought.
  struct Part {
    double price;
    int offer;
    int limit;
  };

  // The share of requests that would wait too long for the offer's losses, if it carried all of them and nothing stood
  // in.
  double Missed(const PlacementOffer& offer) const {
    if (offer.market == Market::kOnDemand) return 0;
    // Who comes within the target's wait of the replacement's first token waits no longer; the queue takes half of
    // that.
    const absl::Duration without = offer.start - offer.outlook.warning - target_.wait / 2;
    return without <= absl::ZeroDuration() ? 0 : offer.outlook.losses_per_hour * Hours(without);
  }

  // Its waking time is paid for and brings nothing: at each loss, and where nothing is lost once a day.
  double EffectivePrice(const PlacementOffer& offer, absl::Duration start) const {
    return offer.price_per_hour * (1 + (offer.outlook.losses_per_hour + 1 / 24.0) * Hours(start));
  }

  // `hopeful`: as if what is asked for came.
  void MakeParts(bool hopeful) {
    parts_.clear();
    for (int i = 0; i < static_cast<int>(offers_.size()); ++i) {
      const PlacementOffer& offer = offers_[i];
      if (offer.price_per_hour > limits_.max_price) continue;
      if (held_[i] > 0) parts_.push_back({kKept * EffectivePrice(offer, offer.start), i, held_[i]});
      const int room = hopeful && MayAsk(offer) ? kAny : offer.outlook.room;
      if (const int fast = std::min(room, offer.filled); fast > 0) {
        parts_.push_back({EffectivePrice(offer, offer.start), i, fast});
      }
      if (room > offer.filled)
        parts_.push_back({EffectivePrice(offer, offer.start + offer.fill), i, room - offer.filled});
    }
    std::sort(parts_.begin(), parts_.end(), [this](const Part& a, const Part& b) {
      ++out_.steps;
      return std::pair(a.price, a.offer) < std::pair(b.price, b.offer);
    });
  }

  // Takes the cheapest for the load with at most `m` in each risky offer, and enough beside any of them. What it costs
  // an hour; infinity where there are not as many.
  double Fill(int m) {
    std::fill(want_.begin(), want_.end(), 0);
    int left = std::max(load_, survivors_ + m);
    int risky = 0;
    double dollars = 0;
    for (const Part& part : parts_) {
      if (left == 0) break;
      ++out_.steps;
      const int most = risky_[part.offer] ? m - (together_ ? risky : want_[part.offer]) : left;
      const int taken = std::min({left, most, part.limit});
      if (risky_[part.offer]) risky += taken;
      want_[part.offer] += taken;
      left -= taken;
      dollars += taken * part.price;
    }
    return left == 0 ? dollars : std::numeric_limits<double>::infinity();
  }

  bool MayAsk(const PlacementOffer& offer) const { return offer.outlook.closed_until <= now_; }

  // What can be counted on decides what goes; what may be had beside it is asked for.
  void ChooseAndHope() {
    std::vector<int> hoped(offers_.size());
    const auto doubtful = [this](const PlacementOffer& offer) { return offer.outlook.room < kAny && MayAsk(offer); };
    if (std::any_of(offers_.begin(), offers_.end(), doubtful)) {
      Choose(true);
      for (size_t i = 0; i < offers_.size(); ++i) hoped[i] = doubtful(offers_[i]) ? want_[i] : 0;
    }
    Choose(false);
    for (size_t i = 0; i < offers_.size(); ++i) asked_[i] = std::max(hoped[i], want_[i]);
    for (const PlacementOffer& offer : offers_) {
      if (offer.outlook.closed_until > now_) out_.next = std::min(out_.next, offer.outlook.closed_until);
      closed_ += offer.market == Market::kSpot && offer.outlook.room == 0;
    }
  }

  void Choose(bool hopeful) {
    MakeParts(hopeful);
    int low = 0, high = std::min(load_, limits_.max_machines - survivors_);
    while (low < high) {  // the first m from which on the cost rises
      const int m = low + (high - low) / 2;
      const double here = Fill(m), next = Fill(m + 1);
      // Where m = 0 is out of reach, more spot may not be.
      if (next < here || (std::isinf(here) && std::isinf(next))) {
        low = m + 1;
      } else {
        high = m;
      }
    }
    if (std::isinf(Fill(low))) FillWhatThereIs();
    out_.wanted = std::accumulate(want_.begin(), want_.end(), 0);
    out_.spare = out_.wanted - load_;
  }

  // Nowhere is enough: whatever can be had, without caps.
  void FillWhatThereIs() {
    std::fill(risky_.begin(), risky_.end(), false);
    Fill(0);
  }

  std::string Reason(int offer) const {
    const PlacementOffer& o = offers_[offer];
    std::string why = absl::StrFormat("%d for the load", load_);
    if (out_.spare > 0)
      absl::StrAppendFormat(&why, " and %d to stand in for %s", out_.spare,
                            together_ ? "all spot zones at once" : "any one zone");
    absl::StrAppendFormat(&why, ", %d there; $%.4f/h", static_cast<int>(machines_.size()), o.price_per_hour);
    if (o.market == Market::kSpot) {
      absl::StrAppendFormat(&why, ", lost %.2f times an hour, replaced in %s", o.outlook.losses_per_hour,
                            absl::FormatDuration(o.start));
    } else {
      absl::StrAppendFormat(&why, ", since %d of the spot offers have none", closed_);
    }
    return why;
  }

  void Launch() {
    double rate = rate_;
    std::vector<Part> order;  // cheapest first, where money or machines are short
    for (int i = 0; i < static_cast<int>(offers_.size()); ++i) {
      if (asked_[i] > held_[i]) order.push_back({offers_[i].price_per_hour, i, asked_[i] - held_[i]});
    }
    std::sort(order.begin(), order.end(),
              [](const Part& a, const Part& b) { return std::pair(a.price, a.offer) < std::pair(b.price, b.offer); });
    for (const Part& part : order) {
      const std::string why = Reason(part.offer);
      for (int i = 0; i < part.limit; ++i) {
        rate += part.price;
        out_.lacks_money = limits_.dollars_left < rate * Hours(kShortestRun);
        if (out_.lacks_money) return;
        out_.launches.push_back({part.offer, why});
        ++out_.machines;
      }
    }
  }

  // What is there beyond what is wanted: what does not serve at once, what serves as soon as it is not needed any more.
  void End() {
    std::vector<int> surplus;
    std::vector<int> left = want_;
    std::vector<int> order(machines_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_partition(order.begin(), order.end(),
                          [this](int i) { return machines_[i].serves && !machines_[i].at_risk; });
    out_.steps += static_cast<int64_t>(order.size());
    for (const int i : order) {
      if (left[machines_[i].offer]-- <= 0 || machines_[i].at_risk) surplus.push_back(i);
    }
    // The dearest first.
    std::stable_sort(surplus.begin(), surplus.end(), [this](int a, int b) {
      ++out_.steps;
      return offers_[machines_[a].offer].price_per_hour > offers_[machines_[b].offer].price_per_hour;
    });
    int serving = serving_, existing = existing_;
    for (const int i : surplus) {
      const bool serves = machines_[i].serves;
      if (!machines_[i].exists || (serves ? serving : existing) <= out_.wanted) continue;
      serving -= serves;
      --existing;
      out_.ends.push_back(
          {i, absl::StrFormat("%d serve, %d for the load and %d spare are enough; this one costs $%.4f/h", serving_,
                              load_, out_.spare, offers_[machines_[i].offer].price_per_hour)});
      --out_.machines;
    }
  }

  void EndAll(const std::string& why) {
    for (int i = 0; i < static_cast<int>(machines_.size()); ++i) out_.ends.push_back({i, why});
    out_.machines = 0;
  }

  const ServiceTarget& target_;
  const PlacementLimits& limits_;
  const absl::Span<const PlacementOffer> offers_;
  const absl::Span<const PlacementMachine> machines_;
  const absl::Duration now_;
  const bool together_;  // risky zones may all go at once
  const int load_;
  int survivors_ = 0;
  std::vector<int> held_;
  std::vector<bool> risky_;
  std::vector<int> want_, asked_;  // by offer: counted on, and what to ask for
  double rate_ = 0;                // dollars an hour of what is there
  int existing_ = 0, serving_ = 0;
  int closed_ = 0;
  std::vector<Part> parts_;
  Placement out_;
};

}  // namespace

Placement Place(const PlacementLoad& load, const ServiceTarget& target, const PlacementLimits& limits,
                absl::Span<const PlacementOffer> offers, absl::Span<const PlacementMachine> machines,
                absl::Duration now) {
  return Placer(load, target, limits, offers, machines, now).Run();
}

}  // namespace spotinference::fleet
