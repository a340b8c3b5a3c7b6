#include "fleet/providers/aws/aws_key.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

// A signature is good for five minutes; a clock that is off by less harms nobody.
constexpr absl::Duration kHarmlessSkew = absl::Minutes(1);

// "Common Errors" of the STS API Reference, and of those of AssumeRoleWithWebIdentity the one that asks for a retry.
constexpr absl::string_view kBusy[] = {"Throttling",         "ThrottlingException", "TooManyRequestsException",
                                       "InternalFailure",    "InternalError",       "ServiceUnavailable",
                                       "RequestLimitExceeded", "IDPCommunicationError"};

}  // namespace

std::string AwsEnvironment(const char* name, std::string otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == 0 ? std::move(otherwise) : value;
}

absl::StatusOr<std::string> AwsEndpoint(absl::string_view variable, absl::string_view host, absl::string_view region,
                                        const std::string& otherwise) {
  std::string endpoint = AwsEnvironment(absl::StrCat("AWS_ENDPOINT_URL_", variable).c_str(),
                                        AwsEnvironment("AWS_ENDPOINT_URL", otherwise));
  if (!endpoint.empty()) {
    while (!endpoint.empty() && endpoint.back() == '/') endpoint.pop_back();
    return endpoint;
  }
  if (region.empty() || region.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("'", region, "' is no region"));
  }
  return absl::StrCat("https://", host, ".", region, ".amazonaws.com");
}

absl::Status AwsRefusal(const HttpResponse& response, absl::string_view code, absl::string_view message) {
  const std::string text = absl::StrCat("HTTP ", response.status, " ", code, ": ", message.substr(0, 300));
  const bool is_busy = response.status >= 500 || response.status == 429 ||
                       std::find(std::begin(kBusy), std::end(kBusy), code) != std::end(kBusy);
  if (!is_busy) return absl::UnauthenticatedError(text);
  return StatusOfHttp({.status = 503, .headers = response.headers}, text);
}

absl::Duration AwsSkew(const HttpResponse& response, absl::Time now) {
  const std::optional<absl::Time> date = HttpDateIn(FindHeader(response.headers, "date").value_or(""));
  if (!date.has_value() || absl::AbsDuration(*date - now) <= kHarmlessSkew) return absl::ZeroDuration();
  return *date - now;
}

absl::Time ByOurClock(absl::Time theirs, const HttpResponse& response, absl::Time now) {
  return theirs - AwsSkew(response, now);
}

}  // namespace spotinference::fleet
