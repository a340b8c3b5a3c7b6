// Access tokens for Azure's management API: of a client secret (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET),
// or of the managed identity of the machine that this runs on, whose metadata service is at
// AZURE_POD_IDENTITY_AUTHORITY_HOST or http://169.254.169.254.
// "How to use managed identities for Azure resources on an Azure VM to acquire an access token",
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token; the variable is
// the Azure Identity libraries' own.
#ifndef FLEET_PROVIDERS_AZURE_AZURE_CREDENTIALS_H_
#define FLEET_PROVIDERS_AZURE_AZURE_CREDENTIALS_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "fleet/providers/cloud/bearer_token.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

// Thread-safe.
class AzureCredentials {
 public:
  // `clock` outlives it. `login`: of Microsoft Entra ID.
  AzureCredentials(const Clock& clock, std::string login) : token_(clock), login_(std::move(login)) {}

  // UNAUTHENTICATED: neither is there, or what there is is refused. UNAVAILABLE: the one that may does not say; a
  // metadata service that is being updated answers 404 or 410.
  absl::StatusOr<std::string> Get(CloudHttp& http);
  void Drop() { token_.Drop(); }

 private:
  absl::StatusOr<HttpResponse> Ask(CloudHttp& http) const;

  BearerToken token_;
  const std::string login_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_CREDENTIALS_H_
