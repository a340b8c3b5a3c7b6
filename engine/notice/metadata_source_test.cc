#include "engine/notice/metadata_source.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "engine/base/fake_clock.h"
#include "engine/base/fake_http_server.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

class MetadataSourceTest : public testing::Test {
 protected:
  MetadataSourceTest() {
    service_ = {.name = "test",
                .read = [this](HttpClient&) { return Read(); },
                .acknowledge = [this](HttpClient&, const std::string& id) { return Acknowledge(id); },
                .interval = absl::ZeroDuration(),
                .retry = absl::Nanoseconds(1),
                .max_retry = absl::Milliseconds(1)};
  }
  ~MetadataSourceTest() override {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    source_ = nullptr;
  }

  void Watch() {
    source_ = NewMetadataSource(service_, clock_);
    source_->Watch([this](const std::optional<Notice>& notice) {
      absl::MutexLock lock(&mutex_);
      changes_.push_back(notice);
    });
  }

  // Answers one reading, and waits until the one after it has begun.
  void Say(absl::StatusOr<MetadataReading> reading) {
    absl::MutexLock lock(&mutex_);
    answers_.push_back(std::move(reading));
    ++said_;
    const auto begun = [&] { return begun_ > said_; };
    mutex_.Await(absl::Condition(&begun));
  }
  void SayNotice(MetadataNotice notice) { Say(MetadataReading{std::move(notice), {}}); }

  std::vector<std::string> Changes() {
    absl::MutexLock lock(&mutex_);
    std::vector<std::string> words;
    for (const std::optional<Notice>& notice : changes_) {
      words.push_back(!notice.has_value() ? "none"
                                          : absl::StrCat(notice->source, " ", notice->reason, " at ",
                                                         absl::FormatDuration(notice->at)));
    }
    return words;
  }

  std::vector<std::string> acknowledged() {
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  // The next acknowledgement fails.
  void Refuse() {
    absl::MutexLock lock(&mutex_);
    refusal_ = absl::UnavailableError("status 503");
  }

  absl::StatusOr<MetadataReading> Read() {
    absl::MutexLock lock(&mutex_);
    ++begun_;
    const auto answered = [&] { return stop_ || !answers_.empty(); };
    mutex_.Await(absl::Condition(&answered));
    if (stop_) return absl::CancelledError("over");
    absl::StatusOr<MetadataReading> answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  absl::Status Acknowledge(const std::string& id) {
    absl::MutexLock lock(&mutex_);
    acknowledged_.push_back(id);
    return std::exchange(refusal_, absl::OkStatus());
  }

  FakeClock clock_;
  MetadataService service_;
  std::unique_ptr<NoticeSource> source_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int begun_ ABSL_GUARDED_BY(mutex_) = 0;  // readings
  int said_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<absl::StatusOr<MetadataReading>> answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::optional<Notice>> changes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(MetadataSourceTest, TellsChangesAlone) {
  Watch();
  clock_.Advance(absl::Seconds(100));
  const MetadataNotice notice{.reason = "terminate", .at = clock_.Now() + absl::Seconds(120)};
  Say(MetadataReading{});
  EXPECT_TRUE(Changes().empty());
  SayNotice(notice);
  SayNotice(notice);
  const std::vector<std::string> told = {"test terminate at 3m40s"};
  EXPECT_EQ(Changes(), told);
  Say(absl::UnavailableError("status 503"));
  Say(absl::InvalidArgumentError("not a JSON object"));
  EXPECT_EQ(Changes(), told) << "an error withdraws nothing";
  Say(MetadataReading{});
  EXPECT_EQ(Changes(), told) << "it is what was so before, and may be an old answer";
  Say(absl::UnavailableError("status 503"));
  Say(MetadataReading{});
  SayNotice({.reason = "stop", .left = absl::Seconds(30)});
  EXPECT_EQ(Changes(), (std::vector<std::string>{"test terminate at 3m40s", "none", "test stop at 2m10s"}));
}

TEST_F(MetadataSourceTest, AnOldAnswerAmongNewOnesChangesNothing) {
  Watch();
  const MetadataNotice first{.reason = "first"}, second{.reason = "second"};
  const std::vector<std::string> told = {"test first at 0", "test second at 0"};
  SayNotice(first);
  Say(MetadataReading{});
  SayNotice(first);
  Say(MetadataReading{});
  SayNotice(second);  // what is new is believed at once
  SayNotice(first);
  SayNotice(second);
  SayNotice(first);
  SayNotice(second);
  EXPECT_EQ(Changes(), told);
  SayNotice(first);
  SayNotice(first);
  EXPECT_EQ(Changes().size(), 3);
  EXPECT_EQ(Changes().back(), "test first at 0");
}

TEST_F(MetadataSourceTest, WhatMayBeWithdrawnIsNotAcknowledged) {
  Watch();
  SayNotice({.reason = "Preempt", .event_id = "e-1"});
  source_->Drained();
  Say(MetadataReading{});
  EXPECT_TRUE(acknowledged().empty());
  SayNotice({.reason = "Preempt", .event_id = "e-1"});
  EXPECT_EQ(acknowledged(), std::vector<std::string>{"e-1"});
}

TEST_F(MetadataSourceTest, AcknowledgesWhenDrained) {
  Watch();
  SayNotice({.reason = "Preempt", .left = absl::Seconds(30), .event_id = "e-1"});
  EXPECT_TRUE(acknowledged().empty());
  source_->Drained();
  Say(absl::UnavailableError("status 503"));
  EXPECT_TRUE(acknowledged().empty());
  Refuse();
  SayNotice({.reason = "Preempt", .left = absl::Seconds(30), .event_id = "e-1"});
  SayNotice({.reason = "Preempt", .left = absl::Seconds(30), .event_id = "e-1"});
  SayNotice({.reason = "Preempt", .left = absl::Seconds(30), .event_id = "e-1"});
  EXPECT_EQ(acknowledged(), (std::vector<std::string>{"e-1", "e-1"})) << "once more after the error, then no more";
  SayNotice({.reason = "Preempt", .event_id = "e-2"});  // still drained
  EXPECT_EQ(acknowledged().back(), "e-2");
  Say(MetadataReading{});
  Say(MetadataReading{});
  SayNotice({.reason = "Preempt", .event_id = "e-3"});  // it served in between
  EXPECT_EQ(acknowledged().back(), "e-2");
}

TEST_F(MetadataSourceTest, ADrainBeforeTheNoticeDoesNotCount) {
  Watch();
  Say(MetadataReading{});
  source_->Drained();  // by a notice of another source
  SayNotice({.reason = "Preempt", .event_id = "e-1"});
  EXPECT_TRUE(acknowledged().empty());
  source_->Drained();
  SayNotice({.reason = "Preempt", .event_id = "e-1"});
  EXPECT_EQ(acknowledged(), std::vector<std::string>{"e-1"});
}

TEST_F(MetadataSourceTest, WhatIsNotToBeAcknowledgedIsNot) {
  Watch();
  SayNotice({.reason = "Preempt", .left = absl::Seconds(30)});
  source_->Drained();
  SayNotice({.reason = "Preempt", .left = absl::Seconds(30)});
  EXPECT_TRUE(acknowledged().empty());
}

TEST_F(MetadataSourceTest, EndsAmidARequest) {
  absl::Notification asked;
  FakeHttpServer server([&](const FakeHttpRequest&) {
    asked.Notify();
    return FakeHttpReply{.headers = {{"content-length", "1"}}, .hangs = true};
  });
  service_.read = [&](HttpClient& client) -> absl::StatusOr<MetadataReading> {
    return client.Do({.url = server.url(), .timeout = absl::InfiniteDuration()}).status();
  };
  Watch();
  asked.WaitForNotification();
  source_ = nullptr;
  EXPECT_TRUE(Changes().empty());
}

TEST_F(MetadataSourceTest, EndsAmidAPause) {
  service_.interval = absl::InfiniteDuration();
  Watch();
  {
    absl::MutexLock lock(&mutex_);
    answers_.push_back(MetadataReading{MetadataNotice{.reason = "stop"}, {}});
    const auto told = [&] { return !changes_.empty(); };
    mutex_.Await(absl::Condition(&told));
  }
  source_ = nullptr;
}

}  // namespace
}  // namespace spotinference
