#include "gateway/config/check_config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/weights_source.h"

namespace spotinference::config {
namespace {

constexpr int64_t kHourSeconds = 3600;

// 4, 6, or 0 where `address` is neither.
int IpVersion(absl::string_view address) {
  char bytes[sizeof(in6_addr)];
  const std::string text(address);
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return 4;
  return inet_pton(AF_INET6, text.c_str(), bytes) == 1 ? 6 : 0;
}

bool IsListen(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port;
  if (colon == text.npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return false;
  }
  const absl::string_view host = text.substr(0, colon);
  if (host == "localhost" || IpVersion(host) == 4) return true;
  return absl::StartsWith(host, "[") && absl::EndsWith(host, "]") &&
         IpVersion(host.substr(1, host.size() - 2)) == 6;
}

bool IsNetwork(absl::string_view text) {
  const size_t slash = text.find('/');
  const int version = IpVersion(text.substr(0, slash));
  uint32_t bits = 0;
  if (slash != text.npos && !absl::SimpleAtoi(text.substr(slash + 1), &bits)) return false;
  return version != 0 && bits <= (version == 4 ? 32 : 128);
}

// What may stand in a log line, a metric's label or a URL as it is.
bool IsName(absl::string_view text, absl::string_view also) {
  return text.size() <= 128 && absl::ascii_isalnum(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](unsigned char c) {
           return absl::ascii_isalnum(c) || absl::StrContains(also, c);
         });
}

bool IsPositive(const google::protobuf::Duration& duration) {
  return duration.seconds() > 0 || duration.nanos() > 0;
}

absl::Status CheckKeys(const Config& config, const Source& source) {
  absl::flat_hash_map<std::string, int> seen;
  for (int i = 0; i < config.keys_size(); ++i) {
    const Key& key = config.keys(i);
    const std::string path = absl::StrCat("keys[", i, "]");
    if (!IsName(key.name(), "._-")) {
      return source.Error(path + ".name", absl::StrCat("is '", key.name().substr(0, 128),
                                                       "'; expected letters, digits, '.', '_' "
                                                       "and '-', 128 at most"));
    }
    if (const auto [first, is_new] = seen.emplace(key.name(), i); !is_new) {
      return source.Error(path + ".name", absl::StrCat("is '", key.name(), "', as is keys[",
                                                       first->second, "]; expected another name"));
    }
    if (key.has_key_env() == key.has_key_file()) {
      return source.Error(path, "expected one of key_env and key_file");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(absl::string_view weights, const std::string& path,
                          const Source& source) {
  if (weights == "bundled") return absl::OkStatus();
  if (!absl::StrContains(weights, "://") || weights == "file://" ||
      (absl::StartsWith(weights, "file://") && !absl::StartsWith(weights, "file:///"))) {
    return source.Error(path, absl::StrCat("is '", weights.substr(0, std::min<size_t>(128, weights.find('?'))),
                                           "'; expected bundled, file:///…, https://…#sha256=… or "
                                           "hf://org/repo/file.gguf@revision or hf://org/repo@revision"));
  }
  const absl::Status status = ParseWeightsSource(weights).status();
  return status.ok() ? status : source.Error(path, status.message());
}

absl::Status CheckBackend(absl::string_view backend, const std::string& path,
                          const Source& source) {
  if (backend == "auto" || backend == "cpu" || backend == "vulkan") return absl::OkStatus();
  const bool planned = backend == "cuda";
  return source.Error(
      path, absl::StrCat("is '", backend.substr(0, 128), "'",
                         planned ? ", which is not there yet" : "", "; expected auto, cpu or vulkan"));
}

absl::Status CheckMarkets(const google::protobuf::RepeatedPtrField<std::string>& markets, const std::string& path,
                          const Source& source) {
  for (const std::string& market : markets) {
    if (market == "spot" || market == "on_demand") continue;
    return source.Error(path, absl::StrCat("has '", market.substr(0, 128), "'; expected spot or on_demand"));
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const Model& model, const std::string& path, const Source& source) {
  if (!IsName(model.name(), "._-:/")) {
    return source.Error(path + ".name", absl::StrCat("is '", model.name().substr(0, 128),
                                                     "'; expected letters, digits and ._-:/, 128 "
                                                     "at most"));
  }
  RETURN_IF_ERROR(CheckWeights(model.weights(), path + ".weights", source));
  RETURN_IF_ERROR(CheckBackend(model.backend(), path + ".backend", source));
  if (model.has_context_tokens() && model.context_tokens() < 2) {
    return source.Error(path + ".context_tokens",
                        absl::StrCat("is ", model.context_tokens(), "; expected 2 or more"));
  }
  if (model.machines().max() < 1 || model.machines().min() > model.machines().max()) {
    return source.Error(path + ".machines",
                        absl::StrCat("has min ", model.machines().min(), " and max ",
                                     model.machines().max(), "; expected min <= max, max >= 1"));
  }
  RETURN_IF_ERROR(CheckMarkets(model.machines().markets(), path + ".machines.markets", source));
  if (model.machines().has_max_price() && !(model.machines().max_price() >= 0)) {
    return source.Error(path + ".machines.max_price", "is negative; expected dollars an hour, 0 or more");
  }
  if (model.machines().has_max_dollars_per_day() && !(model.machines().max_dollars_per_day() >= 0)) {
    return source.Error(path + ".machines.max_dollars_per_day", "is negative; expected 0 or more");
  }
  if (model.machines().streams() < 1) {
    return source.Error(path + ".machines.streams", "is 0; expected 1 or more");
  }
  if (!IsPositive(model.service().first_token())) {
    return source.Error(path + ".service.first_token", "is 0; expected a duration such as 30s");
  }
  if (!(model.service().share() > 0 && model.service().share() < 1)) {
    return source.Error(path + ".service.share", "is not between 0 and 1; expected a share such as 0.999");
  }
  if (!IsPositive(model.wake_cap())) {
    return source.Error(path + ".wake_cap", "is 0; expected a duration such as 10m");
  }
  if (!IsPositive(model.park().max_wait())) {
    return source.Error(path + ".park.max_wait", "is 0; expected a duration such as 585s");
  }
  return absl::OkStatus();
}

absl::Status CheckModels(const Config& config, const Source& source) {
  absl::flat_hash_map<std::string, int> seen;
  for (int i = 0; i < config.models_size(); ++i) {
    const std::string path = absl::StrCat("models[", i, "]");
    const Model& model = config.models(i);
    RETURN_IF_ERROR(CheckModel(model, path, source));
    if (const auto [first, is_new] = seen.emplace(model.name(), i); !is_new) {
      return source.Error(path + ".name", absl::StrCat("is '", model.name(), "', as is models[",
                                                       first->second, "]; expected another name"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLocal(const Local& local, const std::string& path, const Source& source) {
  if (local.stock() < 1) return source.Error(path + ".stock", "is 0; expected 1 or more");
  if (local.price_per_hour() < 0) return source.Error(path + ".price_per_hour", "is negative; expected 0 or more");
  for (const auto& [name, share] : {std::pair("start_failures", local.start_failures()),
                                    std::pair("restore_failures", local.restore_failures())}) {
    if (share >= 0 && share <= 1) continue;
    return source.Error(absl::StrCat(path, ".", name), absl::StrCat("is ", share, "; expected a share, 0 to 1"));
  }
  std::set<absl::string_view> zones;
  const auto check_zone = [&](const std::string& zone, const std::string& at) {
    if (!IsName(zone, "._-")) {
      return source.Error(at, absl::StrCat("is '", zone.substr(0, 128),
                                           "'; expected letters, digits, '.', '_' and '-', 128 at most"));
    }
    if (zones.insert(zone).second) return absl::OkStatus();
    return source.Error(at, absl::StrCat("is '", zone, "', which is there already; expected another zone"));
  };
  RETURN_IF_ERROR(check_zone(local.zone(), path + ".zone"));
  for (int i = 0; i < local.more_zones_size(); ++i) {
    RETURN_IF_ERROR(check_zone(local.more_zones(i), absl::StrCat(path, ".more_zones[", i, "]")));
  }
  if (local.stop_grace().seconds() < 2) {  // the engine's last second is for goodbyes
    return source.Error(path + ".stop_grace", "is too short; expected 2s or more");
  }
  return absl::OkStatus();
}

absl::Status CheckEngine(const EngineBinary& engine, const std::string& path, const Source& source) {
  if (!absl::StartsWith(engine.url(), "https://") && !absl::StartsWith(engine.url(), "file:///")) {
    return source.Error(path + ".url", absl::StrCat("is '", engine.url().substr(0, 128), "'; expected https://…"));
  }
  const auto is_hex = [](unsigned char c) { return absl::ascii_isxdigit(c) && !absl::ascii_isupper(c); };
  if (engine.sha256().size() != 64 || !std::all_of(engine.sha256().begin(), engine.sha256().end(), is_hex)) {
    return source.Error(path + ".sha256", "is no SHA-256; expected 64 digits of hex in lower case");
  }
  return absl::OkStatus();
}

// Over plain HTTP only where nobody else can listen.
absl::Status CheckEndpoint(absl::string_view endpoint, const std::string& path, const Source& source) {
  const bool good = absl::StartsWith(endpoint, "https://") || absl::StartsWith(endpoint, "http://127.0.0.1:");
  // What stands before an '@' is a user's name and no host.
  if (good && !absl::StrContains(endpoint, '@')) return absl::OkStatus();
  return source.Error(path, absl::StrCat("is '", endpoint.substr(0, 128), "'; expected https://…"));
}

absl::Status CheckVolume(uint32_t gigabytes, const std::string& path, const Source& source) {
  if (gigabytes >= 1 && gigabytes <= 1 << 16) return absl::OkStatus();
  return source.Error(path, absl::StrCat("is ", gigabytes, "; expected 1 to 65536"));
}

absl::Status CheckHyperstack(const Hyperstack& cloud, const std::string& path, const Source& source) {
  if (cloud.has_api_key_env() && cloud.has_api_key_file()) {
    return source.Error(path, "expected one of api_key_env and api_key_file");
  }
  RETURN_IF_ERROR(CheckEngine(cloud.engine(), path + ".engine", source));
  RETURN_IF_ERROR(CheckVolume(cloud.volume_gigabytes(), path + ".volume_gigabytes", source));
  return CheckEndpoint(cloud.endpoint(), path + ".endpoint", source);
}

absl::Status CheckSome(int count, absl::string_view field, const std::string& path, const Source& source) {
  return count > 0 ? absl::OkStatus() : source.Error(path, absl::StrCat("'", field, "' is missing"));
}

absl::Status CheckAws(const Aws& cloud, const std::string& path, const Source& source) {
  RETURN_IF_ERROR(CheckSome(cloud.regions_size(), "regions", path, source));
  RETURN_IF_ERROR(CheckSome(cloud.instance_types_size(), "instance_types", path, source));
  RETURN_IF_ERROR(CheckEngine(cloud.engine(), path + ".engine", source));
  RETURN_IF_ERROR(CheckMarkets(cloud.markets(), path + ".markets", source));
  RETURN_IF_ERROR(CheckVolume(cloud.volume_gigabytes(), path + ".volume_gigabytes", source));
  if (cloud.has_endpoint()) RETURN_IF_ERROR(CheckEndpoint(cloud.endpoint(), path + ".endpoint", source));
  if (cloud.has_sts_endpoint()) RETURN_IF_ERROR(CheckEndpoint(cloud.sts_endpoint(), path + ".sts_endpoint", source));
  if (!cloud.has_pricing_endpoint()) return absl::OkStatus();
  return CheckEndpoint(cloud.pricing_endpoint(), path + ".pricing_endpoint", source);
}

absl::Status CheckGcp(const Gcp& cloud, const std::string& path, const Source& source) {
  RETURN_IF_ERROR(CheckSome(cloud.zones_size(), "zones", path, source));
  RETURN_IF_ERROR(CheckSome(cloud.machine_types_size(), "machine_types", path, source));
  RETURN_IF_ERROR(CheckEngine(cloud.engine(), path + ".engine", source));
  RETURN_IF_ERROR(CheckMarkets(cloud.markets(), path + ".markets", source));
  RETURN_IF_ERROR(CheckVolume(cloud.volume_gigabytes(), path + ".volume_gigabytes", source));
  RETURN_IF_ERROR(CheckEndpoint(cloud.billing_endpoint(), path + ".billing_endpoint", source));
  return CheckEndpoint(cloud.endpoint(), path + ".endpoint", source);
}

absl::Status CheckAzure(const Azure& cloud, const std::string& path, const Source& source) {
  RETURN_IF_ERROR(CheckSome(cloud.vm_sizes_size(), "vm_sizes", path, source));
  RETURN_IF_ERROR(CheckEngine(cloud.engine(), path + ".engine", source));
  RETURN_IF_ERROR(CheckMarkets(cloud.markets(), path + ".markets", source));
  RETURN_IF_ERROR(CheckVolume(cloud.volume_gigabytes(), path + ".volume_gigabytes", source));
  RETURN_IF_ERROR(CheckEndpoint(cloud.login(), path + ".login", source));
  RETURN_IF_ERROR(CheckEndpoint(cloud.prices(), path + ".prices", source));
  return CheckEndpoint(cloud.endpoint(), path + ".endpoint", source);
}

absl::Status CheckProviders(const Config& config, const Source& source) {
  absl::flat_hash_map<int, int> seen;
  for (int i = 0; i < config.providers_size(); ++i) {
    const Provider& provider = config.providers(i);
    const std::string path = absl::StrCat("providers[", i, "]");
    if (const auto [first, is_new] = seen.emplace(provider.kind_case(), i); !is_new) {
      return source.Error(
          path, absl::StrCat("is of the kind of providers[", first->second, "]; expected one of each kind"));
    }
    switch (provider.kind_case()) {
      case Provider::KIND_NOT_SET: return source.Error(path, "expected one of: local, hyperstack, aws, gcp, azure");
      case Provider::kLocal: RETURN_IF_ERROR(CheckLocal(provider.local(), path + ".local", source)); break;
      case Provider::kHyperstack:
        RETURN_IF_ERROR(CheckHyperstack(provider.hyperstack(), path + ".hyperstack", source));
        break;
      case Provider::kAws: RETURN_IF_ERROR(CheckAws(provider.aws(), path + ".aws", source)); break;
      case Provider::kGcp: RETURN_IF_ERROR(CheckGcp(provider.gcp(), path + ".gcp", source)); break;
      case Provider::kAzure: RETURN_IF_ERROR(CheckAzure(provider.azure(), path + ".azure", source)); break;
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const Limits& limits, const Source& source) {
  struct Row {
    absl::string_view name;
    uint64_t value, min, max;
  };
  const Row rows[] = {
      {"header_bytes", limits.header_bytes(), 1 << 10, 1 << 20},
      {"body_bytes", limits.body_bytes(), 1 << 10, 1 << 30},
      {"connections", limits.connections(), 1, 1 << 20},
      {"connections_per_address", limits.connections_per_address(), 1, 1 << 20},
  };
  for (const Row& row : rows) {
    if (row.value >= row.min && row.value <= row.max) continue;
    return source.Error(absl::StrCat("limits.", row.name),
                        absl::StrCat("is ", row.value, "; expected ", row.min, " to ", row.max));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckConfig(const Config& config, const Source& source) {
  if (!IsListen(config.listen())) {
    return source.Error("listen", absl::StrCat("is '", config.listen().substr(0, 128),
                                               "'; expected ADDRESS:PORT such as 127.0.0.1:8080 "
                                               "or [::]:443"));
  }
  for (int i = 0; i < config.trusted_proxies_size(); ++i) {
    if (IsNetwork(config.trusted_proxies(i))) continue;
    return source.Error(absl::StrCat("trusted_proxies[", i, "]"),
                        absl::StrCat("is '", config.trusted_proxies(i).substr(0, 128),
                                     "'; expected an address or a network such as 10.0.0.0/8"));
  }
  RETURN_IF_ERROR(CheckKeys(config, source));
  RETURN_IF_ERROR(CheckModels(config, source));
  RETURN_IF_ERROR(CheckProviders(config, source));
  if (config.spend().max_dollars_per_day() < 0) {
    return source.Error("spend.max_dollars_per_day", "is negative; expected 0 or more");
  }
  if (config.spend().has_keep_volumes() && config.spend().keep_volumes().seconds() < kHourSeconds) {
    return source.Error("spend.keep_volumes", "is less than an hour; expected auto, or 1h or more, such as 168h");
  }
  return CheckLimits(config.limits(), source);
}

}  // namespace spotinference::config
