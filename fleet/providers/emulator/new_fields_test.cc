#include "fleet/providers/emulator/new_fields.h"

#include "fleet/providers/aws/xml.h"
#include "fleet/providers/cloud/json.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(WithNewFields, EveryObjectHasThemBesideItsOwn) {
  const auto json = Json::Parse(WithNewFields(R"({"a":"b","list":[{"c":1},"text"],"text":"{\"d\":[{\"e\":2}]}"})"));
  ASSERT_TRUE(json.ok()) << json.status();
  const auto inner = Json::Parse((*json)["text"].Text());
  ASSERT_TRUE(inner.ok()) << inner.status();
  const Json item = (*json)["list"].Items()[0], deep = (*inner)["d"].Items()[0];
  EXPECT_EQ((*json)["a"].Text(), "b");
  EXPECT_EQ((*json)["list"].Items()[1].Text(), "text");
  EXPECT_EQ(item["c"].Number(), 1);
  EXPECT_EQ(deep["e"].Number(), 2);
  for (const Json& object : {*json, item, *inner, deep}) {
    EXPECT_EQ(object["newText"].Text(), "new");
    EXPECT_TRUE(object["newList"].IsList());
    EXPECT_TRUE(object["newObject"]);
    EXPECT_FALSE(object["newNull"]);
  }
  EXPECT_EQ(item["newSelf"]["c"].Number(), 1);
  EXPECT_FALSE(item["newSelf"]["newText"]);
  EXPECT_EQ((*json)["newItems"].Items()[0]["list"].Items()[0]["c"].Number(), 1);
}

TEST(WithNewFields, EveryElementThatHasOthersHasThem) {
  const std::string text = R"(<?xml version="1.0"?><Answer xmlns="u"><set><item><id>1</id><empty/><item><id>3</id>)"
                           R"(</item></item><item><id>2</id></item></set><none></none></Answer>)";
  const auto xml = Xml::Parse(WithNewFields(text));
  ASSERT_TRUE(xml.ok()) << xml.status();
  const auto items = (*xml)["set"].Items();
  ASSERT_EQ(items.size(), 2);
  EXPECT_EQ((*items[0])["id"].text, "1");
  ASSERT_EQ(items[0]->Items().size(), 1);
  EXPECT_EQ((*items[0]->Items()[0])["id"].text, "3");
  EXPECT_EQ((*items[1])["id"].text, "2");
  for (const Xml* const element : {&*xml, &(*xml)["set"], items[0], items[1], items[0]->Items()[0]}) {
    EXPECT_EQ((*element)["newText"].text, "new");
    EXPECT_EQ((*element)["newSelf"].Items().size(), 1);
  }
  EXPECT_TRUE((*xml)["none"].children.empty());
}

TEST(WithNewFields, AllElseIsAsItWas) {
  for (const char* const text : {"", "text", "[1,2]", "<html>\xff", "<Response/>", "{\"cut", "17"}) {
    EXPECT_EQ(WithNewFields(text), text);
  }
}

}  // namespace
}  // namespace spotinference::fleet
