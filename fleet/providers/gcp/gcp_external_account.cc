#include "fleet/providers/gcp/gcp_external_account.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/gcp/gcp_subject_token.h"
#include "fleet/providers/gcp/gcp_token_requests.h"

namespace spotinference::fleet {
namespace {

constexpr char kExchange[] = "urn:ietf:params:oauth:grant-type:token-exchange";  // RFC 8693
constexpr char kAccessToken[] = "urn:ietf:params:oauth:token-type:access_token";

std::string UrlIn(const Json& file, const char* otherwise) {
  const std::string url = file["token_url"].Text();
  return url.empty() ? otherwise : url;
}

}  // namespace

absl::StatusOr<HttpResponse> AskExternalAccount(const Json& file, const Clock& clock, Commands& commands,
                                                CloudHttp& http) {
  for (const char* const field : {"audience", "subject_token_type"}) {
    if (file[field].Text().empty()) return absl::UnauthenticatedError(absl::StrCat("the file has no ", field));
  }
  const std::string url = UrlIn(file, "https://sts.googleapis.com/v1/token");
  RETURN_IF_ERROR(CheckTokenUrl(url, "token_url"));
  ASSIGN_OR_RETURN(const std::string subject, SubjectToken(file, clock, commands, http));
  std::string form = absl::StrCat(
      "grant_type=", UriEncode(kExchange), "&audience=", UriEncode(file["audience"].Text()), "&scope=",
      UriEncode(kGcpScope), "&requested_token_type=", UriEncode(kAccessToken), "&subject_token=", UriEncode(subject),
      "&subject_token_type=", UriEncode(file["subject_token_type"].Text()));
  const std::string client = file["client_id"].Text(), project = file["workforce_pool_user_project"].Text();
  if (client.empty() && !project.empty()) {
    const std::string options = absl::StrCat(R"({"userProject":)", JsonString(project), "}");
    absl::StrAppend(&form, "&options=", UriEncode(UriEncode(options)));
  }
  ASSIGN_OR_RETURN(const HttpResponse answer, http.Do(TokenForm(url, form, client, file["client_secret"].Text())));
  if (!file["service_account_impersonation_url"]) return answer;
  return Impersonate(answer, file, http);
}

absl::StatusOr<HttpResponse> AskExternalUser(const Json& file, CloudHttp& http) {
  for (const char* const field : {"refresh_token", "client_id", "client_secret"}) {
    if (file[field].Text().empty()) return absl::UnauthenticatedError(absl::StrCat("the file has no ", field));
  }
  const std::string url = UrlIn(file, "https://sts.googleapis.com/v1/oauthtoken");
  RETURN_IF_ERROR(CheckTokenUrl(url, "token_url"));
  return http.Do(TokenForm(
      url, absl::StrCat("grant_type=refresh_token&refresh_token=", UriEncode(file["refresh_token"].Text())),
      file["client_id"].Text(), file["client_secret"].Text()));
}

}  // namespace spotinference::fleet
