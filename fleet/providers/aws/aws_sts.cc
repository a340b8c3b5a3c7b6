#include "fleet/providers/aws/aws_sts.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/aws/xml.h"

namespace spotinference::fleet {
namespace {

constexpr char kVersion[] = "2011-06-15";

using Parameters = std::vector<std::pair<std::string, std::string>>;

// Signed again where the service's clock is far from ours. `key` nullptr: not signed.
absl::StatusOr<HttpResponse> Post(CloudHttp& http, const AwsSts& sts, const std::string& body, const AwsKey* key,
                                  absl::Time now) {
  for (bool again = false;; again = true) {
    HttpRequest request = {.method = "POST", .url = sts.endpoint + "/", .body = body};
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}};
    request.timeout = absl::Seconds(10);
    if (key != nullptr) {
      SignV4("POST", HostOfUrl(sts.endpoint), "/", "", body, *key, {sts.region, "sts"}, now, request.headers);
    }
    ASSIGN_OR_RETURN(HttpResponse response, http.Do(request));
    const absl::Duration skew = AwsSkew(response, now);
    if (key == nullptr || again || response.status == 200 || skew == absl::ZeroDuration()) return response;
    now += skew;
  }
}

absl::StatusOr<AwsTimedKey> Ask(CloudHttp& http, const AwsSts& sts, const std::string& action,
                                const Parameters& parameters, const AwsKey* key, absl::Time now) {
  std::string body = absl::StrCat("Action=", action, "&Version=", kVersion);
  for (const auto& [name, value] : parameters) absl::StrAppend(&body, "&", name, "=", UriEncode(value));
  ASSIGN_OR_RETURN(const HttpResponse response, Post(http, sts, body, key, now));
  const absl::StatusOr<Xml> xml = Xml::Parse(response.body);
  if (response.status != 200) {
    const Xml error = xml.ok() ? (*xml)["Error"] : Xml();
    return AwsRefusal(response, error["Code"].text, absl::StrCat(action, ": ", error["Message"].text));
  }
  RETURN_IF_ERROR(xml.status());
  const Xml& given = (*xml)[action + "Result"]["Credentials"];
  const auto expires = TimeIn(given["Expiration"].text);
  const AwsKey answer = {.id = given["AccessKeyId"].text,
                         .secret = given["SecretAccessKey"].text,
                         .session_token = given["SessionToken"].text};
  if (answer.id.empty() || answer.secret.empty() || answer.session_token.empty() || !expires.has_value()) {
    return absl::UnavailableError(action + ": an answer without a key");
  }
  return AwsTimedKey{answer, ByOurClock(*expires, response, now)};
}

Parameters Of(const AwsRole& role) {
  Parameters parameters = {{"RoleArn", role.arn}, {"RoleSessionName", role.session_name}};
  if (!role.external_id.empty()) parameters.emplace_back("ExternalId", role.external_id);
  if (role.seconds.has_value()) parameters.emplace_back("DurationSeconds", absl::StrCat(*role.seconds));
  return parameters;
}

}  // namespace

absl::StatusOr<AwsTimedKey> AssumeRole(CloudHttp& http, const AwsSts& sts, const AwsRole& role, const AwsKey& by,
                                       absl::Time now) {
  return Ask(http, sts, "AssumeRole", Of(role), &by, now);
}

absl::StatusOr<AwsTimedKey> AssumeRoleWithWebIdentity(CloudHttp& http, const AwsSts& sts, const AwsRole& role,
                                                      const std::string& token, absl::Time now) {
  Parameters parameters = Of(role);
  parameters.emplace_back("WebIdentityToken", token);
  return Ask(http, sts, "AssumeRoleWithWebIdentity", parameters, nullptr, now);
}

}  // namespace spotinference::fleet
