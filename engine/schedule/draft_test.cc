#include "engine/schedule/draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace spotinference {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Ids = std::vector<uint32_t>;

TEST(Draft, IsWhatFollowedTheLatestMatchOfThree) {
  const Ids ids{1, 2, 3, 40, 41, 9, 1, 2, 3, 50, 51, 52, 9, 1, 2, 3};
  EXPECT_THAT(Draft(ids, 2), ElementsAre(50, 51));
  EXPECT_THAT(Draft(ids, 1), ElementsAre(50));
}

TEST(Draft, FallsBackToAMatchOfTwo) {
  EXPECT_THAT(Draft(Ids{7, 2, 3, 40, 41, 8, 2, 3}, 3), ElementsAre(40, 41, 8));
  // An earlier match of three is better than a later one of two.
  EXPECT_THAT(Draft(Ids{8, 2, 3, 40, 7, 2, 3, 50, 8, 2, 3}, 1), ElementsAre(40));
}

TEST(Draft, EndsWithTheIds) {
  EXPECT_THAT(Draft(Ids{5, 5, 5, 5}, 3), ElementsAre(5));
  EXPECT_THAT(Draft(Ids{1, 2, 1, 2}, 3), ElementsAre(1, 2));
}

TEST(Draft, NoneWithoutAMatch) {
  EXPECT_THAT(Draft(Ids{}, 3), IsEmpty());
  EXPECT_THAT(Draft(Ids{1, 1}, 3), IsEmpty());
  EXPECT_THAT(Draft(Ids{1, 2, 3, 4}, 3), IsEmpty());
  EXPECT_THAT(Draft(Ids{1, 2, 3, 9, 3}, 3), IsEmpty());  // a match of one
  EXPECT_THAT(Draft(Ids{1, 2, 3, 1, 2, 3}, 0), IsEmpty());
}

TEST(Draft, LooksBackSoFarOnly) {
  Ids ids{1, 2, 3};
  for (uint32_t i = 0; i < 9000; ++i) ids.push_back(100 + i);
  for (const uint32_t id : {1, 2, 3}) ids.push_back(id);
  EXPECT_THAT(Draft(ids, 3), IsEmpty());
}

TEST(DraftRecord, RestsAfterBadGuessesAndTriesAgain) {
  DraftRecord record;
  int tried = 0;
  for (int step = 0; step < 1000; ++step) {
    if (!record.Pays()) continue;
    ++tried;
    record.Verified(0);
  }
  EXPECT_GT(tried, 1000 / 40);
  EXPECT_LT(tried, 50);
  for (int step = 0; step < 100; ++step) {
    if (record.Pays()) record.Verified(3);
  }
  for (int step = 0; step < 100; ++step) {
    EXPECT_TRUE(record.Pays());
    record.Verified(1);
  }
}

}  // namespace
}  // namespace spotinference
