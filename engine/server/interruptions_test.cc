#include "engine/server/interruptions.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "engine/api/status.h"
#include "engine/base/fake_clock.h"
#include "engine/server/fake_engine.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;
using Kind = Notice::Kind;

class FakeSink : public TokenSink {
 public:
  bool OnToken(const TokenEvent&) override { return true; }
  void OnEnd(const absl::Status& status) override { end = status; }
  absl::Status end;
};

class InterruptionsTest : public testing::Test {
 protected:
  Notice After(absl::Duration left, std::string source, Kind kind = Kind::kStop) const {
    return {std::move(source), kind, clock_.Elapsed() + left, "because"};
  }
  // "": none stands.
  std::string MostUrgent() const {
    const std::optional<api::Notice> notice = interruptions_.MostUrgent();
    return notice.has_value() ? notice->source() : "";
  }

  FakeClock clock_;
  FakeEngine engine_;
  Interruptions interruptions_{engine_, clock_, /*reserve=*/absl::Seconds(40)};
};

TEST_F(InterruptionsTest, AStopHandsSequencesOver) {
  const auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine_.Submit({}, sink).ok());
  EXPECT_EQ(interruptions_.Announce(After(absl::Milliseconds(1500), "aws")), 1);
  const std::optional<api::Notice> notice = NoticeOf(sink->end);
  ASSERT_TRUE(notice.has_value()) << sink->end;
  EXPECT_EQ(notice->source(), "aws");
  EXPECT_EQ(notice->kind(), api::Notice::KIND_STOP);
  EXPECT_EQ(notice->left_ms(), 1500);
  EXPECT_EQ(notice->reason(), "because");
  EXPECT_TRUE(NoticeOf(engine_.Submit({}, sink).status()).has_value());
}

TEST_F(InterruptionsTest, WhoWaitsForAChangeIsToldOfEachOnce) {
  std::string told;
  const auto await = [&](uint64_t known, char name) {
    return interruptions_.AwaitChange(known, [&told, name](bool changed) { told += changed ? name : '!'; });
  };
  await(0, 'a');
  EXPECT_EQ(told, "");
  interruptions_.Announce(After(absl::Minutes(2), "aws", Kind::kAtRisk));
  EXPECT_EQ(told, "a");
  EXPECT_EQ(interruptions_.changes(), 1);
  await(0, 'b');
  EXPECT_EQ(told, "ab") << "it has changed since";
  const uint64_t forgotten = await(1, 'c');
  await(1, 'd');
  EXPECT_TRUE(interruptions_.Forget(forgotten));
  EXPECT_FALSE(interruptions_.Forget(forgotten));
  interruptions_.Withdraw("gcp");
  EXPECT_EQ(told, "ab") << "nothing stood";
  interruptions_.Withdraw("aws");
  EXPECT_EQ(told, "abd");
  await(2, 'e');
  interruptions_.End();
  await(2, 'f');
  EXPECT_EQ(told, "abd!!");
}

TEST_F(InterruptionsTest, ARiskIsToldAndNothingEnds) {
  EXPECT_EQ(interruptions_.Announce(After(absl::Minutes(2), "aws", Kind::kAtRisk)), 0);
  EXPECT_TRUE(engine_.handed_over().ok());
  EXPECT_EQ(interruptions_.MostUrgent()->kind(), api::Notice::KIND_AT_RISK);
}

TEST_F(InterruptionsTest, AWithdrawnNoticeAdmitsAgain) {
  interruptions_.Announce(After(absl::Seconds(30), "azure"));
  interruptions_.Withdraw("gcp");
  EXPECT_FALSE(engine_.handed_over().ok());
  interruptions_.Withdraw("azure");
  EXPECT_TRUE(engine_.handed_over().ok());
  EXPECT_EQ(MostUrgent(), "");
  interruptions_.Announce(After(absl::Seconds(30), "azure"));
  EXPECT_FALSE(engine_.handed_over().ok());
}

TEST_F(InterruptionsTest, EachSourceSpeaksForItself) {
  interruptions_.Announce(After(absl::Seconds(30), "azure"));
  interruptions_.Announce(After(absl::Seconds(10), "local"));
  EXPECT_EQ(MostUrgent(), "local");
  interruptions_.Withdraw("local");
  EXPECT_EQ(MostUrgent(), "azure");
  EXPECT_FALSE(engine_.handed_over().ok());
  interruptions_.Announce(After(absl::Seconds(5), "azure", Kind::kAtRisk));  // it thought better of it
  EXPECT_TRUE(engine_.handed_over().ok());
}

TEST_F(InterruptionsTest, AStopIsMoreUrgentThanARisk) {
  interruptions_.Announce(After(absl::Seconds(1), "aws", Kind::kAtRisk));
  interruptions_.Announce(After(absl::Seconds(100), "local"));
  EXPECT_EQ(MostUrgent(), "local");
}

TEST_F(InterruptionsTest, WithTimeLeftItServesOnUntilItIsAskedToHandOver) {
  const auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine_.Submit({}, sink).ok());
  EXPECT_EQ(interruptions_.HandOver(), 0) << "no notice stands";
  EXPECT_FALSE(interruptions_.stops());
  EXPECT_EQ(interruptions_.Announce(After(absl::Seconds(41), "aws")), 0);
  EXPECT_TRUE(interruptions_.stops());
  EXPECT_TRUE(engine_.handed_over().ok()) << "it admits";
  EXPECT_EQ(interruptions_.HandOver(), 1);
  EXPECT_TRUE(NoticeOf(sink->end).has_value()) << sink->end;
  EXPECT_FALSE(engine_.handed_over().ok());
  interruptions_.AwaitHandOver();  // at once
  interruptions_.Announce(After(absl::Seconds(90), "aws"));
  EXPECT_FALSE(engine_.handed_over().ok()) << "what has left does not come back";
  interruptions_.Withdraw("aws");
  EXPECT_TRUE(engine_.handed_over().ok());
  EXPECT_EQ(interruptions_.Announce(After(absl::Seconds(41), "aws")), 0);
  EXPECT_TRUE(engine_.handed_over().ok()) << "another notice, another word";
}

TEST_F(InterruptionsTest, WithLittleTimeLeftItHandsOverByItself) {
  const auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine_.Submit({}, sink).ok());
  interruptions_.Announce(After(absl::Seconds(50), "aws"));
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(engine_.handed_over().ok());
  interruptions_.AwaitHandOver();
  EXPECT_TRUE(NoticeOf(sink->end).has_value()) << sink->end;
}

TEST_F(InterruptionsTest, ANewNoticeAfterAWithdrawnOneIsServedThroughAgain) {
  interruptions_.Announce(After(absl::Seconds(30), "azure"));
  EXPECT_TRUE(interruptions_.hands_over());
  interruptions_.Withdraw("azure");
  interruptions_.Announce(After(absl::Minutes(2), "azure"));
  EXPECT_FALSE(interruptions_.hands_over());
  EXPECT_FALSE(interruptions_.AwaitEnd(absl::Seconds(2))) << "it has not handed over yet";
}

TEST_F(InterruptionsTest, AStopThatComesAfterTheEndHandsOver) {
  const auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine_.Submit({}, sink).ok());
  interruptions_.End();
  EXPECT_EQ(interruptions_.Announce(After(absl::Minutes(2), "aws")), 1);
}

TEST_F(InterruptionsTest, AtTheEndOfTheProcessSequencesGoAtOnce) {
  const auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine_.Submit({}, sink).ok());
  interruptions_.Announce(After(absl::Minutes(2), "aws"));
  interruptions_.End();
  EXPECT_TRUE(NoticeOf(sink->end).has_value()) << sink->end;
}

TEST_F(InterruptionsTest, TimeRunsDownToZero) {
  interruptions_.Announce(After(absl::Seconds(2), "local"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(interruptions_.MostUrgent()->left_ms(), 1000);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(interruptions_.MostUrgent()->left_ms(), 0);
  interruptions_.Announce(After(absl::InfiniteDuration(), "local"));
  EXPECT_EQ(interruptions_.MostUrgent()->left_ms(), 4294967295u);
}

TEST_F(InterruptionsTest, TheEndIsAMarginBeforeTheSoonestStop) {
  interruptions_.Announce(After(absl::Seconds(20), "aws"));
  interruptions_.Announce(After(absl::Seconds(10), "local"));
  clock_.Advance(absl::Seconds(7));
  std::atomic<bool> ended = false;
  std::thread waits([&] {
    EXPECT_TRUE(interruptions_.AwaitEnd(absl::Seconds(2)));
    ended = true;
  });
  interruptions_.Withdraw("local");
  clock_.Advance(absl::Seconds(10));
  interruptions_.Announce(After(absl::Seconds(3), "aws"));  // a second too early
  EXPECT_FALSE(ended);
  interruptions_.Announce(After(absl::Seconds(2), "aws"));
  waits.join();
  EXPECT_TRUE(interruptions_.AwaitEnd(absl::Seconds(2)));  // at once
}

TEST_F(InterruptionsTest, AStopIsAwaitedAndMayPass) {
  interruptions_.Announce(After(absl::Seconds(30), "aws", Kind::kAtRisk));
  EXPECT_FALSE(interruptions_.AwaitEnd(absl::Seconds(2)));
  std::atomic<bool> stops = false;
  std::thread waits([&] {
    interruptions_.AwaitHandOver();
    stops = true;
    EXPECT_FALSE(interruptions_.AwaitEnd(absl::Seconds(2)));
  });
  EXPECT_FALSE(stops);
  interruptions_.Announce(After(absl::Seconds(30), "aws"));
  while (!stops) {
  }
  interruptions_.Withdraw("aws");
  waits.join();
}

TEST_F(InterruptionsTest, TheEndMayBeNow) {
  std::thread waits([&] {
    interruptions_.AwaitHandOver();
    EXPECT_TRUE(interruptions_.AwaitEnd(absl::Seconds(2)));
  });
  interruptions_.End();
  waits.join();
}

}  // namespace
}  // namespace spotinference
