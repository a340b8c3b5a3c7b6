#include "fleet/providers/emulator/azure_service.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;
using VolumeState = EmulatedVolume::State;

constexpr char kCloud[] = "azure";
constexpr size_t kPage = 50, kPricePage = 3;
constexpr int kCpus = 4;  // of every size
constexpr double kImageGigabytes = 30;  // of every image
constexpr char kFamily[] = "standardNCASv3_T4Family";

FakeHttpReply Error(int status, absl::string_view code, absl::string_view message) {
  return JsonReply(status, absl::StrCat(R"({"error":{"code":")", code, R"(","message":)", JsonString(message), "}}"));
}

std::string LastPart(const std::string& id) { return id.substr(id.rfind('/') + 1); }

// Of a request: /subscriptions/S/resourceGroups/G/providers/…
std::string IdOf(absl::string_view type, absl::string_view name) {
  return absl::StrCat("/subscriptions/s/resourceGroups/g/providers/", type, "/", name);
}

std::string HostOf(const ServiceRequest& request) {
  return absl::StrCat("http://", FindHeader(request.http.headers, "host").value_or(""));
}

std::string Location(const std::string& zone) { return zone.substr(0, zone.rfind('-')); }
std::string Number(const std::string& zone) { return zone.substr(zone.rfind('-') + 1); }

std::pair<std::string, std::string> StateOf(State state) {  // provisioning, power
  switch (state) {
    case State::kStarting:
      return {"Creating", "PowerState/starting"};
    case State::kRestoring:
      return {"Updating", "PowerState/starting"};
    case State::kRunning:
      return {"Succeeded", "PowerState/running"};
    case State::kStopping:
      return {"Updating", "PowerState/deallocating"};
    case State::kStopped:
      return {"Succeeded", "PowerState/deallocated"};
    case State::kOff:
      return {"Succeeded", "PowerState/stopped"};
    case State::kDeleting:
      return {"Deleting", "PowerState/deallocated"};
    case State::kGone:
    case State::kFailed:
      return {"Failed", ""};
  }
  return {"", ""};
}

std::string BootDiskName(const EmulatedMachine& machine) {
  return absl::StrCat(machine.name, "_OsDisk_1_", machine.number);
}

std::string Machine(CloudModel& model, const EmulatedMachine& machine) {
  std::vector<std::string> disks;
  for (const auto& [number, volume] : model.volumes()) {
    if (volume.machine != machine.number) continue;
    disks.push_back(absl::StrCat(R"({"lun":0,"createOption":"Attach","managedDisk":{"id":)",
                                 JsonString(IdOf("Microsoft.Compute/disks", volume.name)), "}}"));
  }
  // Of a VM that is deallocated its own answer does not tell the size.
  const std::string size =
      machine.state == State::kStopped ? "" : absl::StrCat(R"(,"diskSizeGB":)", machine.boot_gigabytes);
  const std::string boot = absl::StrCat(R"({"osType":"Linux","createOption":"FromImage","deleteOption":"Delete")", size,
                                        R"(,"managedDisk":{"id":)",
                                        JsonString(IdOf("Microsoft.Compute/disks", BootDiskName(machine))), "}}");
  auto [provisioning, power] = StateOf(machine.state);
  if (!machine.word.empty()) power = absl::StrCat("PowerState/", machine.word);
  return absl::StrCat(R"({"id":)", JsonString(IdOf("Microsoft.Compute/virtualMachines", machine.name)), R"(,"name":)",
                      JsonString(machine.name), R"(,"type":"Microsoft.Compute/virtualMachines","location":)",
                      JsonString(Location(machine.zone)), R"(,"zones":[)", JsonString(Number(machine.zone)),
                      R"(],"tags":{"spotinference":"machine"},"properties":{"vmId":")", machine.number,
                      R"(","provisioningState":")", provisioning, R"(","hardwareProfile":{"vmSize":)",
                      JsonString(machine.type), R"(},"priority":")", machine.spot ? "Spot" : "Regular",
                      R"(","storageProfile":{"osDisk":)", boot, R"(,"dataDisks":)", JsonList(disks),
                      R"(},"instanceView":{"statuses":[{"code":"ProvisioningState/)", provisioning, R"(","time":")",
                      Timestamp(model.TimeOf(machine.since)), R"("},{"code":")", power, R"("}]}}})");
}

bool HasInterface(const EmulatedMachine& machine) {
  return machine.state != State::kGone || machine.keeps_address;
}

std::string Interface(const EmulatedMachine& machine) {
  const std::string of = absl::StrCat(
      R"("virtualMachine":{"id":)", JsonString(IdOf("Microsoft.Compute/virtualMachines", machine.name)), "},");
  const std::string address =
      absl::StrCat(R"(,"publicIPAddress":{"id":)",
                   JsonString(IdOf("Microsoft.Network/publicIPAddresses", machine.name)), "}");
  return absl::StrCat(R"({"id":)", JsonString(IdOf("Microsoft.Network/networkInterfaces", machine.name)), R"(,"name":)",
                      JsonString(machine.name), R"(,"properties":{)", machine.state == State::kGone ? "" : of,
                      R"("ipConfigurations":[{"name":"ip","properties":{"privateIPAddress":)",
                      JsonString(CloudModel::PrivateAddress(machine)), R"(,"primary":true)",
                      machine.is_public ? address : "", "}}]}}");
}

// Of a machine that has gone first the interface goes, then the address.
std::string Address(const EmulatedMachine& machine) {
  const std::string interface = IdOf("Microsoft.Network/networkInterfaces", machine.name);
  const std::string of =
      absl::StrCat(R"("ipConfiguration":{"id":)", JsonString(interface + "/ipConfigurations/ip"), "},");
  return absl::StrCat(R"({"id":)", JsonString(IdOf("Microsoft.Network/publicIPAddresses", machine.name)), R"(,"name":)",
                      JsonString(machine.name), R"(,"sku":{"name":"Standard"},"properties":{)",
                      HasInterface(machine) ? of : "", R"("publicIPAllocationMethod":"Static","ipAddress":)",
                      JsonString(machine.address), "}}");
}

std::string Disk(CloudModel& model, const EmulatedVolume& volume) {
  std::string managed;
  const auto machine = model.machines().find(volume.machine);
  if (machine != model.machines().end()) {
    managed =
        absl::StrCat(R"(,"managedBy":)", JsonString(IdOf("Microsoft.Compute/virtualMachines", machine->second.name)));
  }
  return absl::StrCat(R"({"id":)", JsonString(IdOf("Microsoft.Compute/disks", volume.name)), R"(,"name":)",
                      JsonString(volume.name), R"(,"type":"Microsoft.Compute/disks","location":)",
                      JsonString(Location(volume.zone)), R"(,"zones":[)", JsonString(Number(volume.zone)), "]", managed,
                      R"(,"tags":{"spotinference":"volume"},"properties":{"creationData":)",
                      R"({"createOption":"Empty"},"provisioningState":")",
                      volume.state == VolumeState::kCreating ? "Creating" : "Succeeded", R"(","diskState":")",
                      volume.machine == 0 ? "Unattached" : "Attached", R"(","timeCreated":")",
                      Timestamp(model.TimeOf(volume.made)), R"(","diskSizeGB":)", volume.gigabytes, "}}");
}

std::string BootDisk(CloudModel& model, const EmulatedMachine& machine) {
  const std::string name = BootDiskName(machine);
  return absl::StrCat(R"({"id":)", JsonString(IdOf("Microsoft.Compute/disks", name)), R"(,"name":)", JsonString(name),
                      R"(,"type":"Microsoft.Compute/disks","location":)", JsonString(Location(machine.zone)),
                      R"(,"zones":[)", JsonString(Number(machine.zone)), R"(],"managedBy":)",
                      JsonString(IdOf("Microsoft.Compute/virtualMachines", machine.name)),
                      R"(,"tags":{"spotinference":"machine"},"properties":{"osType":"Linux","creationData":)",
                      R"({"createOption":"FromImage"},"provisioningState":"Succeeded","diskState":")",
                      machine.state == State::kStopped ? "Reserved" : "Attached", R"(","timeCreated":")",
                      Timestamp(model.TimeOf(machine.bought)), R"(","diskSizeGB":)", machine.boot_gigabytes, "}}");
}

FakeHttpReply Page(const ServiceRequest& request, const std::vector<std::string>& rows) {
  const auto skip = request.query.find("$skipToken");
  const size_t first = std::min(skip == request.query.end() ? 0 : NumberOr(skip->second, 0), rows.size());
  const size_t last = std::min(rows.size(), first + kPage);
  std::string next;
  if (last < rows.size()) {
    std::string target = request.http.target;
    target = target.substr(0, target.find("&$skipToken="));
    next = absl::StrCat(R"(,"nextLink":)", JsonString(absl::StrCat(HostOf(request), target, "&$skipToken=", last)));
  }
  return JsonReply(200, absl::StrCat(R"({"value":)", JsonList({rows.begin() + first, rows.begin() + last}), next, "}"));
}

int64_t NewestOperation(const CloudModel& model) {
  return model.operations().empty() ? 0 : model.operations().back().number;
}

// What was asked for is on its way; what cannot be is told by the operation, whose name says it: KIND-NUMBER, 0 of a
// disk's. `before`: the newest one before the call.
FakeHttpReply Taken(const CloudModel& model, const ServiceRequest& request, int64_t before, const absl::Status& status,
                    int good, std::string body, absl::string_view kind = "good") {
  if (!status.ok() && !absl::IsResourceExhausted(status)) return Error(409, "Conflict", status.message());
  if (absl::IsResourceExhausted(status) && status.message() == "quota") {
    return Error(409, "OperationNotAllowed",
                 "Operation could not be completed as it results in exceeding approved cores quota.");
  }
  const int64_t number = NewestOperation(model) > before ? NewestOperation(model) : 0;
  FakeHttpReply reply = JsonReply(good, std::move(body));
  reply.headers.emplace_back(
      "Azure-AsyncOperation",
      absl::StrCat(HostOf(request), "/subscriptions/s/providers/Microsoft.Compute/locations/l/operations/",
                   status.ok() ? kind : "stock", "-", number, "?api-version=2024-07-01"));
  return reply;
}

// "2026-11-29T11:30:55.2010000+00:00"
std::string TimeText(const CloudModel& model, absl::Duration at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E7S%Ez", model.TimeOf(at), absl::UTCTimeZone());
}

FakeHttpReply Operation(CloudModel& model, const std::string& name) {
  const EmulatedOperation* known = nullptr;
  for (const EmulatedOperation& operation : model.operations()) {
    if (absl::EndsWith(name, absl::StrCat("-", operation.number))) known = &operation;
  }
  std::string times;
  if (known != nullptr) times = absl::StrCat(R"("startTime":")", TimeText(model, known->begun), R"(",)");
  const bool done = known == nullptr || known->done.has_value();
  if (known != nullptr && done) absl::StrAppend(&times, R"("endTime":")", TimeText(model, *known->done), R"(",)");
  const std::string about = absl::StrCat("{", times, R"("name":")", name, R"(","status":)");
  const char* const under_way = model.habits().odd_operations ? R"("Verifying"})" : R"("InProgress"})";
  if (!done) return JsonReply(200, absl::StrCat(about, under_way));
  if (absl::StartsWith(name, "good-")) return JsonReply(200, absl::StrCat(about, R"("Succeeded"})"));
  const bool late = absl::StartsWith(name, "late-");  // of a machine that runs by then
  return JsonReply(200, absl::StrCat(about, R"("Failed","error":{"code":")",
                                     late ? "OSProvisioningTimedOut" : "AllocationFailed", R"(","message":"none"}})"));
}

EmulatedMachine* FindMachine(CloudModel& model, absl::string_view name, bool also_gone = false) {
  EmulatedMachine* found = nullptr;
  for (auto& [number, machine] : model.machines()) {
    if (machine.cloud == kCloud && machine.name == name && (also_gone || machine.state != State::kGone))
      found = &machine;
  }
  return found;
}

EmulatedVolume* FindDisk(CloudModel& model, absl::string_view name) {
  for (auto& [number, volume] : model.volumes()) {
    if (volume.cloud == kCloud && volume.name == name) return &volume;
  }
  return nullptr;
}

FakeHttpReply PutMachine(CloudModel& model, const ServiceRequest& request, const std::string& name) {
  const int64_t before = NewestOperation(model);
  const auto body = Json::Parse(request.http.body);
  if (!body.ok()) return Error(400, "InvalidRequestContent", "no JSON");
  const Json properties = (*body)["properties"];
  if (const EmulatedMachine* const known = FindMachine(model, name)) {
    const bool is_of_no_use = known->state == State::kDeleting || known->state == State::kFailed;
    return is_of_no_use ? Error(409, "Conflict", "a machine of that name is being deleted, or has failed")
                         : Taken(model, request, before, absl::OkStatus(), 200, Machine(model, *known));
  }
  const std::vector<Json> zones = (*body)["zones"].Items();
  EmulatedMachine wanted = {.cloud = kCloud,
                            .name = name,
                            .zone = absl::StrCat((*body)["location"].Text(), "-", zones.empty() ? "" : zones[0].Text()),
                            .type = properties["hardwareProfile"]["vmSize"].Text()};
  wanted.boot_gigabytes = properties["storageProfile"]["osDisk"]["diskSizeGB"].Number().value_or(kImageGigabytes);
  wanted.spot = properties["priority"].Text() == "Spot";
  for (const Json& interface : properties["networkProfile"]["networkInterfaceConfigurations"].Items()) {
    wanted.keeps_address = interface["properties"]["deleteOption"].Text() != "Delete";
    for (const Json& ip : interface["properties"]["ipConfigurations"].Items()) {
      const Json address = ip["properties"]["publicIPAddressConfiguration"];
      wanted.is_public = static_cast<bool>(address);
      wanted.keeps_address |= wanted.is_public && address["properties"]["deleteOption"].Text() != "Delete";
    }
  }
  if (!absl::Base64Unescape(properties["osProfile"]["customData"].Text(), &wanted.user_data)) {
    return Error(400, "InvalidParameter", "customData");
  }
  std::vector<EmulatedVolume*> disks;
  for (const Json& disk : properties["storageProfile"]["dataDisks"].Items()) {
    EmulatedVolume* const volume = FindDisk(model, LastPart(disk["managedDisk"]["id"].Text()));
    if (volume == nullptr) return Error(404, "NotFound", "the disk");
    if (volume->machine != 0) return Error(409, "Conflict", "the disk is attached to another machine");
    disks.push_back(volume);
  }
  const auto machine = model.Buy(wanted);
  if (!machine.ok() && !absl::IsResourceExhausted(machine.status())) {
    return Error(400, "InvalidParameter", machine.status().message());
  }
  if (!machine.ok()) {
    if (machine.status().message() != "stock") return Taken(model, request, before, machine.status(), 201, "");
    model.AddFailed(std::move(wanted));
    EmulatedMachine taken_on = *FindMachine(model, name);
    taken_on.state = State::kStarting;  // what came of it its operation tells
    return Taken(model, request, before, machine.status(), 201, Machine(model, taken_on));
  }
  for (EmulatedVolume* const volume : disks) {
    const absl::Status status = model.Attach(*volume, **machine, "/dev/disk/azure/scsi1/lun0");
    if (!status.ok()) return Error(409, "Conflict", status.message());
  }
  return Taken(model, request, before, absl::OkStatus(), 201, Machine(model, **machine),
               model.habits().late_failure ? "late" : "good");
}

FakeHttpReply Machines(CloudModel& model, const ServiceRequest& request, const std::vector<std::string>& rest) {
  if (rest.empty()) {
    std::vector<std::string> rows;
    for (const auto& [number, machine] : model.machines()) {
      if (machine.cloud == kCloud && machine.state != State::kGone && model.IsListed(machine))
        rows.push_back(Machine(model, machine));
    }
    return Page(request, rows);
  }
  const int64_t before = NewestOperation(model);
  if (request.http.method == "PUT") return PutMachine(model, request, rest[0]);
  const std::string action = rest.size() > 1 ? rest[1] : "";
  EmulatedMachine* const machine = FindMachine(model, rest[0], action == "attachDetachDataDisks");
  if (machine == nullptr && request.http.method == "DELETE") return {.status = 204};
  if (machine == nullptr) return Error(404, "ResourceNotFound", rest[0]);
  if (request.http.method == "DELETE") return Taken(model, request, before, model.Delete(*machine), 202, "");
  if (action == "deallocate") return Taken(model, request, before, model.Stop(*machine), 202, "");
  if (action == "start") return Taken(model, request, before, model.Start(*machine), 202, "");
  if (action == "attachDetachDataDisks") {
    const auto body = Json::Parse(request.http.body);
    if (!body.ok()) return Error(400, "InvalidRequestContent", "no JSON");
    for (const Json& disk : (*body)["dataDisksToDetach"].Items()) {
      EmulatedVolume* const volume = FindDisk(model, LastPart(disk["diskId"].Text()));
      if (volume == nullptr || volume->machine != machine->number) return Error(404, "NotFound", "the disk");
      const absl::Status status = model.Detach(*volume);
      if (!status.ok()) return Error(409, "Conflict", status.message());
    }
    return Taken(model, request, before, absl::OkStatus(), 202, "");
  }
  return JsonReply(200, Machine(model, *machine));
}

FakeHttpReply Disks(CloudModel& model, const ServiceRequest& request, const std::vector<std::string>& rest) {
  if (rest.empty()) {
    std::vector<std::string> rows;
    for (const auto& [number, volume] : model.volumes()) {
      if (volume.cloud == kCloud && model.IsListed(volume)) rows.push_back(Disk(model, volume));
    }
    for (const auto& [number, machine] : model.machines()) {
      const bool is_there = machine.state != State::kGone && machine.state != State::kFailed;
      if (machine.cloud == kCloud && is_there && model.IsListed(machine)) rows.push_back(BootDisk(model, machine));
    }
    return Page(request, rows);
  }
  const int64_t before = NewestOperation(model);
  EmulatedVolume* const volume = FindDisk(model, rest[0]);
  if (request.http.method == "PUT" && volume == nullptr) {
    const auto body = Json::Parse(request.http.body);
    if (!body.ok() || (*body)["zones"].Items().empty()) return Error(400, "InvalidParameter", "zones");
    model.CreateVolume({.cloud = kCloud,
                        .name = rest[0],
                        .zone = absl::StrCat((*body)["location"].Text(), "-", (*body)["zones"].Items()[0].Text()),
                        .type = (*body)["sku"]["name"].Text(),
                        .gigabytes = static_cast<int64_t>((*body)["properties"]["diskSizeGB"].Number().value_or(0))});
    return Taken(model, request, before, absl::OkStatus(), 202, Disk(model, *FindDisk(model, rest[0])));
  }
  if (volume == nullptr) return Error(404, "ResourceNotFound", rest[0]);
  if (request.http.method == "DELETE") return Taken(model, request, before, model.DeleteVolume(*volume), 202, "");
  return JsonReply(200, Disk(model, *volume));
}

FakeHttpReply Interfaces(CloudModel& model, const ServiceRequest& request, const std::vector<std::string>& rest) {
  std::vector<std::string> rows;
  for (auto& [number, machine] : model.machines()) {
    if (machine.cloud != kCloud || !HasInterface(machine)) continue;
    if (rest.empty()) rows.push_back(Interface(machine));
    if (rest.empty() || machine.name != rest[0]) continue;
    if (request.http.method != "DELETE") return JsonReply(200, Interface(machine));
    if (machine.state != State::kGone) return Error(400, "NicInUse", "it is a machine's");
    machine.keeps_address = false;
    return {.status = 202};
  }
  return rest.empty() ? Page(request, rows) : FakeHttpReply{.status = 204};
}

FakeHttpReply Addresses(CloudModel& model, const ServiceRequest& request, const std::vector<std::string>& rest) {
  std::vector<std::string> rows;
  for (auto& [number, machine] : model.machines()) {
    const bool is_there = machine.is_public && (machine.state != State::kGone || machine.left_address);
    if (machine.cloud != kCloud || !is_there) continue;
    if (rest.empty()) rows.push_back(Address(machine));
    if (rest.empty() || machine.name != rest[0]) continue;
    if (request.http.method != "DELETE") return JsonReply(200, Address(machine));
    if (HasInterface(machine)) return Error(400, "PublicIPAddressCannotBeDeleted", "an interface has it");
    machine.left_address = false;
    return {.status = 202};
  }
  return rest.empty() ? Page(request, rows) : FakeHttpReply{.status = 204};
}

// Each size of the location that is asked for once, with what it has in it, and a disk that nobody asked about.
FakeHttpReply Skus(CloudModel& model, const ServiceRequest& request) {
  const auto filter = request.query.find("$filter");
  std::vector<std::string> rows = {R"({"resourceType":"disks","name":"Premium_LRS","capabilities":[]})"};
  std::set<std::string> seen;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || filter == request.query.end() ||
        filter->second != absl::StrCat("location eq '", type.region, "'") || !seen.insert(type.type).second) {
      continue;
    }
    rows.push_back(absl::StrCat(R"({"resourceType":"virtualMachines","name":)", JsonString(type.type),
                                R"(,"tier":"Standard","family":")", kFamily, R"(","locations":[)",
                                JsonString(type.region), R"(],"capabilities":[{"name":"vCPUs","value":")", kCpus,
                                R"("},{"name":"GPUs","value":")", type.accelerators, R"("}],"restrictions":[]})"));
  }
  return Page(request, rows);
}

FakeHttpReply Usages(CloudModel& model, const ServiceRequest& request, const std::string& location) {
  std::vector<std::string> rows;
  const auto add = [&](absl::string_view name, int limit, int used) {
    rows.push_back(absl::StrCat(R"({"unit":"Count","limit":)", limit, R"(,"currentValue":)", used,
                                R"(,"name":{"value":")", name, R"(","localizedValue":")", name, R"("}})"));
  };
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || type.region != location) continue;
    const int limit = model.habits().quota * kCpus;
    add("cores", 1000000, model.QuotaUsed(type, false) * kCpus);
    add(kFamily, limit, model.QuotaUsed(type, false) * kCpus);
    add("lowPriorityCores", limit, model.QuotaUsed(type, true) * kCpus);
    break;
  }
  return Page(request, rows);
}

FakeHttpReply Prices(CloudModel& model, const ServiceRequest& request) {
  std::vector<std::string> items;
  const auto filter = request.query.find("$filter");
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || filter == request.query.end() ||
        !absl::StrContains(filter->second, absl::StrCat("armSkuName eq '", type.type, "'"))) {
      continue;
    }
    const auto item = [&](absl::string_view kind, double price, absl::string_view product,
                          const std::vector<PriceSpan>& prices) {
      items.push_back(absl::StrCat(R"({"currencyCode":"USD","retailPrice":)", price, R"(,"armRegionName":)",
                                   JsonString(type.region), R"(,"armSkuName":)", JsonString(type.type),
                                   R"(,"skuName":")", type.type, kind, R"(","productName":")", product,
                                   R"(","type":"Consumption","effectiveStartDate":")",
                                   Timestamp(model.TimeOf(prices.back().since)), "\"}"));
    };
    items.clear();
    const char* const series = "Virtual Machines NCasT4 v3 Series";
    item("", type.on_demand_price, series, type.on_demand_prices);
    item("", type.on_demand_price * 2, "Virtual Machines NCasT4 v3 Series Windows", type.on_demand_prices);
    item(" Low Priority", type.on_demand_price / 2, series, type.on_demand_prices);
    if (type.spot_price.has_value()) item(" Spot", *type.spot_price, series, type.spot_prices);
  }
  const auto skip = request.query.find("$skip");
  const size_t first = std::min(skip == request.query.end() ? 0 : NumberOr(skip->second, 0), items.size());
  const size_t last = std::min(items.size(), first + kPricePage);
  std::string next = "null";
  if (last < items.size()) {
    const std::string& target = request.http.target;
    next = JsonString(absl::StrCat(HostOf(request), target.substr(0, target.find("&$skip=")), "&$skip=", last));
  }
  return JsonReply(200, absl::StrCat(R"({"BillingCurrency":"USD","Items":)",
                                     JsonList({items.begin() + first, items.begin() + last}), R"(,"NextPageLink":)",
                                     next, "}"));
}

}  // namespace

FakeHttpReply AnswerAzure(CloudModel& model, const FakeHttpRequest& http) {
  model.Advance();
  const ServiceRequest request(http);
  const std::vector<std::string>& parts = request.parts;
  if (absl::StartsWith(request.path, "/api/retail/prices")) return Prices(model, request);
  if (!model.IsGood(BearerTokenOf(http))) {
    return Error(401, "InvalidAuthenticationToken", "the access token is none, or has expired");
  }
  if (request.query.count("api-version") == 0) return Error(400, "MissingApiVersionParameter", "api-version");
  if (parts.size() == 8 && parts[6] == "operations") return Operation(model, parts[7]);
  if (parts.size() == 5 && parts[4] == "virtualMachines") return Machines(model, request, {});
  if (parts.size() == 7 && parts[6] == "usages") return Usages(model, request, parts[5]);
  if (parts.size() == 5 && parts[4] == "skus") return Skus(model, request);
  if (parts.size() < 7 || parts[2] != "resourceGroups") return Error(404, "InvalidResourceType", http.target);
  const std::vector<std::string> rest(parts.begin() + 7, parts.end());
  if (parts[6] == "virtualMachines") return Machines(model, request, rest);
  if (parts[6] == "disks") return Disks(model, request, rest);
  if (parts[6] == "networkInterfaces") return Interfaces(model, request, rest);
  if (parts[6] == "publicIPAddresses") return Addresses(model, request, rest);
  return Error(404, "InvalidResourceType", http.target);
}

}  // namespace spotinference::fleet
