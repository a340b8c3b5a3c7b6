#include "engine/sample/perplexity.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::ElementsAre;

std::vector<double> Logs(std::vector<double> probabilities) {
  for (double& p : probabilities) p = std::log(p);
  return probabilities;
}

TEST(PerplexityTest, LogSoftmaxSumsToOneAtAnySize) {
  std::vector<double> out;
  LogSoftmax({1000.0f, 1000.0f, -1000.0f}, out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_DOUBLE_EQ(out[0], -std::log(2.0));
  EXPECT_DOUBLE_EQ(out[1], -std::log(2.0));
  EXPECT_DOUBLE_EQ(out[2], -2000 - std::log(2.0));
}

TEST(PerplexityTest, IsTheInverseOfTheGeometricMean) {
  Perplexity perplexity;
  EXPECT_TRUE(std::isnan(perplexity.value()));
  perplexity.Add(Logs({0.5, 0.25, 0.25}), 0);
  EXPECT_DOUBLE_EQ(perplexity.value(), 2);
  EXPECT_EQ(perplexity.standard_error(), 0);
  perplexity.Add(Logs({0.5, 0.125, 0.375}), 1);
  EXPECT_DOUBLE_EQ(perplexity.value(), 4);  // 1/√(1/2 · 1/8)
  EXPECT_EQ(perplexity.tokens(), 2);
  // −log p is ln 2 and 3 ln 2: their mean's standard error is ln 2, by σ/√(n − 1) with σ² over n.
  EXPECT_NEAR(perplexity.standard_error(), 4 * std::log(2.0), 1e-12);
}

TEST(DivergenceTest, IsThatOfKullbackAndLeibler) {
  Divergence divergence;
  const auto even = Logs({0.5, 0.5}), skewed = Logs({0.25, 0.75});
  divergence.Add(skewed, skewed);
  EXPECT_EQ(divergence.mean(), 0);
  EXPECT_EQ(divergence.same_top(), 1);
  divergence.Add(even, skewed);
  EXPECT_NEAR(divergence.mean(), (0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3)) / 2, 1e-15);
  EXPECT_EQ(divergence.same_top(), 0.5);
}

TEST(PerplexityChunksTest, WholeChunksThatBeginWithBos) {
  const std::vector<uint32_t> ids = {9, 1, 2, 3, 4, 5, 6};
  EXPECT_THAT(PerplexityChunks(ids, 3, std::nullopt), ElementsAre(ElementsAre(9, 1, 2), ElementsAre(3, 4, 5)));
  EXPECT_THAT(PerplexityChunks(ids, 3, 9), ElementsAre(ElementsAre(9, 1, 2), ElementsAre(9, 4, 5)));
  EXPECT_THAT(PerplexityChunks(ids, 8, 9), ElementsAre());
  EXPECT_EQ(FirstScored(512), 256);
}

}  // namespace
}  // namespace spotinference
