// The login of the Azure CLI, on somebody's own computer.
// https://learn.microsoft.com/cli/azure/account#az-account-get-access-token
#ifndef FLEET_PROVIDERS_AZURE_AZURE_CLI_H_
#define FLEET_PROVIDERS_AZURE_AZURE_CLI_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/base/http_client.h"
#include "fleet/providers/cloud/command.h"

namespace spotinference::fleet {

bool HasAzureCli();  // there is an `az` in PATH

// What it writes, as if it were a service's answer. `tenant`: "": the login's own. UNAUTHENTICATED: it has none.
// UNAVAILABLE: it does not end. CANCELLED.
absl::StatusOr<HttpResponse> AskAzureCli(const std::string& tenant, Commands& commands);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_CLI_H_
