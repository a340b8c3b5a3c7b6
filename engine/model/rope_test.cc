// Frequencies of published models against those that `transformers` computes (goldens/make_goldens.py).
//
// rope_test FREQUENCIES.txt
#include "engine/model/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace spotinference {
namespace {

std::string golden_path;

RopeScalingKind Kind(const std::string& name) {
  if (name == "linear") return RopeScalingKind::kLinear;
  if (name == "yarn") return RopeScalingKind::kYarn;
  EXPECT_EQ(name, "llama3");
  return RopeScalingKind::kLlama3;
}

TEST(Rope, ScalesAsTransformersDoes) {
  std::ifstream in(golden_path);
  int models = 0;
  for (std::string line; std::getline(in, line);) {
    if (line[0] == '#') continue;
    std::istringstream words(line);
    std::string model, kind;
    int head_dim = 0;
    double base = 0, magnitude = 0;
    RopeScaling scaling;
    words >> model >> kind >> head_dim >> base >> scaling.factor >> scaling.original_context_tokens >> magnitude;
    scaling.kind = Kind(kind);
    const std::vector<double> expected(std::istream_iterator<double>(words), {});
    const RopeAttributes rope = MakeRope(head_dim, head_dim, /*interleaved=*/false, base, scaling);
    ASSERT_EQ(rope.frequencies.size(), head_dim / 2);
    ASSERT_EQ(expected.size(), head_dim / 2);
    EXPECT_NEAR(rope.magnitude, magnitude, 1e-7 * magnitude) << model;
    // Theirs are powers in float: ln(base) < 14 times the rounding of an exponent, and some roundings more.
    for (int i = 0; i < head_dim / 2; ++i) {
      EXPECT_NEAR(rope.frequencies[i], expected[i], 20 * 0x1p-24 * expected[i]) << model << ", pair " << i;
    }
    ++models;
  }
  EXPECT_EQ(models, 5);
}

TEST(Rope, DividesOnTopOfTheScaling) {
  const RopeScaling linear{.kind = RopeScalingKind::kLinear, .factor = 2, .attention_factor = 1.5};
  const RopeAttributes rope = MakeRope(8, 4, true, 100, linear, {1, 5});
  EXPECT_THAT(rope.frequencies, testing::ElementsAre(testing::DoubleEq(0.5), testing::DoubleEq(0.01)));
  EXPECT_EQ(rope.magnitude, 1.5f);
  EXPECT_EQ(rope.head_dim, 8);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) return 2;
  spotinference::golden_path = argv[1];
  return RUN_ALL_TESTS();
}
