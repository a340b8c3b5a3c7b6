// What a provider sells: machines of one type, in one zone, in one market.
#ifndef FLEET_API_OFFER_H_
#define FLEET_API_OFFER_H_

#include <string>

#include "absl/time/time.h"

namespace spotinference::fleet {

enum class Market { kOnDemand, kSpot };

struct Offer {
  std::string provider;  // "aws", as in the configuration
  std::string region;
  std::string zone;      // a volume lives in one
  Market market = Market::kOnDemand;
  std::string machine_type;  // the provider's word: "p3.2xlarge"
  std::string accelerator;   // "V100"; "": none
  int accelerators = 0;      // in one machine
  double price_per_hour = 0;  // US dollars, of the whole machine, as last heard
  double volume_per_hour = 0;  // the same of its volume, which costs as much without it; 0: nothing, or nobody knows
};

// Of a machine that runs on.
struct PriceChange {
  absl::Time since;  // by its cloud's clock
  double per_hour = 0;
};

// Machines of both come and go together: they are alike but for the price.
inline bool SamePlace(const Offer& a, const Offer& b) {
  return a.provider == b.provider && a.zone == b.zone && a.market == b.market && a.machine_type == b.machine_type;
}

// "on_demand" or "spot", as in metrics and routes.
inline const char* MarketName(Market market) { return market == Market::kSpot ? "spot" : "on_demand"; }

}  // namespace spotinference::fleet

#endif  // FLEET_API_OFFER_H_
