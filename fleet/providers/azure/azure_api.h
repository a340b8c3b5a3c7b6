// Azure's virtual machines by the Resource Manager: https://learn.microsoft.com/rest/api/compute/
//
// A hibernated machine is a deallocated one. Spot machines are deallocated when they are evicted, and then deleted
// here. Whether there is capacity is often heard of from the operation, after the call. A zone is called
// LOCATION-NUMBER. Prices: the Retail Prices API, without a key.
#ifndef FLEET_PROVIDERS_AZURE_AZURE_API_H_
#define FLEET_PROVIDERS_AZURE_AZURE_API_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

struct AzureOptions {
  std::string subscription;
  std::string resource_group;  // in which all is made, and which is there already
  std::string location;        // "eastus"
  std::vector<std::string> zones = {"1", "2", "3"};
  std::vector<std::string> vm_sizes;
  std::vector<Market> markets = {Market::kSpot, Market::kOnDemand};
  std::string name_prefix;                                // what is ours, CloudNames::Prefix()
  std::string subnet;                                     // resource id
  std::string ssh_public_key;                             // Azure wants one; nothing of ours uses it
  std::string image = "Debian:debian-12:12-gen2:latest";  // PUBLISHER:OFFER:SKU:VERSION
  int volume_gigabytes = 100;
  std::string volume_type = "Premium_LRS";
  bool public_address = false;
  std::string endpoint = "https://management.azure.com";
  std::string login = "https://login.microsoftonline.com";
  std::string prices = "https://prices.azure.com";
};

// `clock` outlives it.
std::unique_ptr<CloudApi> NewAzureApi(AzureOptions options, const Clock& clock);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_API_H_
