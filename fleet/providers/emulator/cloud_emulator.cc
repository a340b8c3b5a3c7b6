#include "fleet/providers/emulator/cloud_emulator.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/aws_identity_service.h"
#include "fleet/providers/emulator/azure_service.h"
#include "fleet/providers/emulator/azure_tokens.h"
#include "fleet/providers/emulator/ec2_service.h"
#include "fleet/providers/emulator/gcp_service.h"
#include "fleet/providers/emulator/gcp_tokens.h"
#include "fleet/providers/emulator/hyperstack_service.h"
#include "fleet/providers/emulator/new_fields.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;

constexpr size_t kMostAnswersKept = 10'000;  // for those that come late
constexpr absl::Duration kOldest = absl::Seconds(10);  // of an answer that comes late; as lists lag

constexpr const char* kStateNames[] = {"starting",  "running",  "stopping", "stopped",
                                       "restoring", "deleting", "gone",     "failed", "off"};

absl::Status Unknown(const std::vector<std::string>& words) {
  return absl::InvalidArgumentError(absl::StrCat("'", absl::StrJoin(words, " "), "': no command of the emulator"));
}

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

// As told() has it. AWS's requests all have one path: region and service are in the signature, the rest in the body.
std::string CallOf(const FakeHttpRequest& request) {
  if (request.target != "/") {
    return absl::StrCat(request.method, " ", request.target.substr(0, request.target.find('?')));
  }
  const std::vector<absl::string_view> scope =
      absl::StrSplit(FindHeader(request.headers, "authorization").value_or(""), '/');
  const absl::string_view place = scope.size() > 2 ? scope[2] : "";
  if (const auto target = FindHeader(request.headers, "x-amz-target")) return absl::StrCat(place, " ", *target);
  return absl::StrCat(place, " ", request.body.substr(0, request.body.find('&')));
}

// What each cloud says to whom it finds too busy; the token services say nothing.
FakeHttpReply BusyReply(const FakeHttpRequest& request, int status) {
  const absl::string_view target = request.target;
  if (FindHeader(request.headers, "x-amz-target").has_value()) {
    return JsonReply(status, R"({"__type":"ThrottlingException","message":"Rate exceeded"})");
  }
  if (target == "/") {
    return XmlReply(status, "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded."
                            "</Message></Error></Errors><RequestID>1</RequestID></Response>");
  }
  if (absl::StartsWith(target, "/compute/v1/") || absl::StartsWith(target, "/v1/services/")) {
    return JsonReply(status, absl::StrCat(R"({"error":{"code":)", status, R"(,"message":"Rate Limit Exceeded",)",
                                          R"("errors":[{"message":"Rate Limit Exceeded","domain":"usageLimits",)",
                                          R"("reason":"rateLimitExceeded"}]}})"));
  }
  // "Troubleshooting API throttling errors"
  if (absl::StartsWith(target, "/subscriptions/")) {
    if (status != 429) return JsonReply(status, R"({"error":{"code":"ServiceUnavailable","message":"It is busy"}})");
    return JsonReply(status, R"({"error":{"code":"OperationNotAllowed","message":"The server rejected the request )"
                             R"(because too many requests have been received for this subscription.","details":[)"
                             R"({"code":"TooManyRequests","target":"HighCostGet30Min","message":"{}"}]}})");
  }
  if (absl::StartsWith(target, "/v1/")) return JsonReply(status, R"({"status":false,"message":"Too many requests"})");
  return {.status = status};
}

FakeHttpReply NoAnswer() { return {.headers = {{"Content-Length", "10"}}, .cut_after = 0}; }

}  // namespace

std::string GrantCommand(CloudModel& model, absl::string_view cloud) {
  if (cloud == "gcp") return absl::StrCat("gcp token ", model.NewToken(kEmulatedGcpToken), " 3599");
  if (cloud == "azure") return absl::StrCat("azure token ", model.NewToken(kEmulatedAzureToken), " 3599");
  if (cloud != "aws") return "";
  return absl::StrCat("aws role ", kEmulatedAwsRoleKey, " ", kEmulatedAwsSecret, " ",
                      model.NewToken(kEmulatedAwsToken), " 3599");
}

CloudEmulator::CloudEmulator(const Clock& clock, MachineHost& host, int port)
    : clock_(clock),
      host_(host),
      model_(clock, host),
      server_([this](const FakeHttpRequest& request) { return Answer(request); }, port) {}

CloudEmulator::~CloudEmulator() {
  absl::MutexLock lock(&mutex_);
  for (auto& [number, machine] : model_.machines()) {
    if (machine.state != State::kGone) host_.Halt(machine);
  }
}

void CloudEmulator::AdvanceAll() {
  model_.Advance();
  misfortune_.Advance(model_, host_, clock_.Elapsed());
  model_.Advance();
}

void CloudEmulator::Look(absl::FunctionRef<void(CloudModel&)> at) {
  absl::MutexLock lock(&mutex_);
  AdvanceAll();
  at(model_);
}

void CloudEmulator::Advance() {
  absl::MutexLock lock(&mutex_);
  AdvanceAll();
}

std::vector<std::string> CloudEmulator::happened() const {
  absl::MutexLock lock(&mutex_);
  return misfortune_.happened();
}

int CloudEmulator::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

int CloudEmulator::billing() {
  absl::MutexLock lock(&mutex_);
  model_.Advance();
  return std::count_if(model_.machines().begin(), model_.machines().end(), [](const auto& machine) {
    return machine.second.state == State::kStarting || machine.second.state == State::kRunning ||
           machine.second.state == State::kDeleting || machine.second.state == State::kOff;
  });
}

std::vector<CloudEmulator::Told> CloudEmulator::told() const {
  absl::MutexLock lock(&mutex_);
  return told_;
}

void CloudEmulator::Hear(std::function<void(const FakeHttpRequest&)> heard) {
  absl::MutexLock lock(&mutex_);
  heard_ = std::move(heard);
}

std::set<std::string> CloudEmulator::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

FakeHttpReply CloudEmulator::Answer(const FakeHttpRequest& request) {
  absl::MutexLock lock(&mutex_);
  if (request.target == "/emulator/command") {
    mutex_.Unlock();
    const absl::Status status = Command(request.body);
    mutex_.Lock();
    return {.status = status.ok() ? 200 : 400, .body = std::string(status.message())};
  }
  if (request.target == "/emulator/machines") return JsonReply(200, Machines());
  if (request.target == "/emulator/happened") {
    std::vector<std::string> rows;
    for (const std::string& what : misfortune_.happened()) rows.push_back(JsonString(what));
    return JsonReply(200, absl::StrCat(R"({"happened":)", JsonList(rows), "}"));
  }
  ++requests_;
  if (heard_ != nullptr) heard_(request);
  calls_.insert(absl::StrCat(request.method, " ", request.target.substr(0, request.target.find('?'))));
  NoteCall(request);
  return AnswerCloud(request);
}

void CloudEmulator::NoteCall(const FakeHttpRequest& request) {
  const auto told = last_told_.find(CallOf(request));
  if (told == last_told_.end()) return;
  told_[told->second].again = clock_.Elapsed();
  last_told_.erase(told);
}

// `seconds`: "": one, and no words with it.
FakeHttpReply CloudEmulator::Refuse(const FakeHttpRequest& request, int status, absl::string_view seconds) {
  FakeHttpReply reply = seconds.empty() ? FakeHttpReply{.status = status} : BusyReply(request, status);
  const size_t wait = seconds.empty() ? 1 : NumberOr(seconds, 1);
  if (model_.habits().new_fields) reply.body = WithNewFields(reply.body);
  reply.headers.emplace_back("Retry-After", absl::StrCat(wait));
  if (status != 429 && status < 500) return reply;
  last_told_[CallOf(request)] = told_.size();
  told_.push_back(
      {.call = CallOf(request), .at = clock_.Elapsed(), .wait = absl::Seconds(wait), .again = std::nullopt});
  return reply;
}

FakeHttpReply CloudEmulator::AnswerCloud(const FakeHttpRequest& request) {
  AdvanceAll();
  const std::string fault = DrawFault(request);
  if (fault == "lost") return NoAnswer();
  if (fault == "hang") return {.headers = {{"Content-Length", "10"}}, .cut_after = 0, .hangs = true};
  const std::pair<std::string, std::string> refusal = absl::StrSplit(fault, absl::MaxSplits(':', 1));
  if (int status; absl::SimpleAtoi(refusal.first, &status)) return Refuse(request, status, refusal.second);
  FakeHttpReply reply = Dispatch(request);
  if (fault == "twice") reply = Dispatch(request);
  if (model_.habits().new_fields) reply.body = WithNewFields(reply.body);
  if (last_answers_.size() > kMostAnswersKept) last_answers_.clear();
  const absl::Duration now = clock_.Elapsed();
  // Which region is asked only the signature says.
  const absl::string_view signer = FindHeader(request.headers, "authorization").value_or("");
  const auto [known, is_first] = last_answers_.try_emplace(
      absl::StrCat(request.method, " ", request.target, " ", signer.substr(0, signer.find(',')), " ", request.body),
      reply, now);
  if (!is_first) {
    auto& [last, at] = known->second;
    if (fault == "stale" && now - at <= kOldest) std::swap(reply, last);
    else last = reply;
    at = now;
  }
  reply.headers.emplace_back("Date", HttpDate(model_.Now()));
  if (fault == "unheard") return NoAnswer();
  if (fault == "garbage") reply.body = "<html>\xff";
  if (fault == "empty") reply.body = absl::StartsWith(reply.body, "<") ? "<Response/>" : "{}";
  return reply;
}

FakeHttpReply CloudEmulator::Dispatch(const FakeHttpRequest& request) {
  if (IsAwsIdentityRequest(request)) return AnswerAwsIdentity(model_, request);
  if (absl::StartsWith(request.target, "/compute/v1/") || absl::StartsWith(request.target, "/v1/services/") ||
      IsGcpTokens(request.target)) {
    return IsGcpTokens(request.target) ? AnswerGcpTokens(model_, keys_, request) : AnswerGcp(model_, request);
  }
  if (IsAzureTokens(request.target)) return AnswerAzureTokens(model_, keys_, request);
  if (absl::StartsWith(request.target, "/v1/")) return AnswerHyperstack(model_, request);
  if (absl::StartsWith(request.target, "/subscriptions/") || absl::StartsWith(request.target, "/api/retail/prices"))
    return AnswerAzure(model_, request);
  if (request.target == "/") return AnswerEc2(model_, request);
  return {.status = 404};
}

std::string CloudEmulator::DrawFault(const FakeHttpRequest& request) {
  if (down_ || misfortune_.is_down()) return "lost";
  for (Fault& fault : faults_) {
    const bool meant = absl::StrContains(request.target, fault.text) || absl::StrContains(request.body, fault.text) ||
                       request.method == fault.text;
    if (fault.left <= 0 || !meant) continue;
    --fault.left;
    return fault.kind;
  }
  if (const std::string status = misfortune_.NextOfBurst(); !status.empty()) return status;
  if (!std::bernoulli_distribution(chaos_)(random_)) return "";
  constexpr const char* kKinds[] = {"429", "500", "503", "lost", "unheard", "garbage", "twice", "stale"};
  return kKinds[random_() % std::size(kKinds)];
}

EmulatedMachine* CloudEmulator::Find(const std::string& machine) {
  EmulatedMachine* found = nullptr;
  for (auto& [number, candidate] : model_.machines()) {
    if (candidate.state == State::kGone) continue;
    if (candidate.name == machine || absl::StrCat(number) == machine) found = &candidate;
  }
  return found;
}

std::string CloudEmulator::Machines() {
  model_.Advance();
  std::vector<std::string> rows;
  for (const auto& [number, machine] : model_.machines()) {
    rows.push_back(absl::StrCat(R"({"number":)", number, R"(,"cloud":")", machine.cloud, R"(","name":)",
                                JsonString(machine.name), R"(,"zone":)", JsonString(machine.zone), R"(,"type":)",
                                JsonString(machine.type), R"(,"spot":)", machine.spot ? "true" : "false",
                                R"(,"state":")", kStateNames[static_cast<int>(machine.state)], R"(","address":)",
                                JsonString(machine.address), R"(,"dollars":)", model_.Bill(machine),
                                R"(,"address_dollars":)", model_.AddressBill(machine), R"(,"boot_disk_dollars":)",
                                model_.BootDiskBill(machine), "}"));
  }
  std::vector<std::string> volumes;
  for (const auto& [number, volume] : model_.volumes()) {
    volumes.push_back(absl::StrCat(R"({"number":)", number, R"(,"cloud":")", volume.cloud, R"(","name":)",
                                   JsonString(volume.name), R"(,"zone":)", JsonString(volume.zone), R"(,"gigabytes":)",
                                   volume.gigabytes, R"(,"dollars":)", model_.Bill(volume), "}"));
  }
  return absl::StrCat(R"({"machines":)", JsonList(rows), R"(,"volumes":)", JsonList(volumes),
                      R"(,"deleted_volumes_dollars":)", model_.deleted_volumes_dollars(), "}");
}

absl::Status CloudEmulator::Command(absl::string_view line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  const auto is = [&](absl::string_view word, size_t count) { return words.size() == count && words[0] == word; };
  absl::MutexLock lock(&mutex_);
  model_.Advance();
  double number, per_hour;
  uint64_t seed;
  if (is("sell", 10)) return Sell(words);
  if (is("take", 4) || is("take", 5)) return Take(words);
  if (is("poweroff", 2) && Find(words[1]) != nullptr) return model_.PowerOff(*Find(words[1]));
  if (is("stock", 5) && absl::SimpleAtod(words[4], &number)) {
    EmulatedType* const type = model_.FindType(words[1], words[2], words[3]);
    if (type == nullptr) return Unknown(words);
    type->stock = static_cast<int>(number);
  } else if (is("withdraw", 2) && Find(words[1]) != nullptr) {
    model_.Withdraw(*Find(words[1]));
  } else if (is("hide", 3) && Find(words[1]) != nullptr && absl::SimpleAtod(words[2], &number)) {
    model_.Hide(*Find(words[1]), absl::Seconds(number));
  } else if ((is("word", 2) || is("word", 3)) && Find(words[1]) != nullptr) {
    Find(words[1])->word = words.size() == 3 ? words[2] : "";
  } else if ((is("fault", 3) || is("fault", 4)) && absl::SimpleAtod(words[2], &number)) {
    faults_.push_back({words[1], words.size() == 4 ? words[3] : "", static_cast<int>(number)});
  } else if (is("forgive", 1)) {
    faults_.clear();
  } else if ((is("chaos", 3) || is("chaos", 4)) && absl::SimpleAtoi(words[1], &seed) &&
             absl::SimpleAtod(words[2], &number) && absl::SimpleAtod(words.size() == 4 ? words[3] : "0", &per_hour)) {
    random_.seed(seed);
    chaos_ = number;
    misfortune_.End(model_, host_);
    misfortune_ = Misfortune(seed, per_hour, clock_.Elapsed());
  } else if (is("down", 1) || is("up", 1)) {
    down_ = words[0] == "down";
  } else if (is("grant", 2) && Find(words[1]) != nullptr) {
    return host_.Tell(*Find(words[1]), GrantCommand(model_, Find(words[1])->cloud));
  } else if (words.size() > 2 && words[0] == "tell" && Find(words[1]) != nullptr) {
    return host_.Tell(*Find(words[1]), absl::StrJoin(words.begin() + 2, words.end(), " "));
  } else if (is("expire", 1)) {
    model_.ExpireTokens();
  } else if (is("unreachable", 2) || is("reachable", 1)) {
    model_.habits().unreachable = words.size() == 2 ? words[1] : "";
  } else if (is("habit", 3) && absl::SimpleAtod(words[2], &number)) {
    return SetHabit(words[1], number);
  } else if (is("trust", 3)) {
    const auto pem = ReadWholeFile(words[2], 1 << 20);
    return pem.ok() ? keys_.Trust(words[1], *pem) : pem.status();
  } else if (is("skew", 2) && absl::SimpleAtod(words[1], &number)) {
    model_.set_skew(absl::Seconds(number));
  } else {
    return Unknown(words);
  }
  return absl::OkStatus();
}

absl::Status CloudEmulator::Sell(const std::vector<std::string>& words) {
  EmulatedType type = {
      .cloud = words[1], .region = words[2], .zone = words[3], .type = words[4], .accelerator = words[5]};
  double spot;
  if (!absl::SimpleAtoi(words[6], &type.accelerators) || !absl::SimpleAtod(words[7], &type.on_demand_price) ||
      !absl::SimpleAtoi(words[9], &type.stock)) {
    return Unknown(words);
  }
  if (words[8] != "-") {
    if (!absl::SimpleAtod(words[8], &spot)) return Unknown(words);
    type.spot_price = spot;
  }
  model_.Sell(std::move(type));
  return absl::OkStatus();
}

absl::Status CloudEmulator::Take(const std::vector<std::string>& words) {
  EmulatedMachine* const machine = Find(words[1]);
  double seconds;
  const bool stops = words[3] == "stopped", silent = words.size() == 5;
  if (machine == nullptr || !absl::SimpleAtod(words[2], &seconds) || (!stops && words[3] != "gone") ||
      (silent && words[4] != "silent")) {
    return Unknown(words);
  }
  model_.TakeAway(*machine, absl::Seconds(seconds), stops ? State::kStopped : State::kGone, silent);
  model_.Advance();
  return absl::OkStatus();
}

absl::Status CloudEmulator::SetHabit(const std::string& name, double value) {
  CloudModel::Habits& habits = model_.habits();
  const std::map<std::string, absl::Duration*> times = {{"boot", &habits.boot},     {"stop", &habits.stop},
                                                        {"remove", &habits.remove}, {"volume", &habits.volume},
                                                        {"attach", &habits.attach}, {"list_lag", &habits.list_lag}};
  const std::map<std::string, bool*> flags = {{"stop_never_ends", &habits.stop_never_ends},
                                              {"attach_never_ends", &habits.attach_never_ends},
                                              {"dead_keep_volumes", &habits.dead_keep_volumes},
                                              {"ephemeral", &habits.ephemeral},
                                              {"no_hibernation", &habits.no_hibernation},
                                              {"keeps_addresses", &habits.keeps_addresses},
                                              {"late_failure", &habits.late_failure},
                                              {"new_fields", &habits.new_fields},
                                              {"odd_operations", &habits.odd_operations}};
  if (const auto time = times.find(name); time != times.end()) {
    *time->second = absl::Seconds(value);
  } else if (const auto flag = flags.find(name); flag != flags.end()) {
    *flag->second = value != 0;
  } else if (name == "quota" || name == "account") {
    (name == "quota" ? habits.quota : habits.account) = static_cast<int>(value);
  } else {
    return absl::InvalidArgumentError(absl::StrCat("habit ", name, ": there is no such"));
  }
  return absl::OkStatus();
}

}  // namespace spotinference::fleet
