// What a provider sells: machines of one type, in one zone, in one market.
#ifndef FLEET_API_OFFER_H_
#define FLEET_API_OFFER_H_

#include <string>

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
};

}  // namespace spotinference::fleet

#endif  // FLEET_API_OFFER_H_
