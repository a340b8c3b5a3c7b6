#include "fleet/providers/cloud/http.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace spotinference::fleet {
namespace {

constexpr char kRetryAfter[] = "spotinference/retry-after-seconds";
constexpr absl::Duration kLongestRetryAfter = absl::Minutes(10);
constexpr absl::Duration kFirstBackOff = absl::Milliseconds(500);
constexpr absl::Duration kLongestBackOff = absl::Seconds(30);

absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 400:
    case 405:
    case 413:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
    case 410:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kAlreadyExists;
    case 412:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

// Of a URL without its scheme.
absl::string_view AuthorityOf(absl::string_view rest) { return rest.substr(0, rest.find_first_of("/?#")); }

// Of an authority without a user, an IPv6 address in its brackets; "": its port is none.
absl::string_view HostOf(absl::string_view authority) {
  if (!absl::StartsWith(authority, "[")) return authority.substr(0, authority.rfind(':'));
  const size_t end = authority.find(']');
  if (end == absl::string_view::npos) return "";
  const absl::string_view port = authority.substr(end + 1);
  return port.empty() || port[0] == ':' ? authority.substr(0, end + 1) : "";
}

// "https://…"; without TLS what never leaves the machine: loopback, and the metadata services of the clouds, of which
// AWS has more for containers (ECS; EKS, also by IPv6). With a user in it an address can seem to be another one.
bool KeepsSecrets(absl::string_view url) {
  const bool has_tls = absl::StartsWithIgnoreCase(url, "https://");
  if (!has_tls && !absl::StartsWith(url, "http://")) return false;
  const absl::string_view authority = AuthorityOf(url.substr(has_tls ? 8 : 7));
  if (absl::StrContains(authority, '@')) return false;
  if (has_tls) return true;
  const absl::string_view host = HostOf(authority);
  if (absl::StartsWith(host, "127.") && host.find_first_not_of("0123456789.") == absl::string_view::npos) return true;
  constexpr absl::string_view kOfTheMachine[] = {"localhost",       "[::1]",         "169.254.169.254",
                                                 "169.254.170.2",   "169.254.170.23", "[fd00:ec2::23]",
                                                 "metadata.google.internal"};
  return std::find(std::begin(kOfTheMachine), std::end(kOfTheMachine), host) != std::end(kOfTheMachine);
}

// Seconds, or until a date by the answer's own clock. RFC 9110, 10.2.3.
std::optional<absl::Duration> RetryAfterOf(const HttpResponse& response) {
  const auto header = FindHeader(response.headers, "retry-after");
  int seconds;
  if (!header.has_value()) return std::nullopt;
  if (absl::SimpleAtoi(*header, &seconds)) return seconds < 0 ? std::nullopt : std::optional(absl::Seconds(seconds));
  const auto date = FindHeader(response.headers, "date");
  const auto at = HttpDateIn(*header), now = HttpDateIn(date.value_or(""));
  if (!at.has_value() || !now.has_value()) return std::nullopt;
  return std::max(absl::ZeroDuration(), *at - *now);
}

// Without TLS, on the machine's own link, beyond which nothing routes it (RFC 3927).
bool IsLinkLocal(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "http://")) return false;
  const absl::string_view authority = AuthorityOf(url);
  if (absl::StrContains(authority, '@')) return false;
  const absl::string_view host = authority.substr(0, authority.rfind(':'));
  return absl::StartsWith(host, "169.254.") && host.find_first_not_of("0123456789.") == absl::string_view::npos;
}

}  // namespace

std::string UriEncode(absl::string_view text) {
  std::string encoded;
  for (const unsigned char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += static_cast<char>(c);
    } else {
      absl::StrAppendFormat(&encoded, "%%%02X", c);
    }
  }
  return encoded;
}

absl::StatusOr<HttpResponse> CloudHttp::Do(const HttpRequest& request) {
  if (!KeepsSecrets(request.url)) {
    return absl::InvalidArgumentError(
        "credentials are not sent to an address without TLS, or with a user in it; expected https://HOST…");
  }
  return Send(request);
}

absl::StatusOr<HttpResponse> CloudHttp::DoOnLink(const HttpRequest& request) {
  return IsLinkLocal(request.url) ? Send(request) : Do(request);
}

absl::StatusOr<HttpResponse> CloudHttp::Send(const HttpRequest& request) {
  std::unique_ptr<HttpClient> client;
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return absl::CancelledError("the provider ends");
    if (!idle_.empty()) {
      client = std::move(idle_.back());
      idle_.pop_back();
    } else {
      client = std::make_unique<HttpClient>();
    }
    busy_.push_back(client.get());
  }
  absl::StatusOr<HttpResponse> response = client->Do(request);
  std::optional<absl::Time> date;
  if (response.ok()) date = HttpDateIn(FindHeader(response->headers, "date").value_or(""));
  absl::MutexLock lock(&mutex_);
  if (date.has_value()) last_date_ = *date;
  busy_.erase(std::find(busy_.begin(), busy_.end(), client.get()));
  if (!cancelled_) idle_.push_back(std::move(client));
  if (absl::IsResourceExhausted(response.status())) return absl::UnavailableError(response.status().message());
  return response;
}

absl::Time CloudHttp::LastDate() const {
  absl::MutexLock lock(&mutex_);
  return last_date_;
}

void CloudHttp::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  for (HttpClient* const client : busy_) client->Cancel();
}

absl::Status StatusOfHttp(const HttpResponse& response, absl::string_view message) {
  if (response.status >= 200 && response.status < 300) return absl::OkStatus();
  absl::Status status(CodeOf(response.status), absl::StrCat("HTTP ", response.status, ": ", message.substr(0, 500)));
  if (const auto after = RetryAfterOf(response); absl::IsUnavailable(status) && after.has_value()) {
    return WithRetryAfter(std::move(status), std::min(*after, kLongestRetryAfter));
  }
  return status;
}

bool IsBelow(absl::string_view url, absl::string_view endpoint) {
  const auto without_port = [](absl::string_view text) {
    const absl::string_view authority = absl::StartsWith(text, "https://") ? AuthorityOf(text.substr(8)) : "";
    if (!absl::EndsWith(authority, ":443")) return std::string(text);
    const size_t port = 8 + authority.size() - 4;
    return absl::StrCat(text.substr(0, port), text.substr(port + 4));
  };
  return absl::StartsWith(without_port(url), absl::StrCat(without_port(endpoint), "/"));
}

std::optional<absl::Time> HttpDateIn(absl::string_view text) {
  absl::Time time;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, absl::UTCTimeZone(), &time, nullptr)) return std::nullopt;
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return std::nullopt;  // it reads these, too
  return time;
}

std::optional<absl::Time> TimeIn(absl::string_view text) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return std::nullopt;
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return std::nullopt;  // it reads these, too
  return time;
}

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfter);
  int seconds;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &seconds)) return std::nullopt;
  return absl::Seconds(seconds);
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration wait) {
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1)));
  status.SetPayload(kRetryAfter, absl::Cord(absl::StrCat(seconds)));
  return status;
}

absl::Duration BackOff(int failures, const absl::Status& status) {
  const absl::Duration own = std::min(kLongestBackOff, kFirstBackOff * (1 << std::min(failures - 1, 10)));
  return std::max(own, RetryAfter(status).value_or(absl::ZeroDuration()));
}

}  // namespace spotinference::fleet
