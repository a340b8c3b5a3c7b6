// Keys and X.509 certificates (RFC 5280) of a small authority of one's own, by OpenSSL: P-256, SHA-256. Keys and
// certificates are PEM; a request (RFC 2986) is DER, as it comes over the wire.
#ifndef ENGINE_BASE_CERTIFICATE_H_
#define ENGINE_BASE_CERTIFICATE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference {

inline constexpr size_t kMaxRequestBytes = 2048;      // one of a P-256 key has some 200
inline constexpr size_t kMaxCertificateBytes = 8192;  // one of ours has some 700

struct KeyAndCertificate {
  std::string key;  // never logged
  std::string certificate;
};

struct CertificateTerms {
  enum class Role {
    kAuthority,  // may sign others
    kServer,     // is dialled; as a client it is refused
    kClient,     // dials; as a server it is refused
  };
  Role role = Role::kServer;
  std::string name;  // a URI (subjectAltName)
  absl::Time not_before, not_after;
  std::string host = "";  // another name, as TLS has it in a client's first word; "": none
};

std::string NewPrivateKey();

// A certificate for the key that says so itself. INVALID_ARGUMENT: it is no private key.
absl::StatusOr<std::string> SelfSigned(const std::string& key, const CertificateTerms& terms);

// That the holder of `key` wants a certificate; names nobody. INVALID_ARGUMENT as above.
absl::StatusOr<std::string> CertificateRequest(const std::string& key);

// SHA-256, in hex, of the public key (SubjectPublicKeyInfo) of whoever signed the request. INVALID_ARGUMENT: it is no
// request, is longer than kMaxRequestBytes, is not signed by the key that it has, or that is no P-256 key.
absl::StatusOr<std::string> RequestKeyHash(absl::string_view request);

// For the request's key; of the request nothing else counts. INVALID_ARGUMENT as above.
absl::StatusOr<std::string> Issue(const KeyAndCertificate& authority, absl::string_view request,
                                  const CertificateTerms& terms);

// Whether `certificate` is one of `authority`'s, for `key`, whatever the time. INVALID_ARGUMENT: it is not.
absl::Status CheckIssued(absl::string_view certificate, const std::string& key, absl::string_view authority);

// Ditto of an authority's own: fit to sign with. INVALID_ARGUMENT: it is not.
absl::Status CheckAuthority(const KeyAndCertificate& authority);

}  // namespace spotinference

#endif  // ENGINE_BASE_CERTIFICATE_H_
