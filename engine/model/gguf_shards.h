// A GGUF model in several files, as gguf-split writes it: NAME-00001-of-0000N.gguf and so on. The first has all keys;
// each has some of the tensors.
#ifndef ENGINE_MODEL_GGUF_SHARDS_H_
#define ENGINE_MODEL_GGUF_SHARDS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/model/gguf.h"

namespace spotinference {

// INVALID_ARGUMENT: `file`, of this path, is a later one of several shards; the message says how the first is called.
absl::Status CheckIsFirstShard(const GgufFile& file, absl::string_view path);

class GgufShards : public Checkpoint {
 public:
  // A shard on its own is a model, too, where it says that it is one of one. INVALID_ARGUMENT: `first` is not the
  // first, its name does not end in its number, or Combine's reasons. NOT_FOUND: a shard is missing; the message has
  // its path.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(std::unique_ptr<GgufFile> first, const std::string& path);

  // INVALID_ARGUMENT: two shards name the same tensor, or they do not agree on their number, on each one's place or on
  // the number of tensors. `names` are the shards' for messages.
  static absl::StatusOr<std::unique_ptr<GgufShards>> Combine(std::vector<std::unique_ptr<GgufFile>> shards,
                                                             absl::Span<const std::string> names);

  bool Has(absl::string_view key) const override { return shards_[0]->Has(key); }
  absl::StatusOr<absl::string_view> String(absl::string_view key) const override { return shards_[0]->String(key); }
  absl::StatusOr<int64_t> Integer(absl::string_view key, int64_t minimum, int64_t maximum) const override {
    return shards_[0]->Integer(key, minimum, maximum);
  }
  absl::StatusOr<double> Float(absl::string_view key) const override { return shards_[0]->Float(key); }
  std::string KeyName(absl::string_view key) const override { return shards_[0]->KeyName(key); }

  absl::Span<const TensorView> tensors() const override { return tensors_; }
  const TensorView* FindTensor(absl::string_view name) const override;
  std::string TensorName(absl::string_view name) const override { return shards_[0]->TensorName(name); }
  bool gguf_row_order() const override { return true; }
  std::vector<File> files() const override;
  void ReleasePages(absl::Span<const std::byte> data) const override;

 private:
  explicit GgufShards(std::vector<std::unique_ptr<GgufFile>> shards) : shards_(std::move(shards)) {}

  const std::vector<std::unique_ptr<GgufFile>> shards_;
  std::vector<TensorView> tensors_;  // shard after shard
  absl::flat_hash_map<absl::string_view, size_t> tensor_index_;  // its keys are the names in tensors_
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_GGUF_SHARDS_H_
