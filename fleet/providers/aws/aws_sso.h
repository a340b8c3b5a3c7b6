// Keys of who has signed in with `aws sso login` (IAM Identity Center): by the token that it leaves in a file.
// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
#ifndef FLEET_PROVIDERS_AWS_AWS_SSO_H_
#define FLEET_PROVIDERS_AWS_AWS_SSO_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/providers/aws/aws_key.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

struct AwsSso {
  std::string session;  // "": without one, and then nobody renews the token
  std::string start_url;
  std::string region;
  std::string account, role;
  std::string portal, oidc;  // where the services are
};

struct AwsSsoToken {
  std::string access_token;
  absl::Time expires;
  std::string client_id, client_secret, refresh_token;  // "": it cannot be renewed
  std::string registration_expires_text;                // of the client, as it is written
  absl::Time registration_expires = absl::InfinitePast();
};

// Of the file's text; nullopt: it is none.
std::optional<AwsSsoToken> ParseSsoToken(absl::string_view text);

// Where the token is, in the folder ~/.aws/sso/cache.
std::string SsoTokenPath(const AwsSso& sso);

// UNAUTHENTICATED: nobody has signed in, or that is over, or there is no such role. UNAVAILABLE: the service does not
// say. A token that was renewed is written to its file, for others.
absl::StatusOr<AwsTimedKey> SsoKey(CloudHttp& http, const AwsSso& sso, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_SSO_H_
