#include "fleet/providers/cloud/jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/openssl_ptr.h"

namespace spotinference::fleet {
namespace {

using Bio = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;
using Certificate = std::unique_ptr<X509, OpensslDeleter<X509_free>>;

constexpr size_t kLongestPem = 1 << 20;

Bio Reader(absl::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(std::min(text.size(), kLongestPem))));
}

}  // namespace

absl::StatusOr<std::string> SignJwt(absl::string_view header, absl::string_view claims, absl::string_view key,
                                    const std::string& password) {
  const absl::Cleanup forget_errors = [] { ERR_clear_error(); };
  const std::string text = absl::StrCat(absl::WebSafeBase64Escape(header), ".", absl::WebSafeBase64Escape(claims));
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  const Bio pem = Reader(key);
  // Without the last argument OpenSSL would ask a terminal for the password of an encrypted key.
  const Key private_key(
      PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, const_cast<char*>(password.c_str())));
  if (private_key == nullptr || EVP_PKEY_get_base_id(private_key.get()) != EVP_PKEY_RSA) {
    return absl::InvalidArgumentError("the private key is no RSA key in PEM, or is encrypted with another password");
  }
  const Digest digest(EVP_MD_CTX_new());
  size_t size = 0;
  if (EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, private_key.get()) != 1 ||
      EVP_DigestSign(digest.get(), nullptr, &size, bytes, text.size()) != 1) {
    return absl::InvalidArgumentError("the private key cannot sign");
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()) !=
      1) {
    return absl::InvalidArgumentError("the private key cannot sign");
  }
  signature.resize(size);
  return absl::StrCat(text, ".", absl::WebSafeBase64Escape(signature));
}

absl::StatusOr<std::string> CertificateThumbprint(absl::string_view pem) {
  const absl::Cleanup forget_errors = [] { ERR_clear_error(); };
  const Bio reader = Reader(pem);
  char no_password[] = "";
  const Certificate certificate(PEM_read_bio_X509(reader.get(), nullptr, nullptr, no_password));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (certificate == nullptr || X509_digest(certificate.get(), EVP_sha1(), digest, &size) != 1) {
    return absl::InvalidArgumentError("there is no certificate in PEM");
  }
  return absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace spotinference::fleet
