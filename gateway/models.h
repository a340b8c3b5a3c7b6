// The models of a configuration, loaded as far as the gateway needs them: text and identity, no weights. Of one that
// engines download, only what is text comes here, once (engine/volume/model_head.h).
#ifndef GATEWAY_MODELS_H_
#define GATEWAY_MODELS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/volume/remote_file.h"
#include "gateway/config/config.pb.h"
#include "gateway/handlers/served_model.h"

namespace spotinference {

struct LoadedModel {
  ServedModel served;
  std::string weights;     // for an engine's --model
  std::string model_hash;  // engine/base/model_files.h
  std::string head_hash;   // of what engines download
};

struct LoadOptions {
  std::string bundled;         // path of the weights that "bundled" means
  std::string bundled_sha256;  // which they must have
  std::string heads_folder;    // exists
  RemoteOptions remote;
};

// Works on all models at once, and hashes a file while its tokenizer loads, since the gateway has 0.3 s to start. An error
// names the model.
absl::StatusOr<std::vector<LoadedModel>> LoadModels(const config::Config& config, const LoadOptions& options);

// Removes from the folder the heads of models that are not in the configuration any more. No other gateway uses it.
void RemoveUnusedHeads(const config::Config& config, const std::string& heads_folder);

}  // namespace spotinference

#endif  // GATEWAY_MODELS_H_
