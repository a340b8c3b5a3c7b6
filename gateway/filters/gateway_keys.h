// The keys that a configuration speaks of.
#ifndef GATEWAY_FILTERS_GATEWAY_KEYS_H_
#define GATEWAY_FILTERS_GATEWAY_KEYS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/config/config.pb.h"
#include "gateway/filters/api_keys.h"

namespace spotinference {

struct GatewayKeys {
  std::shared_ptr<const ApiKeys> keys;
  std::shared_ptr<const ApiKeys> admin;  // never null; empty where the configuration names none
  std::string minted;                    // to be printed once; "": none was minted
};

// Reads environment, key files and, where `config` has no keys, data_dir/keys.json; call it once at
// start. An error names the key or the variable, never the secret.
absl::StatusOr<GatewayKeys> OpenKeys(const config::Config& config);

}  // namespace spotinference

#endif  // GATEWAY_FILTERS_GATEWAY_KEYS_H_
