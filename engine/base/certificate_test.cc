#include "engine/base/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Role = CertificateTerms::Role;

const absl::Time kNow = absl::FromUnixSeconds(1767225600);

CertificateTerms Terms(Role role, std::string name = "spotinference:x") {
  return {role, std::move(name), kNow - absl::Hours(1), kNow + absl::Hours(1)};
}

KeyAndCertificate NewAuthority() {
  const std::string key = NewPrivateKey();
  return {key, *SelfSigned(key, Terms(Role::kAuthority))};
}

std::unique_ptr<X509, decltype(&X509_free)> Parse(const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return {certificate, X509_free};
}

// OpenSSL's own word on a chain: as who dials or is dialled, at a time.
bool Verifies(const KeyAndCertificate& authority, const std::string& certificate, int purpose, absl::Time at) {
  const auto root = Parse(authority.certificate), leaf = Parse(certificate);
  X509_STORE* const store = X509_STORE_new();
  X509_STORE_add_cert(store, root.get());
  X509_STORE_CTX* const context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
  X509_STORE_CTX_set_purpose(context, purpose);
  X509_STORE_CTX_set_time(context, 0, absl::ToTimeT(at));
  X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
  const bool good = X509_verify_cert(context) == 1;
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return good;
}

TEST(CertificateTest, IsGoodForItsRoleAndTimeAlone) {
  const KeyAndCertificate authority = NewAuthority(), stranger = NewAuthority();
  const std::string request = *CertificateRequest(NewPrivateKey());
  const std::string server = *Issue(authority, request, Terms(Role::kServer));
  const std::string client = *Issue(authority, request, Terms(Role::kClient));
  EXPECT_TRUE(Verifies(authority, server, X509_PURPOSE_SSL_SERVER, kNow));
  EXPECT_TRUE(Verifies(authority, client, X509_PURPOSE_SSL_CLIENT, kNow));
  EXPECT_FALSE(Verifies(authority, server, X509_PURPOSE_SSL_CLIENT, kNow));
  EXPECT_FALSE(Verifies(authority, client, X509_PURPOSE_SSL_SERVER, kNow));
  EXPECT_FALSE(Verifies(stranger, server, X509_PURPOSE_SSL_SERVER, kNow));
  EXPECT_FALSE(Verifies(authority, server, X509_PURPOSE_SSL_SERVER, kNow + absl::Hours(2)));
  EXPECT_FALSE(Verifies(authority, server, X509_PURPOSE_SSL_SERVER, kNow - absl::Hours(2)));
}

TEST(CertificateTest, AMachineSignsNobody) {
  const KeyAndCertificate authority = NewAuthority();
  const std::string key = NewPrivateKey();
  const KeyAndCertificate machine = {key, *Issue(authority, *CertificateRequest(key), Terms(Role::kServer))};
  EXPECT_FALSE(CheckAuthority(machine).ok());
  const std::string forged = *Issue(machine, *CertificateRequest(NewPrivateKey()), Terms(Role::kClient));
  const auto leaf = Parse(forged), middle = Parse(machine.certificate), root = Parse(authority.certificate);
  X509_STORE* const store = X509_STORE_new();
  X509_STORE_add_cert(store, root.get());
  STACK_OF(X509)* const chain = sk_X509_new_null();
  sk_X509_push(chain, middle.get());
  X509_STORE_CTX* const context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf.get(), chain);
  X509_STORE_CTX_set_time(context, 0, absl::ToTimeT(kNow));
  EXPECT_NE(X509_verify_cert(context), 1);
  X509_STORE_CTX_free(context);
  sk_X509_free(chain);
  X509_STORE_free(store);
}

TEST(CertificateTest, ItsNameIsOneUriWhateverIsInIt) {
  const std::string name = "spotinference:machine/org/m:1.5,DNS:gateway,URI:spotinference:gateway";
  const std::string certificate =
      *Issue(NewAuthority(), *CertificateRequest(NewPrivateKey()), Terms(Role::kServer, name));
  const auto parsed = Parse(certificate);
  auto* const names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(parsed.get(), NID_subject_alt_name, nullptr, nullptr));
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 1);
  int kind = 0;
  const GENERAL_NAME* const only = sk_GENERAL_NAME_value(names, 0);
  const auto* const text = static_cast<ASN1_IA5STRING*>(GENERAL_NAME_get0_value(only, &kind));
  EXPECT_EQ(kind, GEN_URI);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), ASN1_STRING_length(text)), name);
  GENERAL_NAMES_free(names);
}

TEST(CertificateTest, ARequestIsItsKeyHoldersOwn) {
  const std::string key = NewPrivateKey();
  const std::string request = *CertificateRequest(key);
  EXPECT_EQ(*RequestKeyHash(request), *RequestKeyHash(*CertificateRequest(key)));
  EXPECT_NE(*RequestKeyHash(request), *RequestKeyHash(*CertificateRequest(NewPrivateKey())));
  EXPECT_LE(request.size(), kMaxRequestBytes);
  for (size_t i = 0; i < request.size(); ++i) {
    std::string damaged = request;
    damaged[i] ^= 1;
    EXPECT_FALSE(RequestKeyHash(damaged).ok()) << "byte " << i;
  }
  const std::string longest(kMaxRequestBytes, 'x');
  for (const std::string& wrong : {std::string(), request.substr(0, 50), request + longest}) {
    EXPECT_TRUE(absl::IsInvalidArgument(RequestKeyHash(wrong).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(Issue(NewAuthority(), wrong, Terms(Role::kServer)).status()));
  }
}

TEST(CertificateTest, OtherKindsOfKeysAreRefused) {
  for (EVP_PKEY* const key : {EVP_RSA_gen(2048), EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")}) {
    X509_REQ* const request = X509_REQ_new();
    X509_REQ_set_pubkey(request, key);
    const bool hashes = !EVP_PKEY_is_a(key, "ED25519");
    ASSERT_GT(X509_REQ_sign(request, key, hashes ? EVP_sha256() : nullptr), 0);
    unsigned char* bytes = nullptr;
    const int size = i2d_X509_REQ(request, &bytes);
    EXPECT_FALSE(RequestKeyHash(std::string(reinterpret_cast<char*>(bytes), size)).ok());
    OPENSSL_free(bytes);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
  }
}

TEST(CertificateTest, ChecksWhoseItIs) {
  const KeyAndCertificate authority = NewAuthority(), stranger = NewAuthority();
  EXPECT_TRUE(CheckAuthority(authority).ok());
  EXPECT_FALSE(CheckAuthority({authority.key, stranger.certificate}).ok());
  EXPECT_FALSE(CheckAuthority({"", ""}).ok());
  const std::string key = NewPrivateKey();
  const std::string mine = *Issue(authority, *CertificateRequest(key), Terms(Role::kServer));
  const std::string other = *Issue(authority, *CertificateRequest(NewPrivateKey()), Terms(Role::kServer));
  EXPECT_TRUE(CheckIssued(mine, key, authority.certificate).ok());
  EXPECT_FALSE(CheckIssued(other, key, authority.certificate).ok());
  EXPECT_FALSE(CheckIssued(mine, key, stranger.certificate).ok());
  EXPECT_FALSE(CheckIssued(*SelfSigned(key, Terms(Role::kServer)), key, authority.certificate).ok());
  EXPECT_FALSE(CheckIssued(std::string(kMaxCertificateBytes + 1, 'x'), key, authority.certificate).ok());
}

}  // namespace
}  // namespace spotinference
