#include "backends/vulkan/free_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spotinference::vulkan {
namespace {

TEST(FreeRangesTest, TakesTheLowestPlaceThatIsLongEnough) {
  FreeRanges ranges(100);
  EXPECT_EQ(ranges.Take(40), 0u);
  EXPECT_EQ(ranges.Take(40), 40u);
  EXPECT_EQ(ranges.Take(40), std::nullopt);
  ranges.Give(0, 40);
  EXPECT_EQ(ranges.Take(50), std::nullopt);
  EXPECT_EQ(ranges.Take(20), 0u);
  EXPECT_EQ(ranges.Take(20), 20u);
  EXPECT_EQ(ranges.Take(20), 80u);
  EXPECT_EQ(ranges.Take(1), std::nullopt);
}

TEST(FreeRangesTest, JoinsNeighboursOnBothSides) {
  FreeRanges ranges(30);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ranges.Take(10).has_value());
  ranges.Give(0, 10);
  ranges.Give(20, 10);
  EXPECT_EQ(ranges.Take(20), std::nullopt);
  ranges.Give(10, 10);
  EXPECT_TRUE(ranges.all_free());
  EXPECT_EQ(ranges.Take(30), 0u);
}

TEST(FreeRangesTest, NothingOverlapsAndAllComesBack) {
  std::mt19937 random(1);
  constexpr uint64_t kSize = 1000;
  FreeRanges ranges(kSize);
  struct Taken {
    uint64_t offset, size;
  };
  std::vector<Taken> taken;
  std::vector<bool> used(kSize);
  for (int i = 0; i < 10000; ++i) {
    if (taken.empty() || random() % 2) {
      const uint64_t size = 1 + random() % 50;
      const auto offset = ranges.Take(size);
      if (!offset) continue;
      ASSERT_LE(*offset + size, kSize);
      for (uint64_t at = *offset; at < *offset + size; ++at) {
        ASSERT_FALSE(used[at]);
        used[at] = true;
      }
      taken.push_back({*offset, size});
    } else {
      std::swap(taken[random() % taken.size()], taken.back());
      for (uint64_t at = taken.back().offset; at < taken.back().offset + taken.back().size; ++at) used[at] = false;
      ranges.Give(taken.back().offset, taken.back().size);
      taken.pop_back();
    }
  }
  for (const Taken& t : taken) ranges.Give(t.offset, t.size);
  EXPECT_TRUE(ranges.all_free());
}

}  // namespace
}  // namespace spotinference::vulkan
