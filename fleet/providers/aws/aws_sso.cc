#include "fleet/providers/aws/aws_sso.h"

#include <glog/logging.h>
#include <openssl/evp.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);
constexpr size_t kLongestFile = 64 << 10;
constexpr double kLastMillisecond = 253402300799999;  // of the year 9999
constexpr char kLogIn[] = "`aws sso login` makes a new one";

// RFC 3339, or as older tools write it: "2026-01-01T00:00:00UTC".
std::optional<absl::Time> SsoTimeIn(absl::string_view text) {
  return absl::ConsumeSuffix(&text, "UTC") ? TimeIn(absl::StrCat(text, "Z")) : TimeIn(text);
}

std::string Sha1Hex(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CHECK_EQ(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr), 1);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

std::string FileOf(const AwsSso& sso, const AwsSsoToken& token) {
  return absl::StrCat(
      R"({"startUrl":)", JsonString(sso.start_url), R"(,"region":)", JsonString(sso.region), R"(,"accessToken":)",
      JsonString(token.access_token), R"(,"expiresAt":")",
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", token.expires, absl::UTCTimeZone()), R"(","clientId":)",
      JsonString(token.client_id), R"(,"clientSecret":)", JsonString(token.client_secret),
      R"(,"registrationExpiresAt":)", JsonString(token.registration_expires_text), R"(,"refreshToken":)",
      JsonString(token.refresh_token), "}");
}

absl::StatusOr<AwsSsoToken> Renew(CloudHttp& http, const AwsSso& sso, const AwsSsoToken& old, absl::Time now) {
  if (old.refresh_token.empty() || old.client_id.empty() || old.client_secret.empty()) {
    return absl::UnauthenticatedError("its file has nothing that renews it");
  }
  if (old.registration_expires <= now) return absl::UnauthenticatedError("the client's registration has expired");
  HttpRequest request = {.method = "POST", .url = sso.oidc + "/token"};
  request.headers = {{"Content-Type", "application/json"}};
  request.timeout = absl::Seconds(10);
  request.body = absl::StrCat(R"({"clientId":)", JsonString(old.client_id), R"(,"clientSecret":)",
                              JsonString(old.client_secret), R"(,"grantType":"refresh_token","refreshToken":)",
                              JsonString(old.refresh_token), "}");
  ASSIGN_OR_RETURN(const HttpResponse response, http.Do(request));
  const absl::StatusOr<Json> json = Json::Parse(response.body);
  if (response.status != 200) {
    const auto text = [&](const char* name) { return json.ok() ? (*json)[name].Text() : ""; };
    return AwsRefusal(response, text("error"), absl::StrCat("CreateToken: ", text("error_description")));
  }
  RETURN_IF_ERROR(json.status());
  AwsSsoToken renewed = old;
  renewed.access_token = (*json)["accessToken"].Text();
  renewed.expires = now + absl::Seconds((*json)["expiresIn"].Whole().value_or(0));
  renewed.refresh_token = (*json)["refreshToken"].Text();
  if (renewed.access_token.empty()) return absl::UnavailableError("CreateToken: an answer without a token");
  const absl::Status written = WriteWholeFile(SsoTokenPath(sso), FileOf(sso, renewed));
  if (!written.ok()) LOG(WARNING) << "The renewed SSO token is not kept: " << written.message();
  return renewed;
}

// One that is good at this moment.
absl::StatusOr<std::string> AccessToken(CloudHttp& http, const AwsSso& sso, absl::Time now) {
  const std::string path = SsoTokenPath(sso);
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kLongestFile);
  const auto token = text.ok() ? ParseSsoToken(*text) : std::nullopt;
  if (!token.has_value()) {
    const std::string why = text.ok() ? path + " holds no token" : std::string(text.status().message());
    return absl::UnauthenticatedError(absl::StrCat(why, "; ", kLogIn));
  }
  absl::Status kept = absl::UnauthenticatedError("without an sso_session nobody renews it");
  if (!sso.session.empty() && token->expires <= now + kRenewBefore) {
    const absl::StatusOr<AwsSsoToken> renewed = Renew(http, sso, *token, now);
    if (renewed.ok() && renewed->expires > now) return renewed->access_token;
    kept = renewed.ok() ? absl::UnavailableError("it was renewed for no time") : renewed.status();
  }
  if (token->expires > now) return token->access_token;
  if (!absl::IsUnauthenticated(kept)) return kept;
  return absl::UnauthenticatedError(absl::StrCat("the token has expired, and ", kept.message(), "; ", kLogIn));
}

}  // namespace

std::optional<AwsSsoToken> ParseSsoToken(absl::string_view text) {
  const auto json = Json::Parse(text);
  if (!json.ok()) return std::nullopt;
  AwsSsoToken token = {.access_token = (*json)["accessToken"].Text(),
                       .client_id = (*json)["clientId"].Text(),
                       .client_secret = (*json)["clientSecret"].Text(),
                       .refresh_token = (*json)["refreshToken"].Text(),
                       .registration_expires_text = (*json)["registrationExpiresAt"].Text()};
  const auto expires = SsoTimeIn((*json)["expiresAt"].Text());
  if (token.access_token.empty() || !expires.has_value()) return std::nullopt;
  token.expires = *expires;
  token.registration_expires = SsoTimeIn(token.registration_expires_text).value_or(absl::InfinitePast());
  return token;
}

std::string SsoTokenPath(const AwsSso& sso) {
  return absl::StrCat(AwsEnvironment("HOME"), "/.aws/sso/cache/",
                      Sha1Hex(sso.session.empty() ? sso.start_url : sso.session), ".json");
}

absl::StatusOr<AwsTimedKey> SsoKey(CloudHttp& http, const AwsSso& sso, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string token, AccessToken(http, sso, now));
  HttpRequest request = {.url = absl::StrCat(sso.portal, "/federation/credentials?role_name=", UriEncode(sso.role),
                                             "&account_id=", UriEncode(sso.account))};
  request.headers = {{"x-amz-sso_bearer_token", token}};
  request.timeout = absl::Seconds(10);
  ASSIGN_OR_RETURN(const HttpResponse response, http.Do(request));
  const absl::StatusOr<Json> json = Json::Parse(response.body);
  if (response.status == 401) return absl::UnauthenticatedError(absl::StrCat("the token is refused; ", kLogIn));
  if (response.status != 200) {
    const std::string message = json.ok() ? (*json)["message"].Text() : "";
    return AwsRefusal(response, FindHeader(response.headers, "x-amzn-errortype").value_or(""),
                      absl::StrCat("GetRoleCredentials: ", message));
  }
  RETURN_IF_ERROR(json.status());
  const Json given = (*json)["roleCredentials"];
  const double expires = given["expiration"].Number().value_or(-1);
  const AwsKey key = {.id = given["accessKeyId"].Text(),
                      .secret = given["secretAccessKey"].Text(),
                      .session_token = given["sessionToken"].Text()};
  if (key.id.empty() || key.secret.empty() || expires < 0 || expires > kLastMillisecond) {
    return absl::UnavailableError("GetRoleCredentials: an answer without a key");
  }
  return AwsTimedKey{key, ByOurClock(absl::FromUnixMillis(static_cast<int64_t>(expires)), response, now)};
}

}  // namespace spotinference::fleet
