// Several providers as one: each call goes to the one that MachineSpec::provider names, or to the first where it names
// none.
#ifndef FLEET_PROVIDERS_SEVERAL_SEVERAL_PROVIDERS_H_
#define FLEET_PROVIDERS_SEVERAL_SEVERAL_PROVIDERS_H_

#include <memory>
#include <vector>

#include "fleet/providers/provider.h"

namespace spotinference::fleet {

// At least one, with different names. Its name is the first one's; machines outlive the fleet's computer if any's do.
std::unique_ptr<Provider> NewSeveralProviders(std::vector<std::unique_ptr<Provider>> providers);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_SEVERAL_SEVERAL_PROVIDERS_H_
