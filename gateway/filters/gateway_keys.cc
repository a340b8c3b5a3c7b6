#include "gateway/filters/gateway_keys.h"

#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace spotinference {

absl::StatusOr<GatewayKeys> OpenKeys(const config::Config& config) {
  GatewayKeys opened;
  if (config.keys().empty()) {
    ASSIGN_OR_RETURN(StoredKeys stored, OpenStoredKeys(config.data_dir()));
    opened.keys = std::make_shared<ApiKeys>(std::move(stored.keys));
    opened.minted = std::move(stored.minted);
  } else {
    std::vector<NamedSecret> secrets;
    for (const config::Key& key : config.keys()) {
      ASSIGN_OR_RETURN(std::string secret, key.has_key_env() ? SecretFromEnvironment(key.key_env())
                                                             : SecretFromFile(key.key_file()));
      secrets.push_back({key.name(), std::move(secret)});
    }
    ASSIGN_OR_RETURN(ApiKeys keys, HashKeys(secrets));
    opened.keys = std::make_shared<ApiKeys>(std::move(keys));
  }
  ApiKeys admin;
  if (config.has_admin_key_env()) {
    ASSIGN_OR_RETURN(std::string secret, SecretFromEnvironment(config.admin_key_env()));
    ASSIGN_OR_RETURN(admin, HashKeys({{"admin", std::move(secret)}}));
  }
  opened.admin = std::make_shared<ApiKeys>(std::move(admin));
  return opened;
}

}  // namespace spotinference
