#include "engine/device/tensor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace spotinference {
namespace {

TEST(Half, EveryHalfComesBack) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float f = HalfToFloat(h);
    if (std::isnan(f)) {
      EXPECT_EQ(FloatToHalf(f) & 0x7c00, 0x7c00);
      EXPECT_NE(FloatToHalf(f) & 0x3ff, 0);
    } else {
      ASSERT_EQ(FloatToHalf(f), h);
    }
  }
}

// The compiler's own _Float16 rounds as IEEE 754 says.
TEST(Half, RoundsAsTheCompilerDoes) {
  for (uint64_t bits = 0; bits < 0x100000000; bits += 4099) {
    const float f = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isnan(f)) continue;
    const _Float16 expected = static_cast<_Float16>(f);
    uint16_t expected_bits;
    std::memcpy(&expected_bits, &expected, 2);
    ASSERT_EQ(FloatToHalf(f), expected_bits) << f;
  }
}

TEST(DTypes, AreInTheOrderOfTheEnum) {
  for (size_t i = 0; i < DTypes().size(); ++i) EXPECT_EQ(static_cast<size_t>(DTypes()[i].type), i);
}

TEST(DequantizeRow, ReadsTheSecondRowOfQ41) {
  std::vector<std::byte> data(40);
  const uint16_t d = FloatToHalf(0.5f), m = FloatToHalf(-2);
  std::memcpy(&data[20], &d, 2);
  std::memcpy(&data[22], &m, 2);
  data[24] = std::byte{0xf3};
  const TensorView view{"w", DType::kQ4_1, 2, 32, data};
  std::vector<float> row(32);
  DequantizeRow(view, 1, absl::MakeSpan(row));
  EXPECT_EQ(row[0], 3 * 0.5f - 2);
  EXPECT_EQ(row[16], 15 * 0.5f - 2);
  EXPECT_EQ(row[1], -2);
}

}  // namespace
}  // namespace spotinference
