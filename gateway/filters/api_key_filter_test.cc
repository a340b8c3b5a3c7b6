#include "gateway/filters/api_key_filter.h"

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "gateway/http/message.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::string_view kUser = "user-key-0123456789";
constexpr absl::string_view kAdmin = "admin-key-0123456789";

class ApiKeyFilterTest : public ::testing::Test {
 protected:
  // 200: let through.
  int Ask(absl::string_view path, absl::string_view authorization, std::string peer = "192.0.2.7") {
    request = http::Request();
    request.method = "POST";
    request.path = std::string(path);
    request.peer = std::move(peer);
    request.received = clock.Now();
    if (!authorization.empty()) request.headers.Add("Authorization", std::string(authorization));
    return Decide();
  }

  int Decide() {
    clock.Advance(absl::Milliseconds(12));
    response = ApiKeyFilter(keys, admin, clock)()->OnRequest(request);
    return response ? response->status : 200;
  }

  FakeClock clock;
  std::shared_ptr<const ApiKeys> keys =
      std::make_shared<ApiKeys>(*HashKeys({{"laptop", std::string(kUser)}}));
  std::shared_ptr<const ApiKeys> admin =
      std::make_shared<ApiKeys>(*HashKeys({{"admin", std::string(kAdmin)}}));
  http::Request request;
  std::optional<http::Response> response;
};

TEST_F(ApiKeyFilterTest, WhatEachPathWants) {
  const std::string user = absl::StrCat("Bearer ", kUser);
  const std::string boss = absl::StrCat("Bearer ", kAdmin);
  const std::string wrong = absl::StrCat("Bearer ", kUser, "x");
  struct Row {
    absl::string_view path;
    int none, wrong, user, admin;
  };
  for (const Row& row :
       {Row{"/health", 200, 200, 200, 200}, Row{"/ready", 200, 200, 200, 200},
        Row{"/metrics", 401, 401, 200, 200}, Row{"/admin/v1/machines", 401, 401, 403, 200},
        Row{"/admin", 401, 401, 403, 200}, Row{"/v1/chat/completions", 401, 401, 200, 401},
        Row{"/v1/models", 401, 401, 200, 401}, Row{"/nowhere", 401, 401, 200, 401},
        Row{"/administrator", 401, 401, 200, 401}, Row{"/health/x", 401, 401, 200, 401}}) {
    EXPECT_EQ(Ask(row.path, ""), row.none) << row.path;
    EXPECT_EQ(Ask(row.path, wrong), row.wrong) << row.path;
    EXPECT_EQ(Ask(row.path, user), row.user) << row.path;
    EXPECT_EQ(Ask(row.path, boss), row.admin) << row.path;
  }
}

TEST_F(ApiKeyFilterTest, MetricsAreOpenFromThisComputer) {
  EXPECT_EQ(Ask("/metrics", "", "127.0.0.1"), 200);
  EXPECT_EQ(Ask("/metrics", "", "::1"), 200);
  EXPECT_EQ(Ask("/metrics", "", "::2"), 401);
  EXPECT_EQ(Ask("/v1/models", "", "127.0.0.1"), 401);
}

TEST_F(ApiKeyFilterTest, FormsOfTheHeader) {
  EXPECT_EQ(Ask("/v1/models", absl::StrCat("bearer  ", kUser, " ")), 200);
  EXPECT_EQ(request.principal, "laptop");
  for (const std::string& form :
       {std::string("Bearer"), std::string("Bearer "), std::string(kUser),
        absl::StrCat("Basic ", kUser), absl::StrCat("Bearer ", kUser, " ", kUser),
        absl::StrCat("Bearer", kUser)}) {
    EXPECT_EQ(Ask("/v1/models", form), 401) << form;
    EXPECT_EQ(request.principal, "") << form;
  }
  request.headers = {{"authorization", absl::StrCat("Bearer ", kUser)},
                     {"authorization", absl::StrCat("Bearer ", kUser)}};
  EXPECT_EQ(Decide(), 401);
}

TEST_F(ApiKeyFilterTest, TheAnswerIsOpenAis) {
  ASSERT_EQ(Ask("/v1/models", "Bearer wrong-key-0123456789"), 401);
  EXPECT_EQ(response->headers.Get("content-type"), "application/json");
  EXPECT_EQ(response->headers.Get("www-authenticate"), "Bearer");
  EXPECT_EQ(response->headers.Get("openai-version"), "2020-10-01");
  EXPECT_EQ(response->headers.Get("openai-processing-ms"), "12");
  EXPECT_THAT(response->body, HasSubstr(R"("code":"invalid_api_key")"));
  EXPECT_THAT(response->body, Not(HasSubstr("wrong-key")));
}

TEST_F(ApiKeyFilterTest, WithoutAnAdminKeyThereIsNoAdmin) {
  admin = std::make_shared<ApiKeys>();
  EXPECT_EQ(Ask("/admin/v1/machines", absl::StrCat("Bearer ", kUser)), 403);
  EXPECT_THAT(response->body, HasSubstr("admin_key_env"));
  EXPECT_EQ(Ask("/admin/v1/machines", ""), 401);
}

}  // namespace
}  // namespace spotinference
