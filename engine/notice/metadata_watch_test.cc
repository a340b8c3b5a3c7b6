// What an engine hears through each cloud's watcher while its service repeats itself, lags behind, is down, slow or
// hangs: every notice, once.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "engine/notice/aws_metadata.h"
#include "engine/notice/azure_metadata.h"
#include "engine/notice/emulator/metadata_emulator.h"
#include "engine/notice/gcp_metadata.h"
#include "engine/notice/metadata_source.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Changes = std::vector<std::string>;

class MetadataWatchTest : public testing::TestWithParam<std::string> {
 protected:
  // Over and over, almost without a pause; what its pauses are worth is metadata_services_test's affair.
  void Watch() {
    MetadataService service = GetParam() == "aws"   ? AwsMetadata(emulator_.url(), clock_)
                              : GetParam() == "gcp" ? GcpMetadata(emulator_.url())
                                                    : AzureMetadata(emulator_.url(), "");
    service.interval = service.retry = service.max_retry = absl::Milliseconds(1);
    source_ = NewMetadataSource(std::move(service), clock_);
    source_->Watch([this](const std::optional<Notice>& notice) {
      absl::MutexLock lock(&mutex_);
      changes_.push_back(notice.has_value() ? notice->reason : "none");
    });
    Settle();
    ExpectChanges({});
  }
  void Say(absl::string_view command) { ASSERT_TRUE(emulator_.Command(command).ok()) << command; }
  void Stop() {
    if (GetParam() == "aws") Say("aws terminate 120");
    if (GetParam() == "gcp") Say("gcp TRUE");
    if (GetParam() == "azure") Say("azure Preempt Scheduled 30 machine_0");
  }
  void Withdraw() { Say(GetParam() == "gcp" ? "gcp FALSE" : absl::StrCat(GetParam(), " none")); }
  std::string Reason() const {
    return GetParam() == "aws" ? "terminate" : GetParam() == "gcp" ? "preempted" : "Preempt";
  }

  // Until it has read at least three times what is said now.
  void Settle() {
    for (int reading = 0; reading < 4; ++reading) {
      const int seen = emulator_.requests();
      if (GetParam() == "gcp") Say("repeat");                         // else it waits for a change
      emulator_.AwaitRequests(seen + (GetParam() == "aws" ? 3 : 1));  // the most that a reading makes
    }
  }
  // So many requests get what was said before.
  void AnswerStale(int requests) {
    const int seen = emulator_.requests();
    Say(absl::StrCat("fault stale ", requests));
    emulator_.AwaitRequests(seen + requests);
  }
  void AwaitChanges(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto come = [&] { return changes_.size() >= count; };
    mutex_.Await(absl::Condition(&come));
  }
  void ExpectChanges(const Changes& expected) {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(changes_, expected);
  }

  FakeClock clock_;
  MetadataEmulator emulator_{clock_};
  absl::Mutex mutex_;
  Changes changes_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<NoticeSource> source_;  // last: it tells the others
};

INSTANTIATE_TEST_SUITE_P(, MetadataWatchTest, testing::Values("aws", "gcp", "azure"),
                         [](const auto& info) { return info.param; });

TEST_P(MetadataWatchTest, ARepeatedDocumentIsTheSameNotice) {
  Watch();
  Stop();
  AwaitChanges(1);
  for (int i = 0; i < 3; ++i) {
    Say("repeat");
    Settle();
  }
  ExpectChanges({Reason()});
  Withdraw();
  AwaitChanges(2);
  Say("repeat");
  Settle();
  ExpectChanges({Reason(), "none"});
}

// From before the notice it withdraws nothing; from before its end it is no second one.
TEST_P(MetadataWatchTest, AStaleDocumentChangesNothing) {
  Watch();
  Stop();
  AwaitChanges(1);
  AnswerStale(GetParam() == "aws" ? 2 : 1);  // one reading: AWS has a second place to look
  Settle();
  ExpectChanges({Reason()});
  Withdraw();
  AwaitChanges(2);
  AnswerStale(1);
  Settle();
  ExpectChanges({Reason(), "none"});
}

TEST_P(MetadataWatchTest, AnOutageLosesNothing) {
  Watch();
  Say("outage 600");
  Stop();
  Settle();
  ExpectChanges({});
  clock_.Advance(absl::Minutes(10));
  AwaitChanges(1);
  Say("outage 600");
  Settle();
  ExpectChanges({Reason()});
  clock_.Advance(absl::Minutes(10));
  Settle();
  ExpectChanges({Reason()});
  Say("outage 600");
  Withdraw();
  clock_.Advance(absl::Minutes(10));
  AwaitChanges(2);
  ExpectChanges({Reason(), "none"});
}

TEST_P(MetadataWatchTest, AServiceSlowerThanItIsAskedIsHeard) {
  Watch();
  Say("slow 0.05");  // fifty times a pause
  Stop();
  AwaitChanges(1);
  Withdraw();
  AwaitChanges(2);
  ExpectChanges({Reason(), "none"});
}

// Some seconds: each watcher gives a request up after one or two.
TEST_P(MetadataWatchTest, WhatCameWhileTheServiceHungIsHeard) {
  Watch();
  Say("hang on");
  Stop();
  emulator_.AwaitRequests(emulator_.requests() + 2);
  ExpectChanges({});
  Say("hang off");
  AwaitChanges(1);
  Settle();
  ExpectChanges({Reason()});
}

}  // namespace
}  // namespace spotinference
