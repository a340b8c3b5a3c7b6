#include "gateway/providers.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "fleet/providers/aws/aws_api.h"
#include "fleet/providers/azure/azure_api.h"
#include "fleet/providers/cloud/account.h"
#include "fleet/providers/cloud/cloud_provider.h"
#include "fleet/providers/cloud/delete_all.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/cloud/secret.h"
#include "fleet/providers/gcp/gcp_api.h"
#include "fleet/providers/hyperstack/hyperstack_api.h"
#include "fleet/providers/local/local_provider.h"
#include "fleet/providers/several/several_providers.h"
#include "gateway/config/load_config.h"
#include "gateway/filters/api_keys.h"

namespace spotinference {
namespace {

using Kind = config::Provider::KindCase;

constexpr int kCallsAtATime = 8;
const absl::Duration kCloudStop = fleet::LifeLimits().stop + absl::Minutes(1);

std::unique_ptr<fleet::Provider> Local(const config::Local& local, const ProviderOptions& gateway) {
  fleet::LocalProviderOptions options;
  options.engine = gateway.engine;
  options.data_dir = gateway.data_dir;
  options.launch_delay = config::ToDuration(local.launch_delay());
  options.restore_delay = config::ToDuration(local.restore_delay());
  options.stock = static_cast<int>(local.stock());
  options.price_per_hour = local.price_per_hour();
  options.zone = local.zone();
  options.more_zones.assign(local.more_zones().begin(), local.more_zones().end());
  options.start_failures = local.start_failures();
  options.restore_failures = local.restore_failures();
  options.stop_grace = config::ToDuration(local.stop_grace());
  return fleet::NewLocalProvider(std::move(options));
}

absl::StatusOr<std::unique_ptr<fleet::CloudApi>> Hyperstack(const config::Hyperstack& cloud,
                                                            const std::string& prefix) {
  fleet::HyperstackOptions options;
  options.endpoint = cloud.endpoint();
  ASSIGN_OR_RETURN(options.api_key,
                   cloud.has_api_key_file()
                       ? SecretFromFile(cloud.api_key_file())
                       : SecretFromEnvironment(cloud.has_api_key_env() ? cloud.api_key_env() : "HYPERSTACK_API_KEY"));
  options.name_prefix = prefix;
  options.environments.assign(cloud.environments().begin(), cloud.environments().end());
  options.flavors.assign(cloud.flavors().begin(), cloud.flavors().end());
  options.image = cloud.image();
  options.key_name = cloud.key_name();
  options.volume_gigabytes = static_cast<int>(cloud.volume_gigabytes());
  options.volume_type = cloud.volume_type();
  options.public_address = cloud.public_address();
  return fleet::NewHyperstackApi(std::move(options));
}

// In the order of the configuration; none of it: both.
std::vector<fleet::Market> MarketsOf(const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::vector<fleet::Market> markets;
  for (const std::string& name : names)
    markets.push_back(name == "spot" ? fleet::Market::kSpot : fleet::Market::kOnDemand);
  if (markets.empty()) markets = {fleet::Market::kSpot, fleet::Market::kOnDemand};
  return markets;
}

std::unique_ptr<fleet::CloudApi> Aws(const config::Aws& cloud, const std::string& prefix, const Clock& clock) {
  fleet::AwsOptions options;
  for (const config::AwsRegion& region : cloud.regions()) {
    options.regions.push_back({.name = region.name(),
                               .image = region.image(),
                               .zones = {region.zones().begin(), region.zones().end()},
                               .security_groups = {region.security_groups().begin(), region.security_groups().end()}});
  }
  options.instance_types.assign(cloud.instance_types().begin(), cloud.instance_types().end());
  options.markets = MarketsOf(cloud.markets());
  options.name_prefix = prefix;
  options.volume_gigabytes = static_cast<int>(cloud.volume_gigabytes());
  options.volume_type = cloud.volume_type();
  options.public_address = cloud.public_address();
  options.endpoint = cloud.endpoint();
  options.pricing_endpoint = cloud.pricing_endpoint();
  options.sts_endpoint = cloud.sts_endpoint();
  return fleet::NewAwsApi(std::move(options), clock);
}

// Said where it is paid for.
void WarnOfImage(absl::string_view provider, absl::string_view image) {
  LOG_IF(WARNING, absl::StrContains(image, "debian-12"))
      << provider << ": the image " << image << " has no drivers of a GPU: a machine would run its engine on its CPU, or "
      << "none. Give providers." << provider << ".image; fleet/providers/README.md names one";
}

std::unique_ptr<fleet::CloudApi> Gcp(const config::Gcp& cloud, const std::string& prefix, const Clock& clock) {
  fleet::GcpOptions options;
  options.project = cloud.project();
  options.zones.assign(cloud.zones().begin(), cloud.zones().end());
  options.machine_types.assign(cloud.machine_types().begin(), cloud.machine_types().end());
  options.markets = MarketsOf(cloud.markets());
  options.name_prefix = prefix;
  options.image = cloud.image();
  WarnOfImage("gcp", cloud.image());
  options.network = cloud.network();
  options.volume_gigabytes = static_cast<int>(cloud.volume_gigabytes());
  options.volume_type = cloud.volume_type();
  options.public_address = cloud.public_address();
  options.endpoint = cloud.endpoint();
  options.billing_endpoint = cloud.billing_endpoint();
  return fleet::NewGcpApi(std::move(options), clock);
}

std::unique_ptr<fleet::CloudApi> Azure(const config::Azure& cloud, const std::string& prefix, const Clock& clock) {
  fleet::AzureOptions options;
  options.subscription = cloud.subscription();
  options.resource_group = cloud.resource_group();
  options.location = cloud.location();
  if (!cloud.zones().empty()) options.zones.assign(cloud.zones().begin(), cloud.zones().end());
  options.vm_sizes.assign(cloud.vm_sizes().begin(), cloud.vm_sizes().end());
  options.markets = MarketsOf(cloud.markets());
  options.name_prefix = prefix;
  options.subnet = cloud.subnet();
  options.ssh_public_key = cloud.ssh_public_key();
  options.image = cloud.image();
  WarnOfImage("azure", cloud.image());
  options.volume_gigabytes = static_cast<int>(cloud.volume_gigabytes());
  options.volume_type = cloud.volume_type();
  options.public_address = cloud.public_address();
  options.endpoint = cloud.endpoint();
  options.login = cloud.login();
  options.prices = cloud.prices();
  return fleet::NewAzureApi(std::move(options), clock);
}

// Of a provider that is a cloud: its API, for things whose names begin with `prefix`.
absl::StatusOr<std::unique_ptr<fleet::CloudApi>> ApiOf(const config::Provider& provider, const std::string& prefix,
                                                       const Clock& clock) {
  switch (provider.kind_case()) {
    case Kind::kHyperstack:
      return Hyperstack(provider.hyperstack(), prefix);
    case Kind::kAws:
      return Aws(provider.aws(), prefix, clock);
    case Kind::kGcp:
      return Gcp(provider.gcp(), prefix, clock);
    case Kind::kAzure:
      return Azure(provider.azure(), prefix, clock);
    default:
      return absl::InternalError("it is no cloud");
  }
}

// What its machines run, and who tells them of their end.
fleet::BootOptions BootOf(const config::Provider& provider) {
  const auto boot = [](const config::EngineBinary& engine, const char* notice) {
    return fleet::BootOptions{.engine_url = engine.url(), .engine_sha256 = engine.sha256(), .notice = notice};
  };
  switch (provider.kind_case()) {
    case Kind::kHyperstack:
      return boot(provider.hyperstack().engine(), "local,sigterm");
    case Kind::kAws:
      return boot(provider.aws().engine(), "local,sigterm,aws");
    case Kind::kGcp:
      return boot(provider.gcp().engine(), "local,sigterm,gcp");
    case Kind::kAzure:
      return boot(provider.azure().engine(), "local,sigterm,azure");
    default:
      return {};
  }
}

std::string SecretPath(const std::string& data_dir) { return data_dir + "/fleet_secret"; }

fleet::CloudNames NamesOf(const std::string& secret) {
  return fleet::CloudNames(HmacSha256Hex(secret, "name of the fleet").substr(0, 6));
}

// With what all names that are to be deleted begin.
absl::StatusOr<std::string> DoomedPrefix(const config::Config& config, bool every_fleet) {
  if (every_fleet) return fleet::kNamePrefix;
  const std::string path = SecretPath(config.data_dir());
  const absl::StatusOr<std::string> secret = fleet::ReadSecret(path);
  if (secret.ok()) return NamesOf(*secret).Prefix();
  return absl::FailedPreconditionError(absl::StrCat(
      absl::IsNotFound(secret.status()) ? path + ": there is none" : std::string(secret.status().message()),
      ", and by it alone this fleet's machines are told from others': nothing is deleted. Give the --data_dir that has "
      "it; or --delete_all --every_fleet deletes what any fleet made in the same accounts"));
}

// Whether its adapter asks for what is in the region at all. Google Cloud's and Hyperstack's lists are an account's.
bool Lists(const config::Provider& provider, const std::string& region) {
  if (provider.has_azure()) return provider.azure().location() == region;
  if (!provider.has_aws()) return true;
  return std::any_of(provider.aws().regions().begin(), provider.aws().regions().end(),
                     [&](const config::AwsRegion& known) { return known.name() == region; });
}

}  // namespace

std::string ProviderName(const config::Provider& provider) {
  const auto* const field = provider.GetReflection()->GetOneofFieldDescriptor(
      provider, provider.GetDescriptor()->oneof_decl(0));
  return field == nullptr ? "" : std::string(field->name());
}

bool IsOfCloud(const fleet::MachineRecord& machine) { return !machine.provider.empty() && machine.provider != "local"; }

bool IsOutOfReach(const config::Config& config, const fleet::MachineRecord& machine) {
  const auto reaches = [&](const config::Provider& provider) {
    return ProviderName(provider) == machine.provider &&
           (!machine.offer.has_value() || Lists(provider, machine.offer->region));
  };
  return IsOfCloud(machine) && std::none_of(config.providers().begin(), config.providers().end(), reaches);
}

absl::StatusOr<std::string> AccountOfCloud(const config::Provider& provider) {
  ASSIGN_OR_RETURN(const std::unique_ptr<fleet::CloudApi> api, ApiOf(provider, fleet::kNamePrefix, RealClock()));
  return api->Account();
}

absl::StatusOr<std::unique_ptr<fleet::Provider>> OpenProviders(const config::Config& config,
                                                               const ProviderOptions& options, fleet::Probe& probe,
                                                               const Clock& clock) {
  std::vector<std::unique_ptr<fleet::Provider>> providers;
  for (const config::Provider& provider : config.providers()) {
    if (provider.kind_case() == Kind::kLocal) {
      providers.push_back(Local(provider.local(), options));
      continue;
    }
    fleet::CloudProviderOptions cloud;
    ASSIGN_OR_RETURN(const std::string secret,
                     fleet::OpenSecret(SecretPath(options.data_dir), options.have_machines.empty()));
    cloud.names = NamesOf(secret);
    cloud.boot = BootOf(provider);
    cloud.boot.hub_token = options.hub_token;
    const std::string name = ProviderName(provider);
    cloud.check_account = [path = fleet::AccountPath(options.data_dir, name),
                           is_new = options.have_machines.count(name) == 0](const std::string& account) mutable {
      absl::Status status = fleet::CheckAccount(path, account, is_new);
      is_new &= !status.ok();
      return status;
    };
    if (options.dry_run) {
      cloud.buys_nothing = "--dry_run";
      cloud.changes_nothing = true;
    } else if (config.spend().max_dollars_per_day() == 0) {
      cloud.buys_nothing = "spend.max_dollars_per_day is 0";
    }
    ASSIGN_OR_RETURN(std::unique_ptr<fleet::CloudApi> api, ApiOf(provider, cloud.names.Prefix(), clock));
    auto opened = std::make_unique<fleet::CloudProvider>(std::move(api), probe, *options.authority, clock,
                                                         std::move(cloud));
    opened->Start(kCallsAtATime);
    providers.push_back(std::move(opened));
  }
  if (providers.size() == 1) return std::move(providers[0]);
  return fleet::NewSeveralProviders(std::move(providers));
}

bool HasClouds(const config::Config& config) {
  return std::any_of(config.providers().begin(), config.providers().end(),
                     [](const config::Provider& provider) { return !provider.has_local(); });
}

std::optional<double> DayLimit(const config::Config& config) {
  const double limit = config.spend().max_dollars_per_day();
  return limit > 0 || HasClouds(config) ? std::optional(limit) : std::nullopt;
}

absl::Duration StopTime(const config::Config& config) {
  absl::Duration longest;
  for (const config::Provider& provider : config.providers()) {
    longest = std::max(longest, provider.has_local() ? config::ToDuration(provider.local().stop_grace()) : kCloudStop);
  }
  return longest;
}

absl::Status DeleteAll(const config::Config& config, bool every_fleet, bool dry_run) {
  const auto say = [](const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  };
  if (!HasClouds(config)) {
    say("nothing is asked: the configuration has no cloud");
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string prefix, DoomedPrefix(config, every_fleet));
  std::vector<std::unique_ptr<fleet::CloudApi>> clouds;
  absl::Status failed;
  for (const config::Provider& provider : config.providers()) {
    if (provider.kind_case() == Kind::kLocal) continue;
    absl::StatusOr<std::unique_ptr<fleet::CloudApi>> api = ApiOf(provider, prefix, RealClock());
    if (api.ok()) {
      clouds.push_back(*std::move(api));
    } else {
      std::fprintf(stderr, "%s\n", std::string(api.status().message()).c_str());
      failed = api.status();
    }
  }
  const std::string made = absl::StrCat("what ", every_fleet ? "any" : "this", " fleet made");
  say(absl::StrCat(dry_run ? "--dry_run: would delete " : "deletes ", made, ", ", prefix, "*"));
  fleet::DeletionOptions options = {.name_prefix = prefix, .dry_run = dry_run};
  for (const std::unique_ptr<fleet::CloudApi>& cloud : clouds) {
    if (every_fleet) break;  // whoever lost a fleet's secret may have lost that as well
    const std::string& name = cloud->traits().name;
    ASSIGN_OR_RETURN(const std::string account, fleet::ReadAccount(fleet::AccountPath(config.data_dir(), name)));
    if (!account.empty()) options.accounts[name] = account;
  }
  RETURN_IF_ERROR(fleet::DeleteAll(clouds, options, RealClock(), absl::SleepFor, say));
  if (failed.ok() && !dry_run) say(absl::StrCat("nothing is left of ", made));
  return failed;
}

}  // namespace spotinference
