#include "engine/sample/noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/sample/exp_log.h"

namespace spotinference {
namespace {

using ::testing::ElementsAre;

// The known answers that the authors publish with Random123 (kat_vectors, "philox4x32 10").
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(NoiseTest, ABlockHoldsTheBitsOfItsIds) {
  const Noise noise(0x0123456789abcdef, 3, 1000);
  uint32_t bits[Noise::kBlock];
  noise.Bits(4096, bits);
  for (uint32_t i = 0; i < Noise::kBlock; ++i) EXPECT_EQ(bits[i], noise.Bits(4096 + i)) << i;
}

TEST(NoiseTest, EachArgumentMatters) {
  const uint32_t bits = Noise(1, 2, 3).Bits(4);
  EXPECT_NE(bits, Noise(2, 2, 3).Bits(4));
  EXPECT_NE(bits, Noise(1 + (uint64_t{1} << 32), 2, 3).Bits(4));
  EXPECT_NE(bits, Noise(1, 3, 3).Bits(4));
  EXPECT_NE(bits, Noise(1, 2, 4).Bits(4));
  EXPECT_NE(bits, Noise(1, 2, 3).Bits(5));
  EXPECT_NE(bits, Noise(1, 2, 3).Bits(8));
  EXPECT_NE(Noise(1, 2, 3).Bits(4), Noise(1, 3, 2).Bits(4));
}

TEST(NoiseTest, IsGumbelDistributed) {
  // Kolmogorov-Smirnov in 64 equally likely cells: the distance of n samples exceeds 1.95 / sqrt(n)
  // once in a thousand.
  constexpr int kSamples = 200000;
  constexpr int kCells = 64;
  int cells[kCells] = {};
  const Noise noise(7, 0, 0);
  for (uint32_t id = 0; id < kSamples; ++id) {
    const double cumulative = std::exp(-std::exp(-Noise::Gumbel(noise.Bits(id))));
    ++cells[static_cast<int>(cumulative * kCells)];
  }
  int below = 0;
  for (int cell = 0; cell < kCells; ++cell) {
    below += cells[cell];
    EXPECT_NEAR(below / double{kSamples}, (cell + 1) / double{kCells}, 1.95 / std::sqrt(kSamples));
  }
}

TEST(NoiseTest, IsWithinItsBounds) {
  EXPECT_GT(Noise::kMaxGumbel, Noise::Gumbel(0xffffffff) + 1e-3);
  EXPECT_NEAR(Noise::Gumbel(0xffffffff), 33 * std::log(2), 1e-9);
  EXPECT_NEAR(Noise::Gumbel(0), -std::log(33 * std::log(2)), 1e-14);
  const auto check = [](uint32_t bits) {
    ASSERT_GE(Noise::GumbelBound(bits), Noise::Gumbel(bits) + 1e-5) << bits;
    ASSERT_LE(Noise::GumbelBound(bits), std::max(0.0, Noise::Gumbel(bits)) + 1.2)
        << bits << ": of no use";
  };
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4093) {
    check(static_cast<uint32_t>(bits));
  }
  for (uint32_t i = 0; i < 200000; ++i) check(~i);
  for (uint32_t i = 0; i < 32; ++i) {  // round the powers of two, where the bound is tightest
    for (uint32_t near = 0; near < 64; ++near) check(~((1u << i) + near - 32));
  }
}

TEST(ExpLogTest, ExpIsWithinItsError) {
  for (float x = 0; x > -86.9f; x -= 0.00173f) {
    const double expected = std::exp(double{x});
    ASSERT_NEAR(ExpOfNegative(x), expected, 3e-7 * expected) << x;
  }
  EXPECT_EQ(ExpOfNegative(0), 1);
  EXPECT_NEAR(ExpOfNegative(-87), std::exp(-87.0), 1e-44);
  EXPECT_EQ(ExpOfNegative(-1e30f), ExpOfNegative(-87));
  EXPECT_EQ(ExpOfNegative(-std::numeric_limits<float>::infinity()), ExpOfNegative(-87));
}

TEST(ExpLogTest, LogIsWithinItsError) {
  const auto check = [](double x) {
    const double expected = std::log(x);
    ASSERT_NEAR(Log(x), expected, 4e-16 * std::max(1.0, std::abs(expected))) << x;
  };
  for (double x = 1e-300; x < 1e300; x *= 1.0137) check(x);
  for (double x = 0.4; x < 2.2; x += 0.0000317) check(x);
  EXPECT_EQ(Log(1), 0);
  // Next to 1 the error is relative: -log(u) of the largest u is 1.2e-10.
  EXPECT_NEAR(Log(1 - 0x1p-33), std::log1p(-0x1p-33), 1e-25);
}

}  // namespace
}  // namespace spotinference
