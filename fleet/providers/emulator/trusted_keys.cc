#include "fleet/providers/emulator/trusted_keys.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace spotinference::fleet {
namespace {

constexpr int64_t kLateness = 300;  // seconds that clocks may differ by

bool IsSigned(X509* certificate, absl::string_view text, absl::string_view signature, bool is_pss) {
  EVP_PKEY_CTX* padding = nullptr;
  const std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>> digest(EVP_MD_CTX_new());
  if (EVP_DigestVerifyInit(digest.get(), &padding, EVP_sha256(), nullptr, X509_get0_pubkey(certificate)) != 1)
    return false;
  if (is_pss) EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  return EVP_DigestVerify(digest.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                          bytes, text.size()) == 1;
}

// "" names any; msal pads it.
bool Names(const std::string& thumbprint, X509* certificate, const EVP_MD* kind) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  std::string named;
  X509_digest(certificate, kind, digest, &size);
  return thumbprint.empty() || (absl::WebSafeBase64Unescape(thumbprint, &named) &&
                                named == absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<Json> Part(absl::string_view text) {
  std::string decoded;
  if (!absl::WebSafeBase64Unescape(text, &decoded)) return absl::InvalidArgumentError("is no JWT");
  auto json = Json::Parse(decoded);
  if (!json.ok()) return absl::InvalidArgumentError("is no JWT");
  return json;
}

}  // namespace

absl::Status TrustedKeys::Trust(const std::string& issuer, absl::string_view pem) {
  const std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return absl::InvalidArgumentError("no certificate in PEM");
  certificates_[issuer] = std::move(certificate);
  return absl::OkStatus();
}

absl::StatusOr<TrustedKeys::Assertion> TrustedKeys::Check(absl::string_view jwt, absl::Time now) const {
  const std::vector<absl::string_view> parts = absl::StrSplit(jwt, '.');
  if (parts.size() != 3) return absl::InvalidArgumentError("is no JWT");
  ASSIGN_OR_RETURN(const Json header, Part(parts[0]));
  ASSIGN_OR_RETURN(const Json claims, Part(parts[1]));
  const bool is_pss = header["alg"].Text() == "PS256";
  std::string signature;
  if ((!is_pss && header["alg"].Text() != "RS256") || !absl::WebSafeBase64Unescape(parts[2], &signature))
    return absl::InvalidArgumentError("is no JWT by RS256 or PS256");
  const auto expires = claims["exp"].Number(), begins = (claims["nbf"] ? claims["nbf"] : claims["iat"]).Number();
  if (!expires.has_value() || !begins.has_value())
    return absl::InvalidArgumentError("has no exp, or neither nbf nor iat");
  const auto known = certificates_.find(claims["iss"].Text());
  if (known == certificates_.end()) return absl::NotFoundError("its issuer is not known");
  X509* const certificate = known->second.get();
  if (!Names(header["x5t"].Text(), certificate, EVP_sha1()) ||
      !Names(header["x5t#S256"].Text(), certificate, EVP_sha256()) ||
      !IsSigned(certificate, jwt.substr(0, parts[0].size() + 1 + parts[1].size()), signature, is_pss)) {
    return absl::PermissionDeniedError("its signature is another's");
  }
  const int64_t seconds = absl::ToUnixSeconds(now);
  if (*expires < seconds || *begins > seconds + kLateness)
    return absl::DeadlineExceededError("is over, or not yet good");
  return Assertion{header, claims, claims["iss"].Text()};
}

}  // namespace spotinference::fleet
