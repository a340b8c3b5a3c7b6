#include "fleet/providers/azure/azure_assertion.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/jwt.h"
#include "fleet/providers/cloud/secret.h"

namespace spotinference::fleet {

absl::StatusOr<std::string> AzureAssertion(absl::string_view client_id, absl::string_view token_url,
                                           absl::string_view pem, const std::string& password, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string thumbprint, CertificateThumbprint(pem));
  const int64_t seconds = absl::ToUnixSeconds(now);
  const std::string client = JsonString(client_id);
  return SignJwt(absl::StrCat(R"({"alg":"RS256","typ":"JWT","x5t":")", thumbprint, R"("})"),
                 absl::StrCat(R"({"aud":)", JsonString(token_url), R"(,"iss":)", client, R"(,"sub":)", client,
                              R"(,"jti":")", RandomHex(16), R"(","nbf":)", seconds, R"(,"iat":)", seconds, R"(,"exp":)",
                              seconds + 600, "}"),
                 pem, password);
}

}  // namespace spotinference::fleet
