// A safetensors file, read in place: tensors point into a read-only mapping of the file (mapped_file.h).
//
// Immutable once opened, so any thread may read it. What it handed out dies with it. A damaged or hostile file gets
// INVALID_ARGUMENT, which names the tensor, the value and what would be right.
//
// Format: https://github.com/huggingface/safetensors#format. A u64 length, a JSON header of that length, the tensors'
// bytes; little-endian. Tensors fill the rest of the file without a hole or an overlap.
#ifndef ENGINE_MODEL_SAFETENSORS_H_
#define ENGINE_MODEL_SAFETENSORS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/tensor.h"
#include "engine/model/mapped_file.h"

namespace spotinference {

class SafetensorsFile {
 public:
  // Also the errors of MappedFile::Open.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);

  // The same over bytes in memory, which must outlive the result.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Parse(absl::Span<const std::byte> bytes);

  // In the order of their bytes. Columns are the last dimension, rows the product of the others; a tensor may be empty.
  // The format does not align their data.
  absl::Span<const TensorView> tensors() const { return tensors_; }

  const std::string& path() const { return path_; }  // "" for bytes in memory
  absl::Span<const std::byte> bytes() const { return bytes_; }
  size_t head_bytes() const { return head_bytes_; }  // all that comes before the data of the tensors

  void ReleasePages(absl::Span<const std::byte> data) const {
    if (mapped_ != nullptr) mapped_->ReleasePages(data);
  }

 private:
  explicit SafetensorsFile(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  absl::Status ReadHeader();
  absl::Status CheckOrder(absl::Span<const std::byte> data);

  std::unique_ptr<MappedFile> mapped_;  // null for bytes that are not ours
  std::string path_;
  const absl::Span<const std::byte> bytes_;
  size_t head_bytes_ = 0;
  std::vector<TensorView> tensors_;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_SAFETENSORS_H_
