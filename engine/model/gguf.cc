#include "engine/model/gguf.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace spotinference {

enum class GgufFile::ValueType : uint32_t {
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

namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF is read in place, and it is little-endian");

// Real files have dozens of keys and at most some thousands of tensors.
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 16;
constexpr uint64_t kMaxKeyBytes = 65535;  // the format's own limits, from here …
constexpr uint64_t kMaxTensorNameBytes = 64;
constexpr uint32_t kMaxDimensions = 4;  // … to here
constexpr int kMaxArrayDepth = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 16;

// By the ids in ValueType. A string or an array has no fixed size: the least it takes is its length
// field.
struct ValueLayout {
  absl::string_view name;
  uint32_t bytes;
};
constexpr ValueLayout kValueLayouts[] = {
    {"uint8", 1},  {"int8", 1},    {"uint16", 2},  {"int16", 2},  {"uint32", 4},
    {"int32", 4},  {"float32", 4}, {"bool", 1},    {"string", 8}, {"array", 12},
    {"uint64", 8}, {"int64", 8},   {"float64", 8},
};

// ggml's names by id, so that a refusal can say what the file has. "" was never given or is gone.
constexpr absl::string_view kTensorTypeNames[] = {
    "F32",    "F16",   "Q4_0",  "Q4_1",   "",      "",      "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   "",      "",      "",       "TQ1_0", "TQ2_0", "",        "",       "",        "MXFP4",
};

// A name out of the file as a message may show it.
std::string Quote(absl::string_view name) {
  constexpr size_t kShown = 80;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kShown)),
                      name.size() > kShown ? "…" : "", "'");
}

template <typename T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

std::string SupportedTensorTypes() {
  return absl::StrJoin(DTypes(), ", ", [](std::string* out, const DTypeLayout& layout) {
    absl::StrAppend(out, layout.name);
  });
}

absl::StatusOr<DType> TensorType(absl::string_view tensor, uint32_t id) {
  for (const DTypeLayout& layout : DTypes()) {
    if (layout.gguf_id == id) return layout.type;
  }
  const absl::string_view name = id < std::size(kTensorTypeNames) ? kTensorTypeNames[id] : "";
  return absl::InvalidArgumentError(
      absl::StrCat("tensor ", Quote(tensor), ": type ", id, name.empty() ? "" : " (", name,
                   name.empty() ? "" : ")", "; supported are ", SupportedTensorTypes()));
}

}  // namespace

// Walks the file from front to back. Subject and Name say what is being read, for the messages.
class GgufFile::Cursor {
 public:
  explicit Cursor(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }
  const std::byte* here() const { return bytes_.data() + offset_; }

  void Subject(absl::string_view kind, int64_t index) { kind_ = kind, index_ = index, name_ = {}; }
  void Name(absl::string_view name) { name_ = name; }

  template <typename... Parts>
  absl::Status Error(const Parts&... parts) const {
    const std::string subject = name_.empty() ? absl::StrCat(index_) : Quote(name_);
    return absl::InvalidArgumentError(absl::StrCat(kind_, " ", subject, ": ", parts...));
  }

  template <typename T>
  absl::Status Read(T* out, absl::string_view what) {
    if (left() < sizeof(T))
      return Error(what, " takes ", sizeof(T), " bytes, but ", left(), " are left in the file");
    *out = Load<T>(here());
    offset_ += sizeof(T);
    return absl::OkStatus();
  }

  absl::Status ReadString(absl::string_view* out, absl::string_view what) {
    uint64_t size = 0;
    RETURN_IF_ERROR(Read(&size, what));
    if (size > left())
      return Error(what, " of ", size, " bytes, but ", left(), " are left in the file");
    *out = absl::string_view(reinterpret_cast<const char*>(here()), size);
    offset_ += size;
    return absl::OkStatus();
  }

  absl::Status ReadType(ValueType* type) {
    uint32_t id = 0;
    RETURN_IF_ERROR(Read(&id, "the type"));
    if (id >= std::size(kValueLayouts))
      return Error("value type ", id, "; at most ", std::size(kValueLayouts) - 1, " exists");
    *type = static_cast<ValueType>(id);
    return absl::OkStatus();
  }

  // Reads the head of an array. `count` is one that the rest of the file could hold.
  absl::Status ReadArrayHead(ValueType* element_type, uint64_t* count) {
    RETURN_IF_ERROR(ReadType(element_type));
    RETURN_IF_ERROR(Read(count, "the array's length"));
    const ValueLayout& layout = kValueLayouts[static_cast<uint32_t>(*element_type)];
    if (*count > left() / layout.bytes) {
      return Error("array of ", *count, " elements (", layout.name, "), but ", left(),
                   " bytes are left in the file");
    }
    return absl::OkStatus();
  }

  absl::Status SkipElements(ValueType type, uint64_t count, int depth) {
    if (type == ValueType::kString) {
      absl::string_view unused;
      for (uint64_t i = 0; i < count; ++i) RETURN_IF_ERROR(ReadString(&unused, "a string"));
    } else if (type == ValueType::kArray) {
      if (depth == kMaxArrayDepth) return Error("arrays nested deeper than ", kMaxArrayDepth);
      for (uint64_t i = 0; i < count; ++i) {
        ValueType inner{};
        uint64_t inner_count = 0;
        RETURN_IF_ERROR(ReadArrayHead(&inner, &inner_count));
        RETURN_IF_ERROR(SkipElements(inner, inner_count, depth + 1));
      }
    } else {
      const ValueLayout& layout = kValueLayouts[static_cast<uint32_t>(type)];
      if (count > left() / layout.bytes) {
        return Error("the ", layout.name, " takes ", layout.bytes, " bytes, but ", left(),
                     " are left in the file");
      }
      offset_ += count * layout.bytes;
    }
    return absl::OkStatus();
  }

 private:
  const absl::Span<const std::byte> bytes_;
  size_t offset_ = 0;
  absl::string_view kind_ = "section", name_ = "header";
  int64_t index_ = 0;
};

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(const std::string& path) {
  const auto system_error = [&path](absl::string_view what) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " model file '", path, "'"));
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not block
  if (fd < 0) return system_error("open");
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat status;
  if (fstat(fd, &status) != 0) return system_error("stat");
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model file '", path, "' is not a regular file"));
  }
  if (status.st_size == 0)
    return absl::InvalidArgumentError(absl::StrCat("model file '", path, "' is empty"));
  void* const map = mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED) return system_error("map");
  std::unique_ptr<GgufFile> file(new GgufFile(
      {static_cast<const std::byte*>(map), static_cast<size_t>(status.st_size)}, /*mapped=*/true));
  if (absl::Status read = file->ReadAll(); !read.ok()) {
    return absl::Status(read.code(), absl::StrCat("model file '", path, "': ", read.message()));
  }
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Parse(absl::Span<const std::byte> bytes) {
  std::unique_ptr<GgufFile> file(new GgufFile(bytes, /*mapped=*/false));
  RETURN_IF_ERROR(file->ReadAll());
  return file;
}

GgufFile::~GgufFile() {
  if (mapped_) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

absl::Status GgufFile::ReadAll() {
  Cursor cursor(bytes_);
  uint32_t magic = 0, version = 0;
  RETURN_IF_ERROR(cursor.Read(&magic, "the magic number"));
  if (magic != 0x46554747) {
    return absl::InvalidArgumentError(absl::StrCat("not a GGUF file: it begins with 0x",
                                                   absl::Hex(magic, absl::kZeroPad8),
                                                   ", not with 0x46554747 ('GGUF')"));
  }
  RETURN_IF_ERROR(cursor.Read(&version, "the version"));
  if (version != 0 && (version & 0xffff) == 0) {
    return absl::InvalidArgumentError(
        "a big-endian GGUF file; only little-endian ones are supported");
  }
  if (version != 2 && version != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("GGUF version ", version, "; supported are 2 and 3"));
  }
  uint64_t tensor_count = 0, key_count = 0;
  RETURN_IF_ERROR(cursor.Read(&tensor_count, "the number of tensors"));
  RETURN_IF_ERROR(cursor.Read(&key_count, "the number of keys"));
  if (tensor_count > kMaxTensors)
    return cursor.Error(tensor_count, " tensors; at most ", kMaxTensors, " are allowed");
  if (key_count > kMaxKeys)
    return cursor.Error(key_count, " keys; at most ", kMaxKeys, " are allowed");
  RETURN_IF_ERROR(ReadKeys(cursor, key_count));
  return ReadTensors(cursor, tensor_count);
}

absl::Status GgufFile::ReadKeys(Cursor& cursor, uint64_t count) {
  constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
  if (count > cursor.left() / kLeastKeyBytes) {
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
    if (value.type == ValueType::kArray) {
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

absl::Status GgufFile::ReadTensors(Cursor& cursor, uint64_t count) {
  constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
  cursor.Subject("section", 0);
  cursor.Name("header");
  if (count > cursor.left() / kLeastTensorBytes) {
    return cursor.Error(count, " tensors, but ", cursor.left(), " bytes are left in the file");
  }
  tensors_.reserve(count);
  tensor_index_.reserve(count);
  std::vector<uint64_t> offsets(count);
  for (uint64_t i = 0; i < count; ++i) {
    cursor.Subject("tensor", i);
    absl::string_view name;
    RETURN_IF_ERROR(cursor.ReadString(&name, "a name"));
    if (name.empty() || name.size() > kMaxTensorNameBytes) {
      return cursor.Error("a name of ", name.size(), " bytes; 1 to ", kMaxTensorNameBytes,
                          " are allowed");
    }
    cursor.Name(name);
    uint32_t dimensions = 0, type = 0;
    RETURN_IF_ERROR(cursor.Read(&dimensions, "the number of dimensions"));
    if (dimensions < 1 || dimensions > kMaxDimensions) {
      return cursor.Error(dimensions, " dimensions; 1 to ", kMaxDimensions, " are allowed");
    }
    TensorView view{std::string(name), DType::kF32, 1, 1, {}};
    for (uint32_t d = 0; d < dimensions; ++d) {
      uint64_t size = 0;
      RETURN_IF_ERROR(cursor.Read(&size, "a dimension"));
      int64_t& product = d == 0 ? view.columns : view.rows;
      if (size < 1 || size > std::numeric_limits<int64_t>::max() ||
          __builtin_mul_overflow(product, static_cast<int64_t>(size), &product)) {
        return cursor.Error("dimension ", d, " is ", size,
                            "; at least 1, and a product below 2^63, is allowed");
      }
    }
    RETURN_IF_ERROR(cursor.Read(&type, "the type"));
    ASSIGN_OR_RETURN(view.type, TensorType(name, type));
    RETURN_IF_ERROR(cursor.Read(&offsets[i], "the offset"));
    if (!tensor_index_.emplace(name, i).second) return cursor.Error("occurs twice");
    tensors_.push_back(std::move(view));
  }

  uint64_t alignment = kDefaultAlignment;
  if (Has("general.alignment")) {
    ASSIGN_OR_RETURN(alignment, Integer("general.alignment", 8, kMaxAlignment));
    if (!std::has_single_bit(alignment)) {
      return absl::InvalidArgumentError(
          absl::StrCat("key 'general.alignment' is ", alignment, ", not a power of two"));
    }
  }
  return PlaceTensors((cursor.offset() + alignment - 1) / alignment * alignment, alignment,
                      offsets);
}

absl::Status GgufFile::PlaceTensors(uint64_t data_begin, uint64_t alignment,
                                    absl::Span<const uint64_t> offsets) {
  const uint64_t data_bytes = bytes_.size() - std::min<uint64_t>(data_begin, bytes_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    TensorView& view = tensors_[i];
    const DTypeLayout& layout = Layout(view.type);
    const auto error = [&view](const auto&... parts) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(view.name), ": ", parts...));
    };
    if (view.columns % layout.block_elements != 0) {
      return error("a row of ", view.columns, " elements is not a whole number of ", layout.name,
                   " blocks of ", layout.block_elements);
    }
    if (offsets[i] % alignment != 0)
      return error("offset ", offsets[i], " is not a multiple of ", alignment);
    int64_t size;
    if (__builtin_mul_overflow(view.columns / layout.block_elements, layout.block_bytes, &size) ||
        __builtin_mul_overflow(size, view.rows, &size) || offsets[i] > data_bytes ||
        static_cast<uint64_t>(size) > data_bytes - offsets[i]) {
      return error(view.rows, " rows of ", view.columns, " ", layout.name, " elements at offset ",
                   offsets[i], " end past the file's ", data_bytes, " bytes of tensor data");
    }
    view.data = bytes_.subspan(data_begin + offsets[i], size);
  }

  // Shared bytes would let a small file ask for any amount of device memory.
  std::vector<const TensorView*> by_offset;
  by_offset.reserve(tensors_.size());
  for (const TensorView& view : tensors_) by_offset.push_back(&view);
  std::sort(by_offset.begin(), by_offset.end(), [](const TensorView* a, const TensorView* b) {
    return a->data.data() < b->data.data();
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const TensorView& before = *by_offset[i - 1];
    if (before.data.data() + before.data.size() > by_offset[i]->data.data()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(by_offset[i]->name),
                                                     ": overlaps tensor ", Quote(before.name)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufFile::Value> GgufFile::Find(absl::string_view key, absl::string_view wanted,
                                               bool array, bool (*accepts)(ValueType)) const {
  const auto found = values_.find(key);
  if (found == values_.end())
    return absl::NotFoundError(absl::StrCat("key ", Quote(key), " is missing"));
  const Value& value = found->second;
  const bool is_array = value.type == ValueType::kArray;
  const ValueType type = is_array ? value.element_type : value.type;
  if (is_array == array && accepts(type)) return value;
  return absl::InvalidArgumentError(absl::StrCat(
      "key ", Quote(key), ": its type is ", is_array ? "array of " : "",
      kValueLayouts[static_cast<uint32_t>(type)].name, ", not ", array ? "array of " : "", wanted));
}

namespace {

template <typename ValueType>
bool IsInteger(ValueType type) {
  return type <= ValueType::kInt32 || type == ValueType::kUint64 || type == ValueType::kInt64;
}
template <typename ValueType>
bool IsFloat(ValueType type) {
  return type == ValueType::kFloat32 || type == ValueType::kFloat64;
}
template <typename ValueType>
bool IsString(ValueType type) {
  return type == ValueType::kString;
}
template <typename ValueType>
bool IsBool(ValueType type) {
  return type == ValueType::kBool;
}

template <typename ValueType>
absl::StatusOr<int64_t> CheckedInteger(absl::string_view key, ValueType type, const std::byte* data,
                                       int64_t minimum, int64_t maximum) {
  const auto check = [&](auto value) -> absl::StatusOr<int64_t> {
    if (std::cmp_less(value, minimum) || std::cmp_greater(value, maximum)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "key ", Quote(key), ": ", value, " is outside of [", minimum, ", ", maximum, "]"));
    }
    return static_cast<int64_t>(value);
  };
  switch (type) {
    case ValueType::kUint8:
      return check(Load<uint8_t>(data));
    case ValueType::kInt8:
      return check(Load<int8_t>(data));
    case ValueType::kUint16:
      return check(Load<uint16_t>(data));
    case ValueType::kInt16:
      return check(Load<int16_t>(data));
    case ValueType::kUint32:
      return check(Load<uint32_t>(data));
    case ValueType::kInt32:
      return check(Load<int32_t>(data));
    case ValueType::kUint64:
      return check(Load<uint64_t>(data));
    default:
      return check(Load<int64_t>(data));
  }
}

}  // namespace

absl::StatusOr<absl::string_view> GgufFile::String(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "string", false, IsString));
  return absl::string_view(reinterpret_cast<const char*>(value.data + 8),
                           Load<uint64_t>(value.data));
}

absl::StatusOr<int64_t> GgufFile::Integer(absl::string_view key, int64_t minimum,
                                          int64_t maximum) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "integer", false, IsInteger));
  return CheckedInteger(key, value.type, value.data, minimum, maximum);
}

absl::StatusOr<double> GgufFile::Float(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "float", false, IsFloat));
  return value.type == ValueType::kFloat32 ? Load<float>(value.data) : Load<double>(value.data);
}

absl::StatusOr<bool> GgufFile::Bool(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "bool", false, IsBool));
  const int byte = Load<uint8_t>(value.data);
  if (byte > 1)
    return absl::InvalidArgumentError(
        absl::StrCat("key ", Quote(key), ": ", byte, " is neither 0 nor 1"));
  return byte == 1;
}

absl::StatusOr<std::vector<absl::string_view>> GgufFile::Strings(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "string", true, IsString));
  Cursor cursor(bytes_.subspan(value.data - bytes_.data()));
  cursor.Subject("key", 0);
  cursor.Name(key);
  std::vector<absl::string_view> strings(value.count);
  for (absl::string_view& string : strings) RETURN_IF_ERROR(cursor.ReadString(&string, "a string"));
  return strings;
}

absl::StatusOr<std::vector<int64_t>> GgufFile::Integers(absl::string_view key, int64_t minimum,
                                                        int64_t maximum) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "integer", true, IsInteger));
  const uint32_t bytes = kValueLayouts[static_cast<uint32_t>(value.element_type)].bytes;
  std::vector<int64_t> integers(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    ASSIGN_OR_RETURN(integers[i], CheckedInteger(key, value.element_type, value.data + i * bytes,
                                                 minimum, maximum));
  }
  return integers;
}

absl::StatusOr<std::vector<float>> GgufFile::Floats(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value value, Find(key, "float", true, IsFloat));
  std::vector<float> floats(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    floats[i] = value.element_type == ValueType::kFloat32
                    ? Load<float>(value.data + 4 * i)
                    : static_cast<float>(Load<double>(value.data + 8 * i));
  }
  return floats;
}

const TensorView* GgufFile::FindTensor(absl::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

void GgufFile::ReleasePages(absl::Span<const std::byte> data) const {
  if (!mapped_ || data.empty()) return;
  const uintptr_t page = sysconf(_SC_PAGESIZE);
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(data.data() + data.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace spotinference
