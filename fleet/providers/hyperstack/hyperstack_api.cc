#include "fleet/providers/hyperstack/hyperstack_api.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/accelerator.h"
#include "fleet/providers/cloud/held_calls.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/cloud/quota.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr int kPageSize = 100;
constexpr int kMostPages = 1000;
constexpr int64_t kLongestAnswer = 16 << 20;

State StateOf(const std::string& status) {
  static const auto& states = *new std::map<std::string, State>{
      {"CREATING", State::kStarting},  {"BUILD", State::kStarting},     {"STARTING", State::kStarting},
      {"RESTORING", State::kStarting}, {"REBOOTING", State::kStarting}, {"HARD_REBOOT", State::kStarting},
      {"ACTIVE", State::kRunning},     {"STOPPING", State::kStopping},  {"HIBERNATING", State::kStopping},
      {"HIBERNATED", State::kStopped}, {"DELETING", State::kDeleting},  {"DELETED", State::kGone},
      {"ERROR", State::kFailed},       {"SHUTOFF", State::kFailed}};  // which bills in full and serves nobody
  const auto found = states.find(absl::AsciiStrToUpper(status));
  return found == states.end() ? State::kUnknown : found->second;
}

// Its error_reason is coarse and can be missing; want of stock is told by the message alone.
absl::Status ErrorOf(const HttpResponse& response) {
  const auto body = Json::Parse(response.body);
  const std::string message = body.ok() ? (*body)["message"].Text() : "";
  const std::string reason = body.ok() ? (*body)["error_reason"].Text() : "";
  const absl::Status status = StatusOfHttp(response, message);
  if (absl::IsUnavailable(status) || absl::IsUnauthenticated(status)) return status;
  const std::string lower = absl::AsciiStrToLower(message);
  for (const char* const word : {"quota", "limit exceeded"}) {
    if (absl::StrContains(lower, word)) return OverQuota(message);
  }
  for (const char* const word : {"stock", "capacity", "insufficient", "not enough"}) {
    if (absl::StrContains(lower, word)) return absl::ResourceExhaustedError(message);
  }
  if (reason == "already_exist") return absl::AlreadyExistsError(message);
  if (reason == "not_found") return absl::NotFoundError(message);
  if (reason == "not_allowed") return absl::FailedPreconditionError(message);
  return status;
}

// "2026-11-29T11:30:55", in UTC, with its zone or without.
std::optional<absl::Time> TimeOf(const std::string& text) {
  const std::optional<absl::Time> time = TimeIn(text);
  return time.has_value() ? time : TimeIn(text + "Z");
}

// Events of a machine's bill, one for each state it went through: it is charged for while it is ACTIVE or SHUTOFF
// ("Which Virtual Machine states incur billing costs?"). The last run is from the first event of a row of these to the
// event after it; one that is not over is none. The events' names are nowhere listed; they are taken to be the states'.
CloudRun LatestRunIn(const Json& history) {
  std::vector<std::pair<absl::Time, bool>> events;  // when, and charged from then on
  for (const Json& row : history.Items()) {
    const std::string event = row["event"].Text();
    if (const auto start = TimeOf(row["start"].Text())) {
      events.emplace_back(*start, event == "ACTIVE" || event == "SHUTOFF");
    }
  }
  std::sort(events.begin(), events.end());
  CloudRun run;
  for (const auto& [start, charged] : events) {
    if (charged && (!run.began.has_value() || run.ended.has_value())) {
      run = {.began = start};
    } else if (!charged && run.began.has_value() && !run.ended.has_value()) {
      run.ended = start;
    }
  }
  return run;
}

// "n3-A100x1-spot", whose GPU is "A100-80G-PCIe-spot" in flavors, stocks and the price book.
bool IsSpot(absl::string_view flavor) { return absl::EndsWithIgnoreCase(flavor, "-spot"); }
Market MarketOf(absl::string_view flavor) { return IsSpot(flavor) ? Market::kSpot : Market::kOnDemand; }

class HyperstackApi : public CloudApi {
 public:
  HyperstackApi(HyperstackOptions options, const Clock& clock) : options_(std::move(options)), held_(clock) {}

  const Traits& traits() const override { return traits_; }
  absl::Time LastDate() const override { return http_.LastDate(); }
  void Cancel() override { http_.Cancel(); }
  // https://docs.hyperstack.cloud/docs/api-reference/hibernate-vm/: the flavor has to support hibernation. Nothing that
  // is documented says that a spot VM's does, or that one that is hibernated would not be taken away.
  bool KeepsStopped(const std::string& flavor) const override {
    absl::MutexLock lock(&mutex_);
    return !IsSpot(flavor) && !without_hibernation_.contains(flavor);
  }
  // Disks come in order; a flavor's ephemeral one, which a hibernation gives up, before any volume.
  absl::StatusOr<std::string> DevicePath(const CloudVolume&, const Offer& offer) override {
    if (!HasEphemeralDisk(offer.machine_type).has_value()) RETURN_IF_ERROR(Flavors().status());
    const std::optional<bool> has = HasEphemeralDisk(offer.machine_type);
    if (!has.has_value()) return absl::UnavailableError(absl::StrCat("there is no flavor ", offer.machine_type));
    return *has ? "/dev/vdc" : "/dev/vdb";
  }

  absl::StatusOr<std::string> Account() override {
    const absl::StatusOr<Json> answer = Ask("GET", "/auth/organizations");
    if (absl::IsPermissionDenied(answer.status())) return "";
    RETURN_IF_ERROR(answer.status());
    const std::string id = (*answer)["organization"]["id"].Text();
    if (id.empty()) return absl::UnavailableError("an answer without its organization");
    return absl::StrCat("organization ", id);
  }

  absl::StatusOr<CloudInventory> List() override {
    CloudInventory inventory;
    RETURN_IF_ERROR(Pages("virtual-machines", "instances", [&](const Json& row) {
      // "Virtual Machine States and Billing Status": one that is hibernated is charged for its root disk's data. Nothing
      // says how much that is, but no more than the disk.
      CloudMachine machine = {.id = row["id"].Text(),
                              .name = row["name"].Text(),
                              .zone = row["environment"]["name"].Text(),
                              .type = row["flavor"]["name"].Text(),
                              .market = MarketOf(row["flavor"]["name"].Text()),
                              .address = row[options_.public_address ? "floating_ip" : "fixed_ip"].Text(),
                              .public_address = !row["floating_ip"].Text().empty(),
                              .boot_gigabytes = row["flavor"]["disk"].Number().value_or(0),
                              .state = StateOf(row["status"].Text()),
                              .is_off = absl::EqualsIgnoreCase(row["status"].Text(), "SHUTOFF"),
                              .word = row["status"].Text()};
      NoteFeatures(row["flavor"]);
      inventory.machines.push_back(std::move(machine));
    }));
    RETURN_IF_ERROR(Pages("volumes", "volumes", [&](const Json& row) {
      const std::vector<Json> attachments = row["attachments"].Items();
      CloudVolume volume = {.id = row["id"].Text(),
                            .name = UnzonedName(row["name"].Text()),
                            .zoned_name = row["name"].Text(),
                            .zone = row["environment"]["name"].Text(),
                            .word = row["status"].Text()};
      volume.ready = volume.word == "available" || volume.word == "in-use";
      volume.gigabytes = row["size"].Number().value_or(0);
      volume.made = TimeOf(row["created_at"].Text());
      if (!attachments.empty()) {
        volume.machine = attachments[0]["instance_id"].Text();
        volume.attached = volume.word == "in-use" && attachments[0]["status"].Text() == "ATTACHED";
      }
      inventory.volumes.push_back(std::move(volume));
    }));
    return inventory;
  }

  absl::StatusOr<CloudOffers> Offers() override {
    std::multimap<std::string, std::string> environments;  // by region
    std::map<std::string, std::string> ids, barred;        // by environment
    RETURN_IF_ERROR(Pages("environments", "environments", [&](const Json& row) {
      if (!Wanted(options_.environments, row["name"].Text())) return;
      environments.emplace(row["region"].Text(), row["name"].Text());
      ids[row["name"].Text()] = row["id"].Text();
    }));
    absl::Status quotas;
    for (const auto& [environment, id] : ids) {
      const absl::StatusOr<Json> room = Ask("GET", absl::StrCat("/core/environments/", UriEncode(id), "/vm-quota"));
      const absl::StatusOr<std::string> why = room.ok() ? WhyFull(environment, *room) : room.status();
      if (!why.ok()) quotas = why.status();
      else barred[environment] = *why;
    }
    ASSIGN_OR_RETURN(const Json stocks, Ask("GET", "/core/stocks"));
    ASSIGN_OR_RETURN(const Json prices, Ask("GET", "/pricebook"));
    ASSIGN_OR_RETURN(const Json flavors, Flavors());
    if (!stocks["stocks"].IsList()) return absl::UnavailableError("stocks: an answer without its list");
    if (!prices.IsList()) return absl::UnavailableError("pricebook: an answer without its list");
    std::vector<OfferNow> offers;
    for (const Json& group : flavors["data"].Items()) {
      for (const Json& flavor : group["flavors"].Items()) {
        if (!Wanted(options_.flavors, flavor["name"].Text())) continue;
        if (options_.flavors.empty() && CountOf(flavor) > 1) continue;  // an engine uses one
        const std::optional<double> price = PriceOf(prices, flavor);
        if (!price.has_value()) continue;  // what costs nobody knows how much is not bought
        const auto [first, last] = environments.equal_range(flavor["region_name"].Text());
        for (auto zone = first; zone != last; ++zone) {
          offers.push_back({.offer = {.provider = traits_.name,
                                      .region = zone->first,
                                      .zone = zone->second,
                                      .market = MarketOf(flavor["name"].Text()),
                                      .machine_type = flavor["name"].Text(),
                                      .accelerator = AcceleratorName(flavor["gpu"].Text()),
                                      .accelerators = CountOf(flavor),
                                      .price_per_hour = *price},
                            .stock = StockOf(stocks, flavor),
                            .priced_since = std::nullopt,
                            .barred = barred[zone->second]});
        }
      }
    }
    return CloudOffers{.offers = std::move(offers), .quotas = std::move(quotas)};
  }

  absl::StatusOr<std::string> CreateMachine(const MachineOrder& order) override {
    const std::string body =
        absl::StrCat(R"({"name":)", JsonString(order.name), R"(,"environment_name":)", JsonString(order.offer.zone),
                     R"(,"image_name":)", JsonString(options_.image), R"(,"flavor_name":)",
                     JsonString(order.offer.machine_type), R"(,"key_name":)", JsonString(options_.key_name),
                     R"(,"count":1,"labels":["spotinference"],"user_data":)", JsonString(order.user_data), Floating(),
                     "}");
    ASSIGN_OR_RETURN(const Json answer, Ask("POST", "/core/virtual-machines", body));
    const std::vector<Json> instances = answer["instances"].Items();
    if (instances.empty()) return absl::UnavailableError("a create without an instance in its answer");
    return instances[0]["id"].Text();
  }

  absl::Status StopMachine(const CloudMachine& machine) override {
    return Ask("GET", absl::StrCat(PathOf(machine), "/hibernate?retain_ip=true")).status();
  }
  absl::Status StartMachine(const CloudMachine& machine) override {
    return Ask("GET", absl::StrCat(PathOf(machine), "/hibernate-restore")).status();
  }
  absl::Status DeleteMachine(const CloudMachine& machine) override { return Ask("DELETE", PathOf(machine)).status(); }

  absl::Status CreateVolume(const std::string& name, const Offer& offer, const std::string&) override {
    return Ask("POST", "/core/volumes",
               absl::StrCat(R"({"name":)", JsonString(ZonedName(name, offer.zone)), R"(,"environment_name":)",
                            JsonString(offer.zone), R"(,"description":"weights and KV of spotinference","size":)",
                            options_.volume_gigabytes, R"(,"volume_type":)", JsonString(options_.volume_type), "}"))
        .status();
  }
  absl::Status AttachVolume(const CloudVolume& volume, const CloudMachine& machine) override {
    return Ask("POST", absl::StrCat(PathOf(machine), "/attach-volumes"),
               absl::StrCat(R"({"volume_ids":[)", volume.id, R"(],"protected":false})"))
        .status();
  }
  absl::Status DetachVolume(const CloudVolume& volume) override {
    return Ask("POST", absl::StrCat("/core/virtual-machines/", UriEncode(volume.machine), "/detach-volumes"),
               absl::StrCat(R"({"volume_ids":[)", volume.id, "]}"))
        .status();
  }
  absl::Status DeleteVolume(const CloudVolume& volume) override {
    return Ask("DELETE", absl::StrCat("/core/volumes/", UriEncode(volume.id))).status();
  }

  // Lists say nothing of runs. Whether the bill of a machine that is deleted can still be asked for is not documented.
  absl::StatusOr<CloudRun> LatestRun(const CloudMachine& last) override {
    if (last.id.empty()) return CloudRun();
    const absl::StatusOr<Json> answer =
        Ask("GET", absl::StrCat("/billing/billing/virtual-machine/", UriEncode(last.id), "/billing-events"));
    if (absl::IsNotFound(answer.status())) return CloudRun();
    RETURN_IF_ERROR(answer.status());
    const CloudRun run = LatestRunIn((*answer)["billing_events_history"]);
    if (!run.ended.has_value()) return absl::UnavailableError("its bill has no run that is over");
    return run;
  }

 private:
  // https://docs.hyperstack.cloud/docs/api-reference/core-resources/virtual-machines/vm-core/create-vms/: unless it is
  // told not to, Hyperstack moves ports of a machine with a public address to random ones.
  std::string Floating() const {
    if (!options_.public_address) return "";
    return absl::StrCat(R"(,"assign_floating_ip":true,"enable_port_randomization":false,"security_rules":[)",
                        R"({"direction":"ingress","ethertype":"IPv4","protocol":"tcp","remote_ip_prefix":"0.0.0.0/0",)",
                        R"("port_range_min":)", options_.engine_port, R"(,"port_range_max":)", options_.engine_port,
                        "}]");
  }
  static std::string PathOf(const CloudMachine& machine) {
    return absl::StrCat("/core/virtual-machines/", UriEncode(machine.id));
  }
  // An environment's subnet has addresses for so many machines. Hyperstack's SDK: get_environment_vm_quota.
  static absl::StatusOr<std::string> WhyFull(const std::string& environment, const Json& room) {
    const std::optional<double> most = room["max_vms"].Number(), now = room["current_vms"].Number();
    if (!most.has_value() || !now.has_value()) return absl::UnavailableError("vm-quota: an answer without its numbers");
    return WhyOver({.name = "of virtual machines", .place = environment, .limit = *most, .used = *now}, 1);
  }
  static bool Wanted(const std::vector<std::string>& wanted, const std::string& name) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  }
  // All that there are, and which of them have a disk of their own is known from then on.
  absl::StatusOr<Json> Flavors() {
    ASSIGN_OR_RETURN(const Json flavors, Ask("GET", "/core/flavors"));
    if (!flavors["data"].IsList()) return absl::UnavailableError("flavors: an answer without its list");
    for (const Json& group : flavors["data"].Items()) {
      for (const Json& flavor : group["flavors"].Items()) {
        NoteFeatures(flavor);
        absl::MutexLock lock(&mutex_);
        has_ephemeral_disk_[flavor["name"].Text()] = flavor["ephemeral"].Number().value_or(0) > 0;
      }
    }
    return flavors;
  }
  // In lists of flavors and of machines.
  void NoteFeatures(const Json& flavor) {
    if (!flavor["features"]["no_hibernation"].IsTrue()) return;
    absl::MutexLock lock(&mutex_);
    without_hibernation_.insert(flavor["name"].Text());
  }
  std::optional<bool> HasEphemeralDisk(const std::string& flavor) const {
    absl::MutexLock lock(&mutex_);
    const auto known = has_ephemeral_disk_.find(flavor);
    return known == has_ephemeral_disk_.end() ? std::nullopt : std::optional(known->second);
  }
  static int CountOf(const Json& flavor) { return static_cast<int>(flavor["gpu_count"].Whole().value_or(0)); }

  // The price book has dollars for an hour of one GPU.
  static std::optional<double> PriceOf(const Json& prices, const Json& flavor) {
    const std::string gpu = flavor["gpu"].Text();
    if (gpu.empty() || CountOf(flavor) < 1) return std::nullopt;
    for (const Json& row : prices.Items()) {
      if (absl::EqualsIgnoreCase(row["name"].Text(), gpu) && row["value"].Number().has_value()) {
        return *row["value"].Number() * CountOf(flavor);
      }
    }
    return std::nullopt;
  }

  static std::optional<int> StockOf(const Json& stocks, const Json& flavor) {
    const std::string configuration = absl::StrCat(CountOf(flavor), "x");
    for (const Json& region : stocks["stocks"].Items()) {
      if (region["region"].Text() != flavor["region_name"].Text()) continue;
      for (const Json& model : region["models"].Items()) {
        if (!absl::EqualsIgnoreCase(model["model"].Text(), flavor["gpu"].Text())) continue;
        const std::optional<int32_t> count = model["configurations"][configuration].Whole();
        if (count.has_value()) return *count;
      }
    }
    if (flavor["stock_available"] && !flavor["stock_available"].IsTrue()) return 0;
    return std::nullopt;
  }

  absl::StatusOr<Json> Ask(const char* method, const std::string& path, const std::string& body = "") {
    return held_.Ask<Json>(CallOf(method, path), [&] { return AskNow(method, path, body); });
  }

  absl::StatusOr<Json> AskNow(const char* method, const std::string& path, std::string body) {
    HttpRequest request = {.method = method, .url = absl::StrCat(options_.endpoint, path), .body = std::move(body)};
    request.headers = {{"api_key", options_.api_key}, {"accept", "application/json"}};
    if (!request.body.empty()) request.headers.emplace_back("content-type", "application/json");
    request.timeout = absl::Seconds(30);
    request.max_body_bytes = kLongestAnswer;
    ASSIGN_OR_RETURN(const HttpResponse response, http_.Do(request));
    if (response.status < 200 || response.status >= 300) return ErrorOf(response);
    ASSIGN_OR_RETURN(Json answer, Json::Parse(response.body.empty() ? "{}" : response.body));
    if (answer["status"] && !answer["status"].IsTrue()) return absl::UnavailableError(answer["message"].Text());
    return answer;
  }

  // Every row of a list that is ours, or every row of one that has no names of ours.
  absl::Status Pages(absl::string_view what, absl::string_view field, absl::FunctionRef<void(const Json&)> take) {
    const bool ours = what != "environments";
    for (int page = 1; page <= kMostPages; ++page) {
      std::string path = absl::StrCat("/core/", what, "?page=", page, "&pageSize=", kPageSize);
      if (ours) absl::StrAppend(&path, "&search=", UriEncode(options_.name_prefix));
      ASSIGN_OR_RETURN(const Json answer, Ask("GET", path));
      // No list is no empty list: its machines would seem to be gone.
      if (!answer[field].IsList()) return absl::UnavailableError("an answer without its list");
      const std::vector<Json> rows = answer[field].Items();
      for (const Json& row : rows) {
        if (!ours || absl::StartsWith(row["name"].Text(), options_.name_prefix)) take(row);
      }
      // Where the server's pages are shorter than asked for, the count tells.
      const double size = answer["page_size"].Number().value_or(kPageSize);
      if (rows.empty() || page * size >= answer["count"].Number().value_or(0)) return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat("more than ", kMostPages, " pages of ", what));
  }

  const HyperstackOptions options_;
  const Traits traits_ = {.name = "hyperstack",
                          .keeps_stopped = true,
                          .stopped_counts = true,
                          .attaches_at_creation = false,
                          .volume_gigabytes = options_.volume_gigabytes,
                          .public_address = options_.public_address};
  CloudHttp http_;
  HeldCalls held_;
  mutable absl::Mutex mutex_;
  std::map<std::string, bool> has_ephemeral_disk_ ABSL_GUARDED_BY(mutex_);  // by flavor
  std::set<std::string> without_hibernation_ ABSL_GUARDED_BY(mutex_);       // flavors
};

}  // namespace

std::unique_ptr<CloudApi> NewHyperstackApi(HyperstackOptions options, const Clock& clock) {
  return std::make_unique<HyperstackApi>(std::move(options), clock);
}

}  // namespace spotinference::fleet
