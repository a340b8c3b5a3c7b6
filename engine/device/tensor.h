// Element types of weights, and a weight as it lies in a file.
#ifndef ENGINE_DEVICE_TENSOR_H_
#define ENGINE_DEVICE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

// The block formats are those of GGUF files.
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,  // 32 elements: f16 d, 32 × int8 q;                 value = q·d
  kQ4_1,  // 32 elements: f16 d, f16 m, 16 bytes of nibbles;   value = q·d + m; low nibbles are elements 0–15
};

// What a block of a type takes.
struct DTypeLayout {
  DType type;
  absl::string_view name;  // "Q4_1"
  uint32_t gguf_id;
  int block_elements;
  int block_bytes;
};

// All types that the engine reads, in the order of DType.
absl::Span<const DTypeLayout> DTypes();
inline const DTypeLayout& Layout(DType type) { return DTypes()[static_cast<size_t>(type)]; }

// A weight in host memory, not owned: `rows` outputs of `columns` inputs each, row after row. A vector has one row.
// `columns` is a whole number of blocks.
struct TensorView {
  std::string name;
  DType type = DType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  absl::Span<const std::byte> data;
};

// Bytes of one row.
inline int64_t RowBytes(DType type, int64_t columns) {
  const DTypeLayout& layout = Layout(type);
  return columns / layout.block_elements * layout.block_bytes;
}

// Writes row `row` of `view` as floats. out: [columns].
void DequantizeRow(const TensorView& view, int64_t row, absl::Span<float> out);

float HalfToFloat(uint16_t half);
uint16_t FloatToHalf(float value);  // to nearest, ties to even

}  // namespace spotinference

#endif  // ENGINE_DEVICE_TENSOR_H_
