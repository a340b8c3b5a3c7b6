#include "engine/sample/grammar/regex.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/sample/grammar/automaton.h"
#include "engine/sample/grammar/configurations.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Automaton> Compiled(absl::string_view pattern) {
  Grammar g;
  const auto regex = RegexExpression(pattern, g, [&g](const CodePoints& set) { return g.Character(set); });
  if (!regex.ok()) return regex.status();
  g.set_root(g.AddRule(*regex));
  return Automaton::Compile(g);
}

struct Case {
  absl::string_view pattern;
  std::vector<absl::string_view> matched, not_matched;
};

// By ECMA-262; each line was tried in Node.
TEST(RegexTest, Matches) {
  const std::string hundred = "a.b." + std::string(100, 'z');
  const std::vector<Case> cases = {
      {"^abc$", {"abc"}, {"", "ab", "abcd", "xabc"}},
      {"b", {"b", "abc", "\nb"}, {"", "ac"}},
      {"^a", {"a", "ab"}, {"ba"}},
      {"a$", {"a", "ba"}, {"ab"}},
      {"^a|b$", {"ac", "cb", "a", "b"}, {"ca", "bc", ""}},
      {"^(a|b)$", {"a", "b"}, {"ab"}},
      {"(^a|b)c", {"ac", "xbc", "bcx", "acx"}, {"xac"}},
      {"a(b$|c)", {"ab", "xacx"}, {"abx"}},
      {"^(?:ab)+?$", {"ab", "abab"}, {"", "aba"}},
      {"^(?<year>\\d{4})-(\\d\\d)$", {"2026-11"}, {"2026-1", "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4-11"}},
      {"^a{2}$", {"aa"}, {"a", "aaa"}},
      {"^a{2,}$", {"aa", "aaaa"}, {"a"}},
      {"^a{1,3}$", {"a", "aaa"}, {"", "aaaa"}},
      {"^a{,3}$", {"a{,3}"}, {"a", "aaa"}},
      {"^x{$", {"x{"}, {"x"}},
      {"^a{0}b$", {"b"}, {"ab"}},
      {"^[a-c]$", {"a", "b", "c"}, {"d", "-"}},
      {"^[^a-c]$", {"d", "-", "\xc3\xa9", "\n"}, {"a", ""}},
      {"^[-a]$", {"-", "a"}, {"b"}},
      {"^[a-]$", {"-", "a"}, {"b"}},
      {"^[]$", {}, {"", "a"}},
      {"^[^]$", {"a", "\n"}, {""}},
      {"^[\\]\\\\^]$", {"]", "\\", "^"}, {"a"}},
      {"^[\\w.]+$", {"a_9.Z"}, {"-", "\xc3\xa9"}},
      {"^[\\b]$", {"\b"}, {"b"}},
      {"^.$", {"a", "\xf0\x9f\x98\x80", "\xc2\x85"}, {"\n", "\r", "\xe2\x80\xa8", ""}},
      {"^\\s$", {" ", "\t", "\xc2\xa0", "\xef\xbb\xbf"}, {"a", "\xc2\x85"}},
      {"^\\S\\D\\W$", {"aa-"}, {"a1-", "aaa"}},
      {"^\\x41\\u0042\\u{43}\\cA\\0$", {absl::string_view("ABC\x01\0", 5)}, {"ABC"}},
      {"^\\ud83d\\ude00$", {"\xf0\x9f\x98\x80"}, {"\xf0\x9f\x98\x81"}},
      {"^\\/\\.\\-\\$$", {"/.-$"}, {"/a-$"}},
      {"", {"", "anything"}, {}},
      {"^$", {""}, {"a"}},
      {"a||b", {"", "x"}, {}},
      {"^(a*)*$", {"", "aaa"}, {"b"}},
      {"^(?:[a-z]{1,20}\\.){2,3}z{100}$", {hundred}, {"a.z"}},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<Automaton> automaton = Compiled(c.pattern);
    if (!automaton.ok()) {
      EXPECT_TRUE(c.matched.empty()) << c.pattern << ": " << automaton.status();
      continue;
    }
    for (const absl::string_view text : c.matched) {
      EXPECT_TRUE(Matches(*automaton, text)) << c.pattern << " on " << text;
    }
    for (const absl::string_view text : c.not_matched) {
      EXPECT_FALSE(Matches(*automaton, text)) << c.pattern << " on " << text;
    }
  }
}

TEST(RegexTest, WhatIsRefusedIsNamed) {
  const std::vector<std::pair<absl::string_view, absl::string_view>> cases = {
      {"a(?=b)", "look-ahead"},
      {"a(?!b)", "look-ahead"},
      {"(?<=a)b", "look-behind"},
      {"(?<!a)b", "look-behind"},
      {"(a)\\1", "back references"},
      {"(?<n>a)\\k<n>", "back references"},
      {"\\bx", "word boundaries"},
      {"\\Bx", "word boundaries"},
      {"\\p{L}", "Unicode properties"},
      {"(?i:a)", "inline flags"},
      {"a^b", "'^' is supported"},
      {"a$b", "'$' at the end"},
      {"(^a)*", "'^' is supported"},
      {"a**", "quantifier of a quantifier"},
      {"*a", "nothing to repeat"},
      {"a|{2}", "nothing to repeat"},
      {"a{3,2}", "from 3 to 2"},
      {"a{99999}", "limit of 65535"},
      {"a{1,4294967295}", "limit of 65535"},
      {"(a", "without its ')'"},
      {"a)", "without its '('"},
      {"[a", "without its ']'"},
      {"[b-a]", "before its beginning"},
      {"[\\d-z]", "range between classes"},
      {"\\", "backslash at the end"},
      {"\\x4", "2 hexadecimal digits"},
      {"\\u{110000}", "past U+10FFFF"},
      {"\\ud83d\\u0041", "surrogate pair"},
      {"\\y", "no meaning"},
      {"\\01", "octal"},
      {"(?<n", "'>'"},
  };
  for (const auto& [pattern, message] : cases) {
    const absl::Status status = Compiled(pattern).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << pattern;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(message))) << pattern;
  }
}

}  // namespace
}  // namespace spotinference
