#include "gateway/config/check_config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/weights_source.h"

namespace spotinference::config {
namespace {

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

absl::Status CheckProviders(const Config& config, const Source& source) {
  if (config.providers_size() > 1) {
    return source.Error("providers[1]", "is one too many; expected one provider");
  }
  const Provider& provider = config.providers(0);
  if (provider.kind_case() == Provider::KIND_NOT_SET) {
    return source.Error("providers[0]", "expected one of: local");
  }
  if (provider.local().stock() < 1) {
    return source.Error("providers[0].local.stock", "is 0; expected 1 or more");
  }
  if (provider.local().price_per_hour() < 0) {
    return source.Error("providers[0].local.price_per_hour", "is negative; expected 0 or more");
  }
  if (const double share = provider.local().start_failures(); !(share >= 0 && share <= 1)) {
    return source.Error("providers[0].local.start_failures",
                        absl::StrCat("is ", share, "; expected a share, 0 to 1"));
  }
  if (!IsName(provider.local().zone(), "._-")) {
    return source.Error("providers[0].local.zone",
                        absl::StrCat("is '", provider.local().zone().substr(0, 128),
                                     "'; expected letters, digits, '.', '_' and '-', 128 at most"));
  }
  if (provider.local().stop_grace().seconds() < 2) {  // the engine's last second is for goodbyes
    return source.Error("providers[0].local.stop_grace", "is too short; expected 2s or more");
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
  return CheckLimits(config.limits(), source);
}

}  // namespace spotinference::config
