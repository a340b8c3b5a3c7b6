#include "gateway/http/message.h"

#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

TEST(HeadersTest, NamesHaveNoCaseAndMayRepeat) {
  Headers headers = {{"Accept", "a"}, {"X", "1"}, {"accept", "b"}};
  EXPECT_EQ(headers.Get("ACCEPT"), "a");
  EXPECT_EQ(headers.GetAll("accept"), (std::vector<std::string_view>{"a", "b"}));
  EXPECT_FALSE(headers.Has("accep"));
  headers.Set("Accept", "c");
  EXPECT_EQ(headers.GetAll("accept"), std::vector<std::string_view>{"c"});
  headers.Remove("x");
  EXPECT_FALSE(headers.Has("X"));
}

TEST(RequestTest, QueryParametersAndCaptures) {
  Request request;
  request.query = "after=a%20b&limit=1&limit=2";
  request.captures = {{"id", "org/name"}};
  EXPECT_EQ(request.QueryParameter("after"), "a b");
  EXPECT_EQ(request.QueryParameter("limit"), "1");
  EXPECT_EQ(request.QueryParameter("order"), std::nullopt);
  EXPECT_EQ(request.Capture("id"), "org/name");
  EXPECT_EQ(request.Capture("name"), "");
}

TEST(RequestIdTest, HasTheFormAndDiffers) {
  const std::string id = NewRequestId();
  EXPECT_EQ(id.size(), 28u);
  EXPECT_EQ(id.substr(0, 4), "req_");
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef", 4), id.npos);
  EXPECT_NE(id, NewRequestId());
}

}  // namespace
}  // namespace spotinference::http
