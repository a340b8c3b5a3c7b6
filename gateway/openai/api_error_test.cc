#include "gateway/openai/api_error.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference::openai {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(ApiErrorTest, EveryReasonHasItsStatus) {
  const std::pair<Reason, int> expected[] = {
      {Reason::kInvalidRequest, 400},   {Reason::kContextLength, 400},
      {Reason::kInvalidApiKey, 401},    {Reason::kForbidden, 403},
      {Reason::kModelNotFound, 404},    {Reason::kUnknownUrl, 404},
      {Reason::kMethodNotAllowed, 405}, {Reason::kSlowClient, 408},
      {Reason::kMachineNotFound, 404},  {Reason::kWrongState, 409},
      {Reason::kTooLarge, 413},         {Reason::kRateLimit, 429},
      {Reason::kQueueFull, 429},        {Reason::kInternal, 500},
      {Reason::kEngineLost, 500},       {Reason::kNoCapacity, 503},
      {Reason::kModelBackoff, 503},     {Reason::kShuttingDown, 503},
      {Reason::kWakeTimeout, 504},      {Reason::kPoison, 500},
  };
  for (const auto& [reason, http_status] : expected) {
    const ApiError error = ToApiError(ReasonError(reason, "why"));
    EXPECT_EQ(error.http_status, http_status) << static_cast<int>(reason);
    EXPECT_FALSE(error.type.empty());
    EXPECT_EQ(error.message == "why", reason != Reason::kInternal);
  }
}

TEST(ApiErrorTest, RequestErrorNamesFieldAndCode) {
  const ApiError error = ToApiError(RequestError("n", "integer_above_max_value", "Invalid 'n'."));
  EXPECT_EQ(ErrorBody(error),
            R"({"error":{"message":"Invalid 'n'.","type":"invalid_request_error","param":"n",)"
            R"("code":"integer_above_max_value"}})");
  EXPECT_THAT(error.headers, IsEmpty());
}

TEST(ApiErrorTest, ThereIsNoNumberInCode) {
  EXPECT_EQ(
      ErrorEvent(ToApiError(RequestError("", "", "Bad."))),
      "data: {\"error\":{\"message\":\"Bad.\",\"type\":\"invalid_request_error\",\"param\":null,"
      "\"code\":null}}\n\n");
}

TEST(ApiErrorTest, RetryHeaders) {
  const ApiError full = ToApiError(
      ReasonError(Reason::kQueueFull, "full", {.retry_after = absl::Milliseconds(1500)}));
  EXPECT_THAT(full.headers, ElementsAre(Pair("retry-after", "2"), Pair("retry-after-ms", "1500")));
  EXPECT_THAT(ToApiError(ReasonError(Reason::kWakeTimeout, "late")).headers,
              ElementsAre(Pair("x-should-retry", "false")));
  const ApiError poison = ToApiError(ReasonError(Reason::kPoison, "it crashes engines"));
  EXPECT_EQ(poison.code, "engine_crashed");
  EXPECT_THAT(poison.headers, ElementsAre(Pair("x-should-retry", "false")));
  EXPECT_THAT(ToApiError(ReasonError(Reason::kInvalidApiKey, "no")).headers,
              ElementsAre(Pair("www-authenticate", "Bearer")));
}

TEST(ApiErrorTest, StatusesOfOthersAreToldByTheirCode) {
  EXPECT_EQ(ToApiError(absl::InvalidArgumentError("x")).http_status, 400);
  EXPECT_EQ(ToApiError(absl::ResourceExhaustedError("x")).http_status, 429);
  EXPECT_EQ(ToApiError(absl::UnavailableError("x")).http_status, 503);
  // A missing file or a refused engine token is no fault of the client, and its text is not for the
  // client's eyes.
  for (const absl::Status& status :
       {absl::NotFoundError("/etc/x"), absl::UnauthenticatedError("token"),
        absl::InternalError("x"), absl::DataLossError("x")}) {
    const ApiError error = ToApiError(status);
    EXPECT_EQ(error.http_status, 500);
    EXPECT_EQ(error.message, "The server had an error while processing your request.");
  }
}

}  // namespace
}  // namespace spotinference::openai
