#include "fleet/providers/aws/aws_credentials.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);
constexpr char kRole[] = "/latest/meta-data/iam/security-credentials/";

std::string Environment(const char* name, std::string otherwise = "") {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == 0 ? std::move(otherwise) : value;
}

std::string ReadCredentialsFile() {
  std::ifstream file(Environment("AWS_SHARED_CREDENTIALS_FILE", Environment("HOME") + "/.aws/credentials"));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Whatever its status is: it says nothing about what is asked for with the key.
absl::Status Silent(const HttpResponse& answer) {
  return absl::UnavailableError(absl::StrCat("the instance's metadata service: HTTP ", answer.status));
}

}  // namespace

absl::StatusOr<AwsKey> ParseAwsProfile(absl::string_view text, absl::string_view profile) {
  AwsKey key;
  std::string section;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      section = std::string(absl::StripAsciiWhitespace(line.substr(1, line.find(']') - 1)));
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> field = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (section != profile) continue;
    const absl::string_view name = absl::StripAsciiWhitespace(field.first);
    const std::string value(absl::StripAsciiWhitespace(field.second));
    if (name == "aws_access_key_id") key.id = value;
    if (name == "aws_secret_access_key") key.secret = value;
    if (name == "aws_session_token") key.session_token = value;
  }
  if (key.id.empty() || key.secret.empty()) {
    return absl::NotFoundError(absl::StrCat("no key of profile '", profile, "' in the AWS credentials file"));
  }
  return key;
}

absl::StatusOr<AwsKey> AwsCredentials::Get(CloudHttp& http) {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = clock_.Now();
  if (known_.has_value() && now + kRenewBefore < known_->expires) return known_->key;
  absl::StatusOr<Known> found = Find(http);
  if (!found.ok()) {
    if (known_.has_value() && now < known_->expires) return known_->key;
    known_.reset();
    return found.status();
  }
  known_ = *std::move(found);
  return known_->key;
}

absl::StatusOr<AwsCredentials::Known> AwsCredentials::Find(CloudHttp& http) const {
  const AwsKey key = {.id = Environment("AWS_ACCESS_KEY_ID"),
                      .secret = Environment("AWS_SECRET_ACCESS_KEY"),
                      .session_token = Environment("AWS_SESSION_TOKEN")};
  if (!key.id.empty() && !key.secret.empty()) return Known{key};
  if (auto profile = ParseAwsProfile(ReadCredentialsFile(), Environment("AWS_PROFILE", "default")); profile.ok()) {
    return Known{*std::move(profile)};
  }
  return FromInstance(http);
}

void AwsCredentials::Drop() {
  absl::MutexLock lock(&mutex_);
  known_.reset();
}

absl::StatusOr<AwsCredentials::Known> AwsCredentials::FromInstance(CloudHttp& http) const {
  constexpr char kNowhere[] =
      "no AWS key: not in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in ~/.aws/credentials, and this is no EC2 "
      "instance with a role";
  std::string service = Environment("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254");
  if (absl::EndsWith(service, "/")) service.pop_back();
  HttpRequest request = {.method = "PUT", .url = service + "/latest/api/token"};
  request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}};
  request.connect_timeout = absl::Seconds(1);
  request.timeout = absl::Seconds(5);
  const auto token = http.Do(request);
  if (!token.ok()) return absl::UnauthenticatedError(kNowhere);
  if (token->status != 200) return Silent(*token);
  request.method = "GET";
  request.headers = {{"X-aws-ec2-metadata-token", token->body}};
  request.url = absl::StrCat(service, kRole);
  ASSIGN_OR_RETURN(const HttpResponse role, http.Do(request));
  if (role.status == 404) return absl::UnauthenticatedError(kNowhere);
  if (role.status != 200) return Silent(role);
  request.url = absl::StrCat(service, kRole, UriEncode(absl::StripAsciiWhitespace(role.body)));
  ASSIGN_OR_RETURN(const HttpResponse answer, http.Do(request));
  if (answer.status != 200) return Silent(answer);
  ASSIGN_OR_RETURN(const Json json, Json::Parse(answer.body));
  Known known = {.key = {.id = json["AccessKeyId"].Text(),
                         .secret = json["SecretAccessKey"].Text(),
                         .session_token = json["Token"].Text()}};
  std::string error;
  if (known.key.id.empty() || known.key.secret.empty() ||
      !absl::ParseTime(absl::RFC3339_full, json["Expiration"].Text(), &known.expires, &error)) {
    return absl::UnavailableError("the instance's role has no key");
  }
  return known;
}

}  // namespace spotinference::fleet
