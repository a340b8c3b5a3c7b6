// A model as it was published: its weights and its configuration, whatever the format of its files.
//
// Keys and tensors go by the names that GGUF gives them ("llama.block_count", "blk.0.attn_q.weight"); a source of
// another format translates, so that the graph builder knows one set of names. Immutable, so any thread may read it;
// what it handed out dies with it. Whatever the files say was checked against their own sizes when they were opened.
#ifndef ENGINE_MODEL_CHECKPOINT_H_
#define ENGINE_MODEL_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/device/tensor.h"

namespace spotinference {

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual bool Has(absl::string_view key) const = 0;

  // The value of `key`. NOT_FOUND: there is no such key. INVALID_ARGUMENT: its type is another one, or the number is
  // outside of [minimum, maximum]. Integers of every width and sign are one kind here, and so are f32 and f64. Strings
  // are bytes; nothing here promises UTF-8.
  virtual absl::StatusOr<absl::string_view> String(absl::string_view key) const = 0;
  virtual absl::StatusOr<int64_t> Integer(absl::string_view key, int64_t minimum, int64_t maximum) const = 0;
  virtual absl::StatusOr<double> Float(absl::string_view key) const = 0;

  // All tensors. Columns are the contiguous dimension, rows the product of the others. `name` is the files' own.
  virtual absl::Span<const TensorView> tensors() const = 0;
  // By its GGUF name; null where there is none.
  virtual const TensorView* FindTensor(absl::string_view name) const = 0;

  // How the files themselves call a key or a tensor: for messages.
  virtual std::string KeyName(absl::string_view key) const = 0;
  virtual std::string TensorName(absl::string_view name) const = 0;

  // Q and K have their rows in the order that the family's GGUF files have (Family::interleaved_rope); else as they
  // were trained, for RoPE over the two halves of a head.
  virtual bool gguf_row_order() const = 0;

  // The files that hold tensors, whole, as they are mapped. What was computed lies in none of them.
  struct File {
    std::string path;  // "" for bytes in memory
    absl::Span<const std::byte> bytes;
    size_t head_bytes;  // all that comes before the data of the tensors
  };
  virtual std::vector<File> files() const = 0;

  // `data`, of a tensor, was copied elsewhere and need not stay in memory.
  virtual void ReleasePages(absl::Span<const std::byte> data) const = 0;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_CHECKPOINT_H_
