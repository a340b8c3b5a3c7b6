#include "gateway/filters/reply.h"

#include <string>
#include <utility>

#include "gateway/openai/api_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;

TEST(ReplyTest, StatusesBecomeResponses) {
  const http::Response response = ErrorReply(
      openai::ReasonError(openai::Reason::kQueueFull, "full", {.retry_after = absl::Seconds(3)}),
      absl::Milliseconds(1500.7));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.Get("retry-after"), "3");
  EXPECT_EQ(response.headers.Get("openai-processing-ms"), "1500");
  EXPECT_EQ(response.headers.Get("content-type"), "application/json");
  EXPECT_THAT(response.body, HasSubstr(R"("code":"queue_full")"));
}

TEST(ReplyTest, HttpsOwnErrorsKeepTheirNumber) {
  const std::pair<int, std::string> rows[] = {
      {400, "invalid_request_error"}, {404, "unknown_url"},
      {405, "method_not_supported"},  {408, "request_timeout"},
      {413, "request_too_large"},     {414, "invalid_request_error"},
      {429, "rate_limit_exceeded"},   {431, "invalid_request_error"},
      {500, "server_error"},          {501, "server_error"},
      {503, "shutting_down"},         {505, "server_error"},
  };
  for (const auto& [status, word] : rows) {
    const http::Response response = HttpErrorReply(status, "why");
    EXPECT_EQ(response.status, status);
    EXPECT_THAT(response.body, HasSubstr("{\"error\":{\"message\":"));
    EXPECT_THAT(response.body, HasSubstr(word)) << status;
  }
}

// A clock that stepped back is no reason for a negative time.
TEST(ReplyTest, ProcessingTimeIsNeverNegative) {
  EXPECT_EQ(JsonReply(200, "{}", -absl::Seconds(1)).headers.Get("openai-processing-ms"), "0");
}

}  // namespace
}  // namespace spotinference
