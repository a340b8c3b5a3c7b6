#include "fleet/providers/aws/aws_machine.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr char kContainers[] = "http://169.254.170.2";
constexpr char kRole[] = "/latest/meta-data/iam/security-credentials/";
constexpr size_t kLongestToken = 64 << 10;

// Whatever its status is: it says nothing about what is asked for with the key.
absl::Status Silent(const HttpResponse& answer) {
  return absl::UnavailableError(absl::StrCat("the metadata service: HTTP ", answer.status));
}

absl::StatusOr<AwsTimedKey> KeyIn(const HttpResponse& answer, absl::Time now) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(answer.body));
  const AwsKey key = {.id = json["AccessKeyId"].Text(),
                      .secret = json["SecretAccessKey"].Text(),
                      .session_token = json["Token"].Text()};
  const auto expires = TimeIn(json["Expiration"].Text());
  if (key.id.empty() || key.secret.empty() || !expires.has_value()) {
    return absl::UnavailableError("its role has no key");
  }
  return AwsTimedKey{key, ByOurClock(*expires, answer, now)};
}

// What the service wants to see; read anew each time, as it is renewed where it is a file. "": nothing.
absl::StatusOr<std::string> ContainerToken() {
  std::string token = AwsEnvironment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string path = AwsEnvironment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !path.empty()) {
    const auto text = ReadWholeFile(path, kLongestToken);
    if (!text.ok()) {
      return absl::UnauthenticatedError(
          absl::StrCat("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: ", text.status().message()));
    }
    token = *text;
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    return absl::UnauthenticatedError("the authorization token has more than one line");
  }
  return token;
}

}  // namespace

std::string ContainerKeyUrl() {
  const std::string relative = AwsEnvironment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  return relative.empty() ? AwsEnvironment("AWS_CONTAINER_CREDENTIALS_FULL_URI") : absl::StrCat(kContainers, relative);
}

absl::StatusOr<AwsTimedKey> ContainerKey(CloudHttp& http, const std::string& url, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string token, ContainerToken());
  HttpRequest request = {.url = url, .headers = {{"Accept", "application/json"}}};
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  request.connect_timeout = absl::Seconds(2);
  request.timeout = absl::Seconds(5);
  ASSIGN_OR_RETURN(const HttpResponse answer, http.Do(request));
  if (answer.status == 200) return KeyIn(answer, now);
  const auto json = Json::Parse(answer.body);
  return AwsRefusal(answer, json.ok() ? (*json)["code"].Text() : "", json.ok() ? (*json)["message"].Text() : "");
}

absl::StatusOr<std::optional<AwsTimedKey>> InstanceKey(CloudHttp& http, absl::Time now) {
  if (absl::EqualsIgnoreCase(AwsEnvironment("AWS_EC2_METADATA_DISABLED"), "true")) return std::nullopt;
  std::string service = AwsEnvironment("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254");
  if (absl::EndsWith(service, "/")) service.pop_back();
  HttpRequest request = {.method = "PUT", .url = service + "/latest/api/token"};
  request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}};
  request.connect_timeout = absl::Seconds(1);
  request.timeout = absl::Seconds(5);
  const auto token = http.Do(request);
  if (absl::IsCancelled(token.status())) return token.status();
  if (!token.ok()) return std::nullopt;
  if (token->status != 200) return Silent(*token);
  request.method = "GET";
  request.headers = {{"X-aws-ec2-metadata-token", token->body}};
  request.url = absl::StrCat(service, kRole);
  ASSIGN_OR_RETURN(const HttpResponse role, http.Do(request));
  if (role.status == 404) return std::nullopt;
  if (role.status != 200) return Silent(role);
  request.url = absl::StrCat(service, kRole, UriEncode(absl::StripAsciiWhitespace(role.body)));
  ASSIGN_OR_RETURN(const HttpResponse answer, http.Do(request));
  if (answer.status != 200) return Silent(answer);
  ASSIGN_OR_RETURN(const AwsTimedKey key, KeyIn(answer, now));
  return key;
}

}  // namespace spotinference::fleet
