#include "fleet/plan/parking_queue.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Ids = std::vector<ParkingQueue::Id>;

class ParkingQueueTest : public testing::Test {
 protected:
  static Claim Of(std::string key, size_t bytes = 1) { return {.bytes = bytes, .key = std::move(key)}; }

  // Those who have to leave do; false: there is no place.
  bool Come(Claim claim, absl::Duration now = absl::ZeroDuration()) {
    const auto leave = queue_.WhoMakesPlace(claim, limits_);
    if (!leave.has_value()) return false;
    for (const ParkingQueue::Id id : *leave) {
      EXPECT_TRUE(queue_.Remove(id).has_value());
      left_.push_back(id);
    }
    queue_.Park(++last_, std::move(claim), /*awake=*/false, limits_, now);
    return true;
  }

  ParkingQueue queue_;
  ParkingQueue::Limits limits_ = {.requests = 4, .bytes = 100, .longest = absl::Seconds(10)};
  ParkingQueue::Id last_ = 0;
  Ids left_;
};

TEST_F(ParkingQueueTest, TurnsAreOfKeysAndThenOfTimes) {
  for (const char* key : {"a", "a", "b", "a"}) EXPECT_TRUE(Come(Of(key)));
  EXPECT_EQ(queue_.ByTurns(), (Ids{1, 3, 2, 4}));
  EXPECT_TRUE(queue_.Remove(1).has_value());
  EXPECT_FALSE(queue_.Remove(1).has_value());
  EXPECT_EQ(queue_.ByTurns(), (Ids{2, 3, 4}));
}

TEST_F(ParkingQueueTest, TheNewestOfTheKeyWithMostLeaves) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Come(Of("a")));
  EXPECT_FALSE(Come(Of("a")));
  EXPECT_TRUE(Come(Of("b")));
  EXPECT_TRUE(Come(Of("b")));
  EXPECT_FALSE(Come(Of("b"))) << "each has half";
  EXPECT_EQ(left_, (Ids{4, 3}));
}

TEST_F(ParkingQueueTest, NobodyLeavesForOneThatFindsNoPlaceAllTheSame) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Come(Of("a", 30)));
  EXPECT_FALSE(Come(Of("b", 101)));
  EXPECT_FALSE(Come(Of("b", 70)));
  EXPECT_EQ(queue_.size(), 3);
  EXPECT_TRUE(Come(Of("b", 40)));
  EXPECT_EQ(left_, (Ids{3}));
  EXPECT_TRUE(Come(Of("c", 0)));
  EXPECT_EQ(queue_.ByTurns(), (Ids{1, 4, 5, 2}));
}

TEST_F(ParkingQueueTest, BytesOfThoseWhoLeftAreFree) {
  EXPECT_TRUE(Come(Of("a", 100)));
  EXPECT_FALSE(Come(Of("a", 1)));
  EXPECT_EQ(queue_.Remove(1)->claim.bytes, 100u);
  EXPECT_TRUE(Come(Of("a", 100)));
}

TEST_F(ParkingQueueTest, WhoHadAMachineStays) {
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(Come({.bytes = 1, .key = "a", .begun = true}));
  EXPECT_TRUE(Come({.bytes = 1, .key = "a", .cuts = {{.life = std::make_shared<MachineLife>()}}}));
  EXPECT_TRUE(Come(Of("a")));
  EXPECT_EQ(queue_.resuming(), 3);
  EXPECT_TRUE(Come(Of("b"))) << "in place of the one that may leave";
  EXPECT_EQ(left_, (Ids{4}));
  EXPECT_FALSE(Come(Of("c")));
  EXPECT_EQ(queue_.ToRefuse(/*also_who_resumes=*/false), (Ids{5}));
  EXPECT_EQ(queue_.ToRefuse(/*also_who_resumes=*/true), (Ids{1, 2, 3, 5}));
}

TEST_F(ParkingQueueTest, EachWaitsEquallyLong) {
  EXPECT_EQ(queue_.next_deadline(), absl::InfiniteDuration());
  for (int second = 0; second < 3; ++second) EXPECT_TRUE(Come(Of("a"), absl::Seconds(second)));
  EXPECT_EQ(queue_.next_deadline(), absl::Seconds(10));
  EXPECT_EQ(queue_.Expired(absl::Seconds(9.9)), Ids{});
  EXPECT_EQ(queue_.Expired(absl::Seconds(11)), (Ids{1, 2}));
  EXPECT_EQ(queue_.waiters().at(2).since, absl::Seconds(1));
}

}  // namespace
}  // namespace spotinference::fleet
