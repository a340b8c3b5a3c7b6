#include "fleet/plan/placement.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace spotinference::fleet {
namespace {

// Of what serving everything on demand costs: what it is worth that the target's share of requests is not missed, while
// none has been, and by how much more once the error budget is used up.
constexpr double kWorth = 0.4, kScarcer = 4;
constexpr int kAny = std::numeric_limits<int>::max();
constexpr int kHoped = 3;       // Outlook::room of a zone that has just given one, and that one
constexpr double kKept = 0.85;  // of its price: what a machine that is there counts for
constexpr absl::Duration kShortestRun = absl::Minutes(15), kLastMinutes = absl::Minutes(2);

// The mean of max(0, z − k) over a standard normal z.
double NormalLoss(double k) {
  return std::exp(-k * k / 2) * std::sqrt(0.5 / std::numbers::pi) - k * std::erfc(k * std::sqrt(0.5)) / 2;
}

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
        load_(std::clamp(load.needed, limits.min_machines, limits.max_machines)),
        bursts_(load.bursts),
        joint_(load.together),
        held_(offers.size()),
        unanswered_(offers.size()),
        risky_(offers.size()),
        hoped_(offers.size()),
        want_(offers.size()),
        asked_(offers.size()) {
    missed_.reserve(offers.size());
    parts_.reserve(3 * offers.size());
    out_.steps = static_cast<int64_t>(machines.size());
    rate_ = limits.dollars_elsewhere;
    for (const PlacementMachine& machine : machines) {
      if (!machine.at_risk) ++held_[machine.offer];
      unanswered_[machine.offer] += !machine.exists;
      rate_ += offers[machine.offer].price_per_hour;
      existing_ += machine.exists;
      serving_ += machine.serves;
    }
    for (int i = 0; i < static_cast<int>(offers.size()); ++i) {
      missed_.push_back(Missed(offers[i]));
      if (missed_.back() > 0) by_risk_.push_back(i);
    }
    std::sort(by_risk_.begin(), by_risk_.end(), [this](int a, int b) { return missed_[a] > missed_[b]; });
    Value(load);
  }

  Placement Run() && {
    out_.machines = static_cast<int>(machines_.size());
    if (limits_.dollars_left <= rate_ * Hours(kLastMinutes) && rate_ > limits_.dollars_elsewhere) {
      out_.broke = true;
      EndWhatCosts("the day's budget is spent");
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

  // What must be left of a loss, and what a miss is worth.
  void Value(const PlacementLoad& load) {
    absl::Duration fallback = absl::InfiniteDuration();
    double dearest = 0, on_demand = std::numeric_limits<double>::infinity();
    bool soon = false;
    for (const PlacementOffer& offer : offers_) {
      dearest = std::max(dearest, offer.price_per_hour);
      if (offer.market != Market::kOnDemand) continue;
      on_demand = std::min(on_demand, offer.price_per_hour);
      soon |= offer.filled > 0;
      fallback = std::min(fallback, offer.start + (offer.has_weights ? absl::ZeroDuration() : offer.fill));
    }
    const absl::Duration wait = std::max(absl::ZeroDuration(), target_.wait - load.service);
    enough_ = std::min<double>(load_, load.busy * std::max(0.0, 1 - absl::FDivDuration(wait, fallback)));
    if (load.busy > 0) {
      spread_ = std::sqrt(2 * absl::FDivDuration(load.service, fallback) / (load.streams * load.busy));
    }
    // The mean of an hour, where machines for bursts would come after one and go before the next.
    const double whole = bursts_.machines > 0 ? bursts_.busy : load.busy;
    worth_ = kWorth * std::pow(kScarcer, std::min(1.0, load.budget_used)) * std::min(on_demand, dearest) * whole /
             target_.missed;
    if (serving_ < enough_ && soon) late_ = worth_ / enough_;
    to_survive_ = {static_cast<int>(enough_)};
    for (int beside = 0; beside <= 3; ++beside) {
      to_survive_.push_back(static_cast<int>(std::ceil(enough_ * (1 + beside * spread_))));
    }
    for (int quarters = 1; quarters <= 4 && bursts_.machines > 0; ++quarters) {
      to_survive_.push_back((bursts_.machines * quarters + 3) / 4);
    }
    for (int& survivors : to_survive_) survivors = std::min(survivors, limits_.max_machines);
  }

  // Its waking time is paid for and brings nothing: at each loss, and where nothing is lost once a day.
  double EffectivePrice(int i, absl::Duration start) const {
    const PlacementOffer& offer = offers_[i];
    const double whole = offer.outlook.whole;
    const double losses = offer.outlook.losses_per_hour * (whole + (1 - whole) / std::max(1, held_[i]));
    return offer.price_per_hour * (1 + (losses + 1 / 24.0) * Hours(start));
  }

  // As if the offers that are hoped for gave what they are asked for.
  void MakeParts() {
    parts_.clear();
    for (int i = 0; i < static_cast<int>(offers_.size()); ++i) {
      const PlacementOffer& offer = offers_[i];
      if (offer.price_per_hour > limits_.max_price) continue;
      if (held_[i] > 0) parts_.push_back({kKept * EffectivePrice(i, offer.start), i, held_[i]});
      const int room = hoped_[i] ? kHoped : offer.outlook.room;
      if (const int fast = std::min(room, offer.filled); fast > 0) {
        parts_.push_back({EffectivePrice(i, offer.start), i, fast});
      }
      if (room > offer.filled) {
        const double late = offer.market == Market::kOnDemand ? late_ * Hours(offer.fill) : 0;
        const double price = EffectivePrice(i, offer.start + offer.fill) + offer.volume_per_hour + late;
        parts_.push_back({price, i, room - offer.filled});
      }
    }
    std::sort(parts_.begin(), parts_.end(), [this](const Part& a, const Part& b) {
      ++out_.steps;
      return std::pair(a.price, a.offer) < std::pair(b.price, b.offer);
    });
  }

  // Machines that are missing, and dollars an hour.
  using Cost = std::pair<int, double>;

  // Takes the cheapest for the load with at most `m` in each risky offer, and enough beside any of them.
  Cost Fill(int m) {
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
    return {left, dollars};
  }

  // The share of what comes meanwhile that waits too long for the loss of so many of `total`.
  double Late(int total, int lost) const {
    const double bursts = bursts_.LateWith(total - lost) - bursts_.LateWith(total);
    if (enough_ <= 0) return bursts;
    const double over = (total - lost) / enough_ - 1;
    return std::max(bursts, spread_ > 0 ? spread_ * NormalLoss(over / spread_) : std::max(0.0, -over));
  }

  // The share of requests that losses would make wait too long with want_. The n riskiest zones go at once as often as
  // the safest of them goes, times joint_ for each but one, and as wholly as any of them.
  double MissedNow() const {
    const int total = std::accumulate(want_.begin(), want_.end(), 0);
    double missed = 0, together = 0, chance = 1, wholest = 0;
    int lost = 0, zones = 0;
    const auto late = [&](double whole, int all, int one) {
      return whole * Late(total, all) + (1 - whole) * Late(total, one);
    };
    for (const int i : by_risk_) {
      if (want_[i] == 0) continue;
      const double whole = offers_[i].outlook.whole;
      wholest = std::max(wholest, whole);
      missed += missed_[i] * late(whole, want_[i], 1);
      lost += want_[i];
      if (++zones > 1) together = std::max(together, chance * missed_[i] * late(wholest, lost, zones));
      chance *= joint_;
    }
    return std::max(missed, together);
  }

  bool MayAsk(const PlacementOffer& offer) const { return offer.outlook.closed_until <= now_; }

  // What can be counted on decides what goes. Beside it one machine is asked for in a zone that has none, the cheapest
  // of those that would be taken if they all gave some: what comes is then counted on.
  void ChooseAndHope() {
    Choose();
    asked_ = want_;
    const int wanted = out_.wanted, spare = out_.spare;
    const bool together = together_;
    const std::vector<int> sure = want_;
    bool hopes = false;
    for (int i = 0; i < static_cast<int>(offers_.size()); ++i) {
      const PlacementOffer& offer = offers_[i];
      if (offer.outlook.closed_until > now_) out_.next = std::min(out_.next, offer.outlook.closed_until);
      closed_ += offer.market == Market::kSpot && offer.outlook.room == 0;
      hoped_[i] = offer.outlook.room == 0 && MayAsk(offer) && want_[i] <= held_[i];
      hopes |= hoped_[i];
    }
    if (!hopes) return;
    Choose();
    int cheapest = -1;
    for (int i = 0; i < static_cast<int>(offers_.size()); ++i) {
      if (!hoped_[i] || want_[i] <= held_[i] || unanswered_[i] > 0) continue;
      if (cheapest < 0 || offers_[i].price_per_hour < offers_[cheapest].price_per_hour) cheapest = i;
    }
    if (cheapest >= 0) asked_[cheapest] = std::max(asked_[cheapest], held_[cheapest] + 1);
    want_ = sure;
    out_.wanted = wanted;
    out_.spare = spare;
    together_ = together;
  }

  // The cheapest, misses counted in money, of plans that guard against the loss of none, of the riskiest, of the two,
  // four, … riskiest zones, and of all at once.
  void Choose() {
    MakeParts();
    std::fill(risky_.begin(), risky_.end(), false);
    std::vector<int> best;
    Cost least = {kAny, 0};
    bool best_together = false;
    const auto consider = [&](bool together) {
      together_ = together;
      survivors_ = -1;
      for (const int survivors : to_survive_) {
        if (survivors_ == survivors) continue;
        survivors_ = survivors;
        Cost cost = FillBest();
        if (cost >= least) continue;
        cost.second += worth_ * MissedNow();
        if (cost >= least) continue;
        least = cost;
        best = want_;
        best_together = together;
      }
    };
    consider(false);
    const size_t all = by_risk_.size();
    for (size_t count = 1, guarded = 0; guarded < all; count = 2 * count) {
      for (; guarded < std::min(count, all); ++guarded) risky_[by_risk_[guarded]] = true;
      consider(false);
    }
    if (all > 1) consider(true);
    want_ = std::move(best);
    together_ = best_together;
    out_.wanted = std::accumulate(want_.begin(), want_.end(), 0);
    out_.spare = out_.wanted - load_;
  }

  // Fill with the best m: first fewer are missing, then it costs less and then more.
  Cost FillBest() {
    int low = 0, high = std::min(load_, limits_.max_machines - survivors_);
    while (low < high) {
      const int m = low + (high - low) / 2;
      const Cost here = Fill(m);
      if (Fill(m + 1) < here) low = m + 1;
      else high = m;
    }
    return Fill(low);
  }

  std::string Reason(int offer) const {
    const PlacementOffer& o = offers_[offer];
    std::string why = absl::StrCat(load_, " for the load");
    if (bursts_.machines > 0) absl::StrAppendFormat(&why, ", in bursts (%.1f busy in the mean)", bursts_.busy);
    if (out_.spare > 0)
      absl::StrAppendFormat(&why, " and %d to stand in for %s", out_.spare,
                            together_ ? "all spot zones at once" : "any one zone");
    absl::StrAppendFormat(&why, ", %d there; $%.4f/h", static_cast<int>(machines_.size()), o.price_per_hour);
    if (o.filled == 0 && o.volume_per_hour > 0) absl::StrAppendFormat(&why, ", $%.4f for a volume", o.volume_per_hour);
    if (o.market == Market::kSpot) {
      absl::StrAppendFormat(&why, ", lost %.2f times an hour", o.outlook.losses_per_hour);
      if (o.outlook.whole < 1) absl::StrAppendFormat(&why, ", %.0f %% of them as a whole", 100 * o.outlook.whole);
      absl::StrAppendFormat(&why, ", replaced in %s", absl::FormatDuration(o.start));
    } else {
      absl::StrAppendFormat(&why, ", since %d of the spot offers have none", closed_);
    }
    return why;
  }

  bool Hopes(int offer) const { return asked_[offer] > want_[offer]; }

  void Launch() {
    double rate = rate_;
    std::vector<Part> order;  // cheapest first, where money or machines are short; what is only hoped for last
    for (int i = 0; i < static_cast<int>(offers_.size()); ++i) {
      if (asked_[i] > held_[i]) order.push_back({offers_[i].price_per_hour, i, asked_[i] - held_[i]});
    }
    std::sort(order.begin(), order.end(), [this](const Part& a, const Part& b) {
      return std::tuple(Hopes(a.offer), a.price, a.offer) < std::tuple(Hopes(b.offer), b.price, b.offer);
    });
    for (const Part& part : order) {
      const std::string why = Reason(part.offer);
      for (int i = 0; i < part.limit; ++i) {
        rate += part.price;
        out_.lacks_money = part.price > 0 && limits_.dollars_left < rate * Hours(kShortestRun);
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
      // What is at risk is in no plan: where nothing can replace it the load has it still.
      const int enough = machines_[i].at_risk ? std::max(out_.wanted, load_) : out_.wanted;
      if (!machines_[i].exists || (serves ? serving : existing) <= enough) continue;
      serving -= serves;
      --existing;
      out_.ends.push_back(
          {i, absl::StrFormat("%d serve, %d for the load and %d spare are enough; this one costs $%.4f/h", serving_,
                              load_, out_.spare, offers_[machines_[i].offer].price_per_hour)});
      --out_.machines;
    }
  }

  void EndWhatCosts(const std::string& why) {
    for (int i = 0; i < static_cast<int>(machines_.size()); ++i) {
      if (offers_[machines_[i].offer].price_per_hour > 0) out_.ends.push_back({i, why});
    }
    out_.machines -= static_cast<int>(out_.ends.size());
  }

  const ServiceTarget& target_;
  const PlacementLimits& limits_;
  const absl::Span<const PlacementOffer> offers_;
  const absl::Span<const PlacementMachine> machines_;
  const absl::Duration now_;
  const int load_;
  const BurstLoad& bursts_;
  const double joint_;
  double enough_ = 0;  // machines' worth that must be left of a loss
  double spread_ = 0;  // standard deviation by chance, a share of it
  std::vector<int> to_survive_;  // that are tried
  int survivors_ = 0;            // that are kept
  std::vector<int> held_, unanswered_;
  std::vector<bool> risky_;     // guarded against
  std::vector<bool> hoped_;     // none is counted on there, and one may be asked for
  bool together_ = false;       // against the loss of all of them at once
  std::vector<double> missed_;  // by offer
  std::vector<int> by_risk_;    // offers that may be lost, the riskiest first
  double worth_ = 0;            // dollars an hour of all requests missed
  // Of it a machine's share, while too few serve and some would serve sooner on demand: what an hour's delay costs, as
  // if the machine ran for an hour.
  double late_ = 0;
  std::vector<int> want_, asked_;  // by offer: counted on, and what to ask for
  double rate_ = 0;                // dollars an hour of what is there, and elsewhere
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
