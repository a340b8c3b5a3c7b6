#include "fleet/providers/gcp/gcp_token_requests.h"

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace spotinference::fleet {
namespace {

constexpr char kImpersonation[] = "service_account_impersonation_url";
constexpr int kLifetime = 3600;  // seconds, where the file says no other

}  // namespace

absl::Status CheckTokenUrl(absl::string_view url, absl::string_view field) {
  // An impersonation's address has an account's name with an @ in its path.
  const size_t host = url.find("://") + 3;
  const absl::string_view authority = url.substr(0, url.find_first_of("/?#", host));
  const bool is_safe = absl::StartsWith(url, "https://") || absl::StartsWith(url, "http://127.0.0.1:");
  if (is_safe && !absl::StrContains(authority, '@')) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat(field, " is no https://…"));
}

HttpRequest TokenForm(std::string url, std::string body) {
  HttpRequest request = {.method = "POST", .url = std::move(url), .body = std::move(body)};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.timeout = absl::Seconds(20);
  return request;
}

HttpRequest TokenForm(std::string url, std::string body, const std::string& client_id,
                      const std::string& client_secret) {
  HttpRequest request = TokenForm(std::move(url), std::move(body));
  if (client_id.empty()) return request;
  const std::string client = absl::StrCat(client_id, ":", client_secret);
  request.headers.emplace_back("Authorization", absl::StrCat("Basic ", absl::Base64Escape(client)));
  return request;
}

absl::StatusOr<HttpResponse> Impersonate(const HttpResponse& source, const Json& file, CloudHttp& http) {
  if (source.status != 200) return source;
  const std::string url = file[kImpersonation].Text();
  RETURN_IF_ERROR(CheckTokenUrl(url, kImpersonation));
  ASSIGN_OR_RETURN(const Json answer, Json::Parse(source.body));
  const std::string token = answer["access_token"].Text();
  if (token.empty()) return absl::UnauthenticatedError("the answer has no access token");
  std::vector<std::string> delegates;
  for (const Json& delegate : file["delegates"].Items()) delegates.push_back(JsonString(delegate.Text()));
  const int lifetime = file["service_account_impersonation"]["token_lifetime_seconds"].Whole().value_or(kLifetime);
  HttpRequest request = {.method = "POST", .url = url};
  request.headers = {{"Content-Type", "application/json"}, {"Authorization", absl::StrCat("Bearer ", token)}};
  request.body = absl::StrCat(R"({"delegates":[)", absl::StrJoin(delegates, ","), R"(],"scope":[")", kGcpScope,
                              R"("],"lifetime":")", lifetime, R"(s"})");
  request.timeout = absl::Seconds(20);
  return http.Do(request);
}

}  // namespace spotinference::fleet
