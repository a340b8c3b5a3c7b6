// Access tokens for Azure's management API, from the first of these places that is there, in the order of Azure's own
// libraries (DefaultAzureCredential):
//   AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET
//   the same two and AZURE_CLIENT_CERTIFICATE_PATH: PEM with a certificate and its RSA key, which
//     AZURE_CLIENT_CERTIFICATE_PASSWORD opens if it is encrypted
//   the same two and AZURE_FEDERATED_TOKEN_FILE: workload identity, as in Kubernetes
//   the managed identity of App Service and Container Apps: IDENTITY_ENDPOINT and IDENTITY_HEADER
//   the managed identity of the machine that this runs on, whose metadata service is at
//     AZURE_POD_IDENTITY_AUTHORITY_HOST or http://169.254.169.254; AZURE_CLIENT_ID says which of several
//   `az`, if it is in PATH and somebody has logged in with it
// Only a metadata service that is not there, or knows of no identity, is passed over: what is named and does not work
// is an error.
// https://learn.microsoft.com/python/api/overview/azure/identity-readme
#ifndef FLEET_PROVIDERS_AZURE_AZURE_CREDENTIALS_H_
#define FLEET_PROVIDERS_AZURE_AZURE_CREDENTIALS_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "fleet/providers/cloud/bearer_token.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

inline constexpr char kAzureLogin[] = "https://login.microsoftonline.com";

// Thread-safe.
class AzureCredentials {
 public:
  // `clock` outlives it. `login`: of Microsoft Entra ID; where it is the public one, AZURE_AUTHORITY_HOST may say
  // another.
  AzureCredentials(const Clock& clock, std::string login)
      : clock_(clock), token_(clock), login_(std::move(login)), commands_(clock) {}

  // UNAUTHENTICATED: none is there, or what there is is refused. UNAVAILABLE: the one that may does not say; a
  // metadata service that is being updated answers 404 or 410. CANCELLED.
  absl::StatusOr<std::string> Get(CloudHttp& http);
  void Drop() { token_.Drop(); }
  void Cancel() { commands_.Cancel(); }  // of programs that are asked; CloudHttp has its own

 private:
  // `place` becomes where the credentials are, for people.
  absl::StatusOr<HttpResponse> Ask(CloudHttp& http, std::string& place);

  const Clock& clock_;
  BearerToken token_;
  const std::string login_;
  Commands commands_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_CREDENTIALS_H_
