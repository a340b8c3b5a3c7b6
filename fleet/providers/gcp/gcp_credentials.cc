#include "fleet/providers/gcp/gcp_credentials.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/openssl_ptr.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr char kScope[] = "https://www.googleapis.com/auth/cloud-platform";
constexpr char kToken[] = "/computeMetadata/v1/instance/service-accounts/default/token";
constexpr char kNowhere[] =
    "no Google credentials: not in GOOGLE_APPLICATION_CREDENTIALS, not of gcloud auth application-default login, and "
    "this is no machine with a service account";

using Bio = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;

// "": there is none.
std::string ReadFile() {
  const char* const named = std::getenv("GOOGLE_APPLICATION_CREDENTIALS");
  const char* const home = std::getenv("HOME");
  std::string path = named == nullptr ? "" : named;
  if (path.empty() && home != nullptr)
    path = absl::StrCat(home, "/.config/gcloud/application_default_credentials.json");
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

HttpRequest Form(std::string url, std::string body) {
  HttpRequest request = {.method = "POST", .url = std::move(url), .body = std::move(body)};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.timeout = absl::Seconds(20);
  return request;
}

}  // namespace

absl::StatusOr<std::string> ServiceAccountJwt(absl::string_view email, absl::string_view key_id, absl::string_view key,
                                              absl::string_view audience, absl::Time now) {
  const int64_t seconds = absl::ToUnixSeconds(now);
  const std::string header = absl::StrCat(R"({"alg":"RS256","typ":"JWT","kid":)", JsonString(key_id), "}");
  const std::string claims =
      absl::StrCat(R"({"iss":)", JsonString(email), R"(,"scope":")", kScope, R"(","aud":)", JsonString(audience),
                   R"(,"iat":)", seconds, R"(,"exp":)", seconds + 3600, "}");
  const std::string text = absl::StrCat(absl::WebSafeBase64Escape(header), ".", absl::WebSafeBase64Escape(claims));
  const Bio pem(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
  const Key private_key(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
  const Digest digest(EVP_MD_CTX_new());
  size_t size = 0;
  if (private_key == nullptr || EVP_PKEY_get_base_id(private_key.get()) != EVP_PKEY_RSA ||
      EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, private_key.get()) != 1 ||
      EVP_DigestSign(digest.get(), nullptr, &size, reinterpret_cast<const unsigned char*>(text.data()), text.size()) !=
          1) {
    return absl::InvalidArgumentError("the service account's private key is no RSA key in PEM");
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
    return absl::InvalidArgumentError("the service account's private key cannot sign");
  }
  signature.resize(size);
  return absl::StrCat(text, ".", absl::WebSafeBase64Escape(signature));
}

absl::StatusOr<std::string> GcpCredentials::Get(CloudHttp& http) {
  return token_.Get([&] { return Ask(http); });
}

absl::StatusOr<HttpResponse> GcpCredentials::Ask(CloudHttp& http) {
  const std::string text = ReadFile();
  if (text.empty()) {
    const char* const named = std::getenv("GCE_METADATA_HOST");
    const std::string host = named == nullptr || *named == 0 ? "metadata.google.internal" : named;
    HttpRequest request = {.url = absl::StrCat("http://", host, kToken), .headers = {{"Metadata-Flavor", "Google"}}};
    request.connect_timeout = absl::Seconds(1);
    request.timeout = absl::Seconds(5);
    const auto answer = http.Do(request);
    if (!answer.ok() || answer->status == 404) return absl::UnauthenticatedError(kNowhere);
    return answer;
  }
  const auto file = Json::Parse(text);
  if (!file.ok()) return absl::UnauthenticatedError("the file of Google credentials is no JSON");
  const std::string type = (*file)["type"].Text();
  std::string uri = (*file)["token_uri"].Text();
  if (uri.empty()) uri = "https://oauth2.googleapis.com/token";
  const bool is_safe = absl::StartsWith(uri, "https://") || absl::StartsWith(uri, "http://127.0.0.1:");
  if (!is_safe || absl::StrContains(uri, '@')) {
    return absl::UnauthenticatedError("the token_uri of Google's credentials is no https://…");
  }
  if (type == "service_account") {
    const auto jwt = ServiceAccountJwt((*file)["client_email"].Text(), (*file)["private_key_id"].Text(),
                                       (*file)["private_key"].Text(), uri, clock_.Now());
    if (!jwt.ok()) return absl::UnauthenticatedError(jwt.status().message());
    return http.Do(Form(uri, absl::StrCat("grant_type=", UriEncode("urn:ietf:params:oauth:grant-type:jwt-bearer"),
                                          "&assertion=", *jwt)));
  }
  if (type == "authorized_user") {
    return http.Do(Form(uri, absl::StrCat("grant_type=refresh_token&client_id=", UriEncode((*file)["client_id"].Text()),
                                          "&client_secret=", UriEncode((*file)["client_secret"].Text()),
                                          "&refresh_token=", UriEncode((*file)["refresh_token"].Text()))));
  }
  return absl::UnauthenticatedError(
      absl::StrCat("Google credentials of type '", type, "'; service_account and authorized_user are understood"));
}

}  // namespace spotinference::fleet
