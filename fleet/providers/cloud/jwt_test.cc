#include "fleet/providers/cloud/jwt.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/openssl_ptr.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

std::string Pem(EVP_PKEY* key, const char* password = nullptr) {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, password == nullptr ? nullptr : EVP_aes_256_cbc(), nullptr, 0, nullptr,
                           const_cast<char*>(password));
  return Text(bio);
}

std::string CertificatePem(EVP_PKEY* key, std::string& sha1) {
  X509* const certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  sha1.resize(20);
  EVP_Digest(der, size, reinterpret_cast<unsigned char*>(sha1.data()), nullptr, EVP_sha1(), nullptr);
  OPENSSL_free(der);
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  X509_free(certificate);
  return Text(bio);
}

bool IsSignedBy(EVP_PKEY* key, const std::string& text, const std::string& signature) {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key);
  const int good = EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                                    reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MD_CTX_free(context);
  return good == 1;
}

TEST(Jwt, IsSignedWithTheKey) {
  const Key key(EVP_RSA_gen(2048)), other(EVP_RSA_gen(2048));
  const auto jwt = SignJwt(R"({"alg":"RS256"})", R"({"iss":"a>>b??"})", Pem(key.get()));
  ASSERT_TRUE(jwt.ok()) << jwt.status();
  const std::vector<std::string> parts = absl::StrSplit(*jwt, '.');
  ASSERT_EQ(parts.size(), 3u);
  std::string header, claims, signature;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(parts[0], &header) && absl::WebSafeBase64Unescape(parts[1], &claims) &&
              absl::WebSafeBase64Unescape(parts[2], &signature));
  EXPECT_EQ(jwt->find_first_of("+/="), jwt->npos);
  EXPECT_EQ(header + claims, R"({"alg":"RS256"}{"iss":"a>>b??"})");
  const std::string text = absl::StrCat(parts[0], ".", parts[1]);
  EXPECT_TRUE(IsSignedBy(key.get(), text, signature));
  EXPECT_FALSE(IsSignedBy(other.get(), text, signature));
}

TEST(Jwt, KeysThatAreNoneAreRefused) {
  const Key rsa(EVP_RSA_gen(2048)), curve(EVP_EC_gen("P-256"));
  const std::string pem = Pem(rsa.get());
  for (const std::string& key : {std::string(), std::string("x"), pem.substr(0, 200), Pem(curve.get())}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SignJwt("{}", "{}", key).status())) << key;
  }
}

TEST(Jwt, AnEncryptedKeyIsOpenedByItsPasswordAlone) {
  const Key key(EVP_RSA_gen(2048));
  const std::string pem = Pem(key.get(), "open");
  EXPECT_TRUE(SignJwt("{}", "{}", pem, "open").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(SignJwt("{}", "{}", pem, "other").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(SignJwt("{}", "{}", pem).status()));
}

TEST(Jwt, ACertificateIsKnownByItsDigest) {
  const Key key(EVP_RSA_gen(2048)), other(EVP_RSA_gen(2048));
  std::string sha1, others;
  const std::string first = CertificatePem(key.get(), sha1), second = CertificatePem(other.get(), others);
  const auto thumbprint = CertificateThumbprint(absl::StrCat(Pem(key.get()), first, second));
  ASSERT_TRUE(thumbprint.ok()) << thumbprint.status();
  EXPECT_EQ(*thumbprint, absl::WebSafeBase64Escape(sha1));
  EXPECT_TRUE(absl::IsInvalidArgument(CertificateThumbprint(Pem(key.get())).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(CertificateThumbprint(first.substr(0, 100)).status()));
}

}  // namespace
}  // namespace spotinference::fleet
