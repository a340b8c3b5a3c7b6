#include "fleet/providers/aws/aws_api.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "fleet/providers/aws/aws_client.h"
#include "fleet/providers/aws/aws_quotas.h"
#include "fleet/providers/cloud/accelerator.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr int kMostPages = 1000;
constexpr int kMostGpus = 1000;  // of a machine, that are believed
constexpr absl::Duration kPricesKept = absl::Hours(24);  // of the Price List, which seldom changes
constexpr absl::Duration kQuotasKept = absl::Hours(1);   // how much is allowed; how much is used is asked each time
constexpr char kPricingRegion[] = "us-east-1";           // where that API is

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html
State StateOf(const std::string& name) {
  if (name == "pending") return State::kStarting;
  if (name == "running") return State::kRunning;
  if (name == "shutting-down") return State::kDeleting;
  if (name == "terminated") return State::kGone;
  if (name == "stopping") return State::kStopping;
  if (name == "stopped") return State::kStopped;
  return State::kUnknown;
}

// "User initiated (2026-11-29 11:30:55 GMT)", "Service initiated (…)"; empty while nothing has ended it.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
std::optional<absl::Time> EndOf(absl::string_view transition) {
  const size_t from = transition.rfind('('), to = transition.rfind(" GMT)");
  if (from == absl::string_view::npos || to == absl::string_view::npos || to < from) return std::nullopt;
  const absl::string_view text = transition.substr(from + 1, to - from - 1);
  return TimeIn(absl::StrCat(absl::StrReplaceAll(text, {{" ", "T"}}), "Z"));
}

Market MarketOf(const Xml& instance) {
  return instance["instanceLifecycle"].text == "spot" ? Market::kSpot : Market::kOnDemand;
}

std::string TagOf(const Xml& resource, absl::string_view key) {
  for (const Xml* const tag : resource["tagSet"].Items()) {
    if ((*tag)["key"].text == key) return (*tag)["value"].text;
  }
  return "";
}

constexpr char kTag[] = "spotinference", kTrue[] = "true";
constexpr char kBoot[] = "boot";  // of a volume that a machine was made with, and goes with

// As the n-th specification.
void AddTags(int n, const std::string& resource, const std::string& name, const std::string& kind,
             AwsParameters& parameters) {
  const std::string specification = absl::StrCat("TagSpecification.", n, ".");
  const std::vector<std::pair<std::string, std::string>> tags = {{"Name", name}, {kTag, kind}};
  parameters.emplace_back(specification + "ResourceType", resource);
  for (size_t i = 0; i < tags.size(); ++i) {
    parameters.emplace_back(absl::StrCat(specification, "Tag.", i + 1, ".Key"), tags[i].first);
    parameters.emplace_back(absl::StrCat(specification, "Tag.", i + 1, ".Value"), tags[i].second);
  }
}

// What a type has in it.
struct Type {
  std::string accelerator;
  int accelerators = 0;
  bool has_part = false;  // of one, and not a whole one
  double cpus = 0;
};

// Where keys of roles come from, unless the environment says otherwise; that place says whose account it is, too.
AwsHome HomeOf(const AwsOptions& options) {
  return {.region = options.regions.empty() ? AwsHome().region : options.regions[0].name,
          .sts_endpoint = options.sts_endpoint.empty() ? options.endpoint : options.sts_endpoint};
}

class AwsApi : public CloudApi {
 public:
  AwsApi(AwsOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock), client_(clock, HomeOf(options_)) {}

  const Traits& traits() const override { return traits_; }
  absl::Time LastDate() const override { return client_.LastDate(); }
  void Cancel() override { client_.Cancel(); }

  // https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html
  absl::StatusOr<std::string> DevicePath(const CloudVolume& volume, const Offer&) override {
    return absl::StrCat("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_",
                        absl::StrReplaceAll(volume.id, {{"-", ""}}));
  }

  // https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: for which nobody needs a right.
  absl::StatusOr<std::string> Account() override {
    const std::string& region = options_.regions[0].name;
    const std::string endpoint = HomeOf(options_).sts_endpoint;
    ASSIGN_OR_RETURN(const Xml answer,
                     client_.Query(endpoint.empty() ? absl::StrCat("https://sts.", region, ".amazonaws.com") : endpoint,
                                   {region, "sts"}, "GetCallerIdentity", {}));
    const std::string& account = answer["GetCallerIdentityResult"]["Account"].text;
    if (account.empty()) return absl::UnavailableError("GetCallerIdentity: an answer without an account");
    return absl::StrCat("account ", account);
  }

  absl::StatusOr<CloudInventory> List() override {
    CloudInventory inventory;
    const AwsParameters ours = {{"Filter.1.Name", "tag:Name"}, {"Filter.1.Value.1", options_.name_prefix + "*"}};
    for (const AwsRegion& region : options_.regions) {
      CloudInventory here;
      absl::Status status =
          Pages(region.name, "DescribeInstances", "reservationSet", ours, [&](const Xml& reservation) {
            for (const Xml* const instance : reservation["instancesSet"].Items()) AddMachine(*instance, here);
          });
      if (status.ok()) {
        status = Pages(region.name, "DescribeVolumes", "volumeSet", ours,
                       [&](const Xml& volume) { AddVolume(volume, here); });
      }
      if (status.ok()) {
        absl::c_move(here.machines, std::back_inserter(inventory.machines));
        absl::c_move(here.volumes, std::back_inserter(inventory.volumes));
      } else {
        inventory.unheard.push_back({region.name, std::move(status)});
      }
    }
    if (inventory.unheard.size() == options_.regions.size()) return inventory.unheard[0].status;
    return inventory;
  }

  absl::StatusOr<CloudOffers> Offers() override {
    CloudOffers offers;
    absl::Status price_list;  // one for all regions: without it there is spot to be had still
    for (const AwsRegion& region : options_.regions) {
      absl::Status status = AddOffers(region, offers, price_list);
      if (!status.ok()) offers.unheard.push_back({region.name, std::move(status)});
    }
    if (offers.unheard.size() == options_.regions.size()) return offers.unheard[0].status;
    if (!price_list.ok()) offers.unheard.push_back({"the Price List", std::move(price_list)});
    return offers;
  }

  absl::StatusOr<std::string> CreateMachine(const MachineOrder& order) override {
    const auto region = std::find_if(options_.regions.begin(), options_.regions.end(),
                                     [&](const AwsRegion& r) { return r.name == order.offer.region; });
    if (region == options_.regions.end()) {
      return absl::InvalidArgumentError(absl::StrCat("region ", order.offer.region, " is not in the configuration"));
    }
    AwsParameters parameters = {{"ImageId", region->image},
                                {"InstanceType", order.offer.machine_type},
                                {"MinCount", "1"},
                                {"MaxCount", "1"},
                                {"ClientToken", order.token},
                                {"Placement.AvailabilityZone", order.offer.zone},
                                {"UserData", absl::Base64Escape(order.user_data)},
                                {"InstanceInitiatedShutdownBehavior", "terminate"},
                                {"MetadataOptions.HttpTokens", "required"}};
    // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceSpecification.html
    const std::string interface = options_.public_address ? "NetworkInterface.1." : "";
    for (size_t i = 0; i < region->security_groups.size(); ++i) {
      parameters.emplace_back(absl::StrCat(interface, "SecurityGroupId.", i + 1), region->security_groups[i]);
    }
    if (options_.public_address) {
      parameters.emplace_back(interface + "DeviceIndex", "0");
      parameters.emplace_back(interface + "AssociatePublicIpAddress", "true");
      parameters.emplace_back(interface + "DeleteOnTermination", "true");
    }
    if (order.offer.market == Market::kSpot) {
      parameters.emplace_back("InstanceMarketOptions.MarketType", "spot");
      parameters.emplace_back("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
      parameters.emplace_back("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate");
    }
    AddTags(1, "instance", order.name, kTrue, parameters);
    AddTags(2, "volume", order.name, kBoot, parameters);
    ASSIGN_OR_RETURN(const Xml answer, Ask(region->name, "RunInstances", parameters));
    const std::vector<const Xml*> instances = answer["instancesSet"].Items();
    if (instances.empty()) return absl::UnavailableError("RunInstances without an instance in its answer");
    return (*instances[0])["instanceId"].text;
  }

  absl::Status StopMachine(const CloudMachine& machine) override { return DeleteMachine(machine); }
  absl::Status StartMachine(const CloudMachine& machine) override { return OfMachine("StartInstances", machine); }
  absl::Status DeleteMachine(const CloudMachine& machine) override { return OfMachine("TerminateInstances", machine); }

  absl::Status CreateVolume(const std::string& name, const Offer& offer, const std::string& token) override {
    AwsParameters parameters = {{"AvailabilityZone", offer.zone},
                                {"Size", absl::StrCat(options_.volume_gigabytes)},
                                {"VolumeType", options_.volume_type},
                                {"Encrypted", "true"},
                                {"ClientToken", token}};
    AddTags(1, "volume", name, kTrue, parameters);
    return Ask(offer.region, "CreateVolume", parameters).status();
  }
  absl::Status AttachVolume(const CloudVolume& volume, const CloudMachine& machine) override {
    return Ask(RegionOf(volume.zone), "AttachVolume",
               {{"VolumeId", volume.id}, {"InstanceId", machine.id}, {"Device", "/dev/sdf"}})
        .status();
  }
  absl::Status DetachVolume(const CloudVolume& volume) override {
    return Ask(RegionOf(volume.zone), "DetachVolume",
               {{"VolumeId", volume.id}, {"InstanceId", volume.machine}, {"Force", "true"}})
        .status();
  }
  absl::Status DeleteVolume(const CloudVolume& volume) override {
    return Ask(RegionOf(volume.zone), "DeleteVolume", {{"VolumeId", volume.id}}).status();
  }
  absl::StatusOr<CloudRun> LatestRun(const CloudMachine& last) override { return last.run; }  // its lists tell all

 private:
  // "us-east-1" of "us-east-1a"; local zones ("us-west-2-lax-1a") begin with their region, too.
  std::string RegionOf(const std::string& zone) const {
    std::string best;
    for (const AwsRegion& region : options_.regions) {
      if (zone.compare(0, region.name.size(), region.name) == 0 && region.name.size() > best.size()) best = region.name;
    }
    return best;
  }

  absl::Status OfMachine(const std::string& action, const CloudMachine& machine) {
    return Ask(RegionOf(machine.zone), action, {{"InstanceId.1", machine.id}}).status();
  }

  absl::StatusOr<Xml> Ask(const std::string& region, const std::string& action, const AwsParameters& parameters) {
    const std::string endpoint =
        options_.endpoint.empty() ? absl::StrCat("https://ec2.", region, ".amazonaws.com") : options_.endpoint;
    return client_.Query(endpoint, {region, "ec2"}, action, parameters);
  }

  // Every row of the set.
  absl::Status Pages(const std::string& region, const std::string& action, const std::string& set,
                     const AwsParameters& parameters, absl::FunctionRef<void(const Xml&)> take) {
    AwsParameters asked = parameters;
    asked.emplace_back("MaxResults", "100");
    asked.emplace_back("NextToken", "");
    for (int page = 0; page < kMostPages; ++page) {
      AwsParameters now = asked;
      if (now.back().second.empty()) now.pop_back();
      ASSIGN_OR_RETURN(const Xml answer, Ask(region, action, now));
      // No list is no empty list: its machines would seem to be gone.
      if (answer[set].name.empty()) return absl::UnavailableError(absl::StrCat(action, ": an answer without its list"));
      for (const Xml* const row : answer[set].Items()) take(*row);
      asked.back().second = answer["nextToken"].text;
      if (asked.back().second.empty()) return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat(action, ": more than ", kMostPages, " pages"));
  }

  void AddMachine(const Xml& instance, CloudInventory& inventory) const {
    const std::string& word = instance["instanceState"]["name"].text;
    const std::string& why = instance["stateReason"]["code"].text;
    CloudMachine machine = {.id = instance["instanceId"].text,
                            .name = TagOf(instance, "Name"),
                            .zone = instance["placement"]["availabilityZone"].text,
                            .type = instance["instanceType"].text,
                            .market = MarketOf(instance),
                            .address = instance[options_.public_address ? "ipAddress" : "privateIpAddress"].text,
                            .public_address = !instance["ipAddress"].text.empty(),
                            .state = StateOf(word),
                            .word = why.empty() ? word : absl::StrCat(word, ", ", why)};
    // It is charged for from "running" to "shutting-down". The time of the former nobody tells: pending is counted too.
    machine.run.began = TimeIn(instance["launchTime"].text);
    const bool over = machine.state == State::kDeleting || machine.state == State::kGone;
    if (over) machine.run.ended = EndOf(instance["reason"].text);
    machine.run.reclaimed = absl::StartsWith(why, "Server.SpotInstance");
    inventory.machines.push_back(std::move(machine));
  }

  // After its machine.
  static void AddVolume(const Xml& row, CloudInventory& inventory) {
    CloudVolume volume = {.id = row["volumeId"].text,
                          .name = TagOf(row, "Name"),
                          .zone = row["availabilityZone"].text,
                          .word = row["status"].text};
    if (!absl::SimpleAtod(row["size"].text, &volume.gigabytes)) volume.gigabytes = 0;
    volume.made = TimeIn(row["createTime"].text);
    if (TagOf(row, kTag) == kBoot) {
      for (const Xml* const attachment : row["attachmentSet"].Items()) {
        for (CloudMachine& machine : inventory.machines) {
          if (machine.id == (*attachment)["instanceId"].text) machine.boot_gigabytes += volume.gigabytes;
        }
      }
      return;
    }
    if (volume.word == "deleting" || volume.word == "deleted") return;
    volume.ready = volume.word == "available" || volume.word == "in-use";
    for (const Xml* const attachment : row["attachmentSet"].Items()) {
      const std::string& status = (*attachment)["status"].text;
      if (status == "detached") continue;
      volume.machine = (*attachment)["instanceId"].text;
      volume.attached = status == "attached";
      volume.word = status;
    }
    inventory.volumes.push_back(std::move(volume));
  }

  // All or nothing, but for what is sold on demand at a price that the Price List does not tell.
  absl::Status AddOffers(const AwsRegion& region, CloudOffers& offers, absl::Status& price_list) {
    ASSIGN_OR_RETURN(const auto types, Types(region.name));
    ASSIGN_OR_RETURN(const auto spot, SpotPrices(region.name));
    ASSIGN_OR_RETURN(const auto offerings, Offerings(region.name));
    const absl::StatusOr<AwsQuotas> quotas = QuotasNow(region.name);
    if (!quotas.ok()) offers.quotas = quotas.status();
    std::vector<OfferNow> here;
    const auto add = [&](const std::string& zone, Market market, const std::string& type, double price,
                         std::optional<absl::Time> since) {
      const auto known = types.find(type);
      if (!region.zones.empty() && std::count(region.zones.begin(), region.zones.end(), zone) == 0) return;
      if (std::count(options_.markets.begin(), options_.markets.end(), market) == 0) return;
      Offer offer = {.provider = traits_.name,
                     .region = region.name,
                     .zone = zone,
                     .market = market,
                     .machine_type = type,
                     .price_per_hour = price};
      std::string barred;
      if (known != types.end() && known->second.has_part) return;
      if (known != types.end()) {
        offer.accelerator = known->second.accelerator;
        offer.accelerators = known->second.accelerators;
        if (quotas.ok()) barred = quotas->WhyOver(type, market, known->second.cpus);
      }
      here.push_back(
          {.offer = std::move(offer), .stock = std::nullopt, .priced_since = since, .barred = std::move(barred)});
    };
    for (const auto& [where, row] : spot) add(where.first, Market::kSpot, where.second, row.dollars, TimeIn(row.since));
    for (const auto& [zone, type] : offerings) {
      if (!price_list.ok()) break;
      const absl::StatusOr<double> on_demand = OnDemandPrice(region.name, type);
      price_list = on_demand.status();
      if (on_demand.value_or(0) > 0) add(zone, Market::kOnDemand, type, *on_demand, std::nullopt);
    }
    absl::c_move(here, std::back_inserter(offers.offers));
    return absl::OkStatus();
  }

  absl::StatusOr<std::map<std::string, Type>> Types(const std::string& region) {
    std::map<std::string, Type> types;
    RETURN_IF_ERROR(
        Pages(region, "DescribeInstanceTypes", "instanceTypeSet", OfOurTypes(), [&](const Xml& row) {
          Type& type = types[row["instanceType"].text];
          if (!absl::SimpleAtod(row["vCpuInfo"]["defaultVCpus"].text, &type.cpus)) type.cpus = 0;
          for (const Xml* const gpu : row["gpuInfo"]["gpus"].Items()) {
            int count = 0;
            double mebibytes = 0;
            if (!absl::SimpleAtod((*gpu)["memoryInfo"]["sizeInMiB"].text, &mebibytes)) mebibytes = 0;
            type.accelerator = AcceleratorName((*gpu)["name"].text, mebibytes / 1024);
            // g6f: 0 of them, but a memory, and a size between 0 and 1.
            double size = 1;
            type.has_part |= absl::SimpleAtod((*gpu)["gpuPartitionSize"].text, &size) && size < 1;
            if (!absl::SimpleAtoi((*gpu)["count"].text, &count) || count < 0 || count > kMostGpus) continue;
            type.accelerators += count;
          }
        }));
    return types;
  }

  // With what all instances of the account use of them.
  absl::StatusOr<AwsQuotas> QuotasNow(const std::string& region) {
    ASSIGN_OR_RETURN(AwsQuotas quotas, Quotas(region));
    const AwsParameters running = {{"Filter.1.Name", "instance-state-name"},
                                   {"Filter.1.Value.1", "pending"},
                                   {"Filter.1.Value.2", "running"}};
    RETURN_IF_ERROR(Pages(region, "DescribeInstances", "reservationSet", running, [&](const Xml& reservation) {
      for (const Xml* const instance : reservation["instancesSet"].Items()) {
        double cores = 0, threads = 0;
        if (!absl::SimpleAtod((*instance)["cpuOptions"]["coreCount"].text, &cores) ||
            !absl::SimpleAtod((*instance)["cpuOptions"]["threadsPerCore"].text, &threads)) {
          continue;
        }
        quotas.Use((*instance)["instanceType"].text, MarketOf(*instance), cores * threads);
      }
    }));
    return quotas;
  }

  // https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
  absl::StatusOr<AwsQuotas> Quotas(const std::string& region) {
    {
      absl::MutexLock lock(&mutex_);
      const auto known = quotas_.find(region);
      if (known != quotas_.end() && clock_.Elapsed() - known->second.second < kQuotasKept) return known->second.first;
    }
    const std::string endpoint = options_.endpoint.empty()
                                     ? absl::StrCat("https://servicequotas.", region, ".amazonaws.com")
                                     : options_.endpoint;
    AwsQuotas quotas(region);
    std::string token;
    for (int page = 0; page < kMostPages; ++page) {
      ASSIGN_OR_RETURN(const Json answer,
                       client_.Call(endpoint, {region, "servicequotas"}, "ServiceQuotasV20190624.ListServiceQuotas",
                                    absl::StrCat(R"({"ServiceCode":"ec2","MaxResults":100)",
                                                 token.empty() ? "" : R"(,"NextToken":)",
                                                 token.empty() ? "" : JsonString(token), "}")));
      if (!answer["Quotas"].IsList()) return absl::UnavailableError("ListServiceQuotas: an answer without its list");
      for (const Json& row : answer["Quotas"].Items()) {
        if (const auto limit = row["Value"].Number()) quotas.Add(row["QuotaName"].Text(), *limit);
      }
      token = answer["NextToken"].Text();
      if (token.empty()) break;
    }
    absl::MutexLock lock(&mutex_);
    quotas_.insert_or_assign(region, std::pair(quotas, clock_.Elapsed()));
    return quotas;
  }

  // Zone and type that are sold on demand; what has no spot price is among them.
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
  absl::StatusOr<std::set<std::pair<std::string, std::string>>> Offerings(const std::string& region) {
    std::set<std::pair<std::string, std::string>> offerings;
    if (std::count(options_.markets.begin(), options_.markets.end(), Market::kOnDemand) == 0) return offerings;
    AwsParameters parameters = OfOurTypes();
    parameters.emplace_back("LocationType", "availability-zone");
    RETURN_IF_ERROR(Pages(
        region, "DescribeInstanceTypeOfferings", "instanceTypeOfferingSet", parameters,
        [&](const Xml& row) { offerings.emplace(row["location"].text, row["instanceType"].text); }));
    return offerings;
  }

  // As a filter: a type that a region does not know is an error where it is asked for by name.
  AwsParameters OfOurTypes() const {
    AwsParameters parameters = {{"Filter.1.Name", "instance-type"}};
    for (size_t i = 0; i < options_.instance_types.size(); ++i) {
      parameters.emplace_back(absl::StrCat("Filter.1.Value.", i + 1), options_.instance_types[i]);
    }
    return parameters;
  }

  struct SpotPrice {
    double dollars = 0;
    std::string since;  // as the cloud writes times
  };
  // By zone and type; of the history from now on, which begins with what holds now.
  absl::StatusOr<std::map<std::pair<std::string, std::string>, SpotPrice>> SpotPrices(const std::string& region) {
    AwsParameters parameters = {
        {"ProductDescription.1", "Linux/UNIX"},
        {"StartTime", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", clock_.Now(), absl::UTCTimeZone())}};
    for (size_t i = 0; i < options_.instance_types.size(); ++i) {
      parameters.emplace_back(absl::StrCat("InstanceType.", i + 1), options_.instance_types[i]);
    }
    std::map<std::pair<std::string, std::string>, SpotPrice> prices;
    RETURN_IF_ERROR(Pages(region, "DescribeSpotPriceHistory", "spotPriceHistorySet", parameters, [&](const Xml& row) {
      SpotPrice price = {.since = row["timestamp"].text};
      if (!absl::SimpleAtod(row["spotPrice"].text, &price.dollars)) return;
      SpotPrice& newest = prices[{row["availabilityZone"].text, row["instanceType"].text}];
      if (price.since >= newest.since) newest = std::move(price);
    }));
    return prices;
  }

  // 0: it is not sold on demand there, as far as the Price List tells now.
  absl::StatusOr<double> OnDemandPrice(const std::string& region, const std::string& type) {
    if (std::count(options_.markets.begin(), options_.markets.end(), Market::kOnDemand) == 0) return 0;
    {
      absl::MutexLock lock(&mutex_);
      const auto known = on_demand_.find({region, type});
      if (known != on_demand_.end() && clock_.Elapsed() - known->second.second < kPricesKept)
        return known->second.first;
    }
    std::vector<std::string> filters;
    for (const auto& [field, value] :
         std::initializer_list<std::pair<const char*, std::string>>{{"instanceType", type},
                                                                    {"regionCode", region},
                                                                    {"operatingSystem", "Linux"},
                                                                    {"tenancy", "Shared"},
                                                                    {"preInstalledSw", "NA"},
                                                                    {"capacitystatus", "Used"}}) {
      filters.push_back(
          absl::StrCat(R"({"Type":"TERM_MATCH","Field":")", field, R"(","Value":)", JsonString(value), "}"));
    }
    const std::string endpoint = options_.pricing_endpoint.empty()
                                     ? absl::StrCat("https://api.pricing.", kPricingRegion, ".amazonaws.com")
                                     : options_.pricing_endpoint;
    ASSIGN_OR_RETURN(
        const Json answer,
        client_.Call(endpoint, {kPricingRegion, "pricing"}, "AWSPriceListService.GetProducts",
                     absl::StrCat(R"({"ServiceCode":"AmazonEC2","FormatVersion":"aws_v1","MaxResults":10,)",
                                  R"("Filters":[)", absl::StrJoin(filters, ","), "]}")));
    if (!answer["PriceList"].IsList()) return absl::UnavailableError("GetProducts: an answer without its list");
    double lowest = 0;
    for (const Json& text : answer["PriceList"].Items()) {
      ASSIGN_OR_RETURN(const Json product, Json::Parse(text.Text()));
      const Json terms = product["terms"]["OnDemand"];
      for (const std::string& term : terms.Names()) {
        const Json dimensions = terms[term]["priceDimensions"];
        for (const std::string& dimension : dimensions.Names()) {
          const double price = dimensions[dimension]["pricePerUnit"]["USD"].Number().value_or(0);
          if (price > 0 && (lowest == 0 || price < lowest)) lowest = price;
        }
      }
    }
    absl::MutexLock lock(&mutex_);
    if (lowest > 0) on_demand_[{region, type}] = {lowest, clock_.Elapsed()};
    return lowest;
  }

  const AwsOptions options_;
  const Clock& clock_;
  const Traits traits_ = {.name = "aws",
                          .keeps_stopped = false,
                          .attaches_at_creation = false,
                          .volume_gigabytes = options_.volume_gigabytes,
                          .public_address = options_.public_address};
  AwsClient client_;
  absl::Mutex mutex_;
  // By region and type: dollars, and when it was asked.
  std::map<std::pair<std::string, std::string>, std::pair<double, absl::Duration>> on_demand_ ABSL_GUARDED_BY(mutex_);
  // By region, without what is used, and when they were asked for.
  std::map<std::string, std::pair<AwsQuotas, absl::Duration>> quotas_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<CloudApi> NewAwsApi(AwsOptions options, const Clock& clock) {
  return std::make_unique<AwsApi>(std::move(options), clock);
}

}  // namespace spotinference::fleet
