// What a machine type costs, out of the Cloud Billing Catalog's SKUs of Compute Engine: so much for a core, for a
// gigabyte of memory and for an accelerator, by region and market.
// https://cloud.google.com/billing/docs/reference/rest/v1/services.skus
#ifndef FLEET_PROVIDERS_GCP_GCP_PRICES_H_
#define FLEET_PROVIDERS_GCP_GCP_PRICES_H_

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "absl/time/time.h"
#include "fleet/api/offer.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

inline constexpr char kComputeEngineService[] = "6F81-5844-456A";

struct GcpMachineType {
  std::string name;  // "g2-standard-4"
  double cores = 0, gigabytes = 0;
  std::string accelerator;  // "nvidia-l4"; "": none
  int accelerators = 0;
};

class GcpPrices {
 public:
  // Takes a SKU, if it is one of these.
  void Add(const Json& sku);
  bool IsEmpty() const { return prices_.empty(); }

  struct Price {
    double dollars = 0;
    std::optional<absl::Time> since;  // nullopt: it is not told
  };
  // nullopt: a part of it has no price.
  std::optional<Price> PriceOf(const GcpMachineType& type, const std::string& region, Market market) const;

 private:
  // "G2 Core", "G2 Ram", "L4"; region; market.
  std::map<std::tuple<std::string, std::string, Market>, Price> prices_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_PRICES_H_
