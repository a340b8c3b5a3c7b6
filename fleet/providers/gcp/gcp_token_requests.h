// What Google's token services are asked, for all kinds of credentials.
#ifndef FLEET_PROVIDERS_GCP_GCP_TOKEN_REQUESTS_H_
#define FLEET_PROVIDERS_GCP_GCP_TOKEN_REQUESTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/http_client.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

inline constexpr char kGcpScope[] = "https://www.googleapis.com/auth/cloud-platform";

// An address that stands in the file's field, to which credentials go. UNAUTHENTICATED: it is no https://…, nor on this
// machine.
absl::Status CheckTokenUrl(absl::string_view url, absl::string_view field);

HttpRequest TokenForm(std::string url, std::string body);

// The same of a client with a secret, where there is one (RFC 6749, 2.3.1).
HttpRequest TokenForm(std::string url, std::string body, const std::string& client_id,
                      const std::string& client_secret);

// A token of the service account in the file's service_account_impersonation_url, by one that `source` answers; a
// refusal of that one as it is.
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
absl::StatusOr<HttpResponse> Impersonate(const HttpResponse& source, const Json& file, CloudHttp& http);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_TOKEN_REQUESTS_H_
