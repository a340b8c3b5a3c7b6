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
