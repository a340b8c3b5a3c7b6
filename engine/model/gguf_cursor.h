// What the parts of the GGUF reader share: the types of values, and a walk through the bytes that checks every length.
// Internal to gguf*.cc.
#ifndef ENGINE_MODEL_GGUF_CURSOR_H_
#define ENGINE_MODEL_GGUF_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/model/gguf.h"

namespace spotinference {

enum class GgufValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

// By the ids in GgufValueType. A string or an array has no fixed size.
struct GgufValueLayout {
  absl::string_view name;
  uint32_t bytes;
};
inline constexpr GgufValueLayout kGgufValueLayouts[] = {
    {"uint8", 1},   {"int8", 1}, {"uint16", 2}, {"int16", 2}, {"uint32", 4}, {"int32", 4},   {"float32", 4},
    {"bool", 1},    {"string", 0}, {"array", 0}, {"uint64", 8}, {"int64", 8},  {"float64", 8},
};
inline const GgufValueLayout& LayoutOf(GgufValueType type) { return kGgufValueLayouts[static_cast<uint32_t>(type)]; }

// A name out of a file as a message may show it.
inline std::string Quote(absl::string_view name) {
  constexpr size_t kShown = 80;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kShown)), name.size() > kShown ? "…" : "", "'");
}

template <typename T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Walks the file from front to back. Subject and Name say what is being read, for the messages.
class GgufCursor {
 public:
  // `count_bytes` of a count, a length or a dimension: 8, and 4 in version 1 of the format.
  GgufCursor(absl::Span<const std::byte> bytes, uint32_t count_bytes) : bytes_(bytes), count_bytes_(count_bytes) {}

  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }
  const std::byte* here() const { return bytes_.data() + offset_; }
  uint32_t count_bytes() const { return count_bytes_; }
  void CountBytes(uint32_t bytes) { count_bytes_ = bytes; }

  void Subject(absl::string_view kind, int64_t index) { kind_ = kind, index_ = index, name_ = {}; }
  void Name(absl::string_view name) { name_ = name; }

  template <typename... Parts>
  absl::Status Error(const Parts&... parts) const {
    const std::string subject = name_.empty() ? absl::StrCat(index_) : Quote(name_);
    return absl::InvalidArgumentError(absl::StrCat(kind_, " ", subject, ": ", parts...));
  }

  template <typename T>
  absl::Status Read(T* out, absl::string_view what) {
    if (left() < sizeof(T)) return Error(what, " takes ", sizeof(T), " bytes, but ", left(), " are left in the file");
    *out = Load<T>(here());
    offset_ += sizeof(T);
    return absl::OkStatus();
  }

  absl::Status ReadCount(uint64_t* out, absl::string_view what) {
    if (count_bytes_ == sizeof(uint64_t)) return Read(out, what);
    uint32_t narrow = 0;
    RETURN_IF_ERROR(Read(&narrow, what));
    *out = narrow;
    return absl::OkStatus();
  }

  absl::Status ReadString(absl::string_view* out, absl::string_view what);
  absl::Status ReadType(GgufValueType* type);
  // Reads the head of an array. `count` is one that the rest of the file could hold.
  absl::Status ReadArrayHead(GgufValueType* element_type, uint64_t* count);
  // `depth`: arrays round these elements.
  absl::Status SkipElements(GgufValueType type, uint64_t count, int depth);

 private:
  // The least that a value takes in the file.
  uint32_t LeastBytes(GgufValueType type) const;

  const absl::Span<const std::byte> bytes_;
  uint32_t count_bytes_;
  size_t offset_ = 0;
  absl::string_view kind_ = "section", name_ = "header";
  int64_t index_ = 0;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_GGUF_CURSOR_H_
