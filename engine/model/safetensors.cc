#include "engine/model/safetensors.h"

#include <algorithm>
#include <bit>
#include <boost/json.hpp>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

namespace json = boost::json;

static_assert(std::endian::native == std::endian::little, "safetensors are read in place, and they are little-endian");

// A header has some 100 bytes a tensor. The format's own limit is 100 MB, which as JSON values would take a gigabyte.
constexpr uint64_t kMaxHeaderBytes = uint64_t{32} << 20;
constexpr size_t kMaxDimensions = 8;

absl::string_view View(json::string_view s) { return {s.data(), s.size()}; }

std::string Quote(absl::string_view name) {
  constexpr size_t kShown = 80;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kShown)), name.size() > kShown ? "…" : "", "'");
}

absl::StatusOr<DType> TypeNamed(absl::string_view name) {
  constexpr std::pair<absl::string_view, DType> kTypes[] = {
      {"F32", DType::kF32}, {"F16", DType::kF16}, {"BF16", DType::kBF16}};
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  return absl::InvalidArgumentError(absl::StrCat("dtype ", Quote(name), "; supported are F32, F16, BF16"));
}

absl::Status ReadShape(const json::value* shape, TensorView& tensor) {
  const json::array* const dimensions = shape == nullptr ? nullptr : shape->if_array();
  if (dimensions == nullptr) return absl::InvalidArgumentError("'shape' is not an array");
  if (dimensions->size() > kMaxDimensions) {
    return absl::InvalidArgumentError(
        absl::StrCat("a shape of ", dimensions->size(), " dimensions; at most ", kMaxDimensions, " are allowed"));
  }
  tensor.rows = tensor.columns = 1;
  for (size_t d = 0; d < dimensions->size(); ++d) {
    const int64_t* const size = (*dimensions)[d].if_int64();
    int64_t& product = d + 1 == dimensions->size() ? tensor.columns : tensor.rows;
    if (size == nullptr || *size < 0 || __builtin_mul_overflow(product, *size, &product)) {
      return absl::InvalidArgumentError(
          absl::StrCat("dimension ", d, " is ", json::serialize((*dimensions)[d]).substr(0, 40),
                       "; a number from 0, and a product below 2^63, is allowed"));
    }
  }
  return absl::OkStatus();
}

// Where the tensor's bytes lie, as far as one tensor can tell.
absl::Status ReadOffsets(const json::value* offsets, absl::Span<const std::byte> data, TensorView& tensor) {
  const json::array* const pair = offsets == nullptr ? nullptr : offsets->if_array();
  const int64_t* const begin = pair != nullptr && pair->size() == 2 ? (*pair)[0].if_int64() : nullptr;
  const int64_t* const end = pair != nullptr && pair->size() == 2 ? (*pair)[1].if_int64() : nullptr;
  if (begin == nullptr || end == nullptr) return absl::InvalidArgumentError("'data_offsets' are not two numbers");
  if (*begin < 0 || *end < *begin || static_cast<uint64_t>(*end) > data.size()) {
    return absl::InvalidArgumentError(absl::StrCat("data_offsets [", *begin, ", ", *end,
                                                   "] are not within the file's ", data.size(),
                                                   " bytes of tensor data"));
  }
  int64_t bytes;
  if (__builtin_mul_overflow(tensor.rows, tensor.columns, &bytes) ||
      __builtin_mul_overflow(bytes, Layout(tensor.type).block_bytes, &bytes) || bytes != *end - *begin) {
    return absl::InvalidArgumentError(absl::StrCat(
        tensor.rows, " rows of ", tensor.columns, " ", Layout(tensor.type).name, " elements do not take the ",
        *end - *begin, " bytes of data_offsets [", *begin, ", ", *end, "]"));
  }
  tensor.data = data.subspan(*begin, bytes);
  return absl::OkStatus();
}

absl::StatusOr<TensorView> ReadTensor(absl::string_view name, const json::value& entry,
                                      absl::Span<const std::byte> data) {
  TensorView tensor{.name = std::string(name)};
  const json::object* const object = entry.if_object();
  if (object == nullptr) return absl::InvalidArgumentError("its entry is not an object");
  const json::value* const dtype = object->if_contains("dtype");
  const json::string* const type = dtype == nullptr ? nullptr : dtype->if_string();
  if (type == nullptr) return absl::InvalidArgumentError("'dtype' is not a string");
  ASSIGN_OR_RETURN(tensor.type, TypeNamed(View(*type)));
  RETURN_IF_ERROR(ReadShape(object->if_contains("shape"), tensor));
  RETURN_IF_ERROR(ReadOffsets(object->if_contains("data_offsets"), data, tensor));
  return tensor;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapped, MappedFile::Open(path));
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile(mapped->bytes()));
  file->mapped_ = std::move(mapped);
  file->path_ = path;
  if (absl::Status read = file->ReadHeader(); !read.ok()) {
    return absl::Status(read.code(), absl::StrCat("model file '", path, "': ", read.message()));
  }
  return file;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Parse(absl::Span<const std::byte> bytes) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile(bytes));
  RETURN_IF_ERROR(file->ReadHeader());
  return file;
}

absl::Status SafetensorsFile::ReadHeader() {
  uint64_t header_bytes = 0;
  if (bytes_.size() < sizeof(header_bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header's length takes 8 bytes, but the file has ", bytes_.size()));
  }
  std::memcpy(&header_bytes, bytes_.data(), sizeof(header_bytes));
  const absl::Span<const std::byte> rest = bytes_.subspan(sizeof(header_bytes));
  if (header_bytes > rest.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a header of ", header_bytes, " bytes, but ", rest.size(), " are left in the file"));
  }
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a header of ", header_bytes, " bytes; at most ", kMaxHeaderBytes, " are allowed"));
  }
  json::error_code error;
  const json::value header = json::parse({reinterpret_cast<const char*>(rest.data()), header_bytes}, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("the header is not JSON: ", error.message()));
  const json::object* const entries = header.if_object();
  if (entries == nullptr) return absl::InvalidArgumentError("the header is not a JSON object");
  head_bytes_ = sizeof(header_bytes) + header_bytes;
  const absl::Span<const std::byte> data = rest.subspan(header_bytes);
  for (const auto& [name, entry] : *entries) {
    if (name == "__metadata__") continue;
    absl::StatusOr<TensorView> tensor = ReadTensor(View(name), entry, data);
    if (!tensor.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(View(name)), ": ", tensor.status().message()));
    }
    tensors_.push_back(*std::move(tensor));
  }
  return CheckOrder(data);
}

// Bytes that two tensors share, or none has, would let a file be two things at once. It also catches a name that occurs
// twice, of which the JSON parser keeps one.
absl::Status SafetensorsFile::CheckOrder(absl::Span<const std::byte> data) {
  std::stable_sort(tensors_.begin(), tensors_.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(a.data.data(), a.data.size()) < std::pair(b.data.data(), b.data.size());
  });
  const std::byte* end = data.data();
  for (const TensorView& tensor : tensors_) {
    if (tensor.data.data() != end) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", Quote(tensor.name), " begins at byte ", tensor.data.data() - data.data(),
          " of the data; the one before it ends at ", end - data.data()));
    }
    end += tensor.data.size();
  }
  if (end != data.data() + data.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the tensors end at byte ", end - data.data(), " of the file's ",
                                                   data.size(), " bytes of tensor data"));
  }
  return absl::OkStatus();
}

}  // namespace spotinference
