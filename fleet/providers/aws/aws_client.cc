#include "fleet/providers/aws/aws_client.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {
namespace {

constexpr char kEc2Version[] = "2016-11-15";
constexpr char kStsVersion[] = "2011-06-15";
constexpr int64_t kLongestAnswer = 32 << 20;
// A signature is good for five minutes; a clock that is off by less harms nobody.
constexpr absl::Duration kHarmlessSkew = absl::Minutes(1);

bool OneOf(absl::string_view code, std::initializer_list<absl::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// Code and message of an error, as EC2, STS and the JSON services write it; "": it is none.
std::pair<std::string, std::string> ErrorIn(const std::string& body) {
  if (absl::StartsWith(body, "{")) {
    const absl::StatusOr<Json> json = Json::Parse(body);
    if (!json.ok()) return {};
    const std::string type = (*json)["__type"].Text();  // perhaps with a namespace and '#' before it
    return {type.substr(type.find('#') + 1), (*json)["message"].Text()};
  }
  const absl::StatusOr<Xml> xml = Xml::Parse(body);
  if (!xml.ok()) return {};
  const Xml& of_sts = (*xml)["Error"];
  const Xml& error = of_sts.name.empty() ? (*xml)["Errors"]["Error"] : of_sts;
  return {error["Code"].text, error["Message"].text};
}

}  // namespace

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
absl::Status AwsError(const HttpResponse& response, const std::string& code, const std::string& message) {
  const std::string text = absl::StrCat(code, ": ", message.substr(0, 300));
  if (OneOf(code, {"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity",
                   "InsufficientCapacity", "SpotMaxPriceTooLow", "Unsupported",
                   "InsufficientVolumeCapacity", "InsufficientFreeAddressesInSubnet",
                   "IdempotentInstanceTerminated"})) {  // that one was bought, and did not live
    return absl::ResourceExhaustedError(text);
  }
  if (OneOf(code, {"MaxSpotInstanceCountExceeded", "InstanceLimitExceeded", "VcpuLimitExceeded", "VolumeLimitExceeded",
                   "MaxIOPSLimitExceeded"})) {
    return OverQuota(text);
  }
  if (OneOf(code,
            {"RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestExpired", "RequestTimeTooSkewed",
             "ExpiredToken", "ExpiredTokenException", "InternalError", "InternalFailure", "Unavailable",
             "ServiceUnavailable"})) {
    HttpResponse busy = response;
    busy.status = 503;
    return StatusOfHttp(busy, text);
  }
  if (OneOf(code, {"IncorrectState", "IncorrectInstanceState", "VolumeInUse", "IncorrectStateException"})) {
    return absl::FailedPreconditionError(text);
  }
  if (absl::EndsWith(code, ".NotFound")) return absl::NotFoundError(text);
  if (OneOf(code, {"AuthFailure", "SignatureDoesNotMatch", "InvalidClientTokenId", "UnrecognizedClientException"})) {
    return absl::UnauthenticatedError(text);
  }
  if (OneOf(code, {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OptInRequired", "Blocked",
                   "PendingVerification"})) {
    return absl::PermissionDeniedError(text);
  }
  return StatusOfHttp(response, text);
}

bool AwsClient::NoteSkew(const HttpResponse& response, absl::Time signed_at) {
  const std::optional<absl::Time> date = HttpDateIn(FindHeader(response.headers, "date").value_or(""));
  if (!date.has_value()) return false;
  absl::MutexLock lock(&mutex_);
  const absl::Duration skew = *date - clock_.Now();
  skew_ = absl::AbsDuration(skew) > kHarmlessSkew ? skew : absl::ZeroDuration();
  return absl::AbsDuration(*date - signed_at) > kHarmlessSkew;
}

absl::StatusOr<HttpResponse> AwsClient::PostOnce(const std::string& endpoint, const AwsScope& scope,
                                                 const HttpHeaders& headers, const std::string& body) {
  ASSIGN_OR_RETURN(const AwsKey key, credentials_.Get(http_));
  for (bool again = false;; again = true) {
    absl::Time now = clock_.Now();
    {
      absl::MutexLock lock(&mutex_);
      now += skew_;
    }
    HttpRequest request = {.method = "POST", .url = endpoint + "/", .headers = headers, .body = body};
    SignV4("POST", HostOfUrl(endpoint), "/", "", body, key, scope, now, request.headers);
    request.timeout = absl::Seconds(30);
    request.max_body_bytes = kLongestAnswer;
    ASSIGN_OR_RETURN(HttpResponse response, http_.Do(request));
    // Some services call a signature of another time a wrong one, which would be no reason to try again.
    const bool is_off = NoteSkew(response, now);
    const bool is_refused = response.status == 400 || response.status == 401 || response.status == 403;
    if (again || !is_off || !is_refused) return response;
  }
}

absl::StatusOr<std::string> AwsClient::Post(const std::string& endpoint, const AwsScope& scope,
                                            const HttpHeaders& headers, const std::string& body,
                                            const std::string& call) {
  return held_.Ask<std::string>(absl::StrCat(scope.region, " ", call),
                                [&] { return PostNow(endpoint, scope, headers, body, call); });
}

absl::StatusOr<std::string> AwsClient::PostNow(const std::string& endpoint, const AwsScope& scope,
                                               const HttpHeaders& headers, const std::string& body,
                                               const std::string& call) {
  for (bool again = false;; again = true) {
    ASSIGN_OR_RETURN(const HttpResponse response, PostOnce(endpoint, scope, headers, body));
    if (response.status == 200) return response.body;
    const auto [code, message] = ErrorIn(response.body);
    const absl::Status status = code.empty() ? StatusOfHttp(response, call) : AwsError(response, code, message);
    const bool has_expired = OneOf(code, {"ExpiredToken", "ExpiredTokenException", "RequestExpired"});
    if (has_expired || absl::IsUnauthenticated(status)) credentials_.Drop();
    if (again || !has_expired) return status;
  }
}

absl::StatusOr<Xml> AwsClient::Query(const std::string& endpoint, const AwsScope& scope, const std::string& action,
                                     const AwsParameters& parameters) {
  std::string body =
      absl::StrCat("Action=", action, "&Version=", scope.service == "sts" ? kStsVersion : kEc2Version);
  for (const auto& [name, value] : parameters) absl::StrAppend(&body, "&", name, "=", UriEncode(value));
  ASSIGN_OR_RETURN(
      const std::string answer,
      Post(endpoint, scope, {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}}, body, action));
  return Xml::Parse(answer);
}

absl::StatusOr<Json> AwsClient::Call(const std::string& endpoint, const AwsScope& scope, const std::string& target,
                                     const std::string& body) {
  ASSIGN_OR_RETURN(
      const std::string answer,
      Post(endpoint, scope, {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", target}}, body, target));
  return Json::Parse(answer);
}

}  // namespace spotinference::fleet
