#include "fleet/providers/cloud/json.h"

#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(Json, IsReadWithoutComplaint) {
  const auto json =
      Json::Parse(R"({"id":17,"name":"a\"b","up":true,"price":"1.5","none":null,"rows":[{"x":1},2],"new":{}})");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["id"].Text(), "17");
  EXPECT_EQ((*json)["id"].Number(), 17);
  EXPECT_EQ((*json)["name"].Text(), "a\"b");
  EXPECT_EQ((*json)["name"].Number(), std::nullopt);
  EXPECT_EQ((*json)["price"].Number(), 1.5);
  EXPECT_TRUE((*json)["up"].IsTrue());
  EXPECT_FALSE((*json)["id"].IsTrue());
  EXPECT_FALSE(static_cast<bool>((*json)["none"]));
  EXPECT_EQ((*json)["rows"].Items().size(), 2);
  EXPECT_EQ((*json)["rows"].Items()[0]["x"].Number(), 1);
  EXPECT_EQ((*json)["rows"].Items()[1]["x"]["y"].Text(), "");
  EXPECT_TRUE((*json)["id"].Items().empty());
  EXPECT_EQ(json->Names().size(), 7);
}

TEST(Json, WhatIsNoneIsAnAnswerThatWasCut) {
  for (const char* wrong : {"", "{", "<html>", "{} {}", "\"\xff\""}) {
    EXPECT_TRUE(absl::IsUnavailable(Json::Parse(wrong).status())) << wrong;
  }
  EXPECT_TRUE(absl::IsUnavailable(Json::Parse(std::string(40, '[') + std::string(40, ']')).status()));
}

TEST(Json, TextIsEscaped) { EXPECT_EQ(JsonString("a\"\n\\"), "\"a\\\"\\n\\\\\""); }

}  // namespace
}  // namespace spotinference::fleet
