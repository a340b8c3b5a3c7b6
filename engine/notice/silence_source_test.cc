#include "engine/notice/silence_source.h"

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(15);

class SilenceSourceTest : public testing::Test {
 protected:
  ~SilenceSourceTest() override { source_.reset(); }

  void Watch(const std::string& contact_file = "") {
    source_ = NewSilenceSource(silence_, contact_file, clock_, absl::Milliseconds(1));
    source_->Watch([this](const std::optional<Notice>& notice) {
      absl::MutexLock lock(&mutex_);
      said_.push_back(notice);
    });
  }
  // What was said last, once so much was said.
  std::optional<Notice> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto said = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return said_.size() >= count; };
    mutex_.Await(absl::Condition(&said));
    EXPECT_EQ(said_.size(), count);
    return said_.back();
  }
  size_t said() {
    absl::MutexLock lock(&mutex_);
    return said_.size();
  }

  FakeClock clock_;
  Silence silence_{kLimit, clock_};
  absl::Mutex mutex_;
  std::vector<std::optional<Notice>> said_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<NoticeSource> source_;
};

TEST_F(SilenceSourceTest, GivesNoticeBeforeTheLimit) {
  Watch();
  clock_.Advance(kLimit - kSilenceNotice);
  const std::optional<Notice> notice = Await(1);
  ASSERT_TRUE(notice.has_value());
  EXPECT_EQ(notice->source, "silence");
  EXPECT_EQ(notice->kind, Notice::Kind::kStop);
  EXPECT_EQ(notice->at, kLimit);
  EXPECT_EQ(notice->reason, "nobody has spoken to this machine for 14m30s");
}

TEST_F(SilenceSourceTest, AWordBeginsItAnew) {
  clock_.Advance(kLimit - kSilenceNotice - absl::Seconds(1));
  silence_.Heard();
  clock_.Advance(kSilenceNotice);
  EXPECT_EQ(silence_.left(), kLimit - kSilenceNotice);
  clock_.Advance(kLimit);
  Watch();
  EXPECT_TRUE(Await(1).has_value());
  silence_.Heard();
  EXPECT_FALSE(Await(2).has_value()) << "withdrawn";
  clock_.Advance(kLimit);
  EXPECT_TRUE(Await(3).has_value());
}

TEST_F(SilenceSourceTest, AShortLimitDoesNotBeginWithItsNotice) {
  const Silence silence(absl::Seconds(2), clock_);
  source_ = NewSilenceSource(silence, "", clock_, absl::Milliseconds(1));
  source_->Watch([this](const std::optional<Notice>& notice) {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(clock_.Elapsed(), absl::Seconds(1));
    said_.push_back(notice);
  });
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Await(1).has_value());
  source_.reset();
}

TEST_F(SilenceSourceTest, SaysNothingWhileSomebodySpeaks) {
  Watch();
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(kLimit - kSilenceNotice - absl::Seconds(1));
    silence_.Heard();
  }
  EXPECT_EQ(said(), 0);
  clock_.Advance(kLimit);
  EXPECT_TRUE(Await(1).has_value());
}

TEST_F(SilenceSourceTest, TouchesItsFileWhileSomebodySpeaks) {
  const std::string path = testing::TempDir() + "/contact";
  struct stat file;
  Watch(path);
  clock_.Advance(kLimit);
  EXPECT_TRUE(Await(1).has_value());
  EXPECT_NE(stat(path.c_str(), &file), 0) << "nobody has spoken";
  silence_.Heard();
  Await(2);
  while (stat(path.c_str(), &file) != 0) {  // at the latest with the next look; else the test's own time runs out
  }
}

}  // namespace
}  // namespace spotinference
