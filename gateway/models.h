// The models of a configuration, loaded as far as the gateway needs them: text and identity, no weights.
#ifndef GATEWAY_MODELS_H_
#define GATEWAY_MODELS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/config/config.pb.h"
#include "gateway/handlers/served_model.h"

namespace spotinference {

struct LoadedModel {
  ServedModel served;
  std::string weights_path;
  std::string model_hash;  // engine/base/model_files.h
};

// `bundled`: path of the weights that "bundled" means. Works on all models at once, and hashes a file while its tokenizer
// loads, since the gateway has 0.3 s to start. An error names the model.
absl::StatusOr<std::vector<LoadedModel>> LoadModels(const config::Config& config, const std::string& bundled);

}  // namespace spotinference

#endif  // GATEWAY_MODELS_H_
