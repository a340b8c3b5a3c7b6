#include "fleet/providers/emulator/hyperstack_service.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;
using VolumeState = EmulatedVolume::State;

constexpr char kCloud[] = "hyperstack";
constexpr size_t kLongestName = 50;
constexpr int kEnginePort = 8500;
constexpr int kDiskGigabytes = 100;  // of each flavor's root disk
constexpr char kOpenPort[] = "open port";  // among the tags; labels have none

FakeHttpReply Error(int status, absl::string_view message, absl::string_view reason) {
  return JsonReply(status, absl::StrCat(R"({"status":false,"message":)", JsonString(message), R"(,"error_reason":")",
                                        reason, "\"}"));
}

FakeHttpReply Good(absl::string_view message, absl::string_view more = "") {
  return JsonReply(200,
                   absl::StrCat(R"({"status":true,"message":")", message, "\"", more.empty() ? "" : ",", more, "}"));
}

FakeHttpReply Of(const absl::Status& status, absl::string_view done) {
  if (status.ok()) return Good(done);
  if (absl::IsResourceExhausted(status)) {
    return Error(409, status.message() == "quota" ? "Quota exceeded for instances" : "Not enough stock for this flavor",
                 "not_allowed");
  }
  if (absl::IsNotFound(status)) return Error(404, status.message(), "not_found");
  return Error(400, status.message(), absl::IsFailedPrecondition(status) ? "not_allowed" : "bad_request");
}

std::string StatusOf(State state) {
  switch (state) {
    case State::kStarting:
      return "BUILD";
    case State::kRunning:
      return "ACTIVE";
    case State::kStopping:
      return "HIBERNATING";
    case State::kStopped:
      return "HIBERNATED";
    case State::kRestoring:
      return "RESTORING";
    case State::kDeleting:
      return "DELETING";
    case State::kGone:
      return "DELETED";
    case State::kFailed:
      return "ERROR";
    case State::kOff:
      return "SHUTOFF";
  }
  return "";
}

std::string StatusOf(VolumeState state) {
  switch (state) {
    case VolumeState::kCreating:
      return "creating";
    case VolumeState::kFree:
      return "available";
    case VolumeState::kAttaching:
      return "attaching";
    case VolumeState::kAttached:
      return "in-use";
    case VolumeState::kDetaching:
      return "detaching";
  }
  return "";
}

std::string RegionOf(CloudModel& model, const std::string& zone) {
  for (const EmulatedType& type : model.types()) {
    if (type.cloud == kCloud && type.zone == zone) return type.region;
  }
  return "";
}

bool IsSpot(const std::string& flavor) { return absl::EndsWith(flavor, "-spot"); }

double PriceOf(const EmulatedType& type) {
  return IsSpot(type.type) ? type.spot_price.value_or(type.on_demand_price) : type.on_demand_price;
}

bool CannotHibernate(CloudModel& model, const std::string& flavor) {
  return IsSpot(flavor) || model.habits().no_hibernation;
}

std::string FeaturesOf(CloudModel& model, const std::string& flavor) {
  return absl::StrCat(R"("features":{"no_hibernation":)", CannotHibernate(model, flavor) ? "true" : "false", "}");
}

std::string AttachmentOf(const EmulatedVolume& volume) {
  const char* const status = volume.state == VolumeState::kAttaching   ? "ATTACHING"
                             : volume.state == VolumeState::kDetaching ? "DETACHING"
                                                                       : "ATTACHED";
  return absl::StrCat(R"("id":)", volume.number, R"(,"device":)", JsonString(volume.device), R"(,"protected":false,)",
                      R"("status":")", status, "\"");
}

// Of one whose engine no rule lets in, or whose ports are somewhere else, an address at which nobody answers.
std::string FloatingOf(const EmulatedMachine& machine) {
  if (!machine.is_public) return R"(null,"floating_ip_status":null)";
  const bool is_open = machine.tags.count(kOpenPort) != 0;
  return absl::StrCat(JsonString(is_open ? machine.address : "203.0.113.1"), R"(,"floating_ip_status":"ATTACHED")");
}

std::string Instance(CloudModel& model, const EmulatedMachine& machine) {
  std::vector<std::string> attachments, labels;
  for (const auto& [number, volume] : model.volumes()) {
    if (volume.machine != machine.number) continue;
    attachments.push_back(absl::StrCat("{", AttachmentOf(volume), R"(,"volume":{"id":)", number, R"(,"name":)",
                                       JsonString(volume.name), R"(,"size":)", volume.gigabytes, "}}"));
  }
  for (const auto& [label, value] : machine.tags) {
    if (label != kOpenPort) labels.push_back(JsonString(label));
  }
  const bool up = machine.state == State::kRunning;
  return absl::StrCat(R"({"id":)", machine.number, R"(,"name":)", JsonString(machine.name), R"(,"status":")",
                      machine.word.empty() ? StatusOf(machine.state) : machine.word, R"(","power_state":")",
                      up ? "RUNNING" : "SHUTDOWN", R"(","vm_state":")",
                      up ? "active" : "stopped", R"(","environment":{"name":)", JsonString(machine.zone),
                      R"(,"region":)", JsonString(RegionOf(model, machine.zone)), R"(},"flavor":{"name":)",
                      JsonString(machine.type), R"(,"disk":)", machine.boot_gigabytes, ",",
                      FeaturesOf(model, machine.type), R"(},"fixed_ip":)",
                      JsonString(CloudModel::PrivateAddress(machine)),
                      R"(,"floating_ip":)", FloatingOf(machine), R"(,"volume_attachments":)", JsonList(attachments),
                      R"(,"labels":)",
                      JsonList(labels), R"(,"created_at":")", Timestamp(model.Now()), "\"}");
}

std::string Volume(CloudModel& model, const EmulatedVolume& volume) {
  const std::string attachments =
      volume.machine == 0 ? "[]" : absl::StrCat("[{", AttachmentOf(volume), R"(,"instance_id":)", volume.machine, "}]");
  return absl::StrCat(R"({"id":)", volume.number, R"(,"name":)", JsonString(volume.name), R"(,"status":")",
                      StatusOf(volume.state), R"(","size":)", volume.gigabytes, R"(,"volume_type":)",
                      JsonString(volume.type), R"(,"environment":{"name":)", JsonString(volume.zone), R"(,"region":)",
                      JsonString(RegionOf(model, volume.zone)), R"(},"attachments":)", attachments,
                      R"(,"created_at":")", Timestamp(model.TimeOf(volume.made)), "\"}");
}

// The page of `rows` that was asked for.
FakeHttpReply Page(const ServiceRequest& request, absl::string_view name, const std::vector<std::string>& rows) {
  const auto number = [&](const char* field, size_t otherwise) {
    const auto found = request.query.find(field);
    return std::max<size_t>(1, found == request.query.end() ? otherwise : NumberOr(found->second, otherwise));
  };
  const size_t size = std::min<size_t>(100, number("pageSize", 10)), page = number("page", 1);
  const size_t first = std::min(rows.size(), (page - 1) * size), last = std::min(rows.size(), first + size);
  return Good("listed", absl::StrCat("\"", name, "\":", JsonList({rows.begin() + first, rows.begin() + last}),
                                     R"(,"count":)", rows.size(), R"(,"page":)", page, R"(,"page_size":)", size));
}

bool Matches(const ServiceRequest& request, const std::string& name) {
  const auto search = request.query.find("search");
  return search == request.query.end() || absl::StrContains(name, search->second);
}

bool NameIsTaken(CloudModel& model, const std::string& name) {
  return std::any_of(model.machines().begin(), model.machines().end(), [&](const auto& machine) {
    return machine.second.cloud == kCloud && machine.second.name == name && machine.second.state != State::kGone;
  });
}

FakeHttpReply Create(CloudModel& model, const FakeHttpRequest& request) {
  const auto body = Json::Parse(request.body);
  if (!body.ok()) return Error(400, "no JSON", "bad_request");
  for (const char* field : {"name", "environment_name", "flavor_name", "key_name"}) {
    if ((*body)[field].Text().empty()) return Error(400, absl::StrCat(field, " is missing"), "bad_request");
  }
  const std::string name = (*body)["name"].Text();
  if (name.size() > kLongestName) return Error(400, "the name is too long", "bad_request");
  if (!(*body)["image_name"] && !(*body)["volume_name"]) return Error(400, "image_name or volume_name?", "bad_request");
  if ((*body)["count"].Number() != 1) return Error(400, "count", "bad_request");
  if (NameIsTaken(model, name))
    return Error(409, absl::StrCat("a VM named ", name, " exists already"), "already_exist");
  EmulatedMachine wanted = {.cloud = kCloud,
                            .name = name,
                            .zone = (*body)["environment_name"].Text(),
                            .type = (*body)["flavor_name"].Text(),
                            .user_data = (*body)["user_data"].Text(),
                            .boot_gigabytes = kDiskGigabytes};
  wanted.spot = IsSpot(wanted.type);
  for (const Json& label : (*body)["labels"].Items()) wanted.tags[label.Text()] = "";
  wanted.is_public = (*body)["assign_floating_ip"].IsTrue();
  const Json moved = (*body)["enable_port_randomization"];
  for (const Json& rule : (*body)["security_rules"].Items()) {
    const bool opens = rule["direction"].Text() == "ingress" && rule["protocol"].Text() == "tcp" &&
                       rule["port_range_min"].Whole().value_or(0) <= kEnginePort &&
                       rule["port_range_max"].Whole().value_or(0) >= kEnginePort;
    if (opens && moved && !moved.IsTrue()) wanted.tags[kOpenPort] = "";
  }
  const auto machine = model.Buy(std::move(wanted));
  if (!machine.ok()) return Of(machine.status(), "");
  return Good("created", absl::StrCat(R"("instances":[)", Instance(model, **machine), "]"));
}

FakeHttpReply Volumes(CloudModel& model, const ServiceRequest& request) {
  if (request.parts.size() == 3 && request.http.method == "POST") {
    const auto body = Json::Parse(request.http.body);
    if (!body.ok() || (*body)["name"].Text().empty() || !(*body)["size"].Number())
      return Error(400, "name, size", "bad_request");
    if (RegionOf(model, (*body)["environment_name"].Text()).empty())
      return Error(404, "no such environment", "not_found");
    for (const auto& [number, known] : model.volumes()) {
      if (known.cloud == kCloud && known.name == (*body)["name"].Text()) {
        return Error(409, "a volume of this name exists already", "already_exist");
      }
    }
    const EmulatedVolume& volume = model.CreateVolume({.cloud = kCloud,
                                                       .name = (*body)["name"].Text(),
                                                       .zone = (*body)["environment_name"].Text(),
                                                       .type = (*body)["volume_type"].Text(),
                                                       .gigabytes = static_cast<int64_t>(*(*body)["size"].Number())});
    return Good("created", absl::StrCat(R"("volume":)", Volume(model, volume)));
  }
  if (request.parts.size() == 3) {
    std::vector<std::string> rows;
    for (const auto& [number, volume] : model.volumes()) {
      if (volume.cloud == kCloud && model.IsListed(volume) && Matches(request, volume.name))
        rows.push_back(Volume(model, volume));
    }
    return Page(request, "volumes", rows);
  }
  int64_t number = 0;
  EmulatedVolume* const volume =
      absl::SimpleAtoi(request.parts[3], &number) ? model.FindVolume(kCloud, number) : nullptr;
  if (volume == nullptr) return Error(404, "no such volume", "not_found");
  if (request.http.method == "DELETE") return Of(model.DeleteVolume(*volume), "deleted");
  return Good("found", absl::StrCat(R"("volume":)", Volume(model, *volume)));
}

FakeHttpReply ChangeVolumes(CloudModel& model, const FakeHttpRequest& request, EmulatedMachine& machine, bool attach) {
  const auto body = Json::Parse(request.body);
  if (!body.ok() || (*body)["volume_ids"].Items().empty()) return Error(400, "volume_ids", "bad_request");
  for (const Json& id : (*body)["volume_ids"].Items()) {
    EmulatedVolume* const volume = model.FindVolume(kCloud, static_cast<int64_t>(id.Number().value_or(0)));
    if (volume == nullptr) return Error(404, "no such volume", "not_found");
    absl::Status status;
    if (attach && machine.state != State::kRunning) {
      status = absl::FailedPreconditionError("the VM is not ACTIVE");
    } else if (attach) {
      status = model.Attach(*volume, machine, model.habits().ephemeral ? "/dev/vdc" : "/dev/vdb");
    } else if (volume->machine != machine.number) {
      status = absl::FailedPreconditionError("the volume is not attached to this VM");
    } else {
      status = model.Detach(*volume);
    }
    if (!status.ok()) return Of(status, "");
  }
  return Good(attach ? "attaching" : "detaching", R"("volume_attachments":[])");
}

FakeHttpReply Machines(CloudModel& model, const ServiceRequest& request) {
  const std::vector<std::string>& parts = request.parts;
  if (parts.size() == 3 && request.http.method == "POST") return Create(model, request.http);
  if (parts.size() == 3) {
    std::vector<std::string> rows;
    for (const auto& [number, machine] : model.machines()) {
      if (machine.cloud == kCloud && machine.state != State::kGone && model.IsListed(machine) &&
          Matches(request, machine.name)) {
        rows.push_back(Instance(model, machine));
      }
    }
    return Page(request, "instances", rows);
  }
  if (parts[3] == "name-availability" && parts.size() == 5) {
    return JsonReply(200, absl::StrCat(R"({"name":)", JsonString(parts[4]), R"(,"available":)",
                                       NameIsTaken(model, parts[4]) ? "false" : "true", "}"));
  }
  int64_t number = 0;
  EmulatedMachine* const machine = absl::SimpleAtoi(parts[3], &number) ? model.FindMachine(kCloud, number) : nullptr;
  if (machine == nullptr) return Error(404, "no such VM", "not_found");
  if (parts.size() == 5 && parts[4] == "detach-volumes") return ChangeVolumes(model, request.http, *machine, false);
  if (machine->state == State::kGone) return Error(404, "no such VM", "not_found");
  if (parts.size() == 4 && request.http.method == "DELETE") return Of(model.Delete(*machine), "deleting");
  if (parts.size() == 4) return Good("found", absl::StrCat(R"("instance":)", Instance(model, *machine)));
  if (parts[4] == "hibernate" && CannotHibernate(model, machine->type)) {
    return Error(400, "its flavor does not support hibernation", "not_allowed");
  }
  if (parts[4] == "hibernate") return Of(model.Stop(*machine), "hibernating");
  if (parts[4] == "hibernate-restore") return Of(model.Start(*machine), "restoring");
  if (parts[4] == "stop") return Of(model.PowerOff(*machine), "stopping");
  if (parts[4] == "start") return Of(model.SwitchOn(*machine), "starting");
  if (parts[4] == "hard-reboot") return Of(model.Reboot(*machine), "rebooting");
  if (parts[4] == "attach-volumes") return ChangeVolumes(model, request.http, *machine, true);
  return Error(404, "no such route", "not_found");
}

// Of the latest run alone.
FakeHttpReply BillingEvents(CloudModel& model, const std::string& id) {
  int64_t number = 0;
  const EmulatedMachine* const machine = absl::SimpleAtoi(id, &number) ? model.FindMachine(kCloud, number) : nullptr;
  if (machine == nullptr) return Error(404, "no such VM", "not_found");
  std::vector<std::string> events;
  const auto add = [&](const char* event, absl::Duration start, double price) {
    events.push_back(absl::StrCat(R"({"event":")", event, R"(","start":")", Timestamp(model.TimeOf(start)),
                                  R"(","price_per_hour":)", price, "}"));
  };
  if (machine->began.has_value()) add("ACTIVE", *machine->began, machine->price_per_hour);
  const bool deleted = machine->state == State::kDeleting || machine->state == State::kGone;
  if (machine->ended.has_value()) add(deleted ? "DELETED" : "HIBERNATED", *machine->ended, 0);
  return Good("listed", absl::StrCat(R"("billing_events_history":)", JsonList(events)));
}

FakeHttpReply Flavors(CloudModel& model) {
  std::vector<std::string> groups;
  std::set<std::string> seen;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || !seen.insert(absl::StrCat(type.region, "/", type.type)).second) continue;
    groups.push_back(absl::StrCat(R"({"gpu":)", JsonString(type.accelerator), R"(,"region_name":)",
                                  JsonString(type.region), R"(,"flavors":[{"id":1,"name":)", JsonString(type.type),
                                  R"(,"region_name":)", JsonString(type.region), R"(,"gpu":)",
                                  JsonString(type.accelerator), R"(,"gpu_count":)", type.accelerators,
                                  R"(,"disk":)", kDiskGigabytes, R"(,"ephemeral":)", model.habits().ephemeral ? 750 : 0, ",",
                                  FeaturesOf(model, type.type),
                                  R"(,"stock_available":)", type.stock > 0 ? "true" : "false", "}]}"));
  }
  return Good("listed", absl::StrCat(R"("data":)", JsonList(groups)));
}

// Of each kind of GPU, machines that can be had with 1, 2, 4 … of it.
FakeHttpReply Stocks(CloudModel& model) {
  std::vector<std::string> stocks;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud) continue;
    stocks.push_back(absl::StrCat(R"({"region":)", JsonString(type.region),
                                  R"(,"stock-type":"GPU","models":[{"model":)", JsonString(type.accelerator),
                                  R"(,"available":")", type.stock * type.accelerators, R"(","configurations":{")",
                                  type.accelerators, R"(x":)", type.stock, "}}]}"));
  }
  return JsonReply(200, absl::StrCat(R"({"stocks":)", JsonList(stocks), "}"));
}

// What room for machines an environment has in its subnet.
FakeHttpReply Room(CloudModel& model, const EmulatedType& type) {
  const int most = model.habits().quota, now = model.QuotaUsed(type, false) + model.QuotaUsed(type, true);
  return Good("told", absl::StrCat(R"("max_vms":)", most, R"(,"current_vms":)", now, R"(,"available_vms":)", most - now,
                                   R"(,"percentage_used":)", most == 0 ? 100 : 100 * now / most,
                                   R"(,"cidr":"10.0.0.0/20")"));
}

FakeHttpReply Environments(CloudModel& model, const ServiceRequest& request) {
  const std::string id = request.parts.size() == 5 && request.parts[4] == "vm-quota" ? request.parts[3] : "";
  std::vector<std::string> rows;
  std::set<std::string> seen;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || !seen.insert(type.zone).second) continue;
    if (id == absl::StrCat(seen.size())) return Room(model, type);
    rows.push_back(absl::StrCat(R"({"id":)", seen.size(), R"(,"name":)", JsonString(type.zone), R"(,"region":)",
                                JsonString(type.region), "}"));
  }
  if (!id.empty()) return Error(404, "no such environment", "not_found");
  return Page(request, "environments", rows);
}

FakeHttpReply Pricebook(CloudModel& model) {
  std::vector<std::string> rows;
  std::set<std::string> seen;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || !seen.insert(type.accelerator).second) continue;
    const double price = PriceOf(type) / std::max(1, type.accelerators);
    rows.push_back(absl::StrCat(R"({"id":)", seen.size(), R"(,"name":)", JsonString(type.accelerator), R"(,"value":)",
                                price, R"(,"original_value":)", price, R"(,"discount_applied":false})"));
  }
  return JsonReply(200, JsonList(rows));
}

}  // namespace

FakeHttpReply AnswerHyperstack(CloudModel& model, const FakeHttpRequest& http) {
  model.Advance();
  const ServiceRequest request(http);
  const auto key = FindHeader(http.headers, "api_key");
  if (!key.has_value() || key->empty() || *key == "wrong") return Error(401, "Unauthorized", "unauthorized");
  const std::vector<std::string>& parts = request.parts;  // v1, core, …
  if (parts.size() == 2 && parts[1] == "pricebook") return Pricebook(model);
  if (parts.size() == 3 && parts[1] == "auth" && parts[2] == "organizations") {
    return Good("told", absl::StrCat(R"("organization":{"id":)", model.habits().account, R"(,"name":"emulated"})"));
  }
  if (parts.size() == 6 && parts[1] == "billing" && parts[5] == "billing-events") return BillingEvents(model, parts[4]);
  if (parts.size() < 3 || parts[1] != "core") return Error(404, "no such route", "not_found");
  if (parts[2] == "virtual-machines") return Machines(model, request);
  if (parts[2] == "volumes") return Volumes(model, request);
  if (parts[2] == "flavors") return Flavors(model);
  if (parts[2] == "stocks") return Stocks(model);
  if (parts[2] == "environments") return Environments(model, request);
  return Error(404, "no such route", "not_found");
}

}  // namespace spotinference::fleet
