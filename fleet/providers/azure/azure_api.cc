#include "fleet/providers/azure/azure_api.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "fleet/providers/azure/azure_credentials.h"
#include "fleet/providers/azure/azure_error.h"
#include "fleet/providers/azure/azure_sizes.h"
#include "fleet/providers/cloud/held_calls.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/cloud/quota.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr char kComputeVersion[] = "2024-07-01";
constexpr char kSkuVersion[] = "2021-07-01";
constexpr char kDiskVersion[] = "2024-03-02";
constexpr char kNetworkVersion[] = "2024-05-01";
constexpr int kMostPages = 1000, kMostPricePages = 20;  // of one size
constexpr absl::Duration kLongestOperation = absl::Hours(1);  // nothing is heard of it any more then
constexpr absl::Duration kSizesKept = absl::Hours(24);  // what a size has in it hardly ever changes
constexpr absl::Duration kPricesKept = absl::Hours(1);
constexpr int64_t kLongestAnswer = 32 << 20;

std::string LastPart(const std::string& id) { return id.substr(id.rfind('/') + 1); }

// https://learn.microsoft.com/azure/virtual-machines/states-billing
// What a machine does counts more than how its last operation ended: one that could not be started is deallocated.
// No power: the list of power states does not have it.
State StateOf(const std::string& provisioning, const std::optional<std::string>& power) {
  if (provisioning == "Deleting") return State::kDeleting;
  if (!power.has_value()) return provisioning == "Creating" ? State::kStarting : State::kUnknown;
  if (power == "PowerState/running") return State::kRunning;
  if (power == "PowerState/starting") return State::kStarting;
  if (power == "PowerState/deallocating" || power == "PowerState/stopping") return State::kStopping;
  if (power == "PowerState/deallocated") return State::kStopped;
  if (power == "PowerState/stopped") return State::kFailed;  // which bills in full and serves nobody
  if (provisioning == "Failed") return State::kFailed;
  return provisioning == "Creating" || provisioning == "Updating" ? State::kStarting : State::kUnknown;
}

// "Track asynchronous Azure operations": with any other status it goes on.
bool IsOver(absl::string_view status) { return status == "Succeeded" || status == "Failed" || status == "Canceled"; }

class AzureApi : public CloudApi {
 public:
  AzureApi(AzureOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock), credentials_(clock, options_.login), held_(clock) {}

  const Traits& traits() const override { return traits_; }
  absl::Time LastDate() const override { return http_.LastDate(); }
  void Cancel() override {
    http_.Cancel();
    credentials_.Cancel();
  }
  // https://learn.microsoft.com/azure/virtual-machines/linux/azure-to-guest-disk-mapping
  absl::StatusOr<std::string> DevicePath(const CloudVolume&, const Offer&) override {
    return "/dev/disk/azure/scsi1/lun0";
  }

  absl::StatusOr<std::string> Account() override {
    return absl::StrCat("resource group ", options_.resource_group, " of subscription ", options_.subscription);
  }

  absl::StatusOr<CloudInventory> List() override {
    CloudInventory inventory;
    ASSIGN_OR_RETURN(const auto powers, ListPower());
    ASSIGN_OR_RETURN(Network network, ListNetwork());  // before machines: what has none then has none
    RETURN_IF_ERROR(Pages(Path("Microsoft.Compute/virtualMachines", "", kComputeVersion), [&](const Json& row) {
      const Json properties = row["properties"];
      const std::string name = row["name"].Text(), provisioning = properties["provisioningState"].Text();
      if (!absl::StartsWith(name, options_.name_prefix)) return;
      std::erase_if(network.left, [&](const auto& left) { return absl::StartsWith(left.first, name); });
      const auto found = powers.find(name);
      const Power power = found == powers.end() ? Power() : found->second;
      CloudMachine machine = {.id = name,
                              .name = name,
                              .zone = ZoneOf(row),
                              .type = properties["hardwareProfile"]["vmSize"].Text(),
                              .address = network.addresses[name],
                              .public_address = network.with_public.contains(name),
                              .state = StateOf(provisioning, power.word),
                              .is_off = power.word == "PowerState/stopped",
                              .word = absl::StrCat(provisioning, " ", power.word.value_or(""))};
      if (properties["priority"].Text() == "Spot") machine.market = Market::kSpot;
      // The last operation of one that is deallocated took it out of service.
      if (machine.state == State::kStopped) machine.run.ended = power.changed;
      inventory.machines.push_back(std::move(machine));
    }));
    RETURN_IF_ERROR(Pages(Path("Microsoft.Compute/disks", "", kDiskVersion), [&](const Json& row) {
      const Json properties = row["properties"];
      CloudVolume volume = {.id = row["id"].Text(),
                            .name = UnzonedName(row["name"].Text()),
                            .zone = ZoneOf(row),
                            .word = properties["diskState"].Text(),
                            .gigabytes = properties["diskSizeGB"].Number().value_or(0)};
      volume.machine = LastPart(row["managedBy"].Text());
      for (CloudMachine& machine : inventory.machines) {  // a deallocated one's own row does not tell it
        if (properties["osType"] && machine.name == volume.machine) machine.boot_gigabytes = volume.gigabytes;
      }
      if (!absl::StartsWith(volume.name, options_.name_prefix) || row["tags"]["spotinference"].Text() != "volume")
        return;
      volume.ready = properties["provisioningState"].Text() == "Succeeded";
      volume.attached = !volume.machine.empty();
      volume.made = TimeIn(properties["timeCreated"].Text());
      inventory.volumes.push_back(std::move(volume));
    }));
    for (const auto& [name, ids] : network.left) {
      inventory.machines.push_back({.id = name, .name = name, .word = "only its address is left"});
    }
    PollOperations();  // last: what has failed by the time of the list is told with it
    absl::MutexLock lock(&mutex_);
    left_ = std::move(network.left);
    inventory.failures = std::exchange(failures_, {});
    return inventory;
  }

  absl::StatusOr<CloudOffers> Offers() override {
    ASSIGN_OR_RETURN(const auto sizes, Sizes());
    const absl::StatusOr<Quotas> quotas = QuotasNow();
    std::vector<OfferNow> offers;
    for (const std::string& size : options_.vm_sizes) {
      const auto has = sizes.find(size);
      if (has == sizes.end()) continue;  // it is not sold there
      if (HasPartOfAccelerator(size)) continue;
      ASSIGN_OR_RETURN(const auto prices, PricesOf(size));
      for (const std::string& zone : options_.zones) {
        for (const Market market : options_.markets) {
          const auto price = prices.find(market);
          if (price == prices.end()) continue;  // what costs nobody knows how much is not bought
          offers.push_back({.offer = {.provider = traits_.name,
                                      .region = options_.location,
                                      .zone = absl::StrCat(options_.location, "-", zone),
                                      .market = market,
                                      .machine_type = size,
                                      .accelerator = AcceleratorOfSize(size),
                                      .accelerators = has->second.accelerators,
                                      .price_per_hour = price->second.dollars},
                            .stock = std::nullopt,
                            .priced_since = price->second.since,
                            .barred = quotas.ok() ? WhyBarred(*quotas, has->second, market) : ""});
        }
      }
    }
    return CloudOffers{.offers = std::move(offers), .quotas = quotas.status()};
  }

  absl::StatusOr<std::string> CreateMachine(const MachineOrder& order) override {
    HttpResponse response;
    Forget(order.name);
    RETURN_IF_ERROR(
        Ask("PUT", Path("Microsoft.Compute/virtualMachines", order.name, kComputeVersion), BodyOf(order), &response)
            .status());
    Remember(order.name, response);
    return order.name;
  }

  absl::Status StopMachine(const CloudMachine& machine) override {
    const absl::Status status =
        Ask("POST", Path("Microsoft.Compute/virtualMachines", machine.name + "/deallocate", kComputeVersion)).status();
    return absl::IsNotFound(status) ? DeleteMachine(machine) : status;  // nothing to keep, but perhaps an address
  }
  absl::Status StartMachine(const CloudMachine& machine) override {
    HttpResponse response;
    Forget(machine.name);
    RETURN_IF_ERROR(
        Ask("POST", Path("Microsoft.Compute/virtualMachines", machine.name + "/start", kComputeVersion), "", &response)
            .status());
    Remember(machine.name, response);
    return absl::OkStatus();
  }
  absl::Status DeleteMachine(const CloudMachine& machine) override {
    std::vector<std::string> left;
    {
      absl::MutexLock lock(&mutex_);
      if (const auto known = left_.find(machine.name); known != left_.end()) left = known->second;
    }
    HttpResponse response;
    RETURN_IF_ERROR(Ask("DELETE",
                        absl::StrCat(Path("Microsoft.Compute/virtualMachines", machine.name, kComputeVersion),
                                     "&forceDeletion=true"),
                        "", &response)
                        .status());
    if (const std::string url = OperationOf(response); !url.empty()) {
      absl::MutexLock lock(&mutex_);
      runs_[machine.name].deletions.push_back(url);
    }
    for (const std::string& id : left) {
      const absl::Status status =
          Ask("DELETE", absl::StrCat(options_.endpoint, id, "?api-version=", kNetworkVersion)).status();
      if (!status.ok() && !absl::IsNotFound(status)) return status;
    }
    return absl::OkStatus();
  }

  absl::Status CreateVolume(const std::string& name, const Offer& offer, const std::string&) override {
    const std::string body = absl::StrCat(
        R"({"location":)", JsonString(options_.location), R"(,"zones":[)", JsonString(NumberOf(offer.zone)),
        R"(],"tags":{"spotinference":"volume"},"sku":{"name":)", JsonString(options_.volume_type),
        R"(},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":)", options_.volume_gigabytes, "}}");
    return Ask("PUT", Path("Microsoft.Compute/disks", ZonedName(name, offer.zone), kDiskVersion), body).status();
  }
  absl::Status AttachVolume(const CloudVolume&, const CloudMachine&) override {
    return absl::UnimplementedError("on Azure a machine is made with its volume");
  }
  absl::Status DetachVolume(const CloudVolume& volume) override {
    return Ask("POST",
               Path("Microsoft.Compute/virtualMachines", volume.machine + "/attachDetachDataDisks", kComputeVersion),
               absl::StrCat(R"({"dataDisksToDetach":[{"diskId":)", JsonString(volume.id),
                            R"(,"detachOption":"ForceDetach"}]})"))
        .status();
  }
  absl::Status DeleteVolume(const CloudVolume& volume) override {
    return Ask("DELETE", Path("Microsoft.Compute/disks", LastPart(volume.id), kDiskVersion)).status();
  }

  // By the operations that this gateway itself has begun: the first of its deletions that was done ended it.
  absl::StatusOr<CloudRun> LatestRun(const CloudMachine& last) override {
    CloudRun run = last.run;
    std::vector<std::string> deletions;
    {
      absl::MutexLock lock(&mutex_);
      const auto known = runs_.find(last.name);
      if (known == runs_.end()) return run;
      if (!run.began.has_value()) run.began = known->second.began;
      deletions = known->second.deletions;
    }
    bool is_open = false;
    for (const std::string& url : deletions) {
      const absl::StatusOr<Json> answer = Ask("GET", url);
      if (absl::IsNotFound(answer.status())) continue;
      RETURN_IF_ERROR(answer.status());
      is_open |= !IsOver((*answer)["status"].Text());
      if ((*answer)["status"].Text() != "Succeeded") continue;
      const std::optional<absl::Time> ended = TimeIn((*answer)["endTime"].Text());
      if (ended.has_value()) run.ended = std::min(run.ended.value_or(*ended), *ended);
    }
    if (!run.ended.has_value() && is_open) return absl::UnavailableError("it is still being deleted");
    if (run.ended.has_value()) Forget(last.name);
    return run;
  }

 private:
  struct Price {
    double dollars = 0;
    std::optional<absl::Time> since;  // nullopt: it is not told
  };
  struct Size {
    int accelerators = 0;
    double cpus = 0;
    std::string family;
  };
  using Quotas = std::map<std::string, Quota>;  // by name in lower case
  // Of an operation that is not done.
  struct Operation {
    std::string machine, url;
    absl::Duration begun;
  };
  // The latest, as far as this gateway has begun and ended it.
  struct Run {
    std::string start;                   // the operation; its create too
    std::optional<absl::Time> began;     // when that was begun
    std::vector<std::string> deletions;  // operations
  };

  struct Power {
    std::optional<std::string> word;    // none: the machine is in no list of them
    std::optional<absl::Time> changed;  // its last operation ended
  };

  // By the machine's name.
  absl::StatusOr<std::map<std::string, Power>> ListPower() {
    std::map<std::string, Power> powers;
    RETURN_IF_ERROR(Pages(
        absl::StrCat(Subscription(),
                     "/providers/Microsoft.Compute/virtualMachines?statusOnly=true&api-version=", kComputeVersion),
        [&](const Json& row) {
          Power& power = powers.try_emplace(LastPart(row["id"].Text()), Power{""}).first->second;
          for (const Json& status : row["properties"]["instanceView"]["statuses"].Items()) {
            const std::string code = status["code"].Text();
            if (absl::StartsWith(code, "PowerState/")) power.word = code;
            else if (const auto time = TimeIn(status["time"].Text())) power.changed = time;
          }
        }));
    return powers;
  }

  // Of machines, by their names.
  struct Network {
    std::map<std::string, std::string> addresses;  // to dial
    std::set<std::string> with_public;             // address
    // Interfaces and public addresses that no machine has: ids, in the order in which they can be deleted.
    std::map<std::string, std::vector<std::string>> left;
  };

  // A machine's interface and public address are resources of their own. They go with it by their deleteOption; what
  // does not, all the same, bills for ever.
  absl::StatusOr<Network> ListNetwork() {
    Network network;
    std::map<std::string, std::string> dialled, free;  // by the public address's id in lower case; its id, by its name
    RETURN_IF_ERROR(Pages(Path("Microsoft.Network/publicIPAddresses", "", kNetworkVersion), [&](const Json& row) {
      const Json properties = row["properties"];
      dialled[absl::AsciiStrToLower(row["id"].Text())] = properties["ipAddress"].Text();
      if (!properties["ipConfiguration"]) free[row["name"].Text()] = row["id"].Text();
    }));
    RETURN_IF_ERROR(Pages(Path("Microsoft.Network/networkInterfaces", "", kNetworkVersion), [&](const Json& row) {
      const std::string name = row["name"].Text(), id = row["id"].Text();
      const std::string machine = LastPart(row["properties"]["virtualMachine"]["id"].Text());
      if (machine.empty() && absl::StartsWith(name, options_.name_prefix)) network.left[name].push_back(id);
      for (const Json& ip : row["properties"]["ipConfigurations"].Items()) {
        const Json properties = ip["properties"];
        if (properties["publicIPAddress"]) network.with_public.insert(machine);
        network.addresses[machine] = options_.public_address
                                         ? dialled[absl::AsciiStrToLower(properties["publicIPAddress"]["id"].Text())]
                                         : properties["privateIPAddress"].Text();
      }
    }));
    for (const auto& [name, id] : free) {
      if (absl::StartsWith(name, options_.name_prefix)) network.left[name].push_back(id);
    }
    return network;
  }

  std::string Subscription() const { return absl::StrCat(options_.endpoint, "/subscriptions/", options_.subscription); }
  std::string Path(absl::string_view type, absl::string_view name, absl::string_view version) const {
    return absl::StrCat(Subscription(), "/resourceGroups/", options_.resource_group, "/providers/", type,
                        name.empty() ? "" : "/", name, "?api-version=", version);
  }

  std::string ZoneOf(const Json& resource) const {
    const std::vector<Json> zones = resource["zones"].Items();
    return absl::StrCat(options_.location, "-", zones.empty() ? "" : zones[0].Text());
  }
  static std::string NumberOf(const std::string& zone) { return zone.substr(zone.rfind('-') + 1); }

  std::string BodyOf(const MachineOrder& order) const {
    std::vector<std::string> image = absl::StrSplit(options_.image, ':');
    image.resize(4);
    const bool spot = order.offer.market == Market::kSpot;
    return absl::StrCat(
        R"({"location":)", JsonString(options_.location), R"(,"zones":[)", JsonString(NumberOf(order.offer.zone)),
        R"(],"tags":{"spotinference":"machine"},"properties":{"hardwareProfile":{"vmSize":)",
        JsonString(order.offer.machine_type), "},",
        spot ? R"("priority":"Spot","evictionPolicy":"Deallocate","billingProfile":{"maxPrice":-1},)" : "",
        R"("storageProfile":{"imageReference":{"publisher":)", JsonString(image[0]), R"(,"offer":)",
        JsonString(image[1]), R"(,"sku":)", JsonString(image[2]), R"(,"version":)", JsonString(image[3]),
        R"(},"osDisk":{"createOption":"FromImage","deleteOption":"Delete"},)",
        R"("dataDisks":[{"lun":0,"createOption":"Attach","deleteOption":"Detach","managedDisk":{"id":)",
        JsonString(order.volume_id), R"(}}]},"osProfile":{"computerName":)", JsonString(order.name),
        R"(,"adminUsername":"spotinference","customData":)", JsonString(absl::Base64Escape(order.user_data)),
        R"(,"linuxConfiguration":{"disablePasswordAuthentication":true,"ssh":{"publicKeys":[{"path":)",
        R"("/home/spotinference/.ssh/authorized_keys","keyData":)", JsonString(options_.ssh_public_key),
        R"(}]}}},"networkProfile":{"networkApiVersion":"2022-11-01","networkInterfaceConfigurations":[{"name":)",
        JsonString(order.name),
        R"(,"properties":{"primary":true,"deleteOption":"Delete","ipConfigurations":[{"name":"ip",)",
        R"("properties":{"primary":true,"subnet":{"id":)", JsonString(options_.subnet), "}",
        options_.public_address ? PublicAddressOf(order.name) : "", "}}]}}]}}}");
  }
  static std::string PublicAddressOf(const std::string& machine) {
    return absl::StrCat(R"(,"publicIPAddressConfiguration":{"name":)", JsonString(machine),
                        R"(,"sku":{"name":"Standard"},"properties":{"deleteOption":"Delete",)",
                        R"("publicIPAllocationMethod":"Static"}})");
  }

  // "": none that our token may go to.
  std::string OperationOf(const HttpResponse& response) const {
    const auto url = FindHeader(response.headers, "azure-asyncoperation");
    return url.has_value() && IsBelow(*url, options_.endpoint) ? std::string(*url) : "";
  }

  void Remember(const std::string& machine, const HttpResponse& response) {
    const std::string url = OperationOf(response);
    if (url.empty()) return;
    absl::MutexLock lock(&mutex_);
    operations_.push_back({machine, url, clock_.Elapsed()});
    runs_[machine].start = url;
  }

  // Another run may begin.
  void Forget(const std::string& machine) {
    absl::MutexLock lock(&mutex_);
    runs_.erase(machine);
  }

  // What ended badly is kept until a list tells it. One that cannot be asked about says nothing, and is no reason not
  // to list machines.
  void PollOperations() {
    std::vector<Operation> open;
    {
      absl::MutexLock lock(&mutex_);
      open = operations_;
    }
    for (const Operation& operation : open) {
      const auto answer = Ask("GET", operation.url);
      const bool is_late = clock_.Elapsed() - operation.begun > kLongestOperation;
      if (!is_late && (absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status()))) continue;
      const std::string status = answer.ok() ? (*answer)["status"].Text() : "";
      if (!is_late && answer.ok() && !IsOver(status)) continue;
      absl::MutexLock lock(&mutex_);
      // "Track asynchronous Azure operations": the times are not in every answer.
      const auto run = runs_.find(operation.machine);
      if (answer.ok() && run != runs_.end() && run->second.start == operation.url) {
        run->second.began = TimeIn((*answer)["startTime"].Text());
      }
      if (status == "Failed" || status == "Canceled") {
        const Json error = (*answer)["error"];
        const std::string code = status == "Canceled" ? status : error["code"].Text();
        failures_.push_back(
            {operation.machine, AzureError({.status = 400}, code, error["message"].Text()), /*remains=*/true});
      }
      operations_.erase(std::remove_if(operations_.begin(), operations_.end(),
                                       [&](const Operation& o) { return o.url == operation.url; }),
                        operations_.end());
    }
  }

  // `whole`, if given, has the answer with its headers.
  absl::StatusOr<Json> Ask(const char* method, const std::string& url, const std::string& body = "",
                           HttpResponse* whole = nullptr, bool with_token = true) {
    return held_.Ask<Json>(CallOf(method, url), [&] { return AskNow(method, url, body, whole, with_token); });
  }

  absl::StatusOr<Json> AskNow(const char* method, const std::string& url, std::string body, HttpResponse* whole,
                              bool with_token) {
    HttpRequest request = {.method = method, .url = url, .body = std::move(body)};
    request.timeout = absl::Seconds(30);
    request.max_body_bytes = kLongestAnswer;
    HttpResponse response;
    for (int tries = 0; tries < 2; ++tries) {  // a token may be refused before its time
      request.headers.clear();
      if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
      if (with_token) {
        ASSIGN_OR_RETURN(const std::string token, credentials_.Get(http_));
        request.headers.emplace_back("Authorization", absl::StrCat("Bearer ", token));
      }
      ASSIGN_OR_RETURN(response, http_.Do(request));
      if (response.status != 401) break;
      credentials_.Drop();
    }
    const auto answer = Json::Parse(response.body.empty() ? "{}" : response.body);
    if (response.status >= 200 && response.status < 300) {
      if (whole != nullptr) *whole = std::move(response);
      return answer;
    }
    if (!answer.ok()) return StatusOfHttp(response, "");
    return AzureError(response, (*answer)["error"]["code"].Text(), (*answer)["error"]["message"].Text());
  }

  absl::Status Pages(std::string url, absl::FunctionRef<void(const Json&)> take) {
    for (int page = 0; page < kMostPages; ++page) {
      ASSIGN_OR_RETURN(const Json answer, Ask("GET", url));
      // No list is no empty list: its machines would seem to be gone.
      if (!answer["value"].IsList()) return absl::UnavailableError("an answer without its list");
      for (const Json& row : answer["value"].Items()) take(row);
      url = answer["nextLink"].Text();
      if (url.empty()) return absl::OkStatus();
      if (!IsBelow(url, options_.endpoint)) return absl::UnavailableError("a next page on another host");
    }
    return absl::UnavailableError(absl::StrCat("more than ", kMostPages, " pages"));
  }

  // By name, all of the location. https://learn.microsoft.com/rest/api/compute/resource-skus/list
  absl::StatusOr<std::map<std::string, Size>> Sizes() {
    {
      absl::MutexLock lock(&mutex_);
      if (!sizes_.empty() && clock_.Elapsed() < sizes_good_until_) return sizes_;
    }
    std::map<std::string, Size> sizes;
    const std::string filter = absl::StrCat("location eq '", options_.location, "'");
    RETURN_IF_ERROR(Pages(absl::StrCat(Subscription(), "/providers/Microsoft.Compute/skus?api-version=", kSkuVersion,
                                       "&$filter=", UriEncode(filter)),
                          [&](const Json& row) {
                            if (row["resourceType"].Text() != "virtualMachines") return;
                            Size& size = sizes[row["name"].Text()];
                            size.family = row["family"].Text();
                            for (const Json& capability : row["capabilities"].Items()) {
                              const std::optional<int32_t> value = capability["value"].Whole();
                              if (capability["name"].Text() == "GPUs") size.accelerators = value.value_or(0);
                              if (capability["name"].Text() == "vCPUs") size.cpus = value.value_or(0);
                            }
                          }));
    absl::MutexLock lock(&mutex_);
    sizes_ = sizes;
    sizes_good_until_ = clock_.Elapsed() + kSizesKept;
    return sizes;
  }

  // https://learn.microsoft.com/rest/api/compute/usage/list
  absl::StatusOr<Quotas> QuotasNow() {
    Quotas quotas;
    RETURN_IF_ERROR(Pages(absl::StrCat(Subscription(), "/providers/Microsoft.Compute/locations/", options_.location,
                                       "/usages?api-version=", kComputeVersion),
                          [&](const Json& row) {
                            const std::string name = row["name"]["value"].Text();
                            const auto limit = row["limit"].Number();
                            if (!limit.has_value()) return;
                            quotas[absl::AsciiStrToLower(name)] = {name, options_.location, *limit,
                                                                   row["currentValue"].Number().value_or(0)};
                          }));
    return quotas;
  }

  // Spot machines of all families have one quota; others count in their family's and in the location's. A deallocated
  // machine counts too. https://learn.microsoft.com/azure/virtual-machines/quotas
  static std::string WhyBarred(const Quotas& quotas, const Size& size, Market market) {
    const std::vector<std::string> names =
        market == Market::kSpot ? std::vector<std::string>{"lowprioritycores"}
                                : std::vector<std::string>{absl::AsciiStrToLower(size.family), "cores"};
    for (const std::string& name : names) {
      const auto quota = quotas.find(name);
      if (quota == quotas.end()) continue;
      if (std::string why = WhyOver(quota->second, size.cpus); !why.empty()) return why;
    }
    return "";
  }

  static void AddPrice(const Json& item, std::map<Market, Price>& prices) {
    const std::string sku = item["skuName"].Text();
    const double price = item["retailPrice"].Number().value_or(0);
    const bool is_other =
        absl::StrContains(item["productName"].Text(), "Windows") || absl::StrContains(sku, "Low Priority");
    if (is_other || price <= 0) return;
    prices[absl::StrContains(sku, "Spot") ? Market::kSpot : Market::kOnDemand] = {
        price, TimeIn(item["effectiveStartDate"].Text())};
  }

  // https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
  absl::StatusOr<std::map<Market, Price>> PricesOf(const std::string& size) {
    {
      absl::MutexLock lock(&mutex_);
      const auto known = prices_.find(size);
      if (known != prices_.end() && clock_.Elapsed() < known->second.second) return known->second.first;
    }
    const std::string filter =
        absl::StrCat("serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '",
                     options_.location, "' and armSkuName eq '", size, "'");
    std::map<Market, Price> prices;
    std::string url = absl::StrCat(options_.prices, "/api/retail/prices?$filter=", UriEncode(filter));
    for (int page = 0; !url.empty(); ++page) {
      if (page == kMostPricePages) return absl::UnavailableError("retail prices: too many pages");
      ASSIGN_OR_RETURN(const Json answer, Ask("GET", url, "", nullptr, /*with_token=*/false));
      if (!answer["Items"].IsList()) return absl::UnavailableError("retail prices: an answer without its list");
      for (const Json& item : answer["Items"].Items()) AddPrice(item, prices);
      url = answer["NextPageLink"].Text();
      if (!url.empty() && !IsBelow(url, options_.prices)) {
        return absl::UnavailableError("retail prices: a next page on another host");
      }
    }
    absl::MutexLock lock(&mutex_);
    if (!prices.empty()) prices_[size] = {prices, clock_.Elapsed() + kPricesKept};
    return prices;
  }

  const AzureOptions options_;
  const Clock& clock_;
  const Traits traits_ = {.name = "azure",
                          .keeps_stopped = true,
                          .stopped_counts = true,
                          .attaches_at_creation = true,
                          .volume_gigabytes = options_.volume_gigabytes,
                          .public_address = options_.public_address};
  AzureCredentials credentials_;
  CloudHttp http_;
  HeldCalls held_;
  absl::Mutex mutex_;
  std::vector<Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::vector<CloudInventory::Failure> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<std::string>> left_ ABSL_GUARDED_BY(mutex_);  // Network::left of the last list
  std::map<std::string, Size> sizes_ ABSL_GUARDED_BY(mutex_);
  absl::Duration sizes_good_until_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Run> runs_ ABSL_GUARDED_BY(mutex_);  // by the machine's name
  std::map<std::string, std::pair<std::map<Market, Price>, absl::Duration>> prices_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<CloudApi> NewAzureApi(AzureOptions options, const Clock& clock) {
  return std::make_unique<AzureApi>(std::move(options), clock);
}

}  // namespace spotinference::fleet
