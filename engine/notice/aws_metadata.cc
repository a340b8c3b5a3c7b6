#include "engine/notice/aws_metadata.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/notice/json_fields.h"

namespace spotinference {
namespace {

// EC2 asks for a look every five seconds. From a notice to the call for another machine is to be a second, of which the
// fleet's own part takes up to half (fleet/README.md, "How soon it calls").
constexpr absl::Duration kInterval = absl::Milliseconds(400);
constexpr absl::Duration kRetry = absl::Milliseconds(500);
constexpr absl::Duration kMaxRetry = absl::Seconds(2);
constexpr absl::Duration kTimeout = absl::Seconds(1);  // of one request; the service is on the same host

constexpr char kInstanceAction[] = "/latest/meta-data/spot/instance-action";
constexpr char kRebalance[] = "/latest/meta-data/events/recommendations/rebalance";
constexpr int kTokenSeconds = 21600;  // the longest there is
constexpr int kOk = 200, kUnauthorized = 401, kNotFound = 404;

class Imds {
 public:
  Imds(std::string base_url, const Clock& clock) : base_url_(std::move(base_url)), clock_(clock) {}

  absl::StatusOr<MetadataReading> Read(HttpClient& client) {
    for (const auto& [path, parse] : {std::pair(kInstanceAction, &ParseInstanceAction),
                                      std::pair(kRebalance, &ParseRebalance)}) {
      ASSIGN_OR_RETURN(HttpResponse response, Get(client, path));
      if (response.status == kNotFound) continue;
      ASSIGN_OR_RETURN(MetadataNotice notice, parse(response.body));
      return MetadataReading{std::move(notice), std::move(response.headers)};
    }
    return MetadataReading{};
  }

 private:
  // Of status 200 or 404. A token that was refused is replaced, once.
  absl::StatusOr<HttpResponse> Get(HttpClient& client, absl::string_view path) {
    for (const bool fresh : {false, true}) {
      RETURN_IF_ERROR(RenewToken(client, fresh));
      ASSIGN_OR_RETURN(HttpResponse response, client.Do({.url = absl::StrCat(base_url_, path),
                                                         .headers = {{"X-aws-ec2-metadata-token", token_}},
                                                         .timeout = kTimeout}));
      if (response.status == kOk || response.status == kNotFound) return response;
      if (response.status != kUnauthorized || fresh) {
        return absl::UnavailableError(absl::StrCat("GET ", path, ": status ", response.status));
      }
    }
    return absl::InternalError("unreachable");
  }

  absl::Status RenewToken(HttpClient& client, bool always) {
    const absl::Duration now = clock_.Elapsed();
    if (!always && now < renew_at_) return absl::OkStatus();
    ASSIGN_OR_RETURN(HttpResponse response,
                     client.Do({.method = "PUT",
                                .url = absl::StrCat(base_url_, "/latest/api/token"),
                                .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", absl::StrCat(kTokenSeconds)}},
                                .timeout = kTimeout,
                                .max_body_bytes = 4096}));
    if (response.status != kOk) {
      return absl::UnavailableError(absl::StrCat("PUT /latest/api/token: status ", response.status));
    }
    token_ = std::move(response.body);
    renew_at_ = now + absl::Seconds(kTokenSeconds / 2);
    return absl::OkStatus();
  }

  const std::string base_url_;
  const Clock& clock_;
  std::string token_;
  absl::Duration renew_at_ = -absl::InfiniteDuration();
};

absl::StatusOr<absl::Time> ParseTime(absl::string_view text) {
  absl::Time time;
  if (!absl::EndsWith(text, "Z") || !absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    return absl::InvalidArgumentError(absl::StrCat("time '", text, "': not as 2017-09-18T08:22:00Z"));
  }
  return time;
}

}  // namespace

MetadataService AwsMetadata(std::string base_url, const Clock& clock) {
  const auto imds = std::make_shared<Imds>(std::move(base_url), clock);
  return {.name = "aws",
          .read = [imds](HttpClient& client) { return imds->Read(client); },
          .acknowledge = nullptr,
          .interval = kInterval,
          .retry = kRetry,
          .max_retry = kMaxRetry};
}

absl::StatusOr<MetadataNotice> ParseInstanceAction(absl::string_view json) {
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json));
  MetadataNotice notice;
  ASSIGN_OR_RETURN(notice.reason, object.String("action"));
  ASSIGN_OR_RETURN(const std::string time, object.String("time"));
  ASSIGN_OR_RETURN(notice.at, ParseTime(time));
  if (notice.reason == "hibernate") notice.at.reset();  // begins at once, whatever the time says
  return notice;
}

absl::StatusOr<MetadataNotice> ParseRebalance(absl::string_view json) {
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json));
  ASSIGN_OR_RETURN(const std::string time, object.String("noticeTime"));
  MetadataNotice notice{.kind = Notice::Kind::kAtRisk, .reason = "rebalance"};
  ASSIGN_OR_RETURN(notice.at, ParseTime(time));
  return notice;
}

}  // namespace spotinference
