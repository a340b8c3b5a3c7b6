// The clouds' watchers against the emulator.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "engine/notice/aws_metadata.h"
#include "engine/notice/azure_metadata.h"
#include "engine/notice/emulator/metadata_emulator.h"
#include "engine/notice/gcp_metadata.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Kind = Notice::Kind;

class MetadataServicesTest : public testing::Test {
 protected:
  void Say(absl::string_view command) { ASSERT_TRUE(emulator_.Command(command).ok()) << command; }
  void Use(MetadataService service) { service_ = std::move(service); }
  absl::StatusOr<MetadataReading> Read() { return service_.read(client_); }
  // What stands, in words.
  std::string Standing() {
    absl::StatusOr<MetadataReading> reading = Read();
    while (absl::IsDeadlineExceeded(reading.status())) reading = Read();  // this computer stood still, not the service
    if (!reading.ok()) return absl::StrCat("error: ", reading.status().message());
    if (!reading->notice.has_value()) return "none";
    const MetadataNotice& notice = *reading->notice;
    const absl::Duration left = TimeLeft(notice, reading->headers, clock_.Now());
    return absl::StrCat(notice.kind == Kind::kStop ? "stop " : "risk ", notice.reason, " ",
                        absl::ToInt64Seconds(left), notice.event_id.empty() ? "" : absl::StrCat(" ", notice.event_id));
  }

  FakeClock clock_;
  MetadataEmulator emulator_{clock_};
  HttpClient client_;
  MetadataService service_;
};

// Every cloud, to a notice and back, and through each way to be wrong.
class EveryServiceTest : public MetadataServicesTest, public testing::WithParamInterface<std::string> {
 protected:
  EveryServiceTest() {
    if (GetParam() == "aws") Use(AwsMetadata(emulator_.url(), clock_));
    if (GetParam() == "gcp") Use(GcpMetadata(emulator_.url()));
    if (GetParam() == "azure") Use(AzureMetadata(emulator_.url(), ""));
  }
  void Stop() {
    if (GetParam() == "aws") Say("aws terminate 121");
    if (GetParam() == "gcp") Say("gcp TRUE");
    if (GetParam() == "azure") Say("azure Preempt Scheduled 31 machine_0");
  }
  void Withdraw() { Say(GetParam() == "gcp" ? "gcp FALSE" : absl::StrCat(GetParam(), " none")); }
  std::string Stopped() const {
    if (GetParam() == "aws") return "stop terminate 120";
    return GetParam() == "gcp" ? "stop preempted 30" : "stop Preempt 30 event-1";
  }
};

INSTANTIATE_TEST_SUITE_P(, EveryServiceTest, testing::Values("aws", "gcp", "azure"),
                         [](const auto& info) { return info.param; });

TEST_P(EveryServiceTest, ANoticeComesAndGoes) {
  EXPECT_EQ(service_.name, GetParam());
  EXPECT_EQ(Standing(), "none");
  Stop();
  EXPECT_EQ(Standing(), Stopped());
  Withdraw();
  EXPECT_EQ(Standing(), "none");
}

TEST_P(EveryServiceTest, AnErrorIsNoAnswer) {
  for (const char* fault : {"503", "500", "429", "403", "302", "garbage", "half", "cut"}) {
    if (GetParam() == "aws") Say("aws terminate 121");  // where there is none, nothing of the body is read
    Say(absl::StrCat("fault ", fault, " 4"));  // the most requests that a reading makes
    EXPECT_FALSE(Read().ok()) << fault;
    Say("fault none 0");
    EXPECT_TRUE(Read().ok()) << fault;
    Stop();  // for GCP: the next reading does not wait
    Withdraw();
  }
}

TEST_P(EveryServiceTest, ASlowAnswerIsAnAnswer) {
  Stop();
  Say("fault slow 3");
  EXPECT_EQ(Standing(), Stopped());
}

TEST_P(EveryServiceTest, AServiceThatHangsIsGivenUp) {
  if (GetParam() == "azure") {
    EXPECT_EQ(Standing(), "none");  // the first call may take minutes
  }
  Say("fault hang 1");
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Standing(), "none");
}

// From when a notice is there to be read. By the fake clock: a pause is as long as it says, a reading takes no time; on
// loopback it takes a millisecond, and half a second of the bound is for it.
TEST_P(EveryServiceTest, HearsInTimeWhatCameAtAnyMoment) {
  const absl::Duration limit = (GetParam() == "aws" ? absl::Seconds(5) : absl::Seconds(1)) - absl::Milliseconds(200);
  EXPECT_EQ(Standing(), "none");
  Stop();  // just after the reading, which is the worst moment
  const absl::Duration said = clock_.Elapsed();
  clock_.Advance(PauseAfter(service_, 0));
  EXPECT_EQ(Standing().substr(0, 5), "stop ");
  EXPECT_LE(clock_.Elapsed() - said, limit);
}

// The same after the service was down for ten minutes, in which the notice came.
TEST_P(EveryServiceTest, HearsInTimeWhatCameWhileTheServiceWasDown) {
  const absl::Duration limit = (GetParam() == "aws" ? absl::Seconds(5) : absl::Seconds(1)) - absl::Milliseconds(200);
  EXPECT_EQ(Standing(), "none");
  const absl::Duration back = clock_.Elapsed() + absl::Minutes(10);
  Say("outage 600");
  if (GetParam() == "aws") Say("aws terminate 720");
  else Stop();
  int failures = 0;
  while (Standing().substr(0, 5) != "stop ") {
    ASSERT_LT(clock_.Elapsed(), back) << "it is up again, and was read without being heard";
    clock_.Advance(PauseAfter(service_, ++failures));
  }
  EXPECT_GE(failures, 600 / absl::ToDoubleSeconds(service_.max_retry));
  EXPECT_GE(clock_.Elapsed(), back);
  EXPECT_LE(clock_.Elapsed() - back, limit);
}

TEST_P(EveryServiceTest, ASkewedClockChangesNothing) {
  for (const char* skew : {"skew 300", "skew -300"}) {
    Say(skew);
    Stop();
    if (GetParam() == "azure") {
      EXPECT_EQ(Standing().substr(0, 15), "stop Preempt 30");
    } else {
      EXPECT_EQ(Standing(), Stopped());
    }
    Withdraw();
    EXPECT_EQ(Standing(), "none");
  }
}

TEST_F(MetadataServicesTest, AwsTellsWhatAndWhen) {
  Use(AwsMetadata(emulator_.url(), clock_));
  Say("aws rebalance");
  EXPECT_EQ(Standing(), "risk rebalance 0");
  Say("aws stop 61");  // comes before a recommendation
  EXPECT_EQ(Standing(), "stop stop 60");
  clock_.Advance(absl::Seconds(40));
  EXPECT_EQ(Standing(), "stop stop 20");
  clock_.Advance(absl::Seconds(40));
  EXPECT_EQ(Standing(), "stop stop 0");
  Say("aws hibernate 120");
  EXPECT_EQ(Standing(), "stop hibernate 0");
}

TEST_F(MetadataServicesTest, WithoutADateTheMachinesClockCounts) {
  Use(AwsMetadata(emulator_.url(), clock_));
  Say("no_date");
  Say("aws terminate 120");
  EXPECT_EQ(Standing(), "stop terminate 120");
  Say("skew 300");
  Say("aws terminate 120");
  EXPECT_EQ(Standing(), "stop terminate 420");  // nobody could know better
}

TEST_F(MetadataServicesTest, AwsTokensAreKeptAndRenewed) {
  Use(AwsMetadata(emulator_.url(), clock_));
  EXPECT_EQ(Standing(), "none");
  EXPECT_EQ(emulator_.requests(), 3);  // a token and the two paths
  EXPECT_EQ(Standing(), "none");
  EXPECT_EQ(emulator_.requests(), 5);
  Say("aws expire");
  EXPECT_EQ(Standing(), "none");  // a 401, a token, both paths
  EXPECT_EQ(emulator_.requests(), 9);
  clock_.Advance(absl::Hours(3) + absl::Seconds(1));  // half of its life is over
  EXPECT_EQ(Standing(), "none");
  EXPECT_EQ(emulator_.requests(), 12);
  Say("fault 401 10");
  EXPECT_FALSE(Read().ok());
  EXPECT_EQ(emulator_.requests(), 14) << "a refused token is renewed once a reading";
}

TEST_F(MetadataServicesTest, GcpWaitsForAChange) {
  Use(GcpMetadata(emulator_.url()));
  EXPECT_EQ(Standing(), "none");
  std::thread cloud([&] {
    emulator_.AwaitRequests(2);
    Say("gcp TRUE");
  });
  EXPECT_EQ(Standing(), "stop preempted 30");
  EXPECT_EQ(emulator_.requests(), 2);
  cloud.join();
  // A change between two requests is not missed.
  Say("gcp FALSE");
  EXPECT_EQ(Standing(), "none");
}

TEST_F(MetadataServicesTest, AWaitIsCancelled) {
  Use(GcpMetadata(emulator_.url()));
  EXPECT_EQ(Standing(), "none");
  std::thread other([&] {
    emulator_.AwaitRequests(2);
    client_.Cancel();
  });
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kCancelled);
  other.join();
}

TEST_F(MetadataServicesTest, AzureSpeaksOfOtherMachinesToo) {
  Use(AzureMetadata(emulator_.url(), ""));
  Say("azure Preempt Scheduled 10 machine_1 machine_2");
  EXPECT_EQ(Standing(), "none");
  Say("azure Freeze Scheduled 10 machine_0");
  EXPECT_EQ(Standing(), "none");
  Say("azure Redeploy Scheduled 601 machine_0");
  EXPECT_EQ(Standing(), "stop Redeploy 600 event-3");
  Say("azure Preempt Scheduled 31 machine_1 machine_0");
  EXPECT_EQ(Standing(), "stop Preempt 30") << "the soonest; not for one machine to acknowledge";
  Say("azure Terminate Started - machine_0");
  EXPECT_EQ(Standing(), "stop Terminate 0");
}

// As from a replica that lags behind: neither a notice nor its end is taken from it.
TEST_F(MetadataServicesTest, AzureDocumentsOutOfOrderAreDropped) {
  Use(AzureMetadata(emulator_.url(), ""));
  Say("azure Preempt Scheduled 31 machine_0");
  EXPECT_EQ(Standing(), "stop Preempt 30 event-1");
  Say("fault stale 3");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Standing(), "error: document 1 after document 2");
  EXPECT_EQ(Standing(), "stop Preempt 30 event-1");
  Say("azure none");
  EXPECT_EQ(Standing(), "none");
  Say("fault stale 1");
  EXPECT_EQ(Standing(), "error: document 2 after document 3");
  EXPECT_EQ(Standing(), "none");
  // But not for ever: a service that was set up anew counts from the beginning.
  Say("fault stale 100");
  int errors = 0;
  while (!Read().ok()) ++errors;
  EXPECT_EQ(errors, 12);
  EXPECT_EQ(Standing(), "stop Preempt 30 event-1");
}

TEST_F(MetadataServicesTest, AzureMachinesMayBeNamed) {
  Use(AzureMetadata(emulator_.url(), "mine"));
  Say("azure Preempt Scheduled 31 machine_0");
  EXPECT_EQ(Standing(), "none");
  Say("azure Preempt Scheduled 31 MINE");
  EXPECT_EQ(Standing(), "stop Preempt 30 event-2");
}

TEST_F(MetadataServicesTest, AzureIsToldThatAnEventMayBegin) {
  Use(AzureMetadata(emulator_.url(), ""));
  Say("azure Preempt Scheduled 31 machine_0");
  EXPECT_EQ(Standing(), "stop Preempt 30 event-1");
  Say("fault 503 1");
  EXPECT_FALSE(service_.acknowledge(client_, "event-1").ok());
  EXPECT_TRUE(emulator_.acknowledged().empty());
  EXPECT_TRUE(service_.acknowledge(client_, "event-1").ok());
  EXPECT_EQ(emulator_.acknowledged(), std::vector<std::string>{"event-1"});
  EXPECT_EQ(Standing(), "stop Preempt 0") << "it has begun";
  EXPECT_FALSE(service_.acknowledge(client_, "event-7").ok());
}

}  // namespace
}  // namespace spotinference
