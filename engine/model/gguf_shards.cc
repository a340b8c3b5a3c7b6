#include "engine/model/gguf_shards.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/model_files.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr absl::string_view kCount = "split.count", kNumber = "split.no", kTensorCount = "split.tensors.count";
constexpr int64_t kMaxShards = 99999;      // as a name has five digits
constexpr int64_t kMaxTensors = 1 << 20;   // of all shards

absl::Status Disagrees(absl::string_view name, absl::string_view key, int64_t value, int64_t expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("shard '", name, "': key '", key, "' is ", value, "; ", expected, " is expected"));
}

// `shard` calls itself number `index`, from 0, of `count`, of a model of `tensors` tensors.
absl::Status CheckPlace(const GgufFile& shard, absl::string_view name, int64_t index, int64_t count, int64_t tensors) {
  const std::pair<absl::string_view, int64_t> wanted[] = {{kNumber, index}, {kCount, count}, {kTensorCount, tensors}};
  for (const auto& [key, expected] : wanted) {
    const absl::StatusOr<int64_t> value = shard.Integer(key, 0, kMaxTensors);
    if (!value.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("shard '", name, "': ", value.status().message()));
    }
    if (*value != expected) return Disagrees(name, key, *value, expected);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckIsFirstShard(const GgufFile& file, absl::string_view path) {
  if (!file.Has(kCount) || !file.Has(kNumber)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t count, file.Integer(kCount, 0, kMaxShards));
  ASSIGN_OR_RETURN(const int64_t number, file.Integer(kNumber, 0, kMaxShards));
  if (count <= 1 || number == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("model file '", path, "': it is number ", number + 1, " of ", count,
                                                 " shards; the model begins with the one whose name ends in ",
                                                 GgufShardEnding(1, count)));
}

absl::StatusOr<std::unique_ptr<Checkpoint>> GgufShards::Open(std::unique_ptr<GgufFile> first, const std::string& path) {
  if (!first->Has(kCount)) return first;
  ASSIGN_OR_RETURN(const int64_t count, first->Integer(kCount, 0, kMaxShards));
  if (count <= 1) return first;
  RETURN_IF_ERROR(CheckIsFirstShard(*first, path));
  const std::vector<std::string> paths = GgufShardPaths(path);
  if (static_cast<int64_t>(paths.size()) != count) {
    return absl::InvalidArgumentError(absl::StrCat("model file '", path, "': it is the first of ", count,
                                                   " shards, so its name has to end in ", GgufShardEnding(1, count)));
  }
  std::vector<std::unique_ptr<GgufFile>> shards;
  shards.push_back(std::move(first));
  for (int64_t i = 1; i < count; ++i) {
    absl::StatusOr<std::unique_ptr<GgufFile>> shard = GgufFile::Open(paths[i]);
    if (!shard.ok()) {
      return absl::Status(shard.status().code(),
                          absl::StrCat("shard ", i + 1, " of ", count, ": ", shard.status().message()));
    }
    shards.push_back(*std::move(shard));
  }
  return Combine(std::move(shards), paths);
}

absl::StatusOr<std::unique_ptr<GgufShards>> GgufShards::Combine(std::vector<std::unique_ptr<GgufFile>> shards,
                                                                absl::Span<const std::string> names) {
  const int64_t count = static_cast<int64_t>(shards.size());
  ASSIGN_OR_RETURN(const int64_t tensors, shards[0]->Integer(kTensorCount, 0, kMaxTensors));
  std::unique_ptr<GgufShards> model(new GgufShards(std::move(shards)));
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(CheckPlace(*model->shards_[i], names[i], i, count, tensors));
    found += static_cast<int64_t>(model->shards_[i]->tensors().size());
  }
  if (found != tensors) {
    return absl::InvalidArgumentError(absl::StrCat(count, " shards of '", names[0], "' have ", found,
                                                   " tensors; key '", kTensorCount, "' says ", tensors));
  }
  model->tensors_.reserve(tensors);
  for (int64_t i = 0; i < count; ++i) {
    for (const TensorView& tensor : model->shards_[i]->tensors()) {
      model->tensors_.push_back(tensor);
      if (!model->tensor_index_.emplace(model->tensors_.back().name, model->tensors_.size() - 1).second) {
        return absl::InvalidArgumentError(absl::StrCat("shard '", names[i], "': tensor '",
                                                       absl::CHexEscape(tensor.name), "' is also in another shard"));
      }
    }
  }
  return model;
}

const TensorView* GgufShards::FindTensor(absl::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

std::vector<Checkpoint::File> GgufShards::files() const {
  std::vector<File> files;
  for (const std::unique_ptr<GgufFile>& shard : shards_) files.push_back(shard->files()[0]);
  return files;
}

void GgufShards::ReleasePages(absl::Span<const std::byte> data) const {
  for (const std::unique_ptr<GgufFile>& shard : shards_) shard->ReleasePages(data);
}

}  // namespace spotinference
