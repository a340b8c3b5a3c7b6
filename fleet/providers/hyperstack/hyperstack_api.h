// Hyperstack by its Infrahub API: https://docs.hyperstack.cloud/docs/api-reference/
//
// A zone is an environment. A machine that is hibernated costs its storage alone. Flavors that end in "-spot" are spot
// VMs (what is known of them: fleet/providers/README.md). There is no token that makes a create idempotent: the guard is
// the name, of which there is one at a time.
#ifndef FLEET_PROVIDERS_HYPERSTACK_HYPERSTACK_API_H_
#define FLEET_PROVIDERS_HYPERSTACK_HYPERSTACK_API_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

struct HyperstackOptions {
  std::string endpoint = "https://infrahub-api.nexgencloud.com/v1";
  std::string api_key;                    // never logged
  std::string name_prefix;                // what is ours, CloudNames::Prefix()
  std::vector<std::string> environments;  // none: all
  std::vector<std::string> flavors;       // machine types to buy; none: all with one GPU
  std::string image = "Ubuntu Server 22.04 LTS R535 CUDA 12.2";
  std::string key_name;  // of an SSH key pair, which Hyperstack wants
  int volume_gigabytes = 100;
  std::string volume_type = "Cloud-SSD";
  bool public_address = false;  // with the engine's port open to everyone, as without a rule nothing comes in
  int engine_port = 8500;
};

// `clock` outlives it.
std::unique_ptr<CloudApi> NewHyperstackApi(HyperstackOptions options, const Clock& clock = RealClock());

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_HYPERSTACK_HYPERSTACK_API_H_
