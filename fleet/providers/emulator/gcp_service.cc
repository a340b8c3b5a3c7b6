#include "fleet/providers/emulator/gcp_service.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;
using VolumeState = EmulatedVolume::State;

constexpr char kCloud[] = "gcp";
constexpr size_t kOperationsPage = 3;  // fewer than asked for, as the real one may
constexpr double kImageGigabytes = 10;        // of every image
constexpr double kCores = 4, kGigabytes = 16;  // of every machine type

FakeHttpReply Error(int status, absl::string_view reason, absl::string_view message) {
  return JsonReply(status, absl::StrCat(R"({"error":{"code":)", status, R"(,"message":)", JsonString(message),
                                        R"(,"errors":[{"message":)", JsonString(message),
                                        R"(,"domain":"global","reason":")", reason, R"("}]}})"));
}

std::string LastPart(const std::string& url) { return url.substr(url.rfind('/') + 1); }

std::string UrlOf(const ServiceRequest& request, absl::string_view zone, absl::string_view what,
                  absl::string_view name) {
  return absl::StrCat("https://www.googleapis.com/compute/v1/projects/", request.parts[3], "/zones/", zone, "/", what,
                      "/", name);
}

// "2026-11-29T03:30:55.201-08:00"
std::string TimeText(const CloudModel& model, absl::Duration at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3S%Ez", model.TimeOf(at), absl::FixedTimeZone(-8 * 3600));
}

std::string StatusOf(const EmulatedMachine& machine) {
  if (!machine.word.empty()) return machine.word;
  switch (machine.state) {
    case State::kStarting:
    case State::kRestoring:
      return "STAGING";
    case State::kRunning:
      return "RUNNING";
    case State::kStopping:
    case State::kDeleting:
      return "STOPPING";
    case State::kStopped:
    case State::kOff:
    case State::kFailed:
    case State::kGone:
      return "TERMINATED";
  }
  return "";
}

std::string Instance(CloudModel& model, const ServiceRequest& request, const EmulatedMachine& machine) {
  std::vector<std::string> disks = {absl::StrCat(R"({"boot":true,"autoDelete":true,"diskSizeGb":")",
                                                 machine.boot_gigabytes, R"("})")};
  for (const auto& [number, volume] : model.volumes()) {
    if (volume.machine != machine.number) continue;
    disks.push_back(absl::StrCat(R"({"boot":false,"autoDelete":false,"deviceName":)", JsonString(volume.name),
                                 R"(,"source":)", JsonString(UrlOf(request, volume.zone, "disks", volume.name)), "}"));
  }
  std::string run;
  if (machine.began.has_value())
    absl::StrAppend(&run, R"("lastStartTimestamp":")", TimeText(model, *machine.began), R"(",)");
  if (machine.ended.has_value())
    absl::StrAppend(&run, R"("lastStopTimestamp":")", TimeText(model, *machine.ended), R"(",)");
  const bool has_address = machine.state != State::kStopped && machine.state != State::kOff;
  const std::string access =
      !machine.is_public ? ""
                         : absl::StrCat(R"(,"accessConfigs":[{"type":"ONE_TO_ONE_NAT","name":"External NAT")",
                                        has_address ? absl::StrCat(R"(,"natIP":)", JsonString(machine.address)) : "",
                                        "}]");
  return absl::StrCat(R"({"kind":"compute#instance","id":")", machine.number, R"(","name":)", JsonString(machine.name),
                      R"(,"zone":)",
                      JsonString(absl::StrCat("https://www.googleapis.com/compute/v1/projects/", request.parts[3],
                                              "/zones/", machine.zone)),
                      R"(,"machineType":)", JsonString(UrlOf(request, machine.zone, "machineTypes", machine.type)),
                      R"(,"status":")", StatusOf(machine), R"(","creationTimestamp":")", Timestamp(model.Now()),
                      R"(",)", run, R"("disks":)", JsonList(disks),
                      R"(,"networkInterfaces":[{"name":"nic0","networkIP":)",
                      JsonString(CloudModel::PrivateAddress(machine)), access,
                      R"(}],"scheduling":{"provisioningModel":")", machine.spot ? "SPOT" : "STANDARD",
                      R"("},"labels":{"spotinference":"true"}})");
}

std::string Disk(CloudModel& model, const ServiceRequest& request, const EmulatedVolume& volume) {
  std::string users = "[]";
  const auto machine = model.machines().find(volume.machine);
  if (machine != model.machines().end()) {
    users = JsonList({JsonString(UrlOf(request, volume.zone, "instances", machine->second.name))});
  }
  return absl::StrCat(R"({"kind":"compute#disk","id":")", volume.number, R"(","name":)", JsonString(volume.name),
                      R"(,"zone":)",
                      JsonString(absl::StrCat("https://www.googleapis.com/compute/v1/projects/", request.parts[3],
                                              "/zones/", volume.zone)),
                      R"(,"sizeGb":")", volume.gigabytes, R"(","creationTimestamp":")",
                      Timestamp(model.TimeOf(volume.made)), R"(","status":")",
                      volume.state == VolumeState::kCreating ? "CREATING" : "READY", R"(","users":)", users, "}");
}

std::string TypeOf(EmulatedOperation::Kind kind) {
  using enum EmulatedOperation::Kind;
  switch (kind) {
    case kCreate: return "insert";
    case kStart: return "start";
    case kStop: return "stop";
    case kDelete: return "delete";
    case kTake: return "compute.instances.preempted";
  }
  return "";
}

std::string NameOf(const EmulatedOperation& operation) {
  if (operation.kind == EmulatedOperation::Kind::kTake) return absl::StrCat("systemevent-", operation.number);
  return absl::StrCat("op-", operation.refused ? "stockout" : "good", "-", operation.number);
}

const EmulatedOperation* FindOperation(const CloudModel& model, absl::string_view name) {
  for (const EmulatedOperation& operation : model.operations()) {
    if (operation.cloud == kCloud && NameOf(operation) == name) return &operation;
  }
  return nullptr;
}

// What it says besides its name and status. A disk's operation, and one that is forgotten, is not known (nullptr).
std::string DetailsOf(const CloudModel& model, const ServiceRequest& request, const EmulatedOperation* known,
                      bool done) {
  if (known == nullptr) return "";
  std::string details = absl::StrCat(
      R"(,"operationType":")", TypeOf(known->kind), R"(","targetId":")", known->machine, R"(","targetLink":)",
      JsonString(UrlOf(request, known->zone, "instances", known->name)), R"(,"insertTime":")",
      TimeText(model, known->begun), R"(","startTime":")", TimeText(model, known->begun), "\"");
  if (done && known->done.has_value())
    absl::StrAppend(&details, R"(,"endTime":")", TimeText(model, *known->done), "\"");
  return details;
}

// An operation's name says what became of it: op-KIND-NUMBER.
std::string OperationRow(const CloudModel& model, const ServiceRequest& request, absl::string_view zone,
                         const std::string& name, bool done) {
  const EmulatedOperation* const known = FindOperation(model, name);
  done = done && (known == nullptr || known->done.has_value());
  std::string error;
  const bool quota = absl::StrContains(name, "-quota-");
  if (done && (quota || absl::StrContains(name, "-stockout-"))) {
    error = absl::StrCat(R"(,"httpErrorStatusCode":)", quota ? 403 : 503, R"(,"error":{"errors":[{"code":")",
                         quota ? "QUOTA_EXCEEDED" : "ZONE_RESOURCE_POOL_EXHAUSTED",
                         R"(","message":"said the emulator"}]})");
  }
  return absl::StrCat(R"({"kind":"compute#operation","id":"1","name":")", name, R"(","zone":)",
                      JsonString(absl::StrCat("https://www.googleapis.com/compute/v1/projects/", request.parts[3],
                                              "/zones/", zone)),
                      R"(,"status":")", done ? "DONE" : model.habits().odd_operations ? "VERIFYING" : "RUNNING",
                      R"(","progress":)", done ? 100 : 0,
                      DetailsOf(model, request, known, done), error, "}");
}

int64_t NewestOperation(const CloudModel& model) {
  return model.operations().empty() ? 0 : model.operations().back().number;
}

// What was asked for is on its way; what cannot be is told by the operation. `before`: the newest one before the call.
FakeHttpReply Taken(const CloudModel& model, const ServiceRequest& request, absl::string_view zone, int64_t before,
                    const absl::Status& status) {
  const auto operation = [&](const std::string& name) {
    return JsonReply(200, OperationRow(model, request, zone, name, /*done=*/false));
  };
  const bool exhausted = absl::IsResourceExhausted(status);
  if (exhausted && status.message() == "quota") return operation("op-quota-0");
  if (status.ok() || exhausted) {
    return operation(NewestOperation(model) > before ? NameOf(model.operations().back()) : "op-good-0");
  }
  if (absl::IsFailedPrecondition(status)) {
    return Error(400,
                 absl::StrContains(status.message(), "in use") ? "resourceInUseByAnotherResource" : "resourceNotReady",
                 status.message());
  }
  return Error(400, "invalid", status.message());
}

EmulatedMachine* FindMachine(CloudModel& model, absl::string_view zone, absl::string_view name) {
  for (auto& [number, machine] : model.machines()) {
    if (machine.cloud == kCloud && machine.state != State::kGone && machine.zone == zone && machine.name == name)
      return &machine;
  }
  return nullptr;
}

EmulatedVolume* FindDisk(CloudModel& model, absl::string_view zone, absl::string_view name) {
  for (auto& [number, volume] : model.volumes()) {
    if (volume.cloud == kCloud && volume.zone == zone && volume.name == name) return &volume;
  }
  return nullptr;
}

FakeHttpReply Insert(CloudModel& model, const ServiceRequest& request, const std::string& zone) {
  const int64_t before = NewestOperation(model);
  const auto body = Json::Parse(request.http.body);
  if (!body.ok() || (*body)["name"].Text().empty()) return Error(400, "invalid", "name");
  const auto id = request.query.find("requestId");
  const std::string token = id == request.query.end() ? "" : id->second;
  if (!token.empty() && token.size() != 36) return Error(400, "invalid", "requestId is no UUID");
  if (const EmulatedMachine* const known = FindMachine(model, zone, (*body)["name"].Text())) {
    if (!token.empty() && known->token == token) return Taken(model, request, zone, before, absl::OkStatus());
    return Error(409, "alreadyExists", "the instance exists already");
  }
  std::vector<EmulatedVolume*> disks;
  for (const Json& disk : (*body)["disks"].Items()) {
    const std::string source = disk["source"].Text();
    if (source.empty()) continue;
    EmulatedVolume* const volume = FindDisk(model, zone, LastPart(source));
    if (volume == nullptr) return Error(404, "notFound", source);
    if (volume->machine != 0) return Error(400, "resourceInUseByAnotherResource", source);
    disks.push_back(volume);
  }
  EmulatedMachine wanted = {.cloud = kCloud,
                            .name = (*body)["name"].Text(),
                            .zone = zone,
                            .type = LastPart((*body)["machineType"].Text()),
                            .token = token,
                            .boot_gigabytes = kImageGigabytes};
  for (const Json& disk : (*body)["disks"].Items()) {
    if (const auto size = disk["initializeParams"]["diskSizeGb"].Number()) wanted.boot_gigabytes = *size;
  }
  for (const Json& item : (*body)["metadata"]["items"].Items()) {
    if (item["key"].Text() == "startup-script") wanted.user_data = item["value"].Text();
  }
  wanted.spot = (*body)["scheduling"]["provisioningModel"].Text() == "SPOT";
  for (const Json& interface : (*body)["networkInterfaces"].Items()) {
    for (const Json& access : interface["accessConfigs"].Items())
      wanted.is_public |= access["type"].Text() == "ONE_TO_ONE_NAT";
  }
  const auto machine = model.Buy(std::move(wanted));
  if (!machine.ok()) return Taken(model, request, zone, before, machine.status());
  for (EmulatedVolume* const volume : disks) {
    const absl::Status status = model.Attach(*volume, **machine, absl::StrCat("/dev/disk/by-id/google-", volume->name));
    if (!status.ok()) return Taken(model, request, zone, before, status);
  }
  return Taken(model, request, zone, before, absl::OkStatus());
}

FakeHttpReply Instances(CloudModel& model, const ServiceRequest& request, const std::string& zone) {
  const std::vector<std::string>& parts = request.parts;  // compute v1 projects P zones Z instances NAME ACTION
  if (parts.size() == 7) return Insert(model, request, zone);
  const int64_t before = NewestOperation(model);
  EmulatedMachine* machine = FindMachine(model, zone, parts[7]);
  const std::string action = parts.size() > 8 ? parts[8] : "";
  if (machine == nullptr && action == "detachDisk") {  // of a machine that has gone
    for (auto& [number, gone] : model.machines()) {
      if (gone.cloud == kCloud && gone.zone == zone && gone.name == parts[7]) machine = &gone;
    }
  }
  if (machine == nullptr) return Error(404, "notFound", parts[7]);
  if (action.empty()) {
    if (request.http.method == "DELETE") return Taken(model, request, zone, before, model.Delete(*machine));
    return JsonReply(200, Instance(model, request, *machine));
  }
  if (action == "stop") return Taken(model, request, zone, before, model.Stop(*machine));
  if (action == "start") return Taken(model, request, zone, before, model.Start(*machine));
  if (action == "detachDisk") {
    const auto device = request.query.find("deviceName");
    EmulatedVolume* const volume = device == request.query.end() ? nullptr : FindDisk(model, zone, device->second);
    if (volume == nullptr || volume->machine != machine->number) return Error(400, "invalid", "deviceName");
    return Taken(model, request, zone, before, model.Detach(*volume));
  }
  if (action == "attachDisk") {
    const auto body = Json::Parse(request.http.body);
    EmulatedVolume* const volume = body.ok() ? FindDisk(model, zone, LastPart((*body)["source"].Text())) : nullptr;
    if (volume == nullptr) return Error(404, "notFound", "source");
    return Taken(model, request, zone, before,
                 model.Attach(*volume, *machine, absl::StrCat("/dev/disk/by-id/google-", volume->name)));
  }
  return Error(404, "notFound", action);
}

FakeHttpReply Disks(CloudModel& model, const ServiceRequest& request, const std::string& zone) {
  const int64_t before = NewestOperation(model);
  if (request.parts.size() == 7) {
    const auto body = Json::Parse(request.http.body);
    if (!body.ok() || !(*body)["sizeGb"].Number()) return Error(400, "invalid", "sizeGb");
    if (FindDisk(model, zone, (*body)["name"].Text()) != nullptr)
      return Error(409, "alreadyExists", "the disk exists already");
    model.CreateVolume({.cloud = kCloud,
                        .name = (*body)["name"].Text(),
                        .zone = zone,
                        .type = LastPart((*body)["type"].Text()),
                        .gigabytes = static_cast<int64_t>(*(*body)["sizeGb"].Number())});
    return Taken(model, request, zone, before, absl::OkStatus());
  }
  EmulatedVolume* const volume = FindDisk(model, zone, request.parts[7]);
  if (volume == nullptr) return Error(404, "notFound", request.parts[7]);
  if (request.http.method == "DELETE") return Taken(model, request, zone, before, model.DeleteVolume(*volume));
  return JsonReply(200, Disk(model, request, *volume));
}

// Of filters, `name eq "PREFIX.*"`.
FakeHttpReply Aggregated(CloudModel& model, const ServiceRequest& request, const std::string& what) {
  const auto get = [&](const char* name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::string() : found->second;
  };
  const std::string text = get("filter");
  absl::string_view prefix = text;
  if (!prefix.empty() && (!absl::ConsumePrefix(&prefix, "name eq \"") || !absl::ConsumeSuffix(&prefix, ".*\""))) {
    return Error(400, "invalid", "filter");
  }
  std::vector<std::pair<std::string, std::string>> rows;  // zone, row
  if (what == "instances") {
    for (const auto& [number, machine] : model.machines()) {
      if (machine.cloud != kCloud || machine.state == State::kGone || !model.IsListed(machine)) continue;
      if (absl::StartsWith(machine.name, prefix)) rows.emplace_back(machine.zone, Instance(model, request, machine));
    }
  } else {
    for (const auto& [number, volume] : model.volumes()) {
      if (volume.cloud != kCloud || !model.IsListed(volume)) continue;
      if (absl::StartsWith(volume.name, prefix)) rows.emplace_back(volume.zone, Disk(model, request, volume));
    }
  }
  std::vector<std::string> unreachables;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || model.IsReachable(type.zone)) continue;
    unreachables.push_back(JsonString(absl::StrCat("projects/p/zones/", type.zone)));
  }
  if (!unreachables.empty() && get("returnPartialSuccess") != "true") return Error(503, "backendError", "unreachable");
  rows.erase(std::remove_if(rows.begin(), rows.end(), [&](const auto& row) { return !model.IsReachable(row.first); }),
             rows.end());
  const size_t most =
      std::min<size_t>(NumberOr(get("maxResults"), 500), 50);  // fewer than asked for, as the real one may
  const size_t first = std::min(NumberOr(get("pageToken"), 0), rows.size());
  const size_t last = std::min(rows.size(), first + most);
  std::map<std::string, std::vector<std::string>> zones;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud == kCloud) zones[type.zone];
  }
  for (size_t i = first; i < last; ++i) zones[rows[i].first].push_back(rows[i].second);
  std::vector<std::string> items;
  for (const auto& [zone, list] : zones) {
    items.push_back(list.empty() ? absl::StrCat(R"("zones/)", zone, R"(":{"warning":{"code":"NO_RESULTS_ON_PAGE"}})")
                                 : absl::StrCat(R"("zones/)", zone, R"(":{")", what, R"(":)", JsonList(list), "}"));
  }
  std::string body = absl::StrCat(R"({"kind":"compute#)", what == "instances" ? "instance" : "disk",
                                  R"(AggregatedList","items":{)", JsonList(items).substr(1));
  body.back() = '}';
  if (!unreachables.empty()) absl::StrAppend(&body, R"(,"unreachables":)", JsonList(unreachables));
  return JsonReply(
      200, absl::StrCat(body, last < rows.size() ? absl::StrCat(R"(,"nextPageToken":")", last, "\"") : "", "}"));
}

// Of filters, `targetLink="URL"`. By their names, as the real one does it.
FakeHttpReply Operations(CloudModel& model, const ServiceRequest& request, const std::string& zone) {
  const auto get = [&](const char* name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::string() : found->second;
  };
  const std::string text = get("filter");
  absl::string_view target = text;
  if (!target.empty() && (!absl::ConsumePrefix(&target, "targetLink=\"") || !absl::ConsumeSuffix(&target, "\""))) {
    return Error(400, "invalid", "filter");
  }
  std::set<std::string> names;
  for (const EmulatedOperation& operation : model.operations()) {
    if (operation.cloud != kCloud || operation.zone != zone || operation.listed_at > model.Elapsed()) continue;
    if (!text.empty() && UrlOf(request, zone, "instances", operation.name) != target) continue;
    names.insert(NameOf(operation));
  }
  const std::vector<std::string> all(names.begin(), names.end());
  const size_t first = std::min(NumberOr(get("pageToken"), 0), all.size());
  const size_t last = std::min(all.size(), first + kOperationsPage);
  std::vector<std::string> rows;
  for (size_t i = first; i < last; ++i) rows.push_back(OperationRow(model, request, zone, all[i], /*done=*/true));
  const std::string items = rows.empty() ? "" : absl::StrCat(R"(,"items":)", JsonList(rows));
  const std::string next = last < all.size() ? absl::StrCat(R"(,"nextPageToken":")", last, "\"") : "";
  return JsonReply(200, absl::StrCat(R"({"kind":"compute#operationList","id":"1")", items, next, "}"));
}

FakeHttpReply MachineType(CloudModel& model, const ServiceRequest& request, const std::string& zone) {
  const EmulatedType* const type = model.FindType(kCloud, zone, request.parts[7]);
  if (type == nullptr) return Error(404, "notFound", request.parts[7]);
  return JsonReply(
      200, absl::StrCat(R"({"kind":"compute#machineType","name":)", JsonString(type->type), R"(,"guestCpus":)", kCores,
                        R"(,"memoryMb":)", kGigabytes * 1024, R"(,"accelerators":[{"guestAcceleratorType":)",
                        JsonString(type->accelerator), R"(,"guestAcceleratorCount":)", type->accelerators, "}]}"));
}

// Of a region, or of the project: "".
FakeHttpReply Quotas(CloudModel& model, const std::string& region) {
  std::vector<std::string> quotas;
  std::set<std::string> seen;
  const auto add = [&](absl::string_view metric, double limit, double usage) {
    quotas.push_back(absl::StrCat(R"({"metric":")", metric, R"(","limit":)", limit, R"(,"usage":)", usage, "}"));
  };
  if (region.empty()) add("GPUS_ALL_REGIONS", 1000, 0);
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || type.region != region || !seen.insert(type.accelerator).second) continue;
    const std::string metric = absl::StrCat(
        absl::AsciiStrToUpper(absl::StrReplaceAll(type.accelerator, {{"nvidia-", "nvidia_"}})), "_GPUS");
    const double limit = model.habits().quota * type.accelerators;
    add(metric, limit, model.QuotaUsed(type, false) * type.accelerators);
    add(absl::StrCat("PREEMPTIBLE_", metric), limit, model.QuotaUsed(type, true) * type.accelerators);
  }
  const std::string name = region.empty() ? "p" : region;
  return JsonReply(200, absl::StrCat(R"({"kind":"compute#)", region.empty() ? "project" : "region", R"(","name":)",
                                     JsonString(name), R"(,"quotas":)", JsonList(quotas), "}"));
}

// Cores, memory and accelerators that add up to the model's price: a tenth for each of the first two.
FakeHttpReply Skus(CloudModel& model) {
  std::vector<std::string> skus;
  std::set<std::string> seen;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || !seen.insert(type.region + type.type).second) continue;
    const std::string family = absl::AsciiStrToUpper(type.type.substr(0, type.type.find('-')));
    std::string gpu = absl::AsciiStrToUpper(absl::StrReplaceAll(type.accelerator, {{"nvidia-", ""}, {"-", " "}}));
    for (const bool spot : {false, true}) {
      if (spot && !type.spot_price.has_value()) continue;
      const std::vector<PriceSpan>& prices = spot ? type.spot_prices : type.on_demand_prices;
      const double price = prices.back().per_hour;
      const auto add = [&](const std::string& description, double share, double count) {
        skus.push_back(absl::StrCat(
            R"({"name":"services/x/skus/y","description":")", description,
            R"(","category":{"resourceGroup":"x","usageType":")", spot ? "Preemptible" : "OnDemand",
            R"("},"serviceRegions":[)", JsonString(type.region),
            R"(],"pricingInfo":[{"effectiveTime":")", Timestamp(model.TimeOf(prices.back().since)),
            R"(","pricingExpression":{"tieredRates":[{)"
            R"("startUsageAmount":0,"unitPrice":{"currencyCode":"USD",)",
            R"("units":"0","nanos":)", static_cast<int64_t>(price * share / count * 1e9), "}}]}}]}"));
      };
      const std::string before = spot ? "Spot Preemptible " : "";
      add(absl::StrCat(before, family, " Instance Core running in Somewhere"), 0.1, kCores);
      add(absl::StrCat(before, family, " Instance Ram running in Somewhere"), 0.1, kGigabytes);
      add(absl::StrCat("Nvidia ", gpu, " GPU ", spot ? "attached to Spot Preemptible VMs " : "",
                       "running in Somewhere"),
          0.8, std::max(1, type.accelerators));
    }
  }
  return JsonReply(200, absl::StrCat(R"({"skus":)", JsonList(skus), R"(,"nextPageToken":""})"));
}

}  // namespace

FakeHttpReply AnswerGcp(CloudModel& model, const FakeHttpRequest& http) {
  model.Advance();
  const ServiceRequest request(http);
  const std::vector<std::string>& parts = request.parts;
  if (!model.IsGood(BearerTokenOf(http))) {
    return Error(401, "authError", "Request had invalid authentication credentials.");
  }
  if (parts.size() == 4 && parts[1] == "services" && parts[3] == "skus") return Skus(model);
  if (parts.size() == 4 && parts[0] == "compute") return Quotas(model, "");
  if (parts.size() == 6 && parts[4] == "regions") return Quotas(model, parts[5]);
  if (parts.size() < 6 || parts[0] != "compute") return Error(404, "notFound", http.target);
  if (parts[4] == "aggregated") return Aggregated(model, request, parts[5]);
  if (parts[4] != "zones" || parts.size() < 7) return Error(404, "notFound", http.target);
  const std::string& zone = parts[5];
  if (!model.IsReachable(zone)) return Error(503, "backendError", zone);
  if (parts[6] == "instances") return Instances(model, request, zone);
  if (parts[6] == "disks") return Disks(model, request, zone);
  if (parts[6] == "machineTypes" && parts.size() == 8) return MachineType(model, request, zone);
  if (parts[6] == "operations" && parts.size() == 7) return Operations(model, request, zone);
  if (parts[6] == "operations") return JsonReply(200, OperationRow(model, request, zone, parts[7], /*done=*/true));
  return Error(404, "notFound", http.target);
}

}  // namespace spotinference::fleet
