// Assertions of who one is, signed with one's private key (RFC 7523), as Google's and Microsoft's token endpoints take
// them.
#ifndef FLEET_PROVIDERS_CLOUD_JWT_H_
#define FLEET_PROVIDERS_CLOUD_JWT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// `header` and `claims` are JSON objects; RS256 (RFC 7515 and 7518). `key`: a text with a private key in PEM, which
// `password` opens if it is encrypted. INVALID_ARGUMENT: there is no RSA key in it, or not by this password.
absl::StatusOr<std::string> SignJwt(absl::string_view header, absl::string_view claims, absl::string_view key,
                                    const std::string& password = "");

// A JWT's header "x5t": the SHA-1 of the first certificate of a text in PEM. INVALID_ARGUMENT: there is none.
absl::StatusOr<std::string> CertificateThumbprint(absl::string_view pem);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_JWT_H_
