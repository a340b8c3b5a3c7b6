// A GGUF model file, read in place: strings and tensors point into a read-only mapping of the file (mapped_file.h).
//
// Immutable once opened, so any thread may read it. What it handed out dies with it. Every length, count, offset and
// type in the file is checked before it is used: a damaged or hostile file gets INVALID_ARGUMENT, which names the key
// or the tensor, the value and what would be right.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, little-endian. Counts and lengths are 64 bits wide
// in versions 2 and 3, and 32 in version 1.
#ifndef ENGINE_MODEL_GGUF_H_
#define ENGINE_MODEL_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/device/tensor.h"
#include "engine/model/checkpoint.h"
#include "engine/model/mapped_file.h"

namespace spotinference {

enum class GgufValueType : uint32_t;
class GgufCursor;

class GgufFile : public Checkpoint {
 public:
  // NOT_FOUND, PERMISSION_DENIED …: the system's own error for `path`.
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(const std::string& path);

  // The same over bytes in memory, which must outlive the result.
  static absl::StatusOr<std::unique_ptr<GgufFile>> Parse(absl::Span<const std::byte> bytes);

  size_t head_bytes() const { return head_bytes_; }  // all that comes before the data of the tensors

  // In the order of the file.
  absl::Span<const absl::string_view> keys() const { return keys_; }

  // For what the text is read from; errors as those of Checkpoint.
  absl::StatusOr<bool> Bool(absl::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> Integers(absl::string_view key, int64_t minimum, int64_t maximum) const;
  absl::StatusOr<std::vector<absl::string_view>> Strings(absl::string_view key) const;
  absl::StatusOr<std::vector<float>> Floats(absl::string_view key) const;

  bool Has(absl::string_view key) const override { return values_.contains(key); }
  absl::StatusOr<absl::string_view> String(absl::string_view key) const override;
  absl::StatusOr<int64_t> Integer(absl::string_view key, int64_t minimum, int64_t maximum) const override;
  absl::StatusOr<double> Float(absl::string_view key) const override;
  std::string KeyName(absl::string_view key) const override { return std::string(key); }

  // In the order of the file. Tensors lie inside the file, aligned, and none overlaps another.
  absl::Span<const TensorView> tensors() const override { return tensors_; }
  const TensorView* FindTensor(absl::string_view name) const override;
  std::string TensorName(absl::string_view name) const override { return std::string(name); }
  bool gguf_row_order() const override { return true; }
  std::vector<File> files() const override { return {{path_, bytes_, head_bytes_}}; }
  void ReleasePages(absl::Span<const std::byte> data) const override;

 private:
  struct Value {
    GgufValueType type;
    GgufValueType element_type;  // of an array
    uint64_t count;              // of an array
    const std::byte* data;       // of an array, its first element
  };

  explicit GgufFile(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  absl::Status ReadAll();
  absl::Status ReadKeys(GgufCursor& cursor, uint64_t count);
  absl::Status ReadTensors(GgufCursor& cursor, uint64_t count);
  absl::Status PlaceTensors(uint64_t data_begin, uint64_t alignment, absl::Span<const uint64_t> offsets);
  absl::StatusOr<Value> Find(absl::string_view key, absl::string_view wanted, bool array,
                             bool (*accepts)(GgufValueType)) const;
  GgufCursor CursorAt(absl::string_view key, const Value& value) const;

  std::unique_ptr<MappedFile> mapped_;  // null for bytes that are not ours
  std::string path_;
  const absl::Span<const std::byte> bytes_;
  size_t head_bytes_ = 0;
  uint32_t count_bytes_ = sizeof(uint64_t);  // of a count or a length in the file
  std::vector<absl::string_view> keys_;
  absl::flat_hash_map<absl::string_view, Value> values_;
  std::vector<TensorView> tensors_;
  absl::flat_hash_map<absl::string_view, size_t> tensor_index_;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_GGUF_H_
