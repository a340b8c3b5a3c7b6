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
  // 32 elements. f16 d, f16 m where there is one, then the quanta; of a byte of nibbles the low one is element j, the high
  // one j + 16.
  kQ4_0,    // (q − 8)·d
  kQ4_1,    // q·d + m
  kQ5_0,    // (q − 16)·d; u32 of fifth bits before the nibbles
  kQ5_1,    // q·d + m; the same
  kQ8_0,    // q·d, int8
  kIQ4_NL,  // kCodebook4[q]·d
  // 256 elements in sub-blocks of 16 or 32, each with a small scale (and minimum) of its own in units of d (and dmin).
  kQ2_K,    // d·s·q − dmin·m, sub-blocks of 16
  kQ3_K,    // d·s·q, q −4 … 3, sub-blocks of 16
  kQ4_K,    // d·s·q − dmin·m, sub-blocks of 32
  kQ5_K,    // the same with a fifth bit
  kQ6_K,    // d·s·(q − 32), sub-blocks of 16
  kIQ4_XS,  // d·s·kCodebook4[q], sub-blocks of 32
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

// Writes row `row` of `view` as floats, in the order of operations that the table above has. out: [columns].
void DequantizeRow(const TensorView& view, int64_t row, absl::Span<float> out);

float HalfToFloat(uint16_t half);
uint16_t FloatToHalf(float value);  // to nearest, ties to even

}  // namespace spotinference

#endif  // ENGINE_DEVICE_TENSOR_H_
