#include "gateway/http/target.h"

#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

TEST(ParseTargetTest, OriginAndAbsoluteForm) {
  EXPECT_EQ(ParseTarget("/v1/models?limit=2")->path, "/v1/models");
  EXPECT_EQ(ParseTarget("/v1/models?limit=2")->query, "limit=2");
  EXPECT_EQ(ParseTarget("/a?b?c")->query, "b?c");
  EXPECT_EQ(ParseTarget("HTTP://host:8080/a/b?q")->path, "/a/b");
  EXPECT_EQ(ParseTarget("http://host")->path, "/");
  EXPECT_EQ(ParseTarget("https://host?q=1")->path, "/");
  EXPECT_EQ(ParseTarget("https://host?q=1")->query, "q=1");
}

TEST(ParseTargetTest, DecodesThePathAlone) {
  EXPECT_EQ(ParseTarget("/v1/models/org%2Fname%20x+y")->path, "/v1/models/org/name x+y");
  EXPECT_EQ(ParseTarget("/%E4%BD%A0?%41")->path, "/\xe4\xbd\xa0");
  EXPECT_EQ(ParseTarget("/%E4%BD%A0?%41")->query, "%41");
}

TEST(ParseTargetTest, RefusesWhatIsNotText) {
  for (const char* target :
       {"", "*", "host:80", "v1/models", "http:///x", "/a#b", "/%", "/%4", "/%4g", "/a%00b",
        "/%0d%0a", "/%7f", "/%ff", "/%c0%af", "/%ed%a0%80", "/%f4%90%80%80", "/%e4%bd"}) {
    EXPECT_FALSE(ParseTarget(target).ok()) << target;
  }
}

TEST(ParseQueryTest, DecodesFormsAndKeepsOddities) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(ParseQuery(""), Pairs{});
  EXPECT_EQ(ParseQuery("a=1&b=x+y%26&&c&=d&a=2%"),
            (Pairs{{"a", "1"}, {"b", "x y&"}, {"c", ""}, {"", "d"}, {"a", "2%"}}));
}

}  // namespace
}  // namespace spotinference::http
