#include "fleet/providers/cloud/bearer_token.h"

#include "engine/base/fake_clock.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(BearerToken, IsGivenToItsEndAndNoLonger) {
  FakeClock clock;
  BearerToken token(clock);
  HttpResponse answer = {.status = 200, .body = R"({"access_token":"first","expires_in":3600})"};
  int asked = 0;
  const auto get = [&] {
    return token.Get([&]() -> absl::StatusOr<HttpResponse> {
      ++asked;
      return answer;
    });
  };
  EXPECT_EQ(*get(), "first");
  clock.Advance(absl::Minutes(54));
  EXPECT_EQ(*get(), "first");
  EXPECT_EQ(asked, 1);
  clock.Advance(absl::Minutes(2));
  answer = {.status = 503};
  EXPECT_EQ(*get(), "first") << "it is good for four more minutes";
  clock.Advance(absl::Minutes(4));
  EXPECT_TRUE(absl::IsUnavailable(get().status()));
  answer = {.status = 200, .body = R"({"access_token":"second","expires_in":3600})"};
  EXPECT_EQ(*get(), "second");
  token.Drop();
  answer = {.status = 401, .body = R"({"error":"invalid_client"})"};
  EXPECT_TRUE(absl::IsUnauthenticated(get().status()));
  // Whatever else the service says, it says nothing about what the token is for: NOT_FOUND would be a machine's end.
  for (const int status : {404, 409, 410, 412}) {
    answer = {.status = status};
    EXPECT_TRUE(absl::IsUnavailable(get().status())) << status;
  }
}

}  // namespace
}  // namespace spotinference::fleet
