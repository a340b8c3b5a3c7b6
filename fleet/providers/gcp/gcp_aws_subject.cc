#include "fleet/providers/gcp/gcp_aws_subject.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "fleet/providers/aws/sigv4.h"

namespace spotinference::fleet {
namespace {

constexpr char kIdentity[] = "Action=GetCallerIdentity";

absl::Status Missing(absl::string_view what) {
  return absl::UnauthenticatedError(absl::StrCat("credential_source: ", what));
}

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The instance's metadata service, where the file says that it is.
class Metadata {
 public:
  Metadata(const Json& source, CloudHttp& http) : source_(source), http_(http) {}

  // Of the address in the source's field, and what comes after that.
  absl::StatusOr<std::string> Get(const std::string& field, const std::string& rest = "") {
    const std::string url = source_[field].Text();
    if (url.empty()) return Missing(absl::StrCat("has no ", field, ", and the environment does not say either"));
    HttpHeaders headers;
    if (source_["imdsv2_session_token_url"] && token_.empty()) {
      ASSIGN_OR_RETURN(token_, Do("PUT", source_["imdsv2_session_token_url"].Text(), "imdsv2_session_token_url",
                                  {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}}));
    }
    if (!token_.empty()) headers.emplace_back("X-aws-ec2-metadata-token", token_);
    return Do("GET", url + rest, field, std::move(headers));
  }

 private:
  absl::StatusOr<std::string> Do(std::string method, std::string url, const std::string& field, HttpHeaders headers) {
    HttpRequest request = {.method = std::move(method), .url = std::move(url), .headers = std::move(headers)};
    request.connect_timeout = absl::Seconds(1);
    request.timeout = absl::Seconds(5);
    const auto answer = http_.Do(request);
    if (absl::IsInvalidArgument(answer.status())) return Missing(absl::StrCat(field, ": ", answer.status().message()));
    RETURN_IF_ERROR(answer.status());
    if (answer->status >= 500 || answer->status == 429) return StatusOfHttp(*answer, field);
    if (answer->status != 200) return Missing(absl::StrCat(field, ": HTTP ", answer->status));
    return std::string(absl::StripAsciiWhitespace(answer->body));
  }

  const Json source_;
  CloudHttp& http_;
  std::string token_;
};

absl::StatusOr<std::string> RegionOf(Metadata& metadata) {
  std::string region = Environment("AWS_REGION");
  if (region.empty()) region = Environment("AWS_DEFAULT_REGION");
  if (region.empty()) {
    ASSIGN_OR_RETURN(region, metadata.Get("region_url"));
    if (!region.empty()) region.pop_back();  // it is a zone's name
  }
  constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
  if (region.empty() || region.find_first_not_of(kLetters) != region.npos) return Missing("AWS's region is none");
  return region;
}

absl::StatusOr<AwsKey> KeyOf(Metadata& metadata) {
  AwsKey key = {.id = Environment("AWS_ACCESS_KEY_ID"),
                .secret = Environment("AWS_SECRET_ACCESS_KEY"),
                .session_token = Environment("AWS_SESSION_TOKEN")};
  if (!key.id.empty() && !key.secret.empty()) return key;
  ASSIGN_OR_RETURN(const std::string role, metadata.Get("url"));
  ASSIGN_OR_RETURN(const std::string text, metadata.Get("url", absl::StrCat("/", UriEncode(role))));
  const auto answer = Json::Parse(text);
  if (!answer.ok()) return Missing("url: the role's key is no JSON");
  key = {.id = (*answer)["AccessKeyId"].Text(),
         .secret = (*answer)["SecretAccessKey"].Text(),
         .session_token = (*answer)["Token"].Text()};
  if (key.id.empty() || key.secret.empty()) return Missing("url: the role has no key");
  return key;
}

}  // namespace

absl::StatusOr<std::string> AwsSubjectToken(const Json& file, absl::Time now, CloudHttp& http) {
  const Json source = file["credential_source"];
  if (source["environment_id"].Text() != "aws1") return Missing("environment_id is not aws1");
  const std::string verification = source["regional_cred_verification_url"].Text();
  Metadata metadata(source, http);
  ASSIGN_OR_RETURN(const std::string region, RegionOf(metadata));
  const std::string url = absl::StrReplaceAll(verification, {{"{region}", region}});
  absl::string_view rest = url;
  const size_t query = url.find('?');
  if (!absl::ConsumePrefix(&rest, "https://") || query == url.npos || !absl::StrContains(url.substr(query), kIdentity))
    return Missing("regional_cred_verification_url asks for no identity by https");
  ASSIGN_OR_RETURN(const AwsKey key, KeyOf(metadata));
  const std::string host(rest.substr(0, rest.find_first_of("/?")));
  const std::string path = url.substr(8 + host.size(), query - 8 - host.size());
  HttpHeaders headers = {{"x-goog-cloud-target-resource", file["audience"].Text()}};
  SignV4("POST", host, path.empty() ? "/" : path, url.substr(query + 1), "", key, {region, "sts"}, now, headers);
  headers.emplace_back("host", host);
  const std::string list =
      absl::StrJoin(headers, ",", [](std::string* out, const std::pair<std::string, std::string>& header) {
        const std::string name =
            header.first == "Authorization" ? header.first : absl::AsciiStrToLower(header.first);
        absl::StrAppend(out, R"({"key":)", JsonString(name), R"(,"value":)", JsonString(header.second), "}");
      });
  return UriEncode(
      absl::StrCat(R"({"url":)", JsonString(url), R"(,"method":"POST","headers":[)", list, "]}"));
}

}  // namespace spotinference::fleet
