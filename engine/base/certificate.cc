#include "engine/base/certificate.h"

#include <glog/logging.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/base/openssl_ptr.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

using Role = CertificateTerms::Role;

constexpr size_t kMaxKeyBytes = 4096;
constexpr int kSerialBytes = 16;  // of 20 that RFC 5280 allows

using Bio = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using Request = std::unique_ptr<X509_REQ, OpensslDeleter<X509_REQ_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;

Bio Reader(absl::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

template <typename Write>
std::string Written(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  CHECK_EQ(write(bio.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

// Without it OpenSSL would ask the terminal for an encrypted text's password.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<Key> ReadKey(const std::string& text) {
  Key key;
  if (text.size() <= kMaxKeyBytes) key.reset(PEM_read_bio_PrivateKey(Reader(text).get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return absl::InvalidArgumentError("it is no private key in PEM");
  return key;
}

absl::StatusOr<Certificate> ReadCertificate(absl::string_view text) {
  Certificate certificate;
  if (text.size() <= kMaxCertificateBytes) {
    certificate.reset(PEM_read_bio_X509(Reader(text).get(), nullptr, NoPassword, nullptr));
  }
  if (certificate == nullptr) return absl::InvalidArgumentError("it is no certificate in PEM");
  return certificate;
}

// Any other kind of key could cost much to check.
bool IsP256(const EVP_PKEY* key) {
  char group[32];
  size_t length = 0;
  return key != nullptr && EVP_PKEY_is_a(key, "EC") &&
         EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         absl::string_view(group, length) == SN_X9_62_prime256v1;
}

absl::StatusOr<Request> ReadRequest(absl::string_view bytes) {
  Request request;
  const auto* position = reinterpret_cast<const unsigned char*>(bytes.data());
  if (bytes.size() <= kMaxRequestBytes) {
    request.reset(d2i_X509_REQ(nullptr, &position, static_cast<long>(bytes.size())));
  }
  if (request == nullptr) return absl::InvalidArgumentError("it is no request for a certificate");
  EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
  if (!IsP256(key)) return absl::InvalidArgumentError("its key is no P-256 key");
  if (X509_REQ_verify(request.get(), key) != 1) return absl::InvalidArgumentError("its key has not signed it");
  return request;
}

// `issuer`: nullptr: itself.
void Add(X509* certificate, const X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509* const signer = issuer == nullptr ? certificate : const_cast<X509*>(issuer);  // it is only read
  X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void AddName(GENERAL_NAMES* names, int kind, const std::string& name) {
  GENERAL_NAME* const general = GENERAL_NAME_new();
  ASN1_IA5STRING* const text = ASN1_IA5STRING_new();
  CHECK_EQ(ASN1_STRING_set(text, name.data(), static_cast<int>(name.size())), 1);
  GENERAL_NAME_set0_value(general, kind, text);
  CHECK_GT(sk_GENERAL_NAME_push(names, general), 0);
}

// Not from a line of text, of which a part of a name could be taken for more.
void AddNames(X509* certificate, const CertificateTerms& terms) {
  const Names names(GENERAL_NAMES_new());
  AddName(names.get(), GEN_URI, terms.name);
  if (!terms.host.empty()) AddName(names.get(), GEN_DNS, terms.host);
  CHECK_EQ(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT), 1);
}

// `issuer`: nullptr: itself. RFC 5280, 4.1 and 4.2.
std::string Signed(EVP_PKEY* subject, const X509* issuer, EVP_PKEY* issuer_key, const CertificateTerms& terms) {
  const Certificate certificate(X509_new());
  X509* const raw = certificate.get();
  CHECK_EQ(X509_set_version(raw, X509_VERSION_3), 1);
  unsigned char serial[kSerialBytes];
  CHECK_EQ(RAND_bytes(serial, sizeof serial), 1);
  serial[0] &= 0x7f;  // positive
  BIGNUM* const number = BN_bin2bn(serial, sizeof serial, nullptr);
  CHECK(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(raw)) != nullptr);
  BN_free(number);
  CHECK(ASN1_TIME_set(X509_getm_notBefore(raw), absl::ToTimeT(terms.not_before)) != nullptr);
  CHECK(ASN1_TIME_set(X509_getm_notAfter(raw), absl::ToTimeT(terms.not_after)) != nullptr);
  CHECK_EQ(X509_set_pubkey(raw, subject), 1);
  X509_NAME* const name = X509_get_subject_name(raw);
  const char* const kind = terms.role == Role::kAuthority ? "spotinference authority" : "spotinference";
  const auto* const text = reinterpret_cast<const unsigned char*>(kind);
  CHECK_EQ(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0), 1);
  CHECK_EQ(X509_set_issuer_name(raw, issuer == nullptr ? name : X509_get_subject_name(issuer)), 1);
  AddNames(raw, terms);
  Add(raw, issuer, NID_subject_key_identifier, "hash");
  Add(raw, issuer, NID_authority_key_identifier, "keyid:always");
  if (terms.role == Role::kAuthority) {
    Add(raw, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    Add(raw, issuer, NID_key_usage, "critical,keyCertSign");
  } else {
    Add(raw, issuer, NID_basic_constraints, "critical,CA:FALSE");
    Add(raw, issuer, NID_key_usage, "critical,digitalSignature");
    Add(raw, issuer, NID_ext_key_usage, terms.role == Role::kServer ? "serverAuth" : "clientAuth");
  }
  CHECK_GT(X509_sign(raw, issuer_key, EVP_sha256()), 0);
  return Written([&](BIO* bio) { return PEM_write_bio_X509(bio, raw); });
}

}  // namespace

std::string NewPrivateKey() {
  const Key key(EVP_EC_gen(SN_X9_62_prime256v1));
  CHECK(key != nullptr);
  return Written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

absl::StatusOr<std::string> SelfSigned(const std::string& key, const CertificateTerms& terms) {
  ASSIGN_OR_RETURN(const Key parsed, ReadKey(key));
  return Signed(parsed.get(), nullptr, parsed.get(), terms);
}

absl::StatusOr<std::string> CertificateRequest(const std::string& key) {
  ASSIGN_OR_RETURN(const Key parsed, ReadKey(key));
  const Request request(X509_REQ_new());
  CHECK_EQ(X509_REQ_set_pubkey(request.get(), parsed.get()), 1);
  CHECK_GT(X509_REQ_sign(request.get(), parsed.get(), EVP_sha256()), 0);
  return Written([&](BIO* bio) { return i2d_X509_REQ_bio(bio, request.get()); });
}

absl::StatusOr<std::string> RequestKeyHash(absl::string_view request) {
  ASSIGN_OR_RETURN(const Request parsed, ReadRequest(request));
  const std::string key = Written([&](BIO* bio) { return i2d_PUBKEY_bio(bio, X509_REQ_get0_pubkey(parsed.get())); });
  return Sha256Hex(key);
}

absl::StatusOr<std::string> Issue(const KeyAndCertificate& authority, absl::string_view request,
                                  const CertificateTerms& terms) {
  ASSIGN_OR_RETURN(const Request parsed, ReadRequest(request));
  ASSIGN_OR_RETURN(const Key key, ReadKey(authority.key));
  ASSIGN_OR_RETURN(const Certificate issuer, ReadCertificate(authority.certificate));
  return Signed(X509_REQ_get0_pubkey(parsed.get()), issuer.get(), key.get(), terms);
}

absl::Status CheckIssued(absl::string_view certificate, const std::string& key, absl::string_view authority) {
  ASSIGN_OR_RETURN(const Certificate mine, ReadCertificate(certificate));
  ASSIGN_OR_RETURN(const Key own, ReadKey(key));
  ASSIGN_OR_RETURN(const Certificate issuer, ReadCertificate(authority));
  if (X509_check_private_key(mine.get(), own.get()) != 1) {
    return absl::InvalidArgumentError("the certificate is another key's");
  }
  if (X509_verify(mine.get(), X509_get0_pubkey(issuer.get())) != 1) {
    return absl::InvalidArgumentError("the certificate is another authority's");
  }
  return absl::OkStatus();
}

absl::Status CheckAuthority(const KeyAndCertificate& authority) {
  RETURN_IF_ERROR(CheckIssued(authority.certificate, authority.key, authority.certificate));
  ASSIGN_OR_RETURN(const Certificate parsed, ReadCertificate(authority.certificate));
  if (X509_check_ca(parsed.get()) != 1) return absl::InvalidArgumentError("the certificate may not sign others");
  return absl::OkStatus();
}

}  // namespace spotinference
