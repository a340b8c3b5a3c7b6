// Which machines to buy and to let go for each model: keeps what providers sell, what the market has shown (market_memory.h)
// and each model's load (demand.h), and asks Place (placement.h) with them.
//
// Where there is one offer, or none is known yet, nothing is to be chosen and the caller does without.
//
// Not thread-safe; no clock. Times are Clock::Elapsed() and never step back.
#ifndef FLEET_PLAN_BUYER_H_
#define FLEET_PLAN_BUYER_H_

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "fleet/api/offer.h"
#include "fleet/plan/demand.h"
#include "fleet/plan/market_memory.h"
#include "fleet/plan/placement.h"

namespace spotinference::fleet {

// What a model's machines may be.
struct Wish {
  int min_machines = 0;
  int max_machines = 1;
  int streams = 16;  // answers that one machine runs at a time
  double max_price = std::numeric_limits<double>::infinity();  // dollars an hour of one machine
  std::vector<std::string> accelerators, regions;              // none: any
  std::vector<Market> markets;                                 // none: any
};

class Buyer {
 public:
  // A machine of the model's that is neither drained nor taken.
  struct Machine {
    std::string id;
    Offer offer;
    bool exists = false;  // else the provider has not said whether it has one
    bool serves = false;
    bool at_risk = false;
  };
  // What the model's requests are doing.
  struct Load {
    int waiting = 0;
    absl::Duration start;  // from asking for a machine until it serves, as measured or expected
  };
  struct Decision {
    std::vector<std::pair<Offer, std::string>> launches;  // and why
    std::vector<std::pair<std::string, std::string>> ends;  // machine, why
    int machines = 0;  // that are there, not ended, and launched
    absl::Duration next = absl::InfiniteDuration();  // when a closed offer may have opened
    std::string why_none;  // where nothing may be bought: in words
  };

  // All that is sold, in place of what was told before.
  void SetOffers(std::vector<Offer> offers);

  // As is known now: the offer's price may have changed since the machine was bought.
  const Offer& Current(const Offer& offer) const;

  // Some offer that the wish allows costs nothing.
  bool HasFreeOffer(const Wish& wish) const;

  // There is a choice.
  bool chooses() const { return offers_.size() > 1; }
  bool knows_offers() const { return !offers_.empty(); }
  // Where there is none: why the wish forbids the one offer, or any while none is known; "" where it does not.
  std::string WhyNotTheOnly(const Wish& wish, double dollars_left) const;

  // What became of machines; see MarketMemory.
  void Began(const Offer& offer, absl::Duration now) { memory_.Began(Domain(offer), now); }
  void Ended(const Offer& offer, absl::Duration now) { memory_.Ended(Domain(offer), now); }
  void Lost(const Offer& offer, absl::Duration serves_until, absl::Duration now) {
    memory_.Lost(Domain(offer), serves_until, now);
  }
  void StockOut(const Offer& offer, absl::Duration now) { memory_.StockOut(Domain(offer), now); }

  void Arrived(absl::string_view model, const Wish& wish, absl::Duration now);  // a request
  void Served(absl::string_view model, absl::Duration took, absl::Duration now);  // an answer, which ran for `took`
  // A request got its machine, or was refused one, after it had waited; not of requests that came while the model slept.
  void Answered(absl::string_view model, absl::Duration waited, bool refused, absl::Duration now);

  // For a model that is awake: needs a machine at least. `dollars_left`: see PlacementLimits. `filled`: volumes of the model
  // that no machine has, by where they are.
  Decision Decide(absl::string_view model, const Wish& wish, const Load& load, absl::Span<const Machine> machines,
                  absl::Span<const Offer> filled, double dollars_left, absl::Duration now);

 private:
  // Provider, zone, market, machine type: where machines come and go together.
  using DomainKey = std::pair<std::pair<std::string, std::string>, std::pair<Market, std::string>>;
  static DomainKey KeyOf(const Offer& offer);
  int Domain(const Offer& offer);
  LoadForecast& ForecastOf(absl::string_view model, const Wish& wish, absl::Duration start);

  std::map<DomainKey, Offer> offers_;
  std::map<DomainKey, int> domains_;
  MarketMemory memory_;
  std::map<std::string, LoadForecast, std::less<>> forecasts_;
  std::map<std::string, ErrorBudget, std::less<>> budgets_;
  const ServiceTarget target_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_BUYER_H_
