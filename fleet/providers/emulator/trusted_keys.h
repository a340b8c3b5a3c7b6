// Whose signed assertions the emulated clouds' token services take.
#ifndef FLEET_PROVIDERS_EMULATOR_TRUSTED_KEYS_H_
#define FLEET_PROVIDERS_EMULATOR_TRUSTED_KEYS_H_

#include <openssl/x509.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/openssl_ptr.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

class TrustedKeys {
 public:
  struct Assertion {
    Json header, claims;
    std::string issuer;
  };

  // `pem`: the certificate of who calls himself so. INVALID_ARGUMENT: it is none.
  absl::Status Trust(const std::string& issuer, absl::string_view pem);

  // Of a JWT by RS256 or PS256. INVALID_ARGUMENT: it is none. NOT_FOUND: nobody knows its issuer. PERMISSION_DENIED:
  // the signature is another's, or the header names another certificate. DEADLINE_EXCEEDED: it is over by `now`, or has
  // not begun.
  absl::StatusOr<Assertion> Check(absl::string_view jwt, absl::Time now) const;

 private:
  using Certificate = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
  std::map<std::string, Certificate> certificates_;  // by issuer
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_TRUSTED_KEYS_H_
