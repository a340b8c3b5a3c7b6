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

TEST(Json, NumbersAreThatAndFit) {
  const auto json = Json::Parse(R"({"a":"inf","b":"nan","c":1e300,"d":-2.9,"e":"x","f":3000000000,"g":[]})");
  ASSERT_TRUE(json.ok()) << json.status();
  for (const char* none : {"a", "b", "e", "g"}) EXPECT_EQ((*json)[none].Number(), std::nullopt) << none;
  for (const char* none : {"a", "b", "c", "e", "f", "g"}) EXPECT_EQ((*json)[none].Whole(), std::nullopt) << none;
  EXPECT_EQ((*json)["d"].Whole(), -2);
  EXPECT_TRUE((*json)["g"].IsList());
  EXPECT_FALSE((*json)["a"].IsList());
}

TEST(Json, AnErrorRepeatsNothing) {
  EXPECT_EQ(Json::Parse(R"({"access_token":"SECRET")").status().message().find("SECRET"), absl::string_view::npos);
}

TEST(Json, TextIsEscaped) { EXPECT_EQ(JsonString("a\"\n\\"), "\"a\\\"\\n\\\\\""); }

}  // namespace
}  // namespace spotinference::fleet
