#include "gateway/models.h"

#include <sys/stat.h>

#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/model_files.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

absl::StatusOr<LoadedModel> LoadModel(const config::Model& config, const std::string& bundled) {
  LoadedModel out;
  const absl::string_view weights = config.weights();
  out.weights_path = weights == "bundled" ? bundled : std::string(absl::StripPrefix(weights, "file://"));
  auto hash = std::async(std::launch::async, [&] { return ModelHash(out.weights_path); });
  absl::StatusOr<std::unique_ptr<const ModelText>> text = LoadModelText(out.weights_path);
  absl::StatusOr<std::string> hex = hash.get();
  RETURN_IF_ERROR(text.status());
  RETURN_IF_ERROR(hex.status());
  out.model_hash = *std::move(hex);
  struct stat info {};
  stat(out.weights_path.c_str(), &info);
  out.served.name = config.name();
  out.served.created = info.st_mtime;
  out.served.context_tokens = config.has_context_tokens() ? config.context_tokens() : (*text)->context_tokens();
  if (out.served.context_tokens > (*text)->context_tokens()) {
    return absl::InvalidArgumentError(absl::StrCat("context_tokens is ", out.served.context_tokens,
                                                   "; the model was made for at most ", (*text)->context_tokens()));
  }
  out.served.share_prefixes_all = config.share_prefixes() == config::Model::ALL;
  out.served.text = *std::move(text);
  return out;
}

}  // namespace

absl::StatusOr<std::vector<LoadedModel>> LoadModels(const config::Config& config, const std::string& bundled) {
  std::vector<std::future<absl::StatusOr<LoadedModel>>> loads;
  for (const config::Model& model : config.models()) {
    loads.push_back(std::async(std::launch::async, [&] { return LoadModel(model, bundled); }));
  }
  std::vector<LoadedModel> out;
  absl::Status status;
  for (int i = 0; i < config.models_size(); ++i) {
    absl::StatusOr<LoadedModel> loaded = loads[i].get();
    if (loaded.ok()) {
      out.push_back(*std::move(loaded));
    } else if (status.ok()) {
      status = absl::Status(loaded.status().code(),
                            absl::StrCat("model '", config.models(i).name(), "': ", loaded.status().message()));
    }
  }
  RETURN_IF_ERROR(status);
  return out;
}

}  // namespace spotinference
