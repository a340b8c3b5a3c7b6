#include "engine/notice/gcp_metadata.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

// Between two readings, so that a service that does not wait when asked to is not asked in a loop. With the retries a
// change is seen within a second of its being there to see.
constexpr absl::Duration kInterval = absl::Milliseconds(200);
constexpr absl::Duration kRetry = absl::Milliseconds(100);
constexpr absl::Duration kMaxRetry = absl::Milliseconds(800);

constexpr char kPreempted[] = "/computeMetadata/v1/instance/preempted";
// A connection that hangs longer than the service was asked to wait is broken, and what comes after it is not heard for
// that long: so the wait is the shortest that there is.
constexpr int kWaitSeconds = 1;
constexpr absl::Duration kWaitTimeout = absl::Seconds(kWaitSeconds + 1);
constexpr absl::Duration kTimeout = absl::Seconds(1);

// From the change of `preempted` to the power button, best effort: the service says no time.
constexpr absl::Duration kNotice = absl::Seconds(30);

// What may stand in a URL as it is; in practice hexadecimal digits.
bool IsPlain(absl::string_view etag) {
  return !etag.empty() && etag.size() <= 64 &&
         std::all_of(etag.begin(), etag.end(), [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

class MetadataServer {
 public:
  explicit MetadataServer(std::string base_url) : base_url_(std::move(base_url)) {}

  // The first reading returns at once, the others when the value is not the one of the last etag any more: no change
  // between two requests is missed.
  absl::StatusOr<MetadataReading> Read(HttpClient& client) {
    std::string url = absl::StrCat(base_url_, kPreempted);
    const bool waits = !etag_.empty();
    if (waits) absl::StrAppend(&url, "?wait_for_change=true&timeout_sec=", kWaitSeconds, "&last_etag=", etag_);
    ASSIGN_OR_RETURN(HttpResponse response, client.Do({.url = std::move(url),
                                                       .headers = {{"Metadata-Flavor", "Google"}},
                                                       .timeout = waits ? kWaitTimeout : kTimeout,
                                                       .stall_timeout = kWaitTimeout,
                                                       .max_body_bytes = 4096}));
    if (response.status != 200) {
      return absl::UnavailableError(absl::StrCat("GET ", kPreempted, ": status ", response.status));
    }
    ASSIGN_OR_RETURN(const bool preempted, ParsePreempted(response.body));
    const absl::string_view etag = FindHeader(response.headers, "etag").value_or("");
    const bool changed = std::exchange(preempted_, preempted) != preempted;
    etag_ = IsPlain(etag) && !changed ? std::string(etag) : "";
    MetadataReading reading;
    if (preempted) reading.notice = MetadataNotice{.reason = "preempted", .left = kNotice};
    reading.headers = std::move(response.headers);
    return reading;
  }

 private:
  const std::string base_url_;
  bool preempted_ = false;  // as of the last reading
  std::string etag_;        // of it; "": it had none, or was a change, which the next one is to confirm: it does not wait
};

}  // namespace

MetadataService GcpMetadata(std::string base_url) {
  const auto server = std::make_shared<MetadataServer>(std::move(base_url));
  return {.name = "gcp",
          .read = [server](HttpClient& client) { return server->Read(client); },
          .acknowledge = nullptr,
          .interval = kInterval,
          .retry = kRetry,
          .max_retry = kMaxRetry};
}

absl::StatusOr<bool> ParsePreempted(absl::string_view body) {
  const absl::string_view word = absl::StripAsciiWhitespace(body);
  if (word == "TRUE") return true;
  if (word == "FALSE") return false;
  return absl::InvalidArgumentError(
      absl::StrCat("preempted is '", absl::CHexEscape(word.substr(0, 80)), "', neither TRUE nor FALSE"));
}

}  // namespace spotinference
