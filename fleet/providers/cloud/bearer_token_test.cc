#include "fleet/providers/cloud/bearer_token.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "engine/base/fake_clock.h"
#include "fleet/providers/cloud/http.h"
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

// Each is good for an hour, at 2026-01-01T00:00:00Z.
TEST(BearerToken, IsReadFromEveryAnswerThatHasOne) {
  setenv("TZ", "UTC", 1);
  for (const char* const body :
       {R"({"access_token":"t","expires_in":"3600"})", R"({"access_token":"t","expires_on":"1767229200"})",
        R"({"accessToken":"t","expireTime":"2026-01-01T01:00:00Z"})",
        R"({"accessToken":"t","expireTime":"2026-01-01T02:00:00.123456+01:00"})",
        R"({"accessToken":"t","expiresOn":"1999-01-01 00:00:00.000000","expires_on":1767229200})",
        R"({"accessToken":"t","expiresOn":"2026-01-01 01:00:00.123456"})"}) {
    FakeClock clock;
    BearerToken token(clock);
    int asked = 0;
    const auto get = [&] {
      return token.Get([&]() -> absl::StatusOr<HttpResponse> {
        ++asked;
        return HttpResponse{.status = 200, .body = body};
      });
    };
    EXPECT_EQ(*get(), "t");
    clock.Advance(absl::Minutes(54));
    EXPECT_EQ(*get(), "t");
    EXPECT_EQ(asked, 1) << body;
    clock.Advance(absl::Minutes(2));
    EXPECT_EQ(*get(), "t");
    EXPECT_EQ(asked, 2) << body;
  }
}

TEST(BearerToken, ATimeIsByTheClockOfWhoSaysIt) {
  FakeClock clock;
  BearerToken token(clock);
  int asked = 0;
  const auto get = [&] {
    return token.Get([&]() -> absl::StatusOr<HttpResponse> {
      ++asked;
      return HttpResponse{.status = 200,
                          .headers = {{"Date", "Thu, 01 Jan 2026 00:50:00 GMT"}},
                          .body = R"({"accessToken":"t","expireTime":"2026-01-01T01:00:00Z"})"};
    });
  };
  EXPECT_TRUE(get().ok());
  clock.Advance(absl::Minutes(4));
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(asked, 1);
  clock.Advance(absl::Minutes(2));
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(asked, 2);
}

TEST(BearerToken, WhatSaysNoTimeOrAWrongOneIsAskedForEachTime) {
  for (const char* const body :
       {R"({"access_token":"t"})", R"({"access_token":"t","expires_in":-5})",
        R"({"access_token":"t","expires_in":"x"})", R"({"accessToken":"t","expireTime":"infinite-future"})",
        R"({"accessToken":"t","expiresOn":"soon"})", R"({"accessToken":"t","expires_on":-1e300})"}) {
    FakeClock clock;
    BearerToken token(clock);
    int asked = 0;
    for (int i = 0; i < 2; ++i) {
      const auto got = token.Get([&]() -> absl::StatusOr<HttpResponse> {
        ++asked;
        return HttpResponse{.status = 200, .body = body};
      });
      EXPECT_TRUE(got.ok()) << body;
    }
    EXPECT_EQ(asked, 2) << body;
  }
}

TEST(BearerToken, AnAnswerOfAnotherKindIsAnErrorThatSaysWhy) {
  FakeClock clock;
  const auto ask = [&](int status, std::string body) {
    BearerToken token(clock);
    return token
        .Get([&]() -> absl::StatusOr<HttpResponse> {
          return HttpResponse{.status = status, .headers = {{"Retry-After", "7"}}, .body = std::move(body)};
        })
        .status();
  };
  for (const char* const body : {"", "<html>", R"({"access_token":)"}) EXPECT_TRUE(absl::IsUnavailable(ask(200, body)));
  for (const char* const body : {"{}", "[]", R"({"access_token":""})", R"({"access_token":{}})"})
    EXPECT_TRUE(absl::IsUnauthenticated(ask(200, body))) << body;
  const absl::Status refused = ask(403, R"({"error":{"code":403,"message":"Permission denied","status":"P"}})");
  EXPECT_TRUE(absl::IsUnauthenticated(refused));
  EXPECT_EQ(refused.message(), "no access token: Permission denied ");
  EXPECT_EQ(ask(400, R"({"statusCode":400,"message":"No such identity"})").message(),
            "no access token: No such identity ");
  const absl::Status busy = OfPlace(ask(429, ""), "there");
  EXPECT_TRUE(absl::IsUnavailable(busy));
  EXPECT_EQ(busy.message().substr(0, 7), "there: ");
  EXPECT_EQ(RetryAfter(busy), absl::Seconds(7));
}

}  // namespace
}  // namespace spotinference::fleet
