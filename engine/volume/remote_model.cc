#include "engine/volume/remote_model.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/safetensors_index.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr size_t kMostFiles = 1000;  // the largest models have some 200

class Finder {
 public:
  Finder(HttpClient& client, const WeightsSource& source, const RemoteOptions& options)
      : client_(client), source_(source), options_(options) {}

  absl::StatusOr<RemoteModel> Find() {
    if (source_.kind == WeightsSource::Kind::kHub && source_.file.empty()) {
      RETURN_IF_ERROR(FindRepository());
    } else {
      for (const std::string& path : GgufShardPaths(source_.file)) RETURN_IF_ERROR(Add(path));
    }
    std::sort(model_.files.begin(), model_.files.end(),
              [](const auto& a, const auto& b) { return a.sum.name < b.sum.name; });
    const bool is_one_file = model_.files.size() == 1;
    model_.sha256 = is_one_file ? model_.files[0].sum.sha256 : ModelHashOf(SumsOf(model_));
    return std::move(model_);
  }

 private:
  absl::Status FindRepository() {
    constexpr absl::string_view kIndex = "model.safetensors.index.json";
    if (const absl::Status config = Add("config.json"); !config.ok()) {
      return absl::Status(config.code(), absl::StrCat(config.message(), "; a GGUF model is given by its file"));
    }
    RETURN_IF_ERROR(Add("tokenizer.json"));
    for (const absl::string_view name : {"tokenizer_config.json", "generation_config.json", "chat_template.jinja"}) {
      RETURN_IF_ERROR(AddIfThere(name).status());
    }
    ASSIGN_OR_RETURN(const bool is_one_file, AddIfThere("model.safetensors"));
    if (is_one_file) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool has_index, AddIfThere(kIndex));
    if (!has_index) {
      return absl::FailedPreconditionError(absl::StrCat("weights '", source_.name(),
                                                        "': it has neither model.safetensors nor ", kIndex));
    }
    return AddIndexed(model_.files.back());
  }

  absl::Status AddIndexed(const RemoteModel::File& file) {
    std::string text = file.content;
    if (text.empty()) {
      ASSIGN_OR_RETURN(text, file.remote.ReadWhole(client_));
    }
    const auto index = ParseSafetensorsIndex(text);
    std::set<std::string> names;
    if (index.ok()) {
      for (const auto& [tensor, name] : *index) names.insert(name);
    }
    const bool is_weights = std::all_of(names.begin(), names.end(), [](const std::string& name) {
      return absl::EndsWith(name, ".safetensors");
    });
    if (!index.ok() || !is_weights || names.size() > kMostFiles) {
      const std::string why(index.ok() ? absl::StrCat(names.size(), " files, or others than .safetensors")
                                       : index.status().message());
      return absl::FailedPreconditionError(absl::StrCat("weights '", file.remote.source().name(), "': ", why));
    }
    for (const std::string& name : names) RETURN_IF_ERROR(Add(name));
    return absl::OkStatus();
  }

  absl::StatusOr<bool> AddIfThere(absl::string_view name) {
    const absl::Status added = Add(name);
    if (absl::IsNotFound(added)) return false;
    RETURN_IF_ERROR(added);
    return true;
  }

  // `path`: in the repository; "" of a web server's one file.
  absl::Status Add(absl::string_view path) {
    WeightsSource source = source_;
    if (!path.empty()) {
      ASSIGN_OR_RETURN(source, FileOfRepository(source_, path));
    }
    ASSIGN_OR_RETURN(RemoteFile remote, RemoteFile::Find(client_, source, options_));
    if (model_.commit.empty() && !remote.commit().empty()) source_.revision = model_.commit = remote.commit();
    RemoteModel::File file{std::move(remote), {source.file_name(), ""}, ""};
    file.sum.sha256 = file.remote.sha256();
    if (file.sum.sha256.empty()) {
      ASSIGN_OR_RETURN(file.content, file.remote.ReadWhole(client_));
      file.sum.sha256 = Sha256Hex(file.content);
    }
    model_.files.push_back(std::move(file));
    return absl::OkStatus();
  }

  HttpClient& client_;
  WeightsSource source_;  // of the commit, once that is known
  const RemoteOptions& options_;
  RemoteModel model_;
};

}  // namespace

std::vector<FileSum> SumsOf(const RemoteModel& model) {
  std::vector<FileSum> sums;
  for (const RemoteModel::File& file : model.files) sums.push_back(file.sum);
  return sums;
}

absl::StatusOr<RemoteModel> FindRemoteModel(HttpClient& client, const WeightsSource& source,
                                            const RemoteOptions& options) {
  return Finder(client, source, options).Find();
}

}  // namespace spotinference
