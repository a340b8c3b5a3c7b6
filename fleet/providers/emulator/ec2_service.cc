#include "fleet/providers/emulator/ec2_service.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;
using VolumeState = EmulatedVolume::State;
using Fields = std::map<std::string, std::string>;

constexpr char kCloud[] = "aws";
constexpr int kCpus = 4;  // of every type
constexpr int kImageGigabytes = 8;  // of every image
constexpr char kRootDevice[] = "/dev/xvda";

FakeHttpReply Error(int status, absl::string_view code, absl::string_view message = "said the emulator") {
  return XmlReply(status, absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>",
                                       code, "</Code><Message>", XmlText(message),
                                       "</Message></Error></Errors><RequestID>emulated</RequestID></Response>"));
}

std::string Get(const Fields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

// The values of NAME.1, NAME.2 …
std::vector<std::string> ListOf(const Fields& fields, const std::string& name) {
  std::vector<std::string> values;
  for (int i = 1; fields.count(absl::StrCat(name, ".", i)) != 0; ++i)
    values.push_back(Get(fields, absl::StrCat(name, ".", i)));
  return values;
}

std::string Element(absl::string_view name, absl::string_view text) {
  return absl::StrCat("<", name, ">", XmlText(text), "</", name, ">");
}

std::string Set(absl::string_view name, const std::vector<std::string>& items) {
  std::string out = absl::StrCat("<", name, ">");
  for (const std::string& item : items) absl::StrAppend(&out, "<item>", item, "</item>");
  return absl::StrCat(out, "</", name, ">");
}

FakeHttpReply Good(absl::string_view action, absl::string_view body) {
  return XmlReply(
      200, absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<", action,
                        "Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>emulated</requestId>",
                        body, "</", action, "Response>"));
}

std::string VolumeId(int64_t number) { return absl::StrFormat("vol-%017x", number); }

int64_t NumberOf(absl::string_view id) {
  int64_t number = 0;
  const size_t dash = id.find('-');
  if (dash == id.npos || !absl::SimpleHexAtoi(id.substr(dash + 1), &number)) return 0;
  return number;
}

std::pair<int, std::string> StateOf(State state) {
  switch (state) {
    case State::kStarting:
    case State::kRestoring:
      return {0, "pending"};
    case State::kRunning:
      return {16, "running"};
    case State::kDeleting:
      return {32, "shutting-down"};
    case State::kStopping:
      return {64, "stopping"};
    case State::kStopped:
    case State::kOff:
      return {80, "stopped"};
    case State::kGone:
    case State::kFailed:
      return {48, "terminated"};
  }
  return {0, ""};
}

std::string StateElement(absl::string_view name, State state, const std::string& odd = "") {
  const auto [code, word] = odd.empty() || state == State::kGone ? StateOf(state) : std::pair(96, odd);
  return absl::StrCat("<", name, "><code>", code, "</code><name>", word, "</name></", name, ">");
}

std::string Tags(const std::map<std::string, std::string>& tags) {
  std::vector<std::string> items;
  for (const auto& [key, value] : tags) items.push_back(Element("key", key) + Element("value", value));
  return Set("tagSet", items);
}

std::map<std::string, std::string> TagsAsked(const Fields& fields, absl::string_view resource) {
  std::map<std::string, std::string> tags;
  for (int n = 1; fields.count(absl::StrCat("TagSpecification.", n, ".ResourceType")) != 0; ++n) {
    const std::string asked = absl::StrCat("TagSpecification.", n, ".");
    if (Get(fields, asked + "ResourceType") != resource) continue;
    for (int i = 1; fields.count(absl::StrCat(asked, "Tag.", i, ".Key")) != 0; ++i) {
      tags[Get(fields, absl::StrCat(asked, "Tag.", i, ".Key"))] = Get(fields, absl::StrCat(asked, "Tag.", i, ".Value"));
    }
  }
  return tags;
}

bool IsInState(const Fields& fields, State state) {
  if (Get(fields, "Filter.1.Name") != "instance-state-name") return true;
  const std::vector<std::string> wanted = ListOf(fields, "Filter.1.Value");
  return std::count(wanted.begin(), wanted.end(), StateOf(state).second) != 0;
}

bool Like(absl::string_view text, absl::string_view pattern) {
  return absl::ConsumeSuffix(&pattern, "*") ? absl::StartsWith(text, pattern) : text == pattern;
}

// Filters by tag; there are no others here.
bool Matches(const Fields& fields, const std::map<std::string, std::string>& tags) {
  for (int i = 1; fields.count(absl::StrCat("Filter.", i, ".Name")) != 0; ++i) {
    absl::string_view name = fields.at(absl::StrCat("Filter.", i, ".Name"));
    if (!absl::ConsumePrefix(&name, "tag:")) continue;
    const auto tag = tags.find(std::string(name));
    const std::vector<std::string> patterns = ListOf(fields, absl::StrCat("Filter.", i, ".Value"));
    const bool any =
        tag != tags.end() && std::any_of(patterns.begin(), patterns.end(),
                                         [&](const std::string& pattern) { return Like(tag->second, pattern); });
    if (!any) return false;
  }
  return true;
}

bool HasRoot(const EmulatedMachine& machine) {
  return machine.state != State::kGone && machine.state != State::kFailed && machine.boot_gigabytes > 0;
}

// A volume that has its machine's number.
EmulatedVolume RootOf(const EmulatedMachine& machine) {
  return {.number = machine.number,
          .cloud = kCloud,
          .zone = machine.zone,
          .type = "gp3",
          .tags = machine.boot_tags,
          .gigabytes = static_cast<int64_t>(machine.boot_gigabytes),
          .state = VolumeState::kAttached,
          .made = machine.bought,
          .machine = machine.number,
          .device = kRootDevice};
}

std::string Instance(CloudModel& model, const EmulatedMachine& machine) {
  std::string placement = Element("availabilityZone", machine.zone);
  std::vector<std::string> disks;
  if (HasRoot(machine)) {
    disks.push_back(absl::StrCat(Element("deviceName", kRootDevice), "<ebs>",
                                 Element("volumeId", VolumeId(machine.number)), Element("status", "attached"),
                                 Element("deleteOnTermination", "true"), "</ebs>"));
  }
  for (const auto& [number, volume] : model.volumes()) {
    if (volume.machine != machine.number) continue;
    disks.push_back(absl::StrCat(Element("deviceName", "/dev/sdf"), "<ebs>", Element("volumeId", VolumeId(number)),
                                 Element("status", volume.state == VolumeState::kAttached ? "attached" : "attaching"),
                                 Element("deleteOnTermination", "false"), "</ebs>"));
  }
  std::string end;
  if (machine.ended.has_value()) {
    const std::string time =
        absl::FormatTime("%Y-%m-%d %H:%M:%S GMT", model.TimeOf(*machine.ended), absl::UTCTimeZone());
    const bool ours = !machine.reclaimed;
    end = absl::StrCat(Element("reason", absl::StrCat(ours ? "User" : "Service", " initiated (", time, ")")),
                       "<stateReason>",
                       Element("code", ours ? "Client.UserInitiatedShutdown" : "Server.SpotInstanceTermination"),
                       "</stateReason>");
  }
  const std::string address = machine.state == State::kGone ? ""
                              : machine.is_public           ? Element("ipAddress", machine.address)
                              : machine.public_address      ? Element("ipAddress", "203.0.113.1")
                                                            : "";
  return absl::StrCat(Element("instanceId", Ec2MachineId(machine.number)), Element("imageId", "ami-emulated"),
                      StateElement("instanceState", machine.state, machine.word),
                      Element("instanceType", machine.type),
                      Element("launchTime", Timestamp(model.TimeOf(machine.launched))), end, "<placement>", placement,
                      "</placement>",
                      Element("privateIpAddress", CloudModel::PrivateAddress(machine)), address,
                      Element("rootDeviceType", "ebs"), Element("rootDeviceName", kRootDevice),
                      Set("blockDeviceMapping", disks),
                      "<cpuOptions>", Element("coreCount", absl::StrCat(kCpus / 2)), Element("threadsPerCore", "2"),
                      "</cpuOptions>", machine.spot ? Element("instanceLifecycle", "spot") : "", Element("clientToken", machine.token),
                      Tags(machine.tags));
}

std::string AttachmentOf(CloudModel& model, const EmulatedVolume& volume) {
  const char* const status = volume.state == VolumeState::kAttached    ? "attached"
                             : volume.state == VolumeState::kDetaching ? "detaching"
                                                                       : "attaching";
  const bool is_root = volume.number == volume.machine;
  return absl::StrCat(Element("volumeId", VolumeId(volume.number)), Element("instanceId", Ec2MachineId(volume.machine)),
                      Element("device", is_root ? kRootDevice : "/dev/sdf"), Element("status", status),
                      Element("attachTime", Timestamp(model.Now())),
                      Element("deleteOnTermination", is_root ? "true" : "false"));
}

std::string Volume(CloudModel& model, const EmulatedVolume& volume) {
  const char* const status = volume.state == VolumeState::kCreating ? "creating"
                             : volume.state == VolumeState::kFree   ? "available"
                                                                    : "in-use";
  std::vector<std::string> attachments;
  if (volume.machine != 0) attachments.push_back(AttachmentOf(model, volume));
  return absl::StrCat(Element("volumeId", VolumeId(volume.number)), Element("size", absl::StrCat(volume.gigabytes)),
                      Element("availabilityZone", volume.zone), Element("status", status),
                      Element("createTime", Timestamp(model.TimeOf(volume.made))), Set("attachmentSet", attachments),
                      Tags(volume.tags), Element("volumeType", volume.type));
}

FakeHttpReply Of(const absl::Status& status, absl::string_view action, absl::string_view body) {
  if (status.ok()) return Good(action, body);
  if (absl::IsResourceExhausted(status)) {
    return status.message() == "quota" ? Error(400, "VcpuLimitExceeded") : Error(500, "InsufficientInstanceCapacity");
  }
  if (absl::IsFailedPrecondition(status)) return Error(400, "IncorrectState", status.message());
  return Error(400, "InvalidParameterValue", status.message());
}

// The part of `rows` that was asked for, and the token of the next.
FakeHttpReply Page(const Fields& fields, absl::string_view action, absl::string_view set,
                   std::vector<std::string> rows) {
  const size_t most = NumberOr(Get(fields, "MaxResults"), 1000);
  const size_t first = std::min(NumberOr(Get(fields, "NextToken"), 0), rows.size());
  const size_t last = std::min(rows.size(), first + most);
  const std::string next = last < rows.size() ? Element("nextToken", absl::StrCat(last)) : "";
  return Good(action, Set(set, {rows.begin() + first, rows.begin() + last}) + next);
}

FakeHttpReply RunInstances(CloudModel& model, const Fields& fields) {
  for (const char* field : {"ImageId", "InstanceType"}) {
    if (Get(fields, field).empty()) return Error(400, "MissingParameter", field);
  }
  if (!Get(fields, "NetworkInterface.1.DeviceIndex").empty() && !Get(fields, "SecurityGroupId.1").empty()) {
    return Error(400, "InvalidParameterCombination", "security groups are its network interface's");
  }
  std::string user_data;
  if (!absl::Base64Unescape(Get(fields, "UserData"), &user_data))
    return Error(400, "InvalidParameterValue", "UserData");
  const std::string token = Get(fields, "ClientToken");
  EmulatedMachine wanted = {.cloud = kCloud,
                            .name = "",
                            .zone = Get(fields, "Placement.AvailabilityZone"),
                            .type = Get(fields, "InstanceType"),
                            .token = token,
                            .user_data = user_data,
                            .tags = TagsAsked(fields, "instance")};
  const auto size = fields.find("BlockDeviceMapping.1.Ebs.VolumeSize");
  wanted.boot_gigabytes = size == fields.end() ? kImageGigabytes : NumberOr(size->second, kImageGigabytes);
  wanted.boot_tags = TagsAsked(fields, "volume");
  wanted.spot = Get(fields, "InstanceMarketOptions.MarketType") == "spot";
  wanted.is_public = Get(fields, "NetworkInterface.1.AssociatePublicIpAddress") == "true";
  wanted.name = wanted.tags["Name"];
  wanted.public_address = true;  // without a subnet it is in a default one, which gives one
  EmulatedMachine* machine = nullptr;
  for (auto& [number, known] : model.machines()) {
    if (!token.empty() && known.cloud == kCloud && known.token == token) machine = &known;
  }
  if (machine != nullptr &&
      (machine->zone != wanted.zone || machine->type != wanted.type || machine->spot != wanted.spot)) {
    return Error(400, "IdempotentParameterMismatch");
  }
  if (machine == nullptr) {
    const bool spot = wanted.spot;
    const auto bought = model.Buy(std::move(wanted));
    if (spot && absl::IsResourceExhausted(bought.status()) && bought.status().message() == "quota")
      return Error(400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded");
    if (!bought.ok()) return Of(bought.status(), "", "");
    machine = *bought;
  }
  return Good("RunInstances",
              absl::StrCat(Element("reservationId", absl::StrFormat("r-%017x", machine->number)),
                           Element("ownerId", "123456789012"), Set("instancesSet", {Instance(model, *machine)})));
}

FakeHttpReply DescribeInstances(CloudModel& model, const Fields& fields, const std::string& region) {
  const std::vector<std::string> ids = ListOf(fields, "InstanceId");
  std::vector<std::string> rows;
  for (const auto& [number, machine] : model.machines()) {
    if (machine.cloud != kCloud || !model.IsListed(machine) || !Matches(fields, machine.tags)) continue;
    if (!absl::StartsWith(machine.zone, region) || !IsInState(fields, machine.state)) continue;
    if (!ids.empty() && std::count(ids.begin(), ids.end(), Ec2MachineId(number)) == 0) continue;
    rows.push_back(absl::StrCat(Element("reservationId", absl::StrFormat("r-%017x", number)),
                                Element("ownerId", "123456789012"), Set("instancesSet", {Instance(model, machine)})));
  }
  if (!ids.empty() && rows.size() < ids.size()) return Error(400, "InvalidInstanceID.NotFound");
  return Page(fields, "DescribeInstances", "reservationSet", rows);
}

FakeHttpReply DescribeVolumes(CloudModel& model, const Fields& fields, const std::string& region) {
  std::vector<std::string> rows;
  for (const auto& [number, volume] : model.volumes()) {
    if (volume.cloud != kCloud || !absl::StartsWith(volume.zone, region)) continue;
    if (model.IsListed(volume) && Matches(fields, volume.tags)) rows.push_back(Volume(model, volume));
  }
  for (const auto& [number, machine] : model.machines()) {
    if (machine.cloud != kCloud || !absl::StartsWith(machine.zone, region) || !HasRoot(machine)) continue;
    if (model.IsListed(machine) && Matches(fields, machine.boot_tags)) rows.push_back(Volume(model, RootOf(machine)));
  }
  return Page(fields, "DescribeVolumes", "volumeSet", rows);
}

// Terminate, Stop and Start of InstanceId.1, and what the state was.
FakeHttpReply ChangeInstance(CloudModel& model, const Fields& fields, const std::string& action) {
  std::vector<std::string> changes;
  for (const std::string& id : ListOf(fields, "InstanceId")) {
    EmulatedMachine* const machine = model.FindMachine(kCloud, NumberOf(id));
    if (machine == nullptr) return Error(400, "InvalidInstanceID.NotFound", id);
    const State before = machine->state;
    const absl::Status status = action == "TerminateInstances" ? model.Delete(*machine)
                                : action == "StopInstances"    ? model.Stop(*machine)
                                                               : model.Start(*machine);
    if (absl::IsFailedPrecondition(status)) return Error(400, "IncorrectInstanceState", status.message());
    if (!status.ok()) return Of(status, "", "");
    changes.push_back(absl::StrCat(Element("instanceId", id), StateElement("currentState", machine->state),
                                   StateElement("previousState", before)));
  }
  return Good(action, Set("instancesSet", changes));
}

FakeHttpReply CreateVolume(CloudModel& model, const Fields& fields) {
  int64_t gigabytes = 0;
  if (!absl::SimpleAtoi(Get(fields, "Size"), &gigabytes)) return Error(400, "MissingParameter", "Size");
  EmulatedVolume wanted = {.cloud = kCloud,
                           .zone = Get(fields, "AvailabilityZone"),
                           .type = Get(fields, "VolumeType"),
                           .token = Get(fields, "ClientToken"),
                           .tags = TagsAsked(fields, "volume"),
                           .gigabytes = gigabytes};
  for (const auto& [number, known] : model.volumes()) {
    if (!wanted.token.empty() && known.cloud == kCloud && known.token == wanted.token) {
      return Good("CreateVolume", Volume(model, known));
    }
  }
  const auto& types = model.types();
  if (std::none_of(types.begin(), types.end(), [&](const EmulatedType& type) { return type.zone == wanted.zone; })) {
    return Error(400, "InvalidZone.NotFound", wanted.zone);
  }
  wanted.name = wanted.tags["Name"];
  return Good("CreateVolume", Volume(model, model.CreateVolume(std::move(wanted))));
}

FakeHttpReply ChangeVolume(CloudModel& model, const Fields& fields, const std::string& action) {
  EmulatedVolume* const volume = model.FindVolume(kCloud, NumberOf(Get(fields, "VolumeId")));
  if (volume == nullptr) return Error(400, "InvalidVolume.NotFound", Get(fields, "VolumeId"));
  if (action == "DeleteVolume") {
    const absl::Status status = model.DeleteVolume(*volume);
    return status.ok() ? Good(action, Element("return", "true")) : Error(400, "VolumeInUse", status.message());
  }
  if (action == "DetachVolume") {
    const absl::Status status = model.Detach(*volume);
    return Of(status, action, status.ok() ? AttachmentOf(model, *volume) : "");
  }
  EmulatedMachine* const machine = model.FindMachine(kCloud, NumberOf(Get(fields, "InstanceId")));
  if (machine == nullptr) return Error(400, "InvalidInstanceID.NotFound");
  if (machine->zone != volume->zone) return Error(400, "InvalidVolume.ZoneMismatch");
  if (machine->state != State::kRunning && machine->state != State::kStopped) return Error(400, "IncorrectState");
  const absl::Status status = model.Attach(
      *volume, *machine, absl::StrFormat("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol%017x", volume->number));
  if (!status.ok()) return Error(400, "VolumeInUse", status.message());
  return Good(action, AttachmentOf(model, *volume));
}

// By name, or by a filter: there is one alone.
bool Asked(const Fields& fields, const EmulatedType& type, const std::string& region) {
  const bool filters = Get(fields, "Filter.1.Name") == "instance-type";
  const std::vector<std::string> types = ListOf(fields, filters ? "Filter.1.Value" : "InstanceType");
  return type.cloud == kCloud && type.region == region &&
         (types.empty() || std::count(types.begin(), types.end(), type.type) != 0);
}

FakeHttpReply SpotPrices(CloudModel& model, const Fields& fields, const std::string& region) {
  std::vector<std::string> rows;
  for (const EmulatedType& type : model.types()) {
    if (!Asked(fields, type, region) || !type.spot_price.has_value()) continue;
    rows.push_back(absl::StrCat(Element("instanceType", type.type), Element("productDescription", "Linux/UNIX"),
                                Element("spotPrice", absl::StrFormat("%.6f", *type.spot_price)),
                                Element("timestamp", Timestamp(model.TimeOf(type.spot_prices.back().since))),
                                Element("availabilityZone", type.zone)));
  }
  return Page(fields, "DescribeSpotPriceHistory", "spotPriceHistorySet", rows);
}

FakeHttpReply InstanceTypes(CloudModel& model, const Fields& fields, const std::string& region) {
  std::vector<std::string> rows;
  std::set<std::string> seen;
  for (const EmulatedType& type : model.types()) {
    if (!Asked(fields, type, region) || !seen.insert(type.type).second) continue;
    const std::vector<std::string> words = absl::StrSplit(type.accelerator, '/');  // its name, MiB of memory, a part
    const std::string memory =
        words.size() < 2 ? "" : absl::StrCat("<memoryInfo>", Element("sizeInMiB", words[1]), "</memoryInfo>");
    std::string part;
    if (words.size() > 2) {
      part = absl::StrCat(Element("logicalGpuCount", absl::StrCat(type.accelerators)),
                          Element("gpuPartitionSize", words[2]));
    }
    const std::string gpu = absl::StrCat(Element("name", words[0]), Element("manufacturer", "NVIDIA"),
                                         Element("count", words.size() < 3 ? absl::StrCat(type.accelerators) : "0"),
                                         memory, part);
    rows.push_back(absl::StrCat(Element("instanceType", type.type), Element("hibernationSupported", "false"),
                                "<vCpuInfo>", Element("defaultVCpus", absl::StrCat(kCpus)), "</vCpuInfo><gpuInfo>",
                                Set("gpus", {gpu}), "</gpuInfo>"));
  }
  for (const std::string& name : ListOf(fields, "InstanceType")) {
    if (seen.count(name) == 0) return Error(400, "InvalidInstanceType", name);
  }
  return Page(fields, "DescribeInstanceTypes", "instanceTypeSet", rows);
}

FakeHttpReply Offerings(CloudModel& model, const Fields& fields, const std::string& region) {
  if (Get(fields, "LocationType") != "availability-zone") return Error(400, "InvalidParameterValue", "LocationType");
  std::vector<std::string> rows;
  for (const EmulatedType& type : model.types()) {
    if (!Asked(fields, type, region)) continue;
    rows.push_back(absl::StrCat(Element("instanceType", type.type), Element("locationType", "availability-zone"),
                                Element("location", type.zone)));
  }
  return Page(fields, "DescribeInstanceTypeOfferings", "instanceTypeOfferingSet", rows);
}

// The Price List: JSON of JSON.
FakeHttpReply GetProducts(CloudModel& model, const FakeHttpRequest& request) {
  const auto body = Json::Parse(request.body);
  if (!body.ok()) return JsonReply(400, R"({"__type":"SerializationException"})");
  Fields asked;
  for (const Json& filter : (*body)["Filters"].Items()) asked[filter["Field"].Text()] = filter["Value"].Text();
  std::vector<std::string> products;
  for (const EmulatedType& type : model.types()) {
    if (type.cloud != kCloud || type.type != asked["instanceType"] || type.region != asked["regionCode"]) continue;
    products = {JsonString(absl::StrCat(
        R"({"product":{"attributes":{"instanceType":)", JsonString(type.type),
        R"(}},"terms":{"OnDemand":{"S.J":{"priceDimensions":{"S.J.6":{"unit":"Hrs","pricePerUnit":{"USD":")",
        type.on_demand_price, R"("}}}}}}})"))};
  }
  return JsonReply(200, absl::StrCat(R"({"FormatVersion":"aws_v1","PriceList":)", JsonList(products), "}"));
}

// Of Service Quotas: two pages, and one that no machine counts against.
FakeHttpReply ListServiceQuotas(CloudModel& model, const FakeHttpRequest& request) {
  const auto body = Json::Parse(request.body);
  if (!body.ok() || (*body)["ServiceCode"].Text() != "ec2")
    return JsonReply(400, R"({"__type":"NoSuchResourceException"})");
  const auto row = [&](absl::string_view name, absl::string_view code, double value) {
    return absl::StrCat(R"({"ServiceCode":"ec2","QuotaName":)", JsonString(name), R"(,"QuotaCode":")", code,
                        R"(","Value":)", value, R"(,"Unit":"None","Adjustable":true,"GlobalQuota":false})");
  };
  const int cpus = model.habits().quota * kCpus;
  if ((*body)["NextToken"].Text().empty()) {
    return JsonReply(200, absl::StrCat(R"({"NextToken":"2","Quotas":[)",
                                       row("Running On-Demand G and VT instances", "L-DB2E81BA", cpus), "]}"));
  }
  return JsonReply(200,
                   absl::StrCat(R"({"Quotas":[)", row("All G and VT Spot Instance Requests", "L-3819A6DF", cpus), ",",
                                row("EC2-VPC Elastic IPs", "L-0263D0A3", 5), "]}"));
}

}  // namespace

std::string Ec2MachineId(int64_t number) { return absl::StrFormat("i-%017x", number); }

FakeHttpReply AnswerEc2(CloudModel& model, const FakeHttpRequest& request) {
  model.Advance();
  const auto [region, key, is_late, has_expired] = AwsSignerOf(model, request);
  const auto target = FindHeader(request.headers, "x-amz-target");
  if (region.empty()) return Error(401, "AuthFailure", "AWS was not able to validate the provided access credentials");
  if (target.has_value() && has_expired)
    return JsonReply(400, R"({"__type":"ExpiredTokenException","message":"emulated"})");
  if (is_late || has_expired) return Error(400, "RequestExpired");
  if (target == "ServiceQuotasV20190624.ListServiceQuotas") return ListServiceQuotas(model, request);
  if (target.has_value()) return GetProducts(model, request);
  if (!model.IsReachable(region)) return Error(503, "Unavailable", region);
  const Fields fields = ServiceRequest(request).query;
  const std::string action = Get(fields, "Action");
  if (action == "RunInstances") return RunInstances(model, fields);
  if (action == "DescribeInstances") return DescribeInstances(model, fields, region);
  if (action == "DescribeVolumes") return DescribeVolumes(model, fields, region);
  if (action == "DescribeSpotPriceHistory") return SpotPrices(model, fields, region);
  if (action == "DescribeInstanceTypes") return InstanceTypes(model, fields, region);
  if (action == "DescribeInstanceTypeOfferings") return Offerings(model, fields, region);
  if (action == "CreateVolume") return CreateVolume(model, fields);
  if (absl::EndsWith(action, "Instances")) return ChangeInstance(model, fields, action);
  if (absl::EndsWith(action, "Volume")) return ChangeVolume(model, fields, action);
  return Error(400, "InvalidAction", action);
}

}  // namespace spotinference::fleet
