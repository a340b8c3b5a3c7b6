#include "engine/model/gguf.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/str_join.h"
#include "engine/model/gguf_cursor.h"

namespace spotinference {
namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF is read in place, and it is little-endian");

// Real files have dozens of keys and at most some thousands of tensors.
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 16;
constexpr uint64_t kMaxTensorNameBytes = 64;  // the format's own limit, and so is this:
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 16;

// ggml's names by id, so that a refusal can say what the file has. "" was never given or is gone.
constexpr absl::string_view kTensorTypeNames[] = {
    "F32",    "F16",   "Q4_0",  "Q4_1",   "",      "",      "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   "",      "",      "",       "TQ1_0", "TQ2_0", "",        "",       "",        "MXFP4",
};

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

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapped, MappedFile::Open(path));
  std::unique_ptr<GgufFile> file(new GgufFile(mapped->bytes()));
  file->mapped_ = std::move(mapped);
  file->path_ = path;
  if (absl::Status read = file->ReadAll(); !read.ok()) {
    return absl::Status(read.code(), absl::StrCat("model file '", path, "': ", read.message()));
  }
  file->mapped_->ReleasePages(file->bytes_);  // a vocabulary that was gone through to find what lies behind it
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Parse(absl::Span<const std::byte> bytes) {
  std::unique_ptr<GgufFile> file(new GgufFile(bytes));
  RETURN_IF_ERROR(file->ReadAll());
  return file;
}

absl::Status GgufFile::ReadAll() {
  GgufCursor cursor(bytes_, count_bytes_);
  uint32_t magic = 0, version = 0;
  RETURN_IF_ERROR(cursor.Read(&magic, "the magic number"));
  if (magic != 0x46554747) {
    return absl::InvalidArgumentError(absl::StrCat(
        "not a GGUF file: it begins with 0x", absl::Hex(magic, absl::kZeroPad8), ", not with 0x46554747 ('GGUF')"));
  }
  RETURN_IF_ERROR(cursor.Read(&version, "the version"));
  if (version != 0 && (version & 0xffff) == 0) {
    return absl::InvalidArgumentError("a big-endian GGUF file; only little-endian ones are supported");
  }
  if (version < 1 || version > 3) {
    return absl::InvalidArgumentError(absl::StrCat("GGUF version ", version, "; supported are 1, 2 and 3"));
  }
  if (version == 1) count_bytes_ = sizeof(uint32_t);
  cursor.CountBytes(count_bytes_);
  uint64_t tensor_count = 0, key_count = 0;
  RETURN_IF_ERROR(cursor.ReadCount(&tensor_count, "the number of tensors"));
  RETURN_IF_ERROR(cursor.ReadCount(&key_count, "the number of keys"));
  if (tensor_count > kMaxTensors) {
    return cursor.Error(tensor_count, " tensors; at most ", kMaxTensors, " are allowed");
  }
  if (key_count > kMaxKeys) return cursor.Error(key_count, " keys; at most ", kMaxKeys, " are allowed");
  RETURN_IF_ERROR(ReadKeys(cursor, key_count));
  return ReadTensors(cursor, tensor_count);
}

absl::Status GgufFile::ReadTensors(GgufCursor& cursor, uint64_t count) {
  const uint64_t least_tensor_bytes = cursor.count_bytes() + 1 + 4 + cursor.count_bytes() + 4 + 8;
  cursor.Subject("section", 0);
  cursor.Name("header");
  if (count > cursor.left() / least_tensor_bytes) {
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
      RETURN_IF_ERROR(cursor.ReadCount(&size, "a dimension"));
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

  head_bytes_ = cursor.offset();
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

const TensorView* GgufFile::FindTensor(absl::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

void GgufFile::ReleasePages(absl::Span<const std::byte> data) const {
  if (mapped_ != nullptr) mapped_->ReleasePages(data);
}

}  // namespace spotinference
