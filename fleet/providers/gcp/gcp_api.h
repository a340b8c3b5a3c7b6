// Compute Engine by its REST API v1: https://cloud.google.com/compute/docs/reference/rest/v1
//
// A hibernated machine is a stopped one. Spot machines are stopped when they are preempted, and then deleted here.
// Whether there is stock is heard of from the operation, after the call. Prices: the SKUs of the Cloud Billing Catalog,
// of cores, memory and accelerators.
#ifndef FLEET_PROVIDERS_GCP_GCP_API_H_
#define FLEET_PROVIDERS_GCP_GCP_API_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

struct GcpOptions {
  std::string project;
  std::vector<std::string> zones;
  std::vector<std::string> machine_types;  // with accelerators of their own: g2-…, a2-…, a3-…
  std::vector<Market> markets = {Market::kSpot, Market::kOnDemand};
  std::string name_prefix;  // what is ours, CloudNames::Prefix()
  std::string image = "projects/debian-cloud/global/images/family/debian-12";
  std::string network = "global/networks/default";
  int volume_gigabytes = 100;
  std::string volume_type = "pd-balanced";
  bool public_address = false;
  std::string endpoint = "https://compute.googleapis.com";
  std::string billing_endpoint = "https://cloudbilling.googleapis.com";
};

// `clock` outlives it.
std::unique_ptr<CloudApi> NewGcpApi(GcpOptions options, const Clock& clock);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_API_H_
