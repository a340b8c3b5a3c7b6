#include "fleet/providers/cloud/http.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/fake_http_server.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(CloudHttp, SendsNothingWithoutTlsBeyondThisMachine) {
  CloudHttp http;
  http.Cancel();  // so that what would be sent is not
  for (const char* url : {"http://ec2.us-east-1.amazonaws.com/", "http://127.0.0.1.example.org/", "http://10.0.0.1:80/",
                          "http://127.0.0.1@example.org/", "http://127.0.0.1:80@example.org/",
                          "https://example.com@example.org/", "http://metadata.google.internal.example.org/",
                          "http://169.254.170.3/", "http://169.254.170.2.example.org/", "http://169.254.170.234/",
                          "http://[fd00:ec2::24]/", "http://[fd00:ec2::23", "http://[fd00:ec2::23].example.org/",
                          "http://[fd00:ec2::23]@example.org/", "http://[::2]/", "http://[::1]example.org/",
                          "http://localhost.example.org/", "http://localhost@example.org/",
                          "ftp://127.0.0.1/", "ec2.us-east-1.amazonaws.com", ""}) {
    const auto answer = http.Do({.url = url});
    EXPECT_TRUE(absl::IsInvalidArgument(answer.status())) << url << ": " << answer.status();
  }
  for (const char* url : {"https://ec2.us-east-1.amazonaws.com/", "http://127.0.0.1:8470/x", "http://127.9.0.1/",
                          "http://169.254.169.254/latest/api/token",
                          "http://metadata.google.internal/computeMetadata/v1/", "http://localhost:80/x", "http://[::1]:80/",
                          "http://169.254.170.2/v2/credentials/x", "http://169.254.170.23/v1/credentials",
                          "http://[fd00:ec2::23]/v1/credentials", "http://[fd00:ec2::23]:80/"}) {
    EXPECT_TRUE(absl::IsCancelled(http.Do({.url = url}).status())) << url;
  }
}

TEST(CloudHttp, TheMachinesLinkIsItsOwnWhereItsEnvironmentSaysSo) {
  CloudHttp http;
  http.Cancel();
  constexpr char kApp[] = "http://169.254.129.5:8081/msi/token";
  EXPECT_TRUE(absl::IsInvalidArgument(http.Do({.url = kApp}).status()));
  for (const char* url : {kApp, "http://127.0.0.1:8081/msi/token", "https://example.org/"})
    EXPECT_TRUE(absl::IsCancelled(http.DoOnLink({.url = url}).status())) << url;
  for (const char* url : {"http://169.254.example.org/", "http://169.254.1.1.example.org/",
                          "http://169.254.1.1@x.org/", "http://169.254.1.1:80@x.org/", "http://10.0.0.1/",
                          "http://1169.254.1.1/", ""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(http.DoOnLink({.url = url}).status())) << url;
  }
}

TEST(CloudHttp, KnowsTheClockOfItsLatestAnswer) {
  FakeHttpServer server([](const FakeHttpRequest& request) -> FakeHttpReply {
    if (request.target == "/none") return {};
    const bool is_date = request.target == "/date";
    return {.headers = {{"Date", is_date ? "Sun, 29 Nov 2026 11:30:55 GMT" : "yesterday"}}};
  });
  CloudHttp http;
  EXPECT_EQ(http.LastDate(), absl::InfinitePast());
  for (const char* path : {"/date", "/none", "/other"}) {
    ASSERT_TRUE(http.Do({.url = absl::StrCat(server.url(), path)}).ok());
    EXPECT_EQ(http.LastDate(), absl::FromUnixSeconds(1795951855)) << path;
  }
}

// RESOURCE_EXHAUSTED would say that a purchase was not made.
TEST(CloudHttp, AnAnswerThatIsTooLongMayBeOfSomethingThatWasDone) {
  FakeHttpServer server([](const FakeHttpRequest& request) -> FakeHttpReply {
    if (request.target == "/body") return {.body = std::string(2000, 'x')};
    return {.headers = {{"X-Long", std::string(300 << 10, 'x')}}};
  });
  CloudHttp http;
  for (const char* path : {"/body", "/headers"}) {
    const auto answer = http.Do({.url = absl::StrCat(server.url(), path), .max_body_bytes = 1000});
    EXPECT_TRUE(absl::IsUnavailable(answer.status())) << path << ": " << answer.status();
  }
}

TEST(CloudHttp, KnowsWhatIsBelowAnEndpoint) {
  constexpr char kEndpoint[] = "https://management.azure.com";
  for (const char* url : {"https://management.azure.com/", "https://management.azure.com:443/subscriptions/s?a=b"}) {
    EXPECT_TRUE(IsBelow(url, kEndpoint)) << url;
    EXPECT_TRUE(IsBelow(url, "https://management.azure.com:443")) << url;
  }
  for (const char* url : {"https://management.azure.com.x/", "https://management.azure.com@x/", "https://x/:443/",
                          "https://management.azure.com:444/", "https://management.azure.com:4430/",
                          "https://management.azure.com:443@x/", "http://management.azure.com/", "/subscriptions", ""}) {
    EXPECT_FALSE(IsBelow(url, kEndpoint)) << url;
  }
  EXPECT_TRUE(IsBelow("http://127.0.0.1:8470/x", "http://127.0.0.1:8470"));
  EXPECT_FALSE(IsBelow("http://127.0.0.1:84701/x", "http://127.0.0.1:8470"));
}

absl::Status Busy(HttpHeaders headers) { return StatusOfHttp({.status = 503, .headers = std::move(headers)}, ""); }

TEST(CloudHttp, HearsWhenToAskAgain) {
  constexpr char kNow[] = "Sun, 29 Nov 2026 23:59:30 GMT";
  EXPECT_EQ(RetryAfter(Busy({{"Retry-After", "7"}})), absl::Seconds(7));
  EXPECT_EQ(RetryAfter(Busy({{"Retry-After", "100000"}})), absl::Minutes(10));
  EXPECT_EQ(RetryAfter(Busy({{"Date", kNow}, {"Retry-After", "Mon, 30 Nov 2026 00:00:15 GMT"}})), absl::Seconds(45));
  EXPECT_EQ(RetryAfter(Busy({{"Date", kNow}, {"Retry-After", "Tue, 01 Dec 2026 00:00:00 GMT"}})), absl::Minutes(10));
  EXPECT_EQ(RetryAfter(Busy({{"Date", kNow}, {"Retry-After", "Sun, 29 Nov 2026 23:00:00 GMT"}})), absl::ZeroDuration());
  for (const char* text : {"-1", "soon", "", "infinite-future", "Mon, 30 Nov 2026 00:00:15"}) {
    EXPECT_EQ(RetryAfter(Busy({{"Date", kNow}, {"Retry-After", text}})), std::nullopt) << text;
  }
  EXPECT_EQ(RetryAfter(Busy({{"Retry-After", "Mon, 30 Nov 2026 00:00:15 GMT"}})), std::nullopt) << "of which clock?";
  EXPECT_EQ(RetryAfter(StatusOfHttp({.status = 404, .headers = {{"Retry-After", "7"}}}, "")), std::nullopt);
}

}  // namespace
}  // namespace spotinference::fleet
