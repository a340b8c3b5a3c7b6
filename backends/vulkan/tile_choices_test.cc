#include "backends/vulkan/tile_choices.h"

#include <gtest/gtest.h>

namespace spotinference::vulkan {
namespace {

TileChoices Parsed(const std::string& bytes) {
  return TileChoices::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
}

TEST(TileChoicesTest, ComeBackAsTheyWere) {
  TileChoices choices;
  EXPECT_EQ(choices.outputs(DType::kQ4_1, 1), kUsualTileOutputs);
  choices.Set(DType::kQ4_1, 1, 4);
  choices.Set(DType::kQ4_1, 8, 1);
  choices.Set(DType::kIQ4_XS, 4, 1);
  const TileChoices back = Parsed(choices.Serialize());
  EXPECT_EQ(back.outputs(DType::kQ4_1, 1), 4u);
  EXPECT_EQ(back.outputs(DType::kQ4_1, 8), 1u);
  EXPECT_EQ(back.outputs(DType::kIQ4_XS, 4), 1u);
  EXPECT_FALSE(back.Has(DType::kQ4_1, 4));
}

// A shader of other constants could be wrong, or too large for the device.
TEST(TileChoicesTest, WhatIsNoChoiceIsLeftOut) {
  const std::string good = {4, 1, 4};
  for (const std::string& bad : {std::string{15, 1, 4}, {4, 2, 4}, {4, 1, 3}, {4, 1, 0}, {-1, -1, -1}, {4, 8, 4}}) {
    const TileChoices choices = Parsed(bad + good + "ab");
    EXPECT_EQ(choices.Serialize(), good);
  }
  EXPECT_EQ(Parsed("").Serialize(), "");
}

}  // namespace
}  // namespace spotinference::vulkan
