// Tokens for who is known to somebody else than Google: workload identity federation (files of type external_account)
// and people of a workforce pool (external_account_authorized_user).
// https://google.aip.dev/auth/4117
#ifndef FLEET_PROVIDERS_GCP_GCP_EXTERNAL_ACCOUNT_H_
#define FLEET_PROVIDERS_GCP_GCP_EXTERNAL_ACCOUNT_H_

#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/base/http_client.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

// `file` is of that type. UNAUTHENTICATED: it wants a field, or what it names has no token to show.
absl::StatusOr<HttpResponse> AskExternalAccount(const Json& file, const Clock& clock, Commands& commands,
                                                CloudHttp& http);
absl::StatusOr<HttpResponse> AskExternalUser(const Json& file, CloudHttp& http);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_EXTERNAL_ACCOUNT_H_
