#include "fleet/providers/gcp/gcp_credentials.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/jwt.h"
#include "fleet/providers/gcp/gcp_external_account.h"
#include "fleet/providers/gcp/gcp_token_requests.h"

namespace spotinference::fleet {
namespace {

constexpr char kToken[] = "/computeMetadata/v1/instance/service-accounts/default/token";
constexpr char kNowhere[] =
    "no Google credentials: not in GOOGLE_APPLICATION_CREDENTIALS, not of gcloud auth application-default login, and "
    "this is no machine with a service account";

constexpr size_t kLongest = 1 << 20;  // of a file of credentials

struct Place {
  std::string path;  // "": there is no file
  bool is_named = false;
};

Place PlaceOfFile() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string named = variable("GOOGLE_APPLICATION_CREDENTIALS"); !named.empty()) return {named, true};
  std::string folder = variable("CLOUDSDK_CONFIG");
  if (const std::string home = variable("HOME"); folder.empty() && !home.empty())
    folder = absl::StrCat(home, "/.config/gcloud");
  const std::string path = absl::StrCat(folder, "/application_default_credentials.json");
  std::error_code unseen;
  return {!folder.empty() && std::filesystem::is_regular_file(path, unseen) ? path : ""};
}

absl::StatusOr<HttpResponse> AskMachine(CloudHttp& http) {
  const char* const named = std::getenv("GCE_METADATA_HOST");
  const std::string host = named == nullptr || *named == 0 ? "metadata.google.internal" : named;
  HttpRequest request = {.url = absl::StrCat("http://", host, kToken), .headers = {{"Metadata-Flavor", "Google"}}};
  request.connect_timeout = absl::Seconds(1);
  request.timeout = absl::Seconds(5);
  const auto answer = http.Do(request);
  if (!answer.ok() || answer->status == 404) return absl::UnauthenticatedError(kNowhere);
  return answer;
}

absl::StatusOr<HttpResponse> AskServiceAccount(const Json& file, const std::string& url, absl::Time now,
                                               CloudHttp& http) {
  const auto jwt = ServiceAccountJwt(file["client_email"].Text(), file["private_key_id"].Text(),
                                     file["private_key"].Text(), url, now);
  if (!jwt.ok()) return absl::UnauthenticatedError(jwt.status().message());
  return http.Do(TokenForm(url, absl::StrCat("grant_type=", UriEncode("urn:ietf:params:oauth:grant-type:jwt-bearer"),
                                             "&assertion=", *jwt)));
}

absl::StatusOr<HttpResponse> AskUser(const Json& file, const std::string& url, CloudHttp& http) {
  return http.Do(TokenForm(url, absl::StrCat("grant_type=refresh_token&client_id=", UriEncode(file["client_id"].Text()),
                                             "&client_secret=", UriEncode(file["client_secret"].Text()),
                                             "&refresh_token=", UriEncode(file["refresh_token"].Text()))));
}

// `depth`: of files within files.
absl::StatusOr<HttpResponse> AskByFile(const Json& file, const Clock& clock, Commands& commands, CloudHttp& http,
                                       int depth = 0) {
  const std::string type = file["type"].Text();
  if (type == "external_account") return AskExternalAccount(file, clock, commands, http);
  if (type == "external_account_authorized_user") return AskExternalUser(file, http);
  if (type == "impersonated_service_account" && depth == 0) {
    ASSIGN_OR_RETURN(const HttpResponse source,
                     AskByFile(file["source_credentials"], clock, commands, http, depth + 1));
    return Impersonate(source, file, http);
  }
  std::string url = file["token_uri"].Text();
  if (url.empty()) url = "https://oauth2.googleapis.com/token";
  RETURN_IF_ERROR(CheckTokenUrl(url, "token_uri"));
  if (type == "service_account") return AskServiceAccount(file, url, clock.Now(), http);
  if (type == "authorized_user") return AskUser(file, url, http);
  return absl::UnauthenticatedError(absl::StrCat("credentials of type '", type, "' are not understood",
                                                 depth == 0 ? "" : " in source_credentials"));
}

}  // namespace

absl::StatusOr<std::string> ServiceAccountJwt(absl::string_view email, absl::string_view key_id, absl::string_view key,
                                              absl::string_view audience, absl::Time now) {
  const int64_t seconds = absl::ToUnixSeconds(now);
  return SignJwt(absl::StrCat(R"({"alg":"RS256","typ":"JWT","kid":)", JsonString(key_id), "}"),
                 absl::StrCat(R"({"iss":)", JsonString(email), R"(,"scope":")", kGcpScope, R"(","aud":)",
                              JsonString(audience), R"(,"iat":)", seconds, R"(,"exp":)", seconds + 3600, "}"),
                 key);
}

absl::StatusOr<std::string> GcpCredentials::Get(CloudHttp& http) {
  std::string place;
  auto token = token_.Get([&]() -> absl::StatusOr<HttpResponse> {
    const auto [path, is_named] = PlaceOfFile();
    if (path.empty()) return AskMachine(http);
    const auto text = ReadWholeFile(path, kLongest);
    place = absl::StrCat(is_named ? "GOOGLE_APPLICATION_CREDENTIALS, " : "", path);
    if (!text.ok()) return absl::UnauthenticatedError(text.status().message());
    const auto file = Json::Parse(*text);
    if (!file.ok()) return absl::UnauthenticatedError("is no JSON");
    return AskByFile(*file, clock_, commands_, http);
  });
  if (token.ok() || place.empty()) return token;
  return OfPlace(token.status(), place);
}

}  // namespace spotinference::fleet
