#include "engine/notice/emulator/metadata_emulator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace spotinference {
namespace {

constexpr char kUtc[] = "%Y-%m-%dT%H:%M:%SZ";
constexpr char kRole[] = "emulated";  // the name of AWS's
constexpr char kAccount[] = "emulated@p.iam.gserviceaccount.com";  // of Google's machine
constexpr char kProjectNumber[] = "123456789012";

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

// As JSON's.
std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const unsigned char c : text) {
    if (c < ' ') absl::StrAppend(&out, "\\u", absl::Hex(c, absl::kZeroPad4));
    else absl::StrAppend(&out, c == '"' || c == '\\' ? "\\" : "", std::string(1, static_cast<char>(c)));
  }
  return out + "\"";
}

FakeHttpReply NotFound() { return {.status = 404, .body = "<?xml version=\"1.0\"?><html>404 - Not Found</html>"}; }

FakeHttpReply GcpText(std::string body, int status = 200) {
  return {.status = status,
          .headers = {{"Metadata-Flavor", "Google"}, {"Content-Type", "application/text"}},
          .body = std::move(body)};
}

FakeHttpReply GcpJson(std::string body) {
  return {.headers = {{"Metadata-Flavor", "Google"}, {"Content-Type", "application/json"}}, .body = std::move(body)};
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

bool MetadataEmulator::has_started() const {
  absl::MutexLock lock(&mutex_);
  const auto started = [](const Event& event) { return event.status == "Started"; };
  return std::any_of(now_.events.begin(), now_.events.end(), started);
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
  AwaitService();
  if (clock_.Now() < outage_until_) return {.status = 503};
  if (int status; faults_ > 0 && absl::SimpleAtoi(fault_, &status)) {  // before anything is done
    --faults_;
    return {.status = status};
  }
  FakeHttpReply reply = request.target == "/"                                   ? GcpText("computeMetadata/\n")
                        : absl::StartsWith(request.target, "/latest/")          ? Aws(request)
                        : absl::StartsWith(request.target, "/computeMetadata/") ? Gcp(request)
                        : absl::StartsWith(request.target, "/metadata/")        ? Azure(request)
                                                                                : FakeHttpReply{.status = 404};
  if (clock_.Now() < outage_until_) return {.status = 503};  // since it waits
  if (dates_) reply.headers.emplace_back("Date", HttpDate(Now()));
  if (faults_ > 0) Spoil(reply);
  return reply;
}

void MetadataEmulator::AwaitService() {
  const auto goes_on = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stop_ || !hangs_; };
  mutex_.Await(absl::Condition(&goes_on));
  if (slow_ > absl::ZeroDuration()) mutex_.AwaitWithTimeout(absl::Condition(&stop_), slow_);
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
  const Word& said = Said();
  if (request.target == "/latest/meta-data/spot/instance-action" && !said.action.empty()) {
    return {.body = absl::StrCat(R"({"action":")", said.action, R"(","time":")", Utc(said.action_at), R"("})")};
  }
  if (request.target == "/latest/meta-data/events/recommendations/rebalance" && said.rebalance.has_value()) {
    return {.body = absl::StrCat(R"({"noticeTime":")", Utc(*said.rebalance), R"("})")};
  }
  // "Instance metadata categories", https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html
  absl::string_view what = request.target;
  absl::ConsumePrefix(&what, "/latest/meta-data/");
  if (absl::ConsumePrefix(&what, "iam/security-credentials/")) return AwsRole(what);
  absl::ConsumeSuffix(&what, "/");
  const std::map<absl::string_view, std::string> fields = {
      {"instance-id", machine_.id},
      {"instance-type", machine_.type},
      {"instance-life-cycle", machine_.market == "spot" ? "spot" : "on-demand"},
      {"placement/availability-zone", machine_.zone},
      {"placement/region", machine_.zone.substr(0, machine_.zone.size() - 1)}};
  const auto field = fields.find(what);
  return field == fields.end() ? NotFound() : FakeHttpReply{.body = field->second};
}

// "IAM roles for Amazon EC2",
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
FakeHttpReply MetadataEmulator::AwsRole(absl::string_view role) {
  const auto found = credentials_.find("aws");
  if (found == credentials_.end() || (!role.empty() && role != kRole)) return NotFound();
  if (role.empty()) return {.body = kRole};
  const Credentials& key = found->second;
  return {.body = absl::StrCat(R"({"Code":"Success","LastUpdated":")", Utc(Now()),
                               R"(","Type":"AWS-HMAC","AccessKeyId":")", key.id, R"(","SecretAccessKey":")", key.secret,
                               R"(","Token":")", key.token, R"(","Expiration":")", Utc(key.until), R"("})")};
}

FakeHttpReply MetadataEmulator::Gcp(const FakeHttpRequest& request) {
  if (FindHeader(request.headers, "metadata-flavor") != "Google") return {.status = 403};
  absl::string_view what = absl::string_view(request.target).substr(0, request.target.find('?'));
  absl::ConsumePrefix(&what, "/computeMetadata/v1/");
  if (what == "instance/preempted") return GcpPreempted(request);
  if (absl::ConsumePrefix(&what, "instance/service-accounts/default/")) {
    if (credentials_.count("gcp") == 0) return GcpText("", 404);
    if (what == "token") return GcpToken();
    if (what == "email") return GcpText(kAccount);
    if (!what.empty() || Parameter(request.target, "recursive") != "true") return GcpText("", 404);
    return GcpJson(absl::StrCat(R"({"aliases":["default"],"email":")", kAccount,
                                R"(","scopes":["https://www.googleapis.com/auth/cloud-platform"]})"));
  }
  // "Predefined metadata keys", https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
  const std::map<absl::string_view, std::string> fields = {
      {"instance/id", machine_.id},
      {"instance/name", machine_.name},
      {"instance/zone", absl::StrCat("projects/", kProjectNumber, "/zones/", machine_.zone)},
      {"instance/machine-type", absl::StrCat("projects/", kProjectNumber, "/machineTypes/", machine_.type)},
      {"instance/scheduling/preemptible", machine_.market == "spot" ? "TRUE" : "FALSE"},
      {"project/project-id", "p"},
      {"project/numeric-project-id", kProjectNumber}};
  const auto field = fields.find(what);
  return field == fields.end() ? GcpText("", 404) : GcpText(field->second);
}

FakeHttpReply MetadataEmulator::GcpPreempted(const FakeHttpRequest& request) {
  if (Parameter(request.target, "wait_for_change") == "true") {
    const std::string last = Parameter(request.target, "last_etag");
    int seconds = 3600;
    (void)absl::SimpleAtoi(Parameter(request.target, "timeout_sec"), &seconds);
    const std::string known = last.empty() ? absl::StrCat(now_.etag) : last;
    const auto changed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stop_ || absl::StrCat(Said().etag) != known;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), absl::Seconds(seconds));
    AwaitService();
  }
  FakeHttpReply reply = GcpText(Said().preempted ? "TRUE" : "FALSE");
  reply.headers.emplace_back("ETag", absl::StrCat(Said().etag));
  return reply;
}

// "Authenticate workloads using service accounts", https://cloud.google.com/compute/docs/access/authenticate-workloads
FakeHttpReply MetadataEmulator::GcpToken() {
  const Credentials& token = credentials_.at("gcp");
  return GcpJson(absl::StrCat(R"({"access_token":")", token.token, R"(","expires_in":)",
                              absl::ToInt64Seconds(token.until - Now()), R"(,"token_type":"Bearer"})"));
}

FakeHttpReply MetadataEmulator::Azure(const FakeHttpRequest& request) {
  if (FindHeader(request.headers, "metadata") != "true") return {.status = 400};
  if (Parameter(request.target, "api-version").empty()) return {.status = 400};
  if (absl::StartsWith(request.target, "/metadata/identity/oauth2/token?")) return AzureToken(request);
  if (absl::StartsWith(request.target, "/metadata/instance")) return AzureInstance(request);
  if (!absl::StartsWith(request.target, "/metadata/scheduledevents?")) return {.status = 404};
  if (request.method == "GET") return {.body = Document()};
  if (request.method != "POST") return {.status = 405};
  for (Event& event : now_.events) {
    if (!absl::StrContains(request.body, absl::StrCat(R"({"EventId":")", event.id, "\"}"))) continue;
    before_ = now_;
    event.status = "Started";
    event.not_before.reset();
    ++now_.incarnation;
    acknowledged_.push_back(event.id);
    return {};
  }
  return {.status = 400};
}

// "Azure Instance Metadata Service for virtual machines",
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service: a single value is text, and has to be
// asked for as text.
FakeHttpReply MetadataEmulator::AzureInstance(const FakeHttpRequest& request) {
  const size_t dash = machine_.zone.rfind('-');
  const std::vector<std::pair<absl::string_view, std::string>> compute = {
      {"location", machine_.zone.substr(0, dash)},
      {"name", machine_.name},
      {"priority", machine_.market == "spot" ? "Spot" : "Regular"},
      {"resourceGroupName", "g"},
      {"subscriptionId", "s"},
      {"vmId", machine_.id},
      {"vmSize", machine_.type},
      {"zone", dash == std::string::npos ? "" : machine_.zone.substr(dash + 1)}};
  absl::string_view what = absl::string_view(request.target).substr(0, request.target.find('?'));
  absl::ConsumePrefix(&what, "/metadata/instance");
  if (absl::ConsumePrefix(&what, "/compute/")) {
    for (const auto& [name, value] : compute) {
      if (what != name) continue;
      if (Parameter(request.target, "format") != "text") return {.status = 400};
      return {.headers = {{"Content-Type", "text/plain; charset=utf-8"}}, .body = value};
    }
    return {.status = 404};
  }
  const auto field = [](std::string* out, const auto& pair) {
    absl::StrAppend(out, Quoted(pair.first), ":", Quoted(pair.second));
  };
  const std::string object = absl::StrCat("{", absl::StrJoin(compute, ",", field), "}");
  if (!what.empty() && what != "/compute") return {.status = 404};
  return {.headers = {{"Content-Type", "application/json; charset=utf-8"}},
          .body = what.empty() ? absl::StrCat(R"({"compute":)", object, R"(,"network":{"interface":[]}})") : object};
}

// "How to use managed identities … to acquire an access token",
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token: numbers are texts.
FakeHttpReply MetadataEmulator::AzureToken(const FakeHttpRequest& request) {
  const auto found = credentials_.find("azure");
  const std::string resource = Parameter(request.target, "resource");
  const char* const wrong = resource.empty()               ? "resource is missing"
                            : found == credentials_.end() ? "Identity not found"
                                                          : nullptr;
  const HttpHeaders json = {{"Content-Type", "application/json; charset=utf-8"}};
  if (wrong != nullptr) {
    return {.status = 400,
            .headers = json,
            .body = absl::StrCat(R"({"error":"invalid_request","error_description":")", wrong, R"("})")};
  }
  const int64_t now = absl::ToUnixSeconds(Now()), until = absl::ToUnixSeconds(found->second.until);
  return {.headers = json,
          .body = absl::StrCat(R"({"access_token":")", found->second.token,
                               R"(","client_id":"emulated","expires_in":")", until - now, R"(","expires_on":")", until, R"(","ext_expires_in":")", until - now,
                               R"(","not_before":")", now,
                               R"(","resource":"https://management.azure.com/","token_type":"Bearer"})")};
}

std::string MetadataEmulator::Document() const {
  const Word& said = Said();
  std::vector<std::string> events;
  for (const Event& event : said.events) {
    const auto quoted = [](std::string* out, const std::string& name) { absl::StrAppend(out, Quoted(name)); };
    const std::string text = absl::StrCat(
        R"({"EventId":")", event.id, R"(","EventType":")", event.type,
        R"(","ResourceType":"VirtualMachine","Resources":[)", absl::StrJoin(event.machines, ",", quoted),
        R"(],"EventStatus":")", event.status, R"(","NotBefore":")",
        event.not_before.has_value() ? HttpDate(*event.not_before) : "",
        R"(","Description":"","EventSource":"Platform","DurationInSeconds":-1})");
    events.insert(events.end(), said.copies, text);
  }
  return absl::StrCat(R"({"DocumentIncarnation":)", said.incarnation, R"(,"Events":[)", absl::StrJoin(events, ","),
                      "]}");
}

absl::Status MetadataEmulator::Command(absl::string_view line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  const auto is = [&](absl::string_view word, size_t count) { return words.size() == count && words[0] == word; };
  absl::MutexLock lock(&mutex_);
  double seconds;
  if (words.size() > 1 && (words[1] == "role" || words[1] == "token")) return CredentialsCommand(words);
  if (!words.empty() && words[0] == "aws") return AwsCommand(words);
  if (!words.empty() && words[0] == "azure") return AzureCommand(words);
  if (is("gcp", 2) && (words[1] == "TRUE" || words[1] == "FALSE")) {
    before_ = now_;
    now_.preempted = words[1] == "TRUE";
    ++now_.etag;
  } else if (is("repeat", 1)) {
    before_ = now_;
    ++now_.etag;
    ++now_.incarnation;
    now_.copies = 2;
  } else if (is("machine", 6) && (words[5] == "spot" || words[5] == "on_demand")) {
    machine_ = {words[1], words[2], words[3], words[4], words[5]};
  } else if (is("skew", 2) && absl::SimpleAtod(words[1], &seconds)) {
    skew_ = absl::Seconds(seconds);
  } else if (is("no_date", 1)) {
    dates_ = false;
  } else {
    return FaultCommand(words);
  }
  return absl::OkStatus();
}

void MetadataEmulator::SetMachine(Machine machine) {
  absl::MutexLock lock(&mutex_);
  machine_ = std::move(machine);
}

void MetadataEmulator::AddAzureEvent(std::string type, std::string status, std::optional<absl::Duration> in,
                                     std::vector<std::string> machines) {
  absl::MutexLock lock(&mutex_);
  Event event{.type = std::move(type), .status = std::move(status), .machines = std::move(machines)};
  if (in.has_value()) event.not_before = Now() + *in;
  SayEvent(std::move(event));
}

void MetadataEmulator::Say(Word next) { before_ = std::exchange(now_, std::move(next)); }

void MetadataEmulator::SayEvent(Event event) {
  Word next = now_;
  event.id = absl::StrCat("event-", now_.incarnation);
  next.events.push_back(std::move(event));
  ++next.incarnation;
  Say(std::move(next));
}

absl::Status MetadataEmulator::FaultCommand(const std::vector<std::string>& words) {
  const auto is = [&](absl::string_view word, size_t count) { return words.size() == count && words[0] == word; };
  double seconds;
  int count;
  if (is("fault", 3) && absl::SimpleAtoi(words[2], &faults_)) {
    fault_ = words[1];
  } else if (is("outage", 2) && absl::SimpleAtod(words[1], &seconds)) {
    outage_until_ = clock_.Now() + absl::Seconds(seconds);
  } else if (is("slow", 2) && absl::SimpleAtod(words[1], &seconds)) {
    slow_ = absl::Seconds(seconds);
  } else if (is("hang", 2) && (words[1] == "on" || words[1] == "off")) {
    hangs_ = words[1] == "on";
  } else if (is("acknowledged", 2) && absl::SimpleAtoi(words[1], &count)) {
    const int were = static_cast<int>(acknowledged_.size());
    if (were != count) return absl::FailedPreconditionError(absl::StrCat(were, " events were acknowledged"));
  } else {
    return Unknown(words);
  }
  return absl::OkStatus();
}

absl::Status MetadataEmulator::CredentialsCommand(const std::vector<std::string>& words) {
  const bool is_role = words.size() == 6 && words[0] == "aws" && words[1] == "role";
  const bool is_token = words.size() == 4 && (words[0] == "gcp" || words[0] == "azure") && words[1] == "token";
  double seconds;
  if ((!is_role && !is_token) || !absl::SimpleAtod(words.back(), &seconds)) return Unknown(words);
  Credentials& credentials = credentials_[words[0]];
  credentials = {.token = words[words.size() - 2], .until = Now() + absl::Seconds(seconds)};
  if (is_role) credentials.id = words[2], credentials.secret = words[3];
  return absl::OkStatus();
}

absl::Status MetadataEmulator::AwsCommand(const std::vector<std::string>& words) {
  double seconds;
  Word next = now_;
  if (words.size() == 3 && absl::SimpleAtod(words[2], &seconds)) {
    next.action = words[1];
    next.action_at = Now() + absl::Seconds(seconds);
  } else if (words.size() == 2 && words[1] == "rebalance") {
    next.rebalance = Now();
  } else if (words.size() == 2 && words[1] == "none") {
    next.action.clear();
    next.rebalance.reset();
  } else if (words.size() == 2 && words[1] == "expire") {
    ++token_;
    return absl::OkStatus();
  } else {
    return Unknown(words);
  }
  Say(std::move(next));
  return absl::OkStatus();
}

absl::Status MetadataEmulator::AzureCommand(const std::vector<std::string>& words) {
  double seconds;
  if (words.size() == 2 && words[1] == "none") {
    Word next = now_;
    next.events.clear();
    ++next.incarnation;
    Say(std::move(next));
  } else if (words.size() >= 5 && (words[3] == "-" || absl::SimpleAtod(words[3], &seconds))) {
    Event event{.type = words[1], .status = words[2], .machines = {words.begin() + 4, words.end()}};
    if (words[3] != "-") event.not_before = Now() + absl::Seconds(seconds);
    SayEvent(std::move(event));
  } else {
    return Unknown(words);
  }
  return absl::OkStatus();
}

}  // namespace spotinference
