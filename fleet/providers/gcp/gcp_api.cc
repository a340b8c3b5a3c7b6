#include "fleet/providers/gcp/gcp_api.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/accelerator.h"
#include "fleet/providers/cloud/held_calls.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/quota.h"
#include "fleet/providers/gcp/gcp_credentials.h"
#include "fleet/providers/gcp/gcp_prices.h"
#include "fleet/providers/gcp/gcp_run.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr int kMostPages = 1000;
constexpr absl::Duration kLongestOperation = absl::Hours(1);  // nothing is heard of it any more then
constexpr int64_t kLongestAnswer = 64 << 20;

// https://cloud.google.com/compute/docs/instances/instance-lifecycle
State StateOf(const std::string& status) {
  if (status == "PROVISIONING" || status == "STAGING" || status == "REPAIRING" || status == "PENDING")
    return State::kStarting;
  if (status == "RUNNING") return State::kRunning;
  if (status == "STOPPING" || status == "PENDING_STOP" || status == "SUSPENDING") return State::kStopping;
  if (status == "TERMINATED" || status == "SUSPENDED" || status == "STOPPED") return State::kStopped;
  if (status == "DEPROVISIONING") return State::kDeleting;
  return State::kUnknown;
}

std::string LastPart(const std::string& url) { return url.substr(url.rfind('/') + 1); }

// Of an instance's or a disk's URL.
std::string ZoneAndName(const std::string& url) {
  const std::vector<std::string> parts = absl::StrSplit(url, '/');
  if (parts.size() < 3) return "";
  return absl::StrCat(parts[parts.size() - 3], "/", parts.back());
}

std::pair<std::string, std::string> Split(const std::string& id) { return absl::StrSplit(id, absl::MaxSplits('/', 1)); }

// requestId is a UUID of version 4's form; the token has 32 digits.
std::string Uuid(const std::string& token) {
  std::string digits = token;
  digits.resize(32, '0');
  digits[12] = '4';
  digits[16] = '8';
  return absl::StrCat(digits.substr(0, 8), "-", digits.substr(8, 4), "-", digits.substr(12, 4), "-",
                      digits.substr(16, 4), "-", digits.substr(20));
}

// Of a reason in an answer, or a code in an operation.
absl::Status ErrorOf(const HttpResponse& response, const std::string& reason, const std::string& message) {
  const std::string text = absl::StrCat(reason, ": ", message.substr(0, 300));
  const auto is = [&](std::initializer_list<absl::string_view> reasons) {
    return std::any_of(reasons.begin(), reasons.end(),
                       [&](absl::string_view r) { return absl::StartsWith(reason, r); });
  };
  if (is({"ZONE_RESOURCE_POOL_EXHAUSTED", "STOCKOUT", "resourcePoolExhausted", "RESOURCE_POOL_EXHAUSTED"})) {
    return absl::ResourceExhaustedError(text);
  }
  if (is({"QUOTA_EXCEEDED", "quotaExceeded"})) return OverQuota(text);
  if (is({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "backendError"})) {
    HttpResponse busy = response;
    busy.status = 503;
    return StatusOfHttp(busy, text);
  }
  if (is({"resourceInUseByAnotherResource", "resourceNotReady", "RESOURCE_IN_USE", "RESOURCE_NOT_READY"})) {
    return absl::FailedPreconditionError(text);
  }
  return StatusOfHttp(response, text);
}

class GcpApi : public CloudApi {
 public:
  GcpApi(GcpOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock), credentials_(clock), held_(clock) {}

  const Traits& traits() const override { return traits_; }
  absl::Time LastDate() const override { return http_.LastDate(); }
  void Cancel() override {
    http_.Cancel();
    credentials_.Cancel();
  }
  absl::StatusOr<std::string> DevicePath(const CloudVolume& volume, const Offer&) override {
    return absl::StrCat("/dev/disk/by-id/google-", volume.name);
  }

  absl::StatusOr<std::string> Account() override { return absl::StrCat("project ", options_.project); }

  absl::StatusOr<CloudInventory> List() override {
    CloudInventory inventory;
    RETURN_IF_ERROR(Aggregated("instances", inventory, [&](const Json& row) {
      const std::string zone = LastPart(row["zone"].Text()), name = row["name"].Text();
      std::string address;
      bool has_public = false;
      for (const Json& interface : row["networkInterfaces"].Items()) {
        if (!options_.public_address) address = interface["networkIP"].Text();
        for (const Json& access : interface["accessConfigs"].Items()) {
          has_public |= !access["natIP"].Text().empty();
          if (options_.public_address) address = access["natIP"].Text();
        }
      }
      CloudMachine machine = {.id = absl::StrCat(zone, "/", name),
                              .name = name,
                              .zone = zone,
                              .type = LastPart(row["machineType"].Text()),
                              .address = address,
                              .public_address = has_public,
                              .state = StateOf(row["status"].Text()),
                              .word = row["status"].Text()};
      if (row["scheduling"]["provisioningModel"].Text() == "SPOT") machine.market = Market::kSpot;
      for (const Json& disk : row["disks"].Items()) {
        if (disk["boot"].IsTrue()) machine.boot_gigabytes += disk["diskSizeGb"].Number().value_or(0);
      }
      const auto stopped =
          std::max(TimeIn(row["lastStopTimestamp"].Text()), TimeIn(row["lastSuspendedTimestamp"].Text()));
      machine.run.began = TimeIn(row["lastStartTimestamp"].Text());
      if (machine.state == State::kStopped || stopped > machine.run.began) machine.run.ended = stopped;
      inventory.machines.push_back(std::move(machine));
    }));
    RETURN_IF_ERROR(Aggregated("disks", inventory, [&](const Json& row) {
      const std::string zone = LastPart(row["zone"].Text()), name = row["name"].Text();
      CloudVolume volume = {
          .id = absl::StrCat(zone, "/", name), .name = name, .zone = zone, .word = row["status"].Text()};
      if (volume.word == "DELETING") return;
      volume.ready = volume.word == "READY";
      for (const Json& user : row["users"].Items()) volume.machine = ZoneAndName(user.Text());
      volume.attached = !volume.machine.empty();
      volume.gigabytes = row["sizeGb"].Number().value_or(0);
      volume.made = TimeIn(row["creationTimestamp"].Text());
      inventory.volumes.push_back(std::move(volume));
    }));
    // A boot disk has its machine's name, and goes with it.
    inventory.volumes.erase(std::remove_if(inventory.volumes.begin(), inventory.volumes.end(),
                                           [](const CloudVolume& volume) { return volume.id == volume.machine; }),
                            inventory.volumes.end());
    PollOperations();  // last: what has failed by the time of the list is told with it
    absl::MutexLock lock(&mutex_);
    inventory.failures = std::exchange(failures_, {});
    return inventory;
  }

  absl::StatusOr<CloudOffers> Offers() override {
    ASSIGN_OR_RETURN(const GcpPrices prices, Prices());
    CloudOffers offers;
    const absl::StatusOr<Quotas> quotas = QuotasNow();
    offers.quotas = quotas.status();
    for (const std::string& zone : options_.zones) {
      absl::Status status = AddOffers(zone, prices, quotas, offers.offers);
      if (!status.ok()) offers.unheard.push_back({zone, std::move(status)});
    }
    if (offers.unheard.size() == options_.zones.size()) return offers.unheard[0].status;
    return offers;
  }

  absl::StatusOr<std::string> CreateMachine(const MachineOrder& order) override {
    const std::string& zone = order.offer.zone;
    const auto [volume_zone, volume] = Split(order.volume_id);
    const bool spot = order.offer.market == Market::kSpot;
    const std::string scheduling =
        spot ? R"({"provisioningModel":"SPOT","instanceTerminationAction":"STOP","automaticRestart":false,)"
               R"("onHostMaintenance":"TERMINATE"})"
             : R"({"provisioningModel":"STANDARD","automaticRestart":false,"onHostMaintenance":"TERMINATE"})";
    const std::string body = absl::StrCat(
        R"({"name":)", JsonString(order.name), R"(,"machineType":)",
        JsonString(absl::StrCat("zones/", zone, "/machineTypes/", order.offer.machine_type)),
        R"(,"labels":{"spotinference":"true"},"disks":[{"boot":true,"autoDelete":true,)"
        R"("initializeParams":{"sourceImage":)",
        JsonString(options_.image), R"(}},{"autoDelete":false,"deviceName":)", JsonString(volume), R"(,"source":)",
        JsonString(absl::StrCat("projects/", options_.project, "/zones/", volume_zone, "/disks/", volume)),
        R"(}],"networkInterfaces":[{"network":)", JsonString(options_.network),
        options_.public_address ? R"(,"accessConfigs":[{"type":"ONE_TO_ONE_NAT","name":"External NAT"}])" : "",
        R"(}],"metadata":{"items":[{"key":"startup-script","value":)", JsonString(order.user_data),
        R"(}]},"scheduling":)", scheduling, "}");
    ASSIGN_OR_RETURN(const Json operation,
                     Ask("POST", absl::StrCat("zones/", zone, "/instances?requestId=", Uuid(order.token)), body));
    Remember(order.name, zone, operation);
    return absl::StrCat(zone, "/", order.name);
  }

  absl::Status StopMachine(const CloudMachine& machine) override {
    return Ask("POST", absl::StrCat(PathOf(machine), "/stop")).status();
  }
  absl::Status StartMachine(const CloudMachine& machine) override {
    ASSIGN_OR_RETURN(const Json operation, Ask("POST", absl::StrCat(PathOf(machine), "/start")));
    Remember(machine.name, machine.zone, operation);
    return absl::OkStatus();
  }
  absl::Status DeleteMachine(const CloudMachine& machine) override { return Ask("DELETE", PathOf(machine)).status(); }

  absl::Status CreateVolume(const std::string& name, const Offer& offer, const std::string& token) override {
    return Ask("POST", absl::StrCat("zones/", offer.zone, "/disks?requestId=", Uuid(token)),
               absl::StrCat(R"({"name":)", JsonString(name), R"(,"sizeGb":")", options_.volume_gigabytes,
                            R"(","type":)",
                            JsonString(absl::StrCat("zones/", offer.zone, "/diskTypes/", options_.volume_type)),
                            R"(,"labels":{"spotinference":"true"}})"))
        .status();
  }
  absl::Status AttachVolume(const CloudVolume& volume, const CloudMachine& machine) override {
    return Ask("POST", absl::StrCat(PathOf(machine), "/attachDisk"),
               absl::StrCat(R"({"autoDelete":false,"deviceName":)", JsonString(volume.name), R"(,"source":)",
                            JsonString(absl::StrCat("projects/", options_.project, "/zones/", volume.zone, "/disks/",
                                                    volume.name)),
                            "}"))
        .status();
  }
  absl::Status DetachVolume(const CloudVolume& volume) override {
    const auto [zone, machine] = Split(volume.machine);
    return Ask("POST",
               absl::StrCat("zones/", zone, "/instances/", machine, "/detachDisk?deviceName=", UriEncode(volume.name)))
        .status();
  }
  absl::Status DeleteVolume(const CloudVolume& volume) override {
    return Ask("DELETE", absl::StrCat("zones/", volume.zone, "/disks/", volume.name)).status();
  }

  // Of one of its name there was before, too.
  absl::StatusOr<CloudRun> LatestRun(const CloudMachine& last) override {
    const std::string filter = absl::StrCat("targetLink=\"https://www.googleapis.com/compute/v1/projects/",
                                            options_.project, "/", PathOf(last), "\"");
    std::vector<Json> operations;
    std::string token;
    for (int page = 0; page < kMostPages; ++page) {
      ASSIGN_OR_RETURN(const Json answer,
                       Ask("GET", absl::StrCat("zones/", last.zone, "/operations?maxResults=500&filter=",
                                               UriEncode(filter), token.empty() ? "" : "&pageToken=",
                                               UriEncode(token))));
      if (!answer["items"] && answer["kind"].Text() != "compute#operationList") {
        return absl::UnavailableError("an answer without its list");
      }
      absl::c_move(answer["items"].Items(), std::back_inserter(operations));
      token = answer["nextPageToken"].Text();
      if (token.empty()) return GcpRunOf(last.run, operations);
    }
    return absl::UnavailableError(absl::StrCat("operations: more than ", kMostPages, " pages"));
  }

 private:
  // Of an operation that is not done.
  struct Operation {
    std::string machine, zone, name;
    absl::Duration begun;
  };

  static std::string PathOf(const CloudMachine& machine) {
    return absl::StrCat("zones/", machine.zone, "/instances/", machine.name);
  }

  void Remember(const std::string& machine, const std::string& zone, const Json& operation) {
    if (operation["name"].Text().empty()) return;
    absl::MutexLock lock(&mutex_);
    operations_.push_back({machine, zone, operation["name"].Text(), clock_.Elapsed()});
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
      const auto answer = Ask("GET", absl::StrCat("zones/", operation.zone, "/operations/", operation.name));
      const bool is_late = clock_.Elapsed() - operation.begun > kLongestOperation;
      if (!is_late && (absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status()))) continue;
      if (!is_late && answer.ok() && (*answer)["status"].Text() != "DONE") continue;
      absl::MutexLock lock(&mutex_);
      if (answer.ok()) {
        for (const Json& error : (*answer)["error"]["errors"].Items()) {
          HttpResponse as = {.status = static_cast<int>((*answer)["httpErrorStatusCode"].Whole().value_or(400))};
          failures_.push_back({operation.machine, ErrorOf(as, error["code"].Text(), error["message"].Text())});
          break;
        }
      }
      operations_.erase(std::remove_if(operations_.begin(), operations_.end(),
                                       [&](const Operation& o) { return o.name == operation.name; }),
                        operations_.end());
    }
  }

  absl::StatusOr<Json> Ask(const char* method, const std::string& path, std::string body = "") {
    return AskUrl(method, absl::StrCat(options_.endpoint, "/compute/v1/projects/", options_.project, "/", path),
                  std::move(body));
  }

  absl::StatusOr<Json> AskUrl(const char* method, const std::string& url, const std::string& body = "") {
    return held_.Ask<Json>(CallOf(method, url), [&] { return AskNow(method, url, body); });
  }

  absl::StatusOr<Json> AskNow(const char* method, std::string url, std::string body) {
    HttpRequest request = {.method = method, .url = std::move(url), .body = std::move(body)};
    request.timeout = absl::Seconds(30);
    request.max_body_bytes = kLongestAnswer;
    HttpResponse response;
    for (int tries = 0; tries < 2; ++tries) {  // a token may be refused before its time
      ASSIGN_OR_RETURN(const std::string token, credentials_.Get(http_));
      request.headers = {{"Authorization", absl::StrCat("Bearer ", token)}};
      if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
      ASSIGN_OR_RETURN(response, http_.Do(request));
      if (response.status != 401) break;
      credentials_.Drop();
    }
    const auto answer = Json::Parse(response.body.empty() ? "{}" : response.body);
    if (response.status >= 200 && response.status < 300) return answer;
    if (!answer.ok()) return StatusOfHttp(response, "");
    const Json error = (*answer)["error"];
    const std::vector<Json> errors = error["errors"].Items();
    return ErrorOf(response, errors.empty() ? error["status"].Text() : errors[0]["reason"].Text(),
                   error["message"].Text());
  }

  // By place, which is a region or the project, and metric.
  using Quotas = std::map<std::pair<std::string, std::string>, Quota>;
  static constexpr char kAllRegions[] = "all regions";

  // https://cloud.google.com/compute/docs/reference/rest/v1/regions/get, and of projects
  absl::StatusOr<Quotas> QuotasNow() {
    std::map<std::string, std::string> urls = {
        {kAllRegions, absl::StrCat(options_.endpoint, "/compute/v1/projects/", options_.project)}};
    for (const std::string& zone : options_.zones) {
      const std::string region = zone.substr(0, zone.rfind('-'));
      urls.emplace(region, absl::StrCat(urls[kAllRegions], "/regions/", region));
    }
    Quotas quotas;
    for (const auto& [place, url] : urls) {
      ASSIGN_OR_RETURN(const Json answer, AskUrl("GET", url));
      if (!answer["quotas"].IsList()) return absl::UnavailableError(place + ": an answer without its quotas");
      for (const Json& row : answer["quotas"].Items()) {
        const std::string metric = row["metric"].Text();
        quotas[{place, metric}] = {metric, place, row["limit"].Number().value_or(0), row["usage"].Number().value_or(0)};
      }
    }
    return quotas;
  }

  // By accelerators alone, in the region and in all. One that has no quota of its own in the answer, as the newest do
  // not, is not ruled out. Spot machines count as others where the project was given no quota for them.
  // https://cloud.google.com/compute/resource-usage#gpu_quota
  static std::string WhyBarred(const Quotas& quotas, const GcpMachineType& type, const std::string& region,
                               Market market) {
    const std::string name = absl::AsciiStrToUpper(
        absl::StrReplaceAll(type.accelerator, {{"nvidia-tesla-", ""}, {"nvidia-", ""}, {"-", "_"}}));
    const std::string metric = absl::StrCat("NVIDIA_", name, "_GPUS");
    auto regional = quotas.find({region, absl::StrCat("PREEMPTIBLE_", metric)});
    const bool of_spot = market == Market::kSpot && regional != quotas.end() && regional->second.limit > 0;
    if (!of_spot) regional = quotas.find({region, metric});
    for (const auto quota : {regional, quotas.find({kAllRegions, "GPUS_ALL_REGIONS"})}) {
      if (quota == quotas.end() || type.accelerators == 0) continue;
      if (std::string why = WhyOver(quota->second, type.accelerators); !why.empty()) return why;
    }
    return "";
  }

  // All or nothing.
  absl::Status AddOffers(const std::string& zone, const GcpPrices& prices, const absl::StatusOr<Quotas>& quotas,
                         std::vector<OfferNow>& offers) {
    const std::string region = zone.substr(0, zone.rfind('-'));
    std::vector<OfferNow> here;
    for (const std::string& type : options_.machine_types) {
      const auto answer = Ask("GET", absl::StrCat("zones/", zone, "/machineTypes/", type));
      if (absl::IsNotFound(answer.status())) continue;  // it is not sold there
      RETURN_IF_ERROR(answer.status());
      if (!(*answer)["guestCpus"]) return absl::UnavailableError(absl::StrCat(type, ": an answer without its parts"));
      GcpMachineType parts = {.name = type,
                              .cores = (*answer)["guestCpus"].Number().value_or(0),
                              .gigabytes = (*answer)["memoryMb"].Number().value_or(0) / 1024};
      for (const Json& accelerator : (*answer)["accelerators"].Items()) {
        parts.accelerator = accelerator["guestAcceleratorType"].Text();
        parts.accelerators = static_cast<int>(accelerator["guestAcceleratorCount"].Whole().value_or(0));
      }
      for (const Market market : options_.markets) {
        const std::optional<GcpPrices::Price> price = prices.PriceOf(parts, region, market);
        if (!price.has_value()) continue;  // what costs nobody knows how much is not bought
        here.push_back({.offer = {.provider = traits_.name,
                                  .region = region,
                                  .zone = zone,
                                  .market = market,
                                  .machine_type = type,
                                  .accelerator = AcceleratorName(parts.accelerator),
                                  .accelerators = parts.accelerators,
                                  .price_per_hour = price->dollars},
                        .stock = std::nullopt,
                        .priced_since = price->since,
                        .barred = quotas.ok() ? WhyBarred(*quotas, parts, region, market) : ""});
      }
    }
    absl::c_move(here, std::back_inserter(offers));
    return absl::OkStatus();
  }

  // Every row that is ours, of all zones. What could not be reached is told: its machines would seem to be gone.
  // https://cloud.google.com/compute/docs/reference/rest/v1/instances/aggregatedList
  absl::Status Aggregated(const std::string& what, CloudInventory& inventory,
                          absl::FunctionRef<void(const Json&)> take) {
    const auto unheard = [&](absl::string_view scope) {
      const std::string zone = LastPart(std::string(scope));
      for (const UnheardPlace& known : inventory.unheard) {
        if (known.place == zone) return;
      }
      inventory.unheard.push_back({zone, absl::UnavailableError("UNREACHABLE")});
    };
    std::string token;
    for (int page = 0; page < kMostPages; ++page) {
      const std::string filter = absl::StrCat("name eq \"", options_.name_prefix, ".*\"");
      ASSIGN_OR_RETURN(const Json answer,
                       Ask("GET", absl::StrCat("aggregated/", what, "?maxResults=500&returnPartialSuccess=true&filter=",
                                               UriEncode(filter), token.empty() ? "" : "&pageToken=",
                                               UriEncode(token))));
      // No list is no empty list: its machines would seem to be gone.
      if (!answer["items"] && !absl::EndsWith(answer["kind"].Text(), "AggregatedList")) {
        return absl::UnavailableError("an answer without its list");
      }
      for (const Json& scope : answer["unreachables"].Items()) unheard(scope.Text());
      const Json items = answer["items"];
      for (const std::string& scope : items.Names()) {
        if (items[scope]["warning"]["code"].Text() == "UNREACHABLE") unheard(scope);
        for (const Json& row : items[scope][what].Items()) {
          if (absl::StartsWith(row["name"].Text(), options_.name_prefix)) take(row);
        }
      }
      token = answer["nextPageToken"].Text();
      if (token.empty()) return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat(what, ": more than ", kMostPages, " pages"));
  }

  absl::StatusOr<GcpPrices> PricesNow() {
    GcpPrices prices;
    std::string token;
    for (int page = 0; page < kMostPages; ++page) {
      ASSIGN_OR_RETURN(
          const Json answer,
          AskUrl("GET", absl::StrCat(options_.billing_endpoint, "/v1/services/", kComputeEngineService,
                                     "/skus?pageSize=5000", token.empty() ? "" : "&pageToken=", UriEncode(token))));
      if (!answer["skus"].IsList()) return absl::UnavailableError("SKUs: an answer without its list");
      for (const Json& sku : answer["skus"].Items()) prices.Add(sku);
      token = answer["nextPageToken"].Text();
      if (!token.empty()) continue;
      if (prices.IsEmpty()) return absl::UnavailableError("SKUs: none has a price");
      return prices;
    }
    return absl::UnavailableError(absl::StrCat("SKUs: more than ", kMostPages, " pages"));
  }

  absl::StatusOr<GcpPrices> Prices() {
    {
      absl::MutexLock lock(&mutex_);
      if (prices_.has_value() && clock_.Elapsed() < prices_good_until_) return *prices_;
    }
    ASSIGN_OR_RETURN(GcpPrices prices, PricesNow());
    absl::MutexLock lock(&mutex_);
    prices_ = prices;
    prices_good_until_ = clock_.Elapsed() + absl::Hours(12);
    return prices;
  }

  const GcpOptions options_;
  const Clock& clock_;
  const Traits traits_ = {.name = "gcp",
                          .keeps_stopped = true,
                          .attaches_at_creation = true,
                          .volume_gigabytes = options_.volume_gigabytes,
                          .public_address = options_.public_address};
  GcpCredentials credentials_;
  CloudHttp http_;
  HeldCalls held_;
  absl::Mutex mutex_;
  std::vector<Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::vector<CloudInventory::Failure> failures_ ABSL_GUARDED_BY(mutex_);
  std::optional<GcpPrices> prices_ ABSL_GUARDED_BY(mutex_);
  absl::Duration prices_good_until_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<CloudApi> NewGcpApi(GcpOptions options, const Clock& clock) {
  return std::make_unique<GcpApi>(std::move(options), clock);
}

}  // namespace spotinference::fleet
