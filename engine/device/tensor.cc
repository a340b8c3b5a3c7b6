#include "engine/device/tensor.h"

#include <bit>
#include <cstring>

namespace spotinference {
namespace {

constexpr DTypeLayout kDTypes[] = {
    {DType::kF32, "F32", 0, 1, 4},
    {DType::kF16, "F16", 1, 1, 2},
    {DType::kBF16, "BF16", 30, 1, 2},
    {DType::kQ8_0, "Q8_0", 8, 32, 34},
    {DType::kQ4_1, "Q4_1", 3, 32, 20},
};

template <typename T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

}  // namespace

absl::Span<const DTypeLayout> DTypes() { return kDTypes; }

float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: mantissa · 2^-24 is exact
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -value : value;
  }
  const uint32_t biased = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | biased << 23 | mantissa << 13);
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >> 13) & 0x1ff);  // NaN, quiet
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds past 65504
  if (magnitude < 0x38800000) {  // below 2^-14: adding 0.5 lets the adder round to a multiple of 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000);
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000 + 0xfff + odd) >> 13);
}

void DequantizeRow(const TensorView& view, int64_t row, absl::Span<float> out) {
  const std::byte* from = view.data.data() + row * RowBytes(view.type, view.columns);
  float* to = out.data();
  switch (view.type) {
    case DType::kF32:
      std::memcpy(to, from, view.columns * sizeof(float));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < view.columns; ++i) to[i] = HalfToFloat(Load<uint16_t>(from + 2 * i));
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < view.columns; ++i) {
        to[i] = std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(from + 2 * i)) << 16);
      }
      return;
    case DType::kQ8_0:
      for (int64_t i = 0; i < view.columns; i += 32, from += 34) {
        const float d = HalfToFloat(Load<uint16_t>(from));
        for (int j = 0; j < 32; ++j) to[i + j] = Load<int8_t>(from + 2 + j) * d;
      }
      return;
    case DType::kQ4_1:
      for (int64_t i = 0; i < view.columns; i += 32, from += 20) {
        const float d = HalfToFloat(Load<uint16_t>(from));
        const float m = HalfToFloat(Load<uint16_t>(from + 2));
        for (int j = 0; j < 16; ++j) {
          const int q = std::to_integer<int>(from[4 + j]);
          to[i + j] = (q & 15) * d + m;
          to[i + j + 16] = (q >> 4) * d + m;
        }
      }
      return;
  }
}

}  // namespace spotinference
