#include <bit>
#include <cstring>

#include "engine/device/block.h"
#include "engine/device/tensor.h"

namespace spotinference {
namespace {

void Halves(const std::byte* from, float* to, int64_t n, float (*value)(uint16_t)) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + 2 * i, 2);
    to[i] = value(bits);
  }
}

}  // namespace

void BlockValues(const Block& block, BlockShape shape, float* to) {
  const float d = HalfToFloat(block.d), m = shape.has_minimum ? HalfToFloat(block.m) : 0;
  for (int s = 0; s < shape.elements / shape.sub_elements; ++s) {
    const int8_t* const q = &block.q[s * shape.sub_elements];
    float* const out = to + s * shape.sub_elements;
    const float scale = shape.elements == 32 ? d : d * block.scale[s];
    for (int j = 0; j < shape.sub_elements; ++j) out[j] = scale * q[j];
    if (!shape.has_minimum) continue;
    const float add = shape.elements == 32 ? m : -(m * block.minimum[s]);
    for (int j = 0; j < shape.sub_elements; ++j) out[j] += add;
  }
}

void DequantizeRow(const TensorView& view, int64_t row, absl::Span<float> out) {
  const DTypeLayout& layout = Layout(view.type);
  const std::byte* from = view.data.data() + row * RowBytes(view.type, view.columns);
  switch (view.type) {
    case DType::kF32:
      std::memcpy(out.data(), from, view.columns * sizeof(float));
      return;
    case DType::kF16:
      return Halves(from, out.data(), view.columns, HalfToFloat);
    case DType::kBF16:
      return Halves(from, out.data(), view.columns,
                    [](uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); });
    default:
      break;
  }
  Block block;
  for (int64_t i = 0; i < view.columns; i += layout.block_elements, from += layout.block_bytes) {
    OpenBlock(view.type, from, &block);
    BlockValues(block, ShapeOf(view.type), &out[i]);
  }
}

}  // namespace spotinference
