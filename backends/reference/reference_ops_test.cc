#include "backends/reference/reference_ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace spotinference::reference {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

Matrix Of(int rows, std::vector<float> values) {
  Matrix matrix(rows, static_cast<int>(values.size()) / rows);
  matrix.values = std::move(values);
  return matrix;
}

TEST(Rope, TurnsNeighboursOrHalves) {
  const std::vector<int32_t> positions = {3};
  const auto c = [](double turns) { return FloatNear(std::cos(turns), 1e-6); };
  const auto s = [](double turns) { return FloatNear(std::sin(turns), 1e-6); };
  Matrix neighbours = Of(1, {1, 0, 1, 0, 7}), halves = Of(1, {1, 1, 0, 0, 7});
  Rope({.head_dim = 5, .interleaved = true, .frequencies = {1, 0.25}}, positions, neighbours);
  Rope({.head_dim = 5, .interleaved = false, .frequencies = {1, 0.25}}, positions, halves);
  EXPECT_THAT(neighbours.values, ElementsAre(c(3), s(3), c(0.75), s(0.75), 7));
  EXPECT_THAT(halves.values, ElementsAre(c(3), c(0.75), s(3), s(0.75), 7));
  Matrix longer = Of(1, {1, 0});
  Rope({.head_dim = 2, .frequencies = {1}, .magnitude = 2}, positions, longer);
  EXPECT_THAT(longer.values, ElementsAre(FloatNear(2 * std::cos(3.0), 1e-6), FloatNear(2 * std::sin(3.0), 1e-6)));
}

TEST(Attention, WeighsTheValuesOfItsOwnSequenceUpToItself) {
  // One key head for two query heads of one element. Sequence 0 lies in block 1, sequence 1 in
  // block 0.
  KvCache kv{Matrix(2 * kBlockTokens, 1), Matrix(2 * kBlockTokens, 1)};
  const std::vector<int32_t> positions = {0, 1, 0}, sequences = {0, 0, 1}, tables = {1, 0};
  const StepInput input{.positions = positions,
                        .sequences = sequences,
                        .block_tables = tables,
                        .blocks_per_sequence = 1};
  StoreKv(Of(3, {0, std::log(3.0f), 5}), Of(3, {1, 2, 9}), input, kv);
  EXPECT_EQ(kv.values.row(kBlockTokens + 1)[0], 2);
  Matrix out(3, 2);
  Attention(Of(3, {1, 1, 1, -1, 1, 1}), kv, {.heads = 2, .kv_heads = 1, .head_dim = 1, .scale = 1},
            input, 2, out);
  const auto near = [](float value) { return FloatNear(value, 1e-6f); };
  EXPECT_THAT(out.values,
              ElementsAre(1, 1, near(0.25f * 1 + 0.75f * 2), near(0.75f * 1 + 0.25f * 2), 9, 9));
}

TEST(Attention, SeesItsWindowAndNoMore) {
  KvCache kv{Matrix(kBlockTokens, 1), Matrix(kBlockTokens, 1)};
  const std::vector<int32_t> positions = {0, 1, 2}, sequences = {0, 0, 0}, tables = {0};
  const StepInput input{.positions = positions,
                        .sequences = sequences,
                        .block_tables = tables,
                        .blocks_per_sequence = 1};
  StoreKv(Of(3, {0, 0, 0}), Of(3, {8, 2, 4}), input, kv);
  Matrix out(3, 1);
  Attention(Of(3, {1, 1, 1}), kv,
            {.heads = 1, .kv_heads = 1, .head_dim = 1, .scale = 1, .window = 2}, input, 1, out);
  EXPECT_THAT(out.values, ElementsAre(8, 5, 3));
}

TEST(RmsNorm, NormsEachHeadByItself) {
  Matrix x = Of(1, {3, 3, 0.5f, -0.5f});
  RmsNorm(x, Of(1, {1, 2}), 0, x);
  EXPECT_THAT(x.values, ElementsAre(1, 2, 1, -2));
}

TEST(Matmul, AddsTheBias) {
  const Matrix bias = Of(1, {10, 20});
  Matrix out(1, 2);
  Matmul(Of(1, {1, 2}), Of(2, {1, 1, 3, -1}), &bias, 1, out);
  EXPECT_THAT(out.values, ElementsAre(13, 21));
}

TEST(Gate, HasBothActivations) {
  // From the definitions, by hand: silu(1) = 1 / (1 + 1/e); the other from Hendrycks and Gimpel, arXiv 1606.08415.
  Matrix out(1, 1);
  Gate(Activation::kSilu, Of(1, {1}), Of(1, {2}), out);
  EXPECT_NEAR(out.values[0], 2 * 0.7310586, 1e-6);
  Gate(Activation::kGeluTanh, Of(1, {1}), Of(1, {2}), out);
  EXPECT_NEAR(out.values[0], 2 * 0.8411920, 1e-6);
}

TEST(RoundToInt8, RoundsToTheNearestStepTiesToEven) {
  Matrix x(1, 40);
  x.row(0)[0] = -254;  // a step of 2
  x.row(0)[1] = 1;     // half a step, to 0
  x.row(0)[2] = 3;     // one and a half, to 2
  x.row(0)[3] = 3.1f;
  x.row(0)[4] = 2.9f;
  x.row(0)[33] = 0.3f;  // the largest of its own run stays
  RoundToInt8(x);
  EXPECT_THAT(absl::MakeSpan(x.row(0), 5), ElementsAre(-254, 0, 4, 4, 2));
  EXPECT_FLOAT_EQ(x.row(0)[33], 0.3f);
  EXPECT_EQ(x.row(0)[39], 0);

  Matrix bad = Of(
      1, {1, std::numeric_limits<float>::quiet_NaN(), 0, std::numeric_limits<float>::infinity()});
  RoundToInt8(bad);
  EXPECT_TRUE(std::isnan(bad.row(0)[1]));
  EXPECT_TRUE(std::isnan(bad.row(0)[3]));
}

}  // namespace
}  // namespace spotinference::reference
