// How a client with a certificate shows that it has its key.
// "Microsoft identity platform application authentication certificate credentials",
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
#ifndef FLEET_PROVIDERS_AZURE_AZURE_ASSERTION_H_
#define FLEET_PROVIDERS_AZURE_AZURE_ASSERTION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

// `pem`: with its certificate, and its private key, which `password` opens if it is encrypted. Good for ten minutes,
// for `token_url` alone. INVALID_ARGUMENT: one of them is not in it.
absl::StatusOr<std::string> AzureAssertion(absl::string_view client_id, absl::string_view token_url,
                                           absl::string_view pem, const std::string& password, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_ASSERTION_H_
