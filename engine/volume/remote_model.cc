#include "engine/volume/remote_model.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/safetensors_index.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

// The largest models have some 200. At boot each takes two descriptors, of the 1024 that a process usually has.
constexpr size_t kMostFiles = 400;
// Of what lies in Git, in all: it is kept in memory. The hub takes no file of more than 10 MB into Git.
constexpr uint64_t kMostTextBytes = uint64_t{32} << 20;

class Finder {
 public:
  Finder(HttpClient& client, const WeightsSource& source, const RemoteOptions& options)
      : client_(client), source_(source), options_(options) {
    if (IsHexHash(source.revision, 40)) model_.commit = absl::AsciiStrToLower(source.revision);
  }

  absl::StatusOr<RemoteModel> Find() {
    if (source_.kind == WeightsSource::Kind::kHub && source_.file.empty()) {
      RETURN_IF_ERROR(FindRepository());
    } else {
      const std::vector<std::string> paths = GgufShardPaths(source_.file);
      is_several_ = paths.size() > 1;
      if (paths.size() > kMostFiles) return Refused(absl::StrCat(paths.size(), " files"));
      for (const std::string& path : paths) RETURN_IF_ERROR(Add(path));
    }
    std::sort(model_.files.begin(), model_.files.end(),
              [](const auto& a, const auto& b) { return a.sum.name < b.sum.name; });
    model_.sha256 = model_.files.size() == 1 ? model_.files[0].sum.sha256 : ModelHashOf(SumsOf(model_));
    return std::move(model_);
  }

 private:
  absl::Status Refused(absl::string_view why) const {
    return absl::FailedPreconditionError(absl::StrCat("weights '", source_.name(), "': ", why));
  }

  absl::Status FindRepository() {
    constexpr absl::string_view kIndex = "model.safetensors.index.json";
    is_several_ = true;
    RETURN_IF_ERROR(AddNeeded("config.json", "a GGUF model is given by its file"));
    RETURN_IF_ERROR(AddNeeded("tokenizer.json", "a tokenizer.model is not read in its place"));
    for (const absl::string_view name : {"tokenizer_config.json", "generation_config.json", "chat_template.jinja"}) {
      RETURN_IF_ERROR(AddIfThere(name).status());
    }
    ASSIGN_OR_RETURN(const bool is_one_file, AddIfThere("model.safetensors"));
    if (is_one_file) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool has_index, AddIfThere(kIndex));
    if (!has_index) return Refused(absl::StrCat("it has neither model.safetensors nor ", kIndex));
    ASSIGN_OR_RETURN(const std::set<std::string> names, NamesIn(model_.files.back()));
    for (const std::string& name : names) RETURN_IF_ERROR(Add(name));
    return absl::OkStatus();
  }

  // The files of weights that an index of safetensors lists.
  absl::StatusOr<std::set<std::string>> NamesIn(const RemoteModel::File& file) {
    const uint64_t size = file.remote.size_bytes();
    if (size > kMaxSafetensorsIndexBytes) return Refused(absl::StrCat(file.sum.name, " has ", size, " bytes"));
    std::string text = file.content;
    if (text.empty()) {
      ASSIGN_OR_RETURN(text, file.remote.ReadWhole(client_));
    }
    const auto index = ParseSafetensorsIndex(text);
    if (!index.ok()) return Refused(absl::StrCat(file.sum.name, ": ", index.status().message()));
    std::set<std::string> names;
    for (const auto& [tensor, name] : *index) names.insert(name);
    const bool is_weights = std::all_of(names.begin(), names.end(), [](const std::string& name) {
      return absl::EndsWith(name, ".safetensors");
    });
    if (is_weights && names.size() <= kMostFiles) return names;
    return Refused(absl::StrCat(file.sum.name, " lists ", names.size(), " files, or others than .safetensors"));
  }

  absl::Status AddNeeded(absl::string_view name, absl::string_view hint) {
    bool is_missing = false;
    const absl::Status added = Add(name, &is_missing);
    return is_missing ? absl::Status(added.code(), absl::StrCat(added.message(), "; ", hint)) : added;
  }

  absl::StatusOr<bool> AddIfThere(absl::string_view name) {
    bool is_missing = false;
    const absl::Status added = Add(name, &is_missing);
    if (is_missing) return false;
    RETURN_IF_ERROR(added);
    return true;
  }

  // `path`: in the repository; "" of a web server's one file. `is_missing` as in RemoteFile::Find.
  absl::Status Add(absl::string_view path, bool* is_missing = nullptr) {
    WeightsSource source = source_;
    if (!path.empty()) {
      ASSIGN_OR_RETURN(source, FileOfRepository(source_, path));
    }
    ASSIGN_OR_RETURN(RemoteFile remote, RemoteFile::Find(client_, source, options_, is_missing));
    RETURN_IF_ERROR(Pin(remote.commit()));
    RemoteModel::File file{std::move(remote), {source.file_name(), ""}, ""};
    file.sum.sha256 = file.remote.sha256();
    if (file.sum.sha256.empty()) {
      ASSIGN_OR_RETURN(file.content, ReadText(file));
      file.sum.sha256 = Sha256Hex(file.content);
    }
    model_.files.push_back(std::move(file));
    return absl::OkStatus();
  }

  // What is asked for after the first file is of its commit.
  absl::Status Pin(const std::string& commit) {
    if (model_.commit.empty()) model_.commit = commit;
    if (!commit.empty() && commit != model_.commit) {
      return Refused(absl::StrCat("the hub answers with commit ", commit, ", not ", model_.commit));
    }
    if (!model_.commit.empty()) source_.revision = model_.commit;
    if (!is_several_ || !model_.commit.empty()) return absl::OkStatus();
    return Refused("the hub names no commit, without which its files may be of several");
  }

  // Of a file in Git.
  absl::StatusOr<std::string> ReadText(const RemoteModel::File& file) {
    if (!absl::EndsWith(file.sum.name, ".json") && !absl::EndsWith(file.sum.name, ".jinja")) {
      return Refused(absl::StrCat(file.sum.name, " is not in LFS, where weights have to be"));
    }
    text_bytes_ += file.remote.size_bytes();
    if (text_bytes_ <= kMostTextBytes) return file.remote.ReadWhole(client_);
    return Refused(absl::StrCat("more than ", kMostTextBytes, " bytes that are not in LFS"));
  }

  HttpClient& client_;
  WeightsSource source_;  // of the commit, once that is known
  const RemoteOptions& options_;
  bool is_several_ = false;  // files
  uint64_t text_bytes_ = 0;  // that are kept in memory
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
