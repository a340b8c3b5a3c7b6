// Which machines to buy and to let go for each model: keeps what providers sell, what the market has shown
// (market_memory.h) and each model's load (demand.h), and asks Place (placement.h) with them.
//
// What Place would end is kept for as long as a new one takes to come: it costs at most as much again as to be without
// it (the ski-rental rule, as in idle_timeout.h), and machines do not come and go with every doubt.
//
// Places are compared by what they have cost of late, a mean that forgets within half an hour: a price that comes and
// goes would else be run after, at the cost of a start each time.
//
// A machine whose price has been above Wish::max_price for ten minutes is replaced, as one at risk is: it goes when
// enough others serve. Where none within the price has come for half an hour it goes without. A price that falls back in
// between begins anew. Clouds are told no maximum price: EC2 ("SpotMarketOptions") does not recommend one, since it
// makes for more interruptions, and Azure ("BillingProfile", maxPrice) evicts by it; both without regard to answers, at
// the first moment, where half an hour of the difference in price is cents.
//
// Where there is one offer, or none is known yet, nothing is to be chosen and the caller does without.
//
// Not thread-safe; no clock. Times are Clock::Elapsed() and never step back.
#ifndef FLEET_PLAN_BUYER_H_
#define FLEET_PLAN_BUYER_H_

#include <limits>
#include <map>
#include <string>
#include <tuple>
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
  std::vector<Offer> not_again;                                // places where starts of this wake have failed
  std::vector<Offer> hibernated;                               // places where it has a machine that can be restored
  ServiceTarget target;
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
  // What the model's requests are doing, and what its machines take to come.
  struct Load {
    int waiting = 0;
    absl::Duration start;  // from asking for a machine until it serves, as measured or expected
    // Longer, where its volume has no weights yet. Until they have been downloaded once nobody knows how long that
    // takes; a model of some gigabytes takes minutes.
    absl::Duration fill = absl::Minutes(3);
    double dollars_elsewhere = 0;  // an hour, of other models' machines: they spend the same budget
  };
  struct Decision {
    std::vector<std::pair<Offer, std::string>> launches;  // and why
    std::vector<std::pair<std::string, std::string>> ends;  // machine, why
    int machines = 0;  // that are there, not ended, and launched
    absl::Duration next = absl::InfiniteDuration();  // when there may be another
    std::string why_none;  // where nothing may be bought: in words
  };

  // Why the account may not have another machine.
  struct Bar {
    std::string why;        // "": it may
    bool restores = false;  // nor start one that is hibernated there
  };
  // All that is sold, in place of what was told before. `bars`: of some of it, by index.
  void SetOffers(std::vector<Offer> offers, std::map<size_t, Bar> bars = {});

  // As is known now: the offer's price may have changed since the machine was bought.
  const Offer& Current(const Offer& offer) const;

  // Of a machine like that one, in its zone or else where it costs least; 0: nobody sells one so.
  double OnDemandPrice(const Offer& offer) const;

  // Some offer that the wish allows costs nothing.
  bool HasFreeOffer(const Wish& wish) const;

  // Some offer that the wish allows is not known to have no machine.
  bool HasOpenOffer(const Wish& wish, double dollars_left, absl::Duration now) const;

  // There is a choice.
  bool chooses() const { return sold_.size() > 1; }
  bool knows_offers() const { return !sold_.empty(); }
  // Where there is none: why the wish forbids the one offer, or any while none is known; "" where it does not.
  std::string WhyNotTheOnly(const Wish& wish, double dollars_left) const;

  // What became of machines; see MarketMemory.
  void Began(const Offer& offer, absl::Duration now) { memory_.Began(Domain(offer), now); }
  void Ended(const Offer& offer, absl::Duration now) { memory_.Ended(Domain(offer), now); }
  void Lost(const Offer& offer, absl::Duration serves_until, absl::Duration now) {
    memory_.Lost(Domain(offer), serves_until, now);
  }
  void StockOut(const Offer& offer, absl::Duration now) { memory_.StockOut(Domain(offer), now); }

  // How a request fared.
  struct Answer {
    absl::Duration queued;  // until it had a machine
    absl::Duration waited;  // for its first token, or in vain
    bool refused = false;
    bool awake = true;  // the model was, when it came
  };

  void Arrived(absl::string_view model, const Wish& wish, absl::Duration now);  // a request
  void Served(absl::string_view model, absl::Duration took, absl::Duration now);  // an answer, which ran for `took`
  void Answered(absl::string_view model, const Wish& wish, const Answer& answer, absl::Duration now);

  // What another life of the process is to know: of the market, and of each model's error budget. Times are
  // Clock::Elapsed(), or moved by the same for all.
  struct Memory {
    struct Place {
      std::string provider, zone;
      Market market = Market::kOnDemand;
      std::string machine_type;
      MarketMemory::Domain seen;
    };
    std::vector<Place> places;
    MarketMemory::Common common;
    std::map<std::string, ErrorBudget::Kept> budgets;  // by model

    void Move(absl::Duration by);
  };
  Memory Kept(absl::Duration now) const;
  void Recall(const Memory& memory, absl::Duration now);

  // For a model that is awake: needs a machine at least. `dollars_left`: see PlacementLimits. `filled`: volumes of the
  // model that no machine has, by where they are.
  Decision Decide(absl::string_view model, const Wish& wish, const Load& load, absl::Span<const Machine> machines,
                  absl::Span<const Offer> filled, double dollars_left, absl::Duration now);

 private:
  // Provider, zone, market, machine type: where machines come and go together.
  using DomainKey = std::tuple<std::string, std::string, Market, std::string>;
  class Choice;
  struct OnSale {
    Offer offer;
    int domain = 0;
    Bar bar;
  };
  static absl::string_view WhyNot(const Wish& wish, const OnSale& sold, double dollars_left);
  int Domain(const Offer& offer);
  void NotePrices(absl::Duration now);
  double LatePrice(const Offer& offer, int domain) const;
  const Offer* Sold(const Offer& like, Market market) const;  // nullptr: not now
  LoadForecast& ForecastOf(absl::string_view model, const Wish& wish);
  std::map<std::string, absl::Duration> NoteDear(absl::string_view model, const Wish& wish,
                                                 absl::Span<const Machine> machines, absl::Duration now);
  // Ends what may not run on for its price, whatever else there is; returns the others.
  std::vector<const Machine*> EndWhatCosts(const Wish& wish, const std::map<std::string, absl::Duration>& dear,
                                           absl::Span<const Machine> machines, double dollars_left, absl::Duration now,
                                           Decision& decision) const;
  void AddWhatMayBeBought(const Wish& wish, double dollars_left, Choice& choice, Decision& decision) const;
  // Ends what Place would end and nobody has wanted for as long as a start takes. `spare`: so many more serve than are
  // needed.
  void EndSurplus(absl::string_view model, const Placement& placement, const std::vector<const Machine*>& kept,
                  const std::map<std::string, absl::Duration>& dear, int spare, absl::Duration start,
                  absl::Duration now, Decision& decision);

  std::map<DomainKey, int, std::less<>> domains_;
  std::vector<OnSale> sold_;
  std::vector<int> by_domain_;  // index into sold_; -1: not sold now
  std::map<std::tuple<std::string, std::string>, double, std::less<>> least_on_demand_;  // by provider, machine type
  struct Late {
    double mean = 0, latest = 0;
    absl::Duration at = -absl::InfiniteDuration();
  };
  std::vector<Late> late_;  // prices, by domain
  MarketMemory memory_;
  std::map<std::string, LoadForecast, std::less<>> forecasts_;
  struct Service {
    ErrorBudget budget;
    bool wakes = true;  // since it slept no request has been answered at once: where machines are helps nobody
  };
  std::map<std::string, Service, std::less<>> services_;
  // By model: machines that Place would end, and since when.
  std::map<std::string, std::map<std::string, absl::Duration>> surplus_;
  std::map<std::string, std::map<std::string, absl::Duration>> dear_;  // the same of those above their max_price
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_BUYER_H_
