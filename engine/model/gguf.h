// A GGUF model file, read in place: strings and tensors point into a read-only mapping of the file.
//
// Immutable once opened, so any thread may read it. What it handed out dies with it. Every length,
// count, offset and type in the file is checked before it is used: a damaged or hostile file gets
// INVALID_ARGUMENT, which names the key or the tensor, the value and what would be right. A file
// that is cut short while it is mapped is out of scope: reading past its new end kills the process
// (SIGBUS), so replace model files by renaming, never in place.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3,
// little-endian.
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

namespace spotinference {

class GgufFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED …: the system's own error for `path`.
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(const std::string& path);

  // The same over bytes in memory, which must outlive the result.
  static absl::StatusOr<std::unique_ptr<GgufFile>> Parse(absl::Span<const std::byte> bytes);

  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;
  ~GgufFile();

  absl::Span<const std::byte> bytes() const { return bytes_; }  // the whole file
  size_t size_bytes() const { return bytes_.size(); }

  // In the order of the file.
  absl::Span<const absl::string_view> keys() const { return keys_; }
  bool Has(absl::string_view key) const { return values_.contains(key); }

  // The value of `key`. NOT_FOUND: there is no such key. INVALID_ARGUMENT: its type is another one,
  // or the number is outside of [minimum, maximum]. Integers of every width and sign are one kind
  // here, and so are f32 and f64. Strings are bytes; nothing here promises UTF-8.
  absl::StatusOr<absl::string_view> String(absl::string_view key) const;
  absl::StatusOr<int64_t> Integer(absl::string_view key, int64_t minimum, int64_t maximum) const;
  absl::StatusOr<double> Float(absl::string_view key) const;
  absl::StatusOr<bool> Bool(absl::string_view key) const;
  absl::StatusOr<std::vector<absl::string_view>> Strings(absl::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> Integers(absl::string_view key, int64_t minimum,
                                                int64_t maximum) const;
  absl::StatusOr<std::vector<float>> Floats(absl::string_view key) const;

  // In the order of the file. Columns are the first GGUF dimension, rows the product of the others.
  // Tensors lie inside the file, aligned, and none overlaps another.
  absl::Span<const TensorView> tensors() const { return tensors_; }
  // Null where there is none.
  const TensorView* FindTensor(absl::string_view name) const;

  // Tells the system that `data`, a part of bytes(), was copied elsewhere: its pages leave this
  // process's resident memory and come back from the file when they are read again.
  void ReleasePages(absl::Span<const std::byte> data) const;

 private:
  enum class ValueType : uint32_t;
  class Cursor;
  struct Value {
    ValueType type;
    ValueType element_type;  // of an array
    uint64_t count;          // of an array
    const std::byte* data;   // of an array, its first element
  };

  GgufFile(absl::Span<const std::byte> bytes, bool mapped) : bytes_(bytes), mapped_(mapped) {}

  absl::Status ReadAll();
  absl::Status ReadKeys(Cursor& cursor, uint64_t count);
  absl::Status ReadTensors(Cursor& cursor, uint64_t count);
  absl::Status PlaceTensors(uint64_t data_begin, uint64_t alignment,
                            absl::Span<const uint64_t> offsets);
  absl::StatusOr<Value> Find(absl::string_view key, absl::string_view wanted, bool array,
                             bool (*accepts)(ValueType)) const;

  const absl::Span<const std::byte> bytes_;
  const bool mapped_;
  std::vector<absl::string_view> keys_;
  absl::flat_hash_map<absl::string_view, Value> values_;
  std::vector<TensorView> tensors_;
  absl::flat_hash_map<absl::string_view, size_t> tensor_index_;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_GGUF_H_
