// The keys and values of a GGUF file.
#include <cstring>
#include <utility>

#include "engine/model/gguf.h"
#include "engine/model/gguf_cursor.h"

namespace spotinference {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535;  // the format's own limit
constexpr int kMaxArrayDepth = 4;

bool IsInteger(GgufValueType type) {
  return type <= GgufValueType::kInt32 || type == GgufValueType::kUint64 || type == GgufValueType::kInt64;
}
bool IsFloat(GgufValueType type) { return type == GgufValueType::kFloat32 || type == GgufValueType::kFloat64; }
bool IsString(GgufValueType type) { return type == GgufValueType::kString; }
bool IsBool(GgufValueType type) { return type == GgufValueType::kBool; }

absl::StatusOr<int64_t> CheckedInteger(absl::string_view key, GgufValueType type, const std::byte* data,
                                       int64_t minimum, int64_t maximum) {
  const auto check = [&](auto value) -> absl::StatusOr<int64_t> {
    if (std::cmp_less(value, minimum) || std::cmp_greater(value, maximum)) {
      return absl::InvalidArgumentError(
          absl::StrCat("key ", Quote(key), ": ", value, " is outside of [", minimum, ", ", maximum, "]"));
    }
    return static_cast<int64_t>(value);
  };
  switch (type) {
    case GgufValueType::kUint8: return check(Load<uint8_t>(data));
    case GgufValueType::kInt8: return check(Load<int8_t>(data));
    case GgufValueType::kUint16: return check(Load<uint16_t>(data));
    case GgufValueType::kInt16: return check(Load<int16_t>(data));
    case GgufValueType::kUint32: return check(Load<uint32_t>(data));
    case GgufValueType::kInt32: return check(Load<int32_t>(data));
    case GgufValueType::kUint64: return check(Load<uint64_t>(data));
    default: return check(Load<int64_t>(data));
  }
}

}  // namespace

uint32_t GgufCursor::LeastBytes(GgufValueType type) const {
  if (type == GgufValueType::kString) return count_bytes_;
  if (type == GgufValueType::kArray) return sizeof(uint32_t) + count_bytes_;
  return LayoutOf(type).bytes;
}

absl::Status GgufCursor::ReadString(absl::string_view* out, absl::string_view what) {
  uint64_t size = 0;
  RETURN_IF_ERROR(ReadCount(&size, what));
  if (size > left()) return Error(what, " of ", size, " bytes, but ", left(), " are left in the file");
  *out = absl::string_view(reinterpret_cast<const char*>(here()), size);
  offset_ += size;
  return absl::OkStatus();
}

absl::Status GgufCursor::ReadType(GgufValueType* type) {
  uint32_t id = 0;
  RETURN_IF_ERROR(Read(&id, "the type"));
  if (id >= std::size(kGgufValueLayouts)) {
    return Error("value type ", id, "; at most ", std::size(kGgufValueLayouts) - 1, " exists");
  }
  *type = static_cast<GgufValueType>(id);
  return absl::OkStatus();
}

absl::Status GgufCursor::ReadArrayHead(GgufValueType* element_type, uint64_t* count) {
  RETURN_IF_ERROR(ReadType(element_type));
  RETURN_IF_ERROR(ReadCount(count, "the array's length"));
  if (*count > left() / LeastBytes(*element_type)) {
    return Error("array of ", *count, " elements (", LayoutOf(*element_type).name, "), but ", left(),
                 " bytes are left in the file");
  }
  return absl::OkStatus();
}

absl::Status GgufCursor::SkipElements(GgufValueType type, uint64_t count, int depth) {
  if (type == GgufValueType::kString) {
    absl::string_view unused;
    for (uint64_t i = 0; i < count; ++i) RETURN_IF_ERROR(ReadString(&unused, "a string"));
    return absl::OkStatus();
  }
  if (type == GgufValueType::kArray) {
    if (depth == kMaxArrayDepth) return Error("arrays nested deeper than ", kMaxArrayDepth);
    for (uint64_t i = 0; i < count; ++i) {
      GgufValueType inner{};
      uint64_t inner_count = 0;
      RETURN_IF_ERROR(ReadArrayHead(&inner, &inner_count));
      RETURN_IF_ERROR(SkipElements(inner, inner_count, depth + 1));
    }
    return absl::OkStatus();
  }
  const GgufValueLayout& layout = LayoutOf(type);
  if (count > left() / layout.bytes) {
    return Error("the ", layout.name, " takes ", layout.bytes, " bytes, but ", left(), " are left in the file");
  }
  offset_ += count * layout.bytes;
  return absl::OkStatus();
}

absl::Status GgufFile::ReadKeys(GgufCursor& cursor, uint64_t count) {
  const uint64_t least_key_bytes = cursor.count_bytes() + 1 + 4 + 1;
  if (count > cursor.left() / least_key_bytes) {
    return cursor.Error(count, " keys, but ", cursor.left(), " bytes are left in the file");
  }
  keys_.reserve(count);
  values_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    cursor.Subject("key", i);
    absl::string_view key;
    RETURN_IF_ERROR(cursor.ReadString(&key, "a name"));
    if (key.empty() || key.size() > kMaxKeyBytes) {
      return cursor.Error("a name of ", key.size(), " bytes; 1 to ", kMaxKeyBytes, " are allowed");
    }
    cursor.Name(key);
    Value value{};
    RETURN_IF_ERROR(cursor.ReadType(&value.type));
    if (value.type == GgufValueType::kArray) {
      RETURN_IF_ERROR(cursor.ReadArrayHead(&value.element_type, &value.count));
      value.data = cursor.here();
      RETURN_IF_ERROR(cursor.SkipElements(value.element_type, value.count, 1));
    } else {
      value.data = cursor.here();
      RETURN_IF_ERROR(cursor.SkipElements(value.type, 1, 0));
    }
    if (!values_.emplace(key, value).second) return cursor.Error("occurs twice");
    keys_.push_back(key);
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufFile::Value> GgufFile::Find(absl::string_view key, absl::string_view wanted, bool array,
                                               bool (*accepts)(GgufValueType)) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return absl::NotFoundError(absl::StrCat("key ", Quote(key), " is missing"));
  const Value& value = found->second;
  const bool is_array = value.type == GgufValueType::kArray;
  const GgufValueType type = is_array ? value.element_type : value.type;
  if (is_array == array && accepts(type)) return value;
  return absl::InvalidArgumentError(absl::StrCat("key ", Quote(key), ": its type is ", is_array ? "array of " : "",
                                                 LayoutOf(type).name, ", not ", array ? "array of " : "", wanted));
}

// Lengths in a string are read from the mapping anew, and the file may have been written to since it was checked.
GgufCursor GgufFile::CursorAt(absl::string_view key, const Value& value) const {
  GgufCursor cursor(bytes_.subspan(value.data - bytes_.data()), count_bytes_);
  cursor.Subject("key", 0);
  cursor.Name(key);
  return cursor;
}

absl::StatusOr<absl::string_view> GgufFile::String(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "string", false, IsString));
  absl::string_view string;
  RETURN_IF_ERROR(CursorAt(key, value).ReadString(&string, "a string"));
  return string;
}

absl::StatusOr<int64_t> GgufFile::Integer(absl::string_view key, int64_t minimum, int64_t maximum) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "integer", false, IsInteger));
  return CheckedInteger(key, value.type, value.data, minimum, maximum);
}

absl::StatusOr<double> GgufFile::Float(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "float", false, IsFloat));
  return value.type == GgufValueType::kFloat32 ? Load<float>(value.data) : Load<double>(value.data);
}

absl::StatusOr<bool> GgufFile::Bool(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "bool", false, IsBool));
  const int byte = Load<uint8_t>(value.data);
  if (byte <= 1) return byte == 1;
  return absl::InvalidArgumentError(absl::StrCat("key ", Quote(key), ": ", byte, " is neither 0 nor 1"));
}

absl::StatusOr<std::vector<absl::string_view>> GgufFile::Strings(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "string", true, IsString));
  GgufCursor cursor = CursorAt(key, value);
  std::vector<absl::string_view> strings(value.count);
  for (absl::string_view& string : strings) RETURN_IF_ERROR(cursor.ReadString(&string, "a string"));
  return strings;
}

absl::StatusOr<std::vector<int64_t>> GgufFile::Integers(absl::string_view key, int64_t minimum, int64_t maximum) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "integer", true, IsInteger));
  const uint32_t bytes = LayoutOf(value.element_type).bytes;
  std::vector<int64_t> integers(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    ASSIGN_OR_RETURN(integers[i],
                     CheckedInteger(key, value.element_type, value.data + i * bytes, minimum, maximum));
  }
  return integers;
}

absl::StatusOr<std::vector<float>> GgufFile::Floats(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "float", true, IsFloat));
  std::vector<float> floats(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    floats[i] = value.element_type == GgufValueType::kFloat32 ? Load<float>(value.data + 4 * i)
                                                             : static_cast<float>(Load<double>(value.data + 8 * i));
  }
  return floats;
}

}  // namespace spotinference
