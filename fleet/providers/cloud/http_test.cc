#include "fleet/providers/cloud/http.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(CloudHttp, SendsNothingWithoutTlsBeyondThisMachine) {
  CloudHttp http;
  http.Cancel();  // so that what would be sent is not
  for (const char* url : {"http://ec2.us-east-1.amazonaws.com/", "http://127.0.0.1.example.org/", "http://10.0.0.1:80/",
                          "http://127.0.0.1@example.org/", "http://metadata.google.internal.example.org/",
                          "ftp://127.0.0.1/", "ec2.us-east-1.amazonaws.com", ""}) {
    const auto answer = http.Do({.url = url});
    EXPECT_TRUE(absl::IsInvalidArgument(answer.status())) << url << ": " << answer.status();
  }
  for (const char* url : {"https://ec2.us-east-1.amazonaws.com/", "http://127.0.0.1:8470/x", "http://127.9.0.1/",
                          "http://169.254.169.254/latest/api/token",
                          "http://metadata.google.internal/computeMetadata/v1/"}) {
    EXPECT_TRUE(absl::IsCancelled(http.Do({.url = url}).status())) << url;
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

}  // namespace
}  // namespace spotinference::fleet
