#include "gateway/filters/access_log_filter.h"

#include <string>
#include <vector>

#include "gateway/http/message.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string LineOf(const http::Request& request, const http::Outcome& outcome) {
  std::vector<std::string> lines;
  const auto filter = AccessLogFilter([&](const std::string& line) { lines.push_back(line); })();
  http::Request seen = request;
  EXPECT_FALSE(filter->OnRequest(seen).has_value());
  EXPECT_TRUE(lines.empty());
  filter->OnEnd(seen, outcome);
  EXPECT_EQ(lines.size(), 1);
  return lines.empty() ? "" : lines[0];
}

TEST(AccessLogFilterTest, OneLine) {
  http::Request request;
  request.id = "req_0123";
  request.peer = "192.0.2.7";
  request.method = "POST";
  request.path = "/v1/chat/completions";
  request.query = "key=secret-in-query";
  request.headers = {{"authorization", "Bearer secret-in-header"}};
  request.body = "secret-in-body";
  request.principal = "laptop";
  request.captures = {{"model", "smollm2"}};
  const std::string line =
      LineOf(request, {.status = 200, .body_bytes = 5120, .duration = absl::Milliseconds(843.9)});
  EXPECT_EQ(line,
            "id=req_0123 peer=192.0.2.7 method=POST path=/v1/chat/completions status=200 "
            "bytes=5120 ms=843 end=complete key=laptop model=smollm2");
  EXPECT_THAT(line, Not(HasSubstr("secret")));
}

TEST(AccessLogFilterTest, TheTokensOfAnAnswer) {
  http::Request request;
  request.captures = {{"model", "m"}, {"prompt_tokens", "38"}, {"generated_tokens", "40"}};
  EXPECT_THAT(LineOf(request, {.status = 200}), HasSubstr(" model=m prompt_tokens=38 generated_tokens=40"));
}

TEST(AccessLogFilterTest, WhatIsNotKnown) {
  EXPECT_EQ(LineOf({}, {.status = 499, .end = http::Outcome::End::kClientGone}),
            "id= peer=- method=- path=- status=499 bytes=0 ms=0 end=client_gone key=- model=-");
}

TEST(AccessLogFilterTest, AClientCannotForgeOrFloodALine) {
  http::Request request;
  request.method = "GET status=200";
  request.path = "/a b\nid=req_1 \"x\"\xe2\x82\xac" + std::string(10000, 'p');
  const std::string line = LineOf(request, {});
  EXPECT_THAT(line, HasSubstr(R"(method=GET\x20status=200 path=/a\x20b\x0aid=req_1\x20\x22x\x22)"
                              R"(\xe2\x82\xacppp)"));
  EXPECT_LT(line.size(), 400);
}

}  // namespace
}  // namespace spotinference
