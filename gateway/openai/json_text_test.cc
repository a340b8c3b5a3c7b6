#include "gateway/openai/json_text.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "boost/json.hpp"
#include "gtest/gtest.h"

namespace spotinference::openai {
namespace {

std::string Escaped(absl::string_view text) {
  std::string out;
  AppendJsonEscaped(text, &out);
  return out;
}

// Boost.JSON, which is strict about UTF-8, reads what was written.
std::string ReadBack(const std::string& text) {
  std::string out;
  AppendJsonString(text, &out);
  const boost::json::value value = boost::json::parse(out);
  return {value.as_string().data(), value.as_string().size()};
}

TEST(JsonTextTest, EveryCodePointReadsBackAsItself) {
  for (uint32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    if (c < 0x80) {
      text = {char(c)};
    } else if (c < 0x800) {
      text = {char(0xc0 | c >> 6), char(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      text = {char(0xe0 | c >> 12), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))};
    } else {
      text = {char(0xf0 | c >> 18), char(0x80 | (c >> 12 & 63)), char(0x80 | (c >> 6 & 63)),
              char(0x80 | (c & 63))};
    }
    ASSERT_TRUE(IsUtf8(text)) << c;
    ASSERT_EQ(CodePoints(text), 1) << c;
    ASSERT_EQ(ReadBack(text), text) << c;
  }
}

TEST(JsonTextTest, LineEndsOfEveryKindAreEscaped) {
  EXPECT_EQ(Escaped("a\n\r\x0b\x0c\x1c\x1e\xc2\x85\xe2\x80\xa8\xe2\x80\xa9z"),
            "a\\n\\r\\u000b\\u000c\\u001c\\u001e\\u0085\\u2028\\u2029z");
}

// Unicode 15, section 3.9, tables 3-8 to 3-11.
TEST(JsonTextTest, OneReplacementForEachMaximalSubpart) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(Escaped("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
                    "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(Escaped("\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
                    "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(Escaped("\xf4\x91\x92\x93\xff"
                    "A\x80\xbf"
                    "B"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(Escaped("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
                    "A"),
            r + r + r + r + "A");
}

TEST(JsonTextTest, AnyBytesAreValidJson) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 12, 0);
    for (char& c : bytes) c = random() % 3 ? 0x80 + random() % 128 : random();
    const std::string back = ReadBack(bytes);
    ASSERT_TRUE(IsUtf8(back));
    ASSERT_EQ(back == bytes, IsUtf8(bytes));
  }
}

TEST(JsonTextTest, Numbers) {
  std::string out;
  AppendJsonInteger(std::numeric_limits<int64_t>::min(), &out);
  EXPECT_EQ(out, "-9223372036854775808");
  out.clear();
  for (const float f : {-INFINITY, INFINITY, NAN}) AppendJsonFloat(f, &out);
  EXPECT_EQ(out, "-9999.0-9999.0-9999.0");
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    const uint32_t bits = random();
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    out.clear();
    AppendJsonFloat(value, &out);
    ASSERT_TRUE(boost::json::parse(out).is_number());
    ASSERT_EQ(std::strtof(out.c_str(), nullptr), value) << out;
  }
}

}  // namespace
}  // namespace spotinference::openai
