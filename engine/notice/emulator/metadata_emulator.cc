#include "engine/notice/emulator/metadata_emulator.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace spotinference {
namespace {

constexpr char kUtc[] = "%Y-%m-%dT%H:%M:%SZ";

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

std::string Utc(absl::Time time) { return absl::FormatTime(kUtc, time, absl::UTCTimeZone()); }

// The value of a parameter; "": there is none.
std::string Parameter(absl::string_view target, absl::string_view name) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(target, absl::MaxSplits('?', 1));
  for (const absl::string_view field : absl::StrSplit(parts.second, '&')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(field, absl::MaxSplits('=', 1));
    if (pair.first == name) return std::string(pair.second);
  }
  return "";
}

absl::Status Unknown(const std::vector<std::string>& words) {
  return absl::InvalidArgumentError(absl::StrCat("'", absl::StrJoin(words, " "), "': no command of the emulator"));
}

}  // namespace

MetadataEmulator::MetadataEmulator(const Clock& clock, int port)
    : clock_(clock), server_([this](const FakeHttpRequest& request) { return Answer(request); }, port) {}

MetadataEmulator::~MetadataEmulator() {
  absl::MutexLock lock(&mutex_);
  stop_ = true;
}

std::vector<std::string> MetadataEmulator::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

int MetadataEmulator::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

void MetadataEmulator::AwaitRequests(int count) const {
  absl::MutexLock lock(&mutex_);
  const auto enough = [&] { return requests_ >= count; };
  mutex_.Await(absl::Condition(&enough));
}

FakeHttpReply MetadataEmulator::Answer(const FakeHttpRequest& request) {
  absl::MutexLock lock(&mutex_);
  ++requests_;
  if (int status; faults_ > 0 && absl::SimpleAtoi(fault_, &status)) {  // before anything is done
    --faults_;
    return {.status = status};
  }
  FakeHttpReply reply = absl::StartsWith(request.target, "/latest/")            ? Aws(request)
                        : absl::StartsWith(request.target, "/computeMetadata/") ? Gcp(request)
                        : absl::StartsWith(request.target, "/metadata/")        ? Azure(request)
                                                                                : FakeHttpReply{.status = 404};
  if (dates_) reply.headers.emplace_back("Date", HttpDate(Now()));
  if (faults_ > 0) Spoil(reply);
  return reply;
}

void MetadataEmulator::Spoil(FakeHttpReply& reply) {
  --faults_;
  if (fault_ == "slow") {
    mutex_.AwaitWithTimeout(absl::Condition(&stop_), absl::Milliseconds(200));
  } else if (fault_ == "half") {
    reply.body.resize(reply.body.size() / 2);
  } else if (fault_ == "garbage") {
    reply.body = "<html>\xff";
  } else if (fault_ == "cut") {
    reply.cut_after = reply.body.size() / 2;
    if (reply.body.empty()) reply.headers.emplace_back("Content-Length", "10");
  } else if (fault_ == "hang") {
    reply.cut_after = 0;
    reply.hangs = true;
    reply.headers.emplace_back("Content-Length", absl::StrCat(reply.body.size() + 1));
  }
}

FakeHttpReply MetadataEmulator::Aws(const FakeHttpRequest& request) {
  if (request.target == "/latest/api/token") {
    if (request.method != "PUT") return {.status = 405};
    int seconds = 0;
    const auto ttl = FindHeader(request.headers, "x-aws-ec2-metadata-token-ttl-seconds");
    if (!ttl.has_value() || !absl::SimpleAtoi(*ttl, &seconds) || seconds < 1 || seconds > 21600) return {.status = 400};
    return {.body = absl::StrCat("token-", token_)};
  }
  if (FindHeader(request.headers, "x-aws-ec2-metadata-token") != absl::StrCat("token-", token_)) return {.status = 401};
  if (request.target == "/latest/meta-data/spot/instance-action" && !action_.empty()) {
    return {.body = absl::StrCat(R"({"action":")", action_, R"(","time":")", Utc(action_at_), R"("})")};
  }
  if (request.target == "/latest/meta-data/events/recommendations/rebalance" && rebalance_.has_value()) {
    return {.body = absl::StrCat(R"({"noticeTime":")", Utc(*rebalance_), R"("})")};
  }
  return {.status = 404, .body = "<?xml version=\"1.0\"?><html>404 - Not Found</html>"};
}

FakeHttpReply MetadataEmulator::Gcp(const FakeHttpRequest& request) {
  if (FindHeader(request.headers, "metadata-flavor") != "Google") return {.status = 403};
  if (!absl::StartsWith(request.target, "/computeMetadata/v1/instance/preempted")) return {.status = 404};
  if (Parameter(request.target, "wait_for_change") == "true") {
    const std::string last = Parameter(request.target, "last_etag");
    int seconds = 3600;
    (void)absl::SimpleAtoi(Parameter(request.target, "timeout_sec"), &seconds);
    const int now = etag_;
    const auto changed = [&] { return stop_ || (last.empty() ? etag_ != now : absl::StrCat(etag_) != last); };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), absl::Seconds(seconds));
  }
  return {.headers = {{"ETag", absl::StrCat(etag_)}, {"Metadata-Flavor", "Google"}},
          .body = preempted_ ? "TRUE" : "FALSE"};
}

FakeHttpReply MetadataEmulator::Azure(const FakeHttpRequest& request) {
  if (FindHeader(request.headers, "metadata") != "true") return {.status = 400};
  if (Parameter(request.target, "api-version").empty()) return {.status = 400};
  if (absl::StartsWith(request.target, "/metadata/instance/compute/name?")) return {.body = name_};
  if (!absl::StartsWith(request.target, "/metadata/scheduledevents?")) return {.status = 404};
  if (request.method == "GET") return {.body = Document()};
  if (request.method != "POST") return {.status = 405};
  for (Event& event : events_) {
    if (!absl::StrContains(request.body, absl::StrCat(R"({"EventId":")", event.id, "\"}"))) continue;
    event.status = "Started";
    event.not_before.reset();
    ++incarnation_;
    acknowledged_.push_back(event.id);
    return {};
  }
  return {.status = 400};
}

std::string MetadataEmulator::Document() const {
  std::string events;
  for (const Event& event : events_) {
    absl::StrAppend(&events, events.empty() ? "" : ",", R"({"EventId":")", event.id, R"(","EventType":")", event.type,
                    R"(","ResourceType":"VirtualMachine","Resources":[")", absl::StrJoin(event.machines, R"(",")"),
                    R"("],"EventStatus":")", event.status, R"(","NotBefore":")",
                    event.not_before.has_value() ? HttpDate(*event.not_before) : "",
                    R"(","Description":"","EventSource":"Platform","DurationInSeconds":-1})");
  }
  return absl::StrCat(R"({"DocumentIncarnation":)", incarnation_, R"(,"Events":[)", events, "]}");
}

absl::Status MetadataEmulator::Command(absl::string_view line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  const auto is = [&](absl::string_view word, size_t count) { return words.size() == count && words[0] == word; };
  absl::MutexLock lock(&mutex_);
  double seconds;
  if (!words.empty() && words[0] == "aws") return AwsCommand(words);
  if (!words.empty() && words[0] == "azure") return AzureCommand(words);
  if (is("gcp", 2) && (words[1] == "TRUE" || words[1] == "FALSE")) {
    preempted_ = words[1] == "TRUE";
    ++etag_;
  } else if (is("name", 2)) {
    name_ = words[1];
  } else if (is("skew", 2) && absl::SimpleAtod(words[1], &seconds)) {
    skew_ = absl::Seconds(seconds);
  } else if (is("no_date", 1)) {
    dates_ = false;
  } else if (is("fault", 3) && absl::SimpleAtoi(words[2], &faults_)) {
    fault_ = words[1];
  } else {
    return Unknown(words);
  }
  return absl::OkStatus();
}

absl::Status MetadataEmulator::AwsCommand(const std::vector<std::string>& words) {
  double seconds;
  if (words.size() == 3 && absl::SimpleAtod(words[2], &seconds)) {
    action_ = words[1];
    action_at_ = Now() + absl::Seconds(seconds);
  } else if (words.size() == 2 && words[1] == "rebalance") {
    rebalance_ = Now();
  } else if (words.size() == 2 && words[1] == "none") {
    action_.clear();
    rebalance_.reset();
  } else if (words.size() == 2 && words[1] == "expire") {
    ++token_;
  } else {
    return Unknown(words);
  }
  return absl::OkStatus();
}

absl::Status MetadataEmulator::AzureCommand(const std::vector<std::string>& words) {
  double seconds;
  if (words.size() == 2 && words[1] == "none") {
    events_.clear();
  } else if (words.size() >= 5 && (words[3] == "-" || absl::SimpleAtod(words[3], &seconds))) {
    Event event{.id = absl::StrCat("event-", incarnation_), .type = words[1], .status = words[2]};
    if (words[3] != "-") event.not_before = Now() + absl::Seconds(seconds);
    event.machines.assign(words.begin() + 4, words.end());
    events_.push_back(std::move(event));
  } else {
    return Unknown(words);
  }
  ++incarnation_;
  return absl::OkStatus();
}

}  // namespace spotinference
