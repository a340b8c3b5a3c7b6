#include "fleet/providers/cloud/held_calls.h"

#include "engine/base/fake_clock.h"
#include "fleet/providers/cloud/http.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class HeldCallsTest : public testing::Test {
 protected:
  absl::Status Ask(const std::string& call, const absl::Status& answer = absl::OkStatus()) {
    return held_
        .Ask<int>(call,
                  [&]() -> absl::StatusOr<int> {
                    ++asked_;
                    if (answer.ok()) return 1;
                    return answer;
                  })
        .status();
  }
  static absl::Status Busy(int seconds) {
    return WithRetryAfter(absl::UnavailableError("busy"), absl::Seconds(seconds));
  }

  FakeClock clock_;
  HeldCalls held_{clock_};
  int asked_ = 0;
};

TEST_F(HeldCallsTest, WaitsAsLongAsItWasTold) {
  EXPECT_FALSE(IsHeld(Ask("GET /a", Busy(17))));
  EXPECT_TRUE(Ask("GET /b").ok());
  EXPECT_EQ(asked_, 2);
  clock_.Advance(absl::Milliseconds(16'500));
  const absl::Status status = Ask("GET /a");
  EXPECT_EQ(asked_, 2);
  EXPECT_TRUE(absl::IsUnavailable(status) && IsHeld(status));
  EXPECT_EQ(status.message(), "busy");
  EXPECT_EQ(RetryAfter(status), absl::Seconds(1)) << "whole seconds, and none too few";
  clock_.Advance(absl::Milliseconds(500));
  EXPECT_TRUE(Ask("GET /a").ok());
  EXPECT_TRUE(Ask("GET /a", Busy(3)).code() == absl::StatusCode::kUnavailable);
  EXPECT_FALSE(Ask("GET /a").ok());
}

TEST_F(HeldCallsTest, WhatTellsNoTimeHoldsNothing) {
  for (const absl::Status& other : {absl::UnavailableError("broken"), absl::NotFoundError("")}) {
    EXPECT_FALSE(Ask("GET /a", other).ok());
    EXPECT_TRUE(Ask("GET /a").ok());
  }
  EXPECT_EQ(asked_, 4);
}

// Two that were under way at once, and were answered in another order.
TEST_F(HeldCallsTest, TheLongestWaitCounts) {
  const absl::StatusOr<int> answer = held_.Ask<int>("GET /a", [&]() -> absl::StatusOr<int> {
    EXPECT_FALSE(Ask("GET /a", Busy(17)).ok());
    return Busy(3);
  });
  EXPECT_FALSE(answer.ok());
  clock_.Advance(absl::Seconds(16));
  EXPECT_FALSE(Ask("GET /a").ok());
  EXPECT_EQ(asked_, 1);
}

TEST(CallOf, IsWithoutWhatIsAskedFor) {
  EXPECT_EQ(CallOf("GET", "https://host/a/b?page=1"), "GET https://host/a/b");
  EXPECT_EQ(CallOf("DELETE", "https://host/a/b"), "DELETE https://host/a/b");
}

}  // namespace
}  // namespace spotinference::fleet
