#include "gateway/models.h"

#include <glog/logging.h>
#include <sys/stat.h>

#include <filesystem>
#include <future>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/model_files.h"
#include "engine/base/status.h"
#include "engine/base/weights_source.h"
#include "engine/model/gguf.h"
#include "engine/volume/file_system.h"
#include "engine/volume/model_head.h"

namespace spotinference {
namespace {

// A file or folder of this machine; `sha256`: the hash it must have, "" for any.
absl::Status LoadLocal(const std::string& sha256, LoadedModel& out, std::unique_ptr<const ModelText>& text) {
  auto hash = std::async(std::launch::async, [&] { return ModelHash(out.weights); });
  absl::StatusOr<std::unique_ptr<const ModelText>> read = LoadModelText(out.weights);
  absl::StatusOr<std::string> hex = hash.get();
  RETURN_IF_ERROR(hex.status());
  RETURN_IF_ERROR(CheckModelHash(out.weights, *hex, sha256));
  RETURN_IF_ERROR(read.status());
  text = *std::move(read);
  out.model_hash = *std::move(hex);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> EndOfGgufHead(const std::string& path, uint64_t bytes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  if (file->head_bytes() <= bytes) return file->head_bytes();
  return absl::OutOfRangeError(absl::StrCat("its head of ", file->head_bytes(), " bytes is too long"));
}

// One that engines download: its text is all that comes here.
absl::Status LoadRemote(WeightsSource source, const LoadOptions& options, LoadedModel& out, std::string& file,
                        std::unique_ptr<const ModelText>& text) {
  ASSIGN_OR_RETURN(const ModelHead head, FetchModelHead(RealFileSystem(), options.heads_folder, source,
                                                        options.remote, EndOfGgufHead));
  file = head.path;
  ASSIGN_OR_RETURN(text, LoadModelText(file));
  out.model_hash = head.sha256;
  out.head_hash = head.head_sha256;
  if (head.commit.empty()) return absl::OkStatus();
  source.revision = head.commit;  // a branch that moves would be another model
  out.weights = source.name();
  return absl::OkStatus();
}

absl::StatusOr<LoadedModel> LoadModel(const config::Model& config, const LoadOptions& options) {
  LoadedModel out;
  std::unique_ptr<const ModelText> text;
  const bool is_bundled = config.weights() == "bundled";
  out.weights = is_bundled ? options.bundled : config.weights();
  ASSIGN_OR_RETURN(const WeightsSource source, ParseWeightsSource(out.weights));
  std::string file = source.path;  // that was read here
  if (source.kind == WeightsSource::Kind::kFile) {
    out.weights = source.path;
    RETURN_IF_ERROR(LoadLocal(is_bundled ? options.bundled_sha256 : source.sha256, out, text));
  } else {
    RETURN_IF_ERROR(LoadRemote(source, options, out, file, text));
  }
  struct stat info {};
  stat(file.c_str(), &info);
  out.served.name = config.name();
  out.served.created = info.st_mtime;
  out.served.context_tokens = config.has_context_tokens() ? config.context_tokens() : text->context_tokens();
  if (out.served.context_tokens > text->context_tokens()) {
    return absl::InvalidArgumentError(absl::StrCat("context_tokens is ", out.served.context_tokens,
                                                   "; the model was made for at most ", text->context_tokens()));
  }
  out.served.share_prefixes_all = config.share_prefixes() == config::Model::ALL;
  out.served.text = std::move(text);
  return out;
}

}  // namespace

absl::StatusOr<std::vector<LoadedModel>> LoadModels(const config::Config& config, const LoadOptions& options) {
  std::vector<std::future<absl::StatusOr<LoadedModel>>> loads;
  for (const config::Model& model : config.models()) {
    loads.push_back(std::async(std::launch::async, [&] { return LoadModel(model, options); }));
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

void RemoveUnusedHeads(const config::Config& config, const std::string& heads_folder) {
  std::set<std::string> used;
  for (const config::Model& model : config.models()) {
    const absl::StatusOr<WeightsSource> source = ParseWeightsSource(model.weights());
    if (source.ok()) used.insert(ModelHeadFolder(*source));
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(heads_folder, error)) {
    if (used.contains(entry.path().filename())) continue;
    LOG(INFO) << entry.path() << ", of a model that is not configured any more, is removed";
    std::filesystem::remove_all(entry.path(), error);
    LOG_IF(WARNING, error) << entry.path() << ": " << error.message();
  }
}

}  // namespace spotinference
