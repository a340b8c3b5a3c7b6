#include "engine/notice/signal_source.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

TEST(SignalSourceTest, EachSignalIsANotice) {
  const StopSignal signals;
  FakeClock clock;
  clock.Advance(absl::Seconds(100));
  absl::Mutex mutex;
  std::vector<Notice> notices;
  const std::unique_ptr<NoticeSource> source = NewSignalSource(signals, absl::Seconds(30), clock);
  source->Watch([&](const std::optional<Notice>& notice) {
    ASSERT_TRUE(notice.has_value());
    absl::MutexLock lock(&mutex);
    notices.push_back(*notice);
  });
  size_t count = 0;
  for (const int number : {SIGTERM, SIGINT}) {
    ++count;
    ASSERT_EQ(kill(getpid(), number), 0);
    absl::MutexLock lock(&mutex);
    const auto there = [&] { return notices.size() == count; };
    mutex.Await(absl::Condition(&there));
    EXPECT_EQ(notices.back().source, "sigterm");
    EXPECT_EQ(notices.back().kind, Notice::Kind::kStop);
    EXPECT_EQ(notices.back().at, absl::Seconds(130));
    EXPECT_EQ(notices.back().reason, strsignal(number));
  }
}

TEST(SignalSourceTest, EndsUnheard) {
  const StopSignal signals;
  FakeClock clock;
  const std::unique_ptr<NoticeSource> unwatched = NewSignalSource(signals, absl::Seconds(30), clock);
  const std::unique_ptr<NoticeSource> source = NewSignalSource(signals, absl::Seconds(30), clock);
  source->Watch([](const std::optional<Notice>&) { FAIL(); });
}

}  // namespace
}  // namespace spotinference
