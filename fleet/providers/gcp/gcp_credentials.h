// Access tokens for Google's APIs by application default credentials: the file GOOGLE_APPLICATION_CREDENTIALS, which
// has to be there; that of `gcloud auth application-default login`, in CLOUDSDK_CONFIG or ~/.config/gcloud; or the
// service account of the machine that this runs on, whose metadata server is at GCE_METADATA_HOST or
// metadata.google.internal. Files are of type service_account, authorized_user, external_account,
// external_account_authorized_user, or impersonated_service_account over one of these. What an address in one gets is
// sent by https alone, or to loopback.
// https://googleapis.dev/python/google-auth/latest/reference/google.auth.environment_vars.html
#ifndef FLEET_PROVIDERS_GCP_GCP_CREDENTIALS_H_
#define FLEET_PROVIDERS_GCP_GCP_CREDENTIALS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/providers/cloud/bearer_token.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

// Thread-safe.
class GcpCredentials {
 public:
  // `clock` outlives it.
  explicit GcpCredentials(const Clock& clock) : clock_(clock), token_(clock), commands_(clock) {}

  // UNAUTHENTICATED: none of the places has any, or what it has is refused. UNAVAILABLE: the one that may does not say.
  // CANCELLED.
  absl::StatusOr<std::string> Get(CloudHttp& http);
  void Drop() { token_.Drop(); }
  void Cancel() { commands_.Cancel(); }  // of programs that are asked; CloudHttp has its own

 private:
  const Clock& clock_;
  BearerToken token_;
  Commands commands_;
};

// The signed assertion of a service account (RFC 7523; RS256). `key`: the private key's PEM. INVALID_ARGUMENT: it is
// none.
absl::StatusOr<std::string> ServiceAccountJwt(absl::string_view email, absl::string_view key_id, absl::string_view key,
                                              absl::string_view audience, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_CREDENTIALS_H_
