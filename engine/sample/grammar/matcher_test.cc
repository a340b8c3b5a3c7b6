#include "engine/sample/grammar/matcher.h"

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/sample/grammar/grammar.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Automaton Compiled(const Grammar& grammar) {
  absl::StatusOr<Automaton> automaton = Automaton::Compile(grammar);
  EXPECT_TRUE(automaton.ok()) << automaton.status();
  return *std::move(automaton);
}

std::shared_ptr<const TokenTrie> Trie(const std::vector<std::string>& tokens) {
  const std::vector<absl::string_view> views(tokens.begin(), tokens.end());
  return std::make_shared<TokenTrie>(views);
}

std::vector<uint32_t> Allowed(Matcher& matcher, size_t vocabulary) {
  std::vector<uint32_t> mask((vocabulary + 31) / 32, 0xffffffff), ids;
  EXPECT_TRUE(matcher.FillMask(absl::MakeSpan(mask)).ok());
  for (uint32_t id = 0; id < mask.size() * 32; ++id) {
    if (mask[id / 32] >> (id % 32) & 1) ids.push_back(id);
  }
  return ids;
}

// value = "x" | "(" value ("," value)* ")"
Grammar Nested() {
  Grammar g;
  const Grammar::Rule value = g.AddRule();
  const auto more = g.Repeat(g.Sequence({g.Literal(","), g.Call(value)}), 0, Grammar::kUnbounded);
  g.Define(value, g.OneOf({g.Literal("x"), g.Sequence({g.Literal("("), g.Call(value), more, g.Literal(")")})}));
  g.set_root(value);
  return g;
}

TEST(MatcherTest, MasksFollowTheStack) {
  const std::vector<std::string> tokens{"x", "(", ")", ",", "(x", "x)", "))", ",x", "", "y", "x,(x)"};
  auto constraint = std::make_shared<Constraint>(Compiled(Nested()), Trie(tokens));
  Matcher matcher(constraint);
  EXPECT_THAT(Allowed(matcher, tokens.size()), ElementsAre(0, 1, 4));
  EXPECT_FALSE(matcher.CanEnd());
  ASSERT_TRUE(matcher.Accept(4));  // (x
  EXPECT_THAT(Allowed(matcher, tokens.size()), ElementsAre(2, 3, 7));
  Matcher other = matcher;
  ASSERT_TRUE(matcher.Accept(2));  // (x)
  EXPECT_THAT(Allowed(matcher, tokens.size()), IsEmpty());
  EXPECT_TRUE(matcher.CanEnd());
  ASSERT_TRUE(other.Accept(3));
  ASSERT_TRUE(other.Accept(1));  // (x,(
  EXPECT_THAT(Allowed(other, tokens.size()), ElementsAre(0, 1, 4, 5, 10));
  EXPECT_FALSE(other.Accept(2));
  EXPECT_FALSE(other.Accept(8));    // no bytes
  EXPECT_FALSE(other.Accept(999));  // no token
  ASSERT_TRUE(other.Accept(0));     // (x,(x
  EXPECT_THAT(Allowed(other, tokens.size()), ElementsAre(2, 3, 6, 7));
  ASSERT_TRUE(other.Accept(6));
  EXPECT_TRUE(other.CanEnd());
}

TEST(MatcherTest, Repetitions) {
  for (const auto& [min, max] : std::vector<std::pair<uint32_t, uint32_t>>{
           {0, 0}, {0, 1}, {1, 1}, {2, 5}, {0, 300}, {100, 300},
           {200, Grammar::kUnbounded}, {0, Grammar::kUnbounded}}) {
    Grammar g;
    const auto body = g.OneOf({g.Literal("ab"), g.Literal("c")});
    g.set_root(g.AddRule(g.Sequence({g.Repeat(body, min, max), g.Literal("!")})));
    const Automaton automaton = Compiled(g);
    for (uint32_t n = 0; n < 310; ++n) {
      std::string text;
      for (uint32_t i = 0; i < n; ++i) text += i % 3 == 0 ? "ab" : "c";
      EXPECT_EQ(Matches(automaton, text + "!"), n >= min && n <= max) << n << " of " << min << ".." << max;
      EXPECT_FALSE(Matches(automaton, text));
    }
  }
}

TEST(MatcherTest, LoopsOverWhatMayBeEmptyAndWithinEachOther) {
  Grammar g;
  const auto maybe = g.Optional(g.Literal("a"));
  const auto rows = g.Repeat(g.Sequence({g.Repeat(g.Literal("b"), 70, 71), g.Literal(";")}), 2, 90);
  g.set_root(g.AddRule(g.Sequence({g.Repeat(maybe, 100, 200), rows})));
  const Automaton automaton = Compiled(g);
  const std::string row = std::string(70, 'b') + ";", longer = std::string(71, 'b') + ";";
  EXPECT_TRUE(Matches(automaton, row + longer));
  EXPECT_TRUE(Matches(automaton, std::string(200, 'a') + row + row + longer));
  EXPECT_FALSE(Matches(automaton, std::string(201, 'a') + row + row));
  EXPECT_FALSE(Matches(automaton, row));
  EXPECT_FALSE(Matches(automaton, row + "b" + longer));
}

TEST(MatcherTest, CharactersAreWholeUtf8) {
  Grammar g;
  g.set_root(g.AddRule(g.Character(CodePoints::All())));
  const Automaton automaton = Compiled(g);
  for (char32_t c = 0; c <= kLastCodePoint; c = c < 0x3000 ? c + 1 : c + 77) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    AppendUtf8(c, &text);
    ASSERT_TRUE(Matches(automaton, text)) << static_cast<uint32_t>(c);
    ASSERT_FALSE(Matches(automaton, text.substr(0, text.size() - 1)));
    ASSERT_EQ(DecodeUtf8(text), std::u32string(1, c));
  }
  for (const char* bad : {"\x80", "\xc1\x81", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_FALSE(Matches(automaton, bad)) << bad;
  }
}

TEST(MatcherTest, WhatCannotEndIsNotBegun) {
  Grammar g;
  const Grammar::Rule endless = g.AddRule();
  g.Define(endless, g.Sequence({g.Literal("("), g.Call(endless)}));
  g.set_root(g.AddRule(g.OneOf({g.Call(endless), g.Literal("x"), g.Sequence({g.Literal("y"), g.Nothing()})})));
  const std::vector<std::string> tokens{"(", "x", "y"};
  Matcher matcher(std::make_shared<Constraint>(Compiled(g), Trie(tokens)));
  EXPECT_THAT(Allowed(matcher, 3), ElementsAre(1));

  g.set_root(endless);
  EXPECT_THAT(std::string(Automaton::Compile(g).status().message()), HasSubstr("matches no text"));
}

TEST(MatcherTest, LeftRecursionAndTooManyStatesAreRefused) {
  Grammar g;
  const Grammar::Rule list = g.AddRule();
  g.Define(list, g.OneOf({g.Literal("x"), g.Sequence({g.Optional(g.Literal("-")), g.Call(list), g.Literal("x")})}));
  g.set_root(list);
  EXPECT_EQ(Automaton::Compile(g).status().code(), absl::StatusCode::kInvalidArgument);

  Grammar large;
  large.set_root(large.AddRule(large.Literal(std::string(Automaton::kMaxStates + 1, 'x'))));
  EXPECT_EQ(Automaton::Compile(large).status().code(), absl::StatusCode::kResourceExhausted);
}

// Two readings at every bracket: 2^200 stacks, were they kept apart.
TEST(MatcherTest, AmbiguityCostsLittle) {
  Grammar g;
  const Grammar::Rule value = g.AddRule();
  const auto bracketed = [&] { return g.Sequence({g.Literal("("), g.Call(value), g.Literal(")")}); };
  g.Define(value, g.OneOf({g.Literal("x"), bracketed(), bracketed()}));
  g.set_root(value);
  const Automaton automaton = Compiled(g);
  EXPECT_TRUE(Matches(automaton, std::string(200, '(') + "x" + std::string(200, ')')));
  EXPECT_FALSE(Matches(automaton, std::string(200, '(') + "x" + std::string(199, ')')));
}

TEST(MatcherTest, AMaskThatWouldTakeTooLongIsAnError) {
  Grammar g;  // the 1000th character from the end decides: no small automaton knows it
  const auto any = g.Character({{'a', 'b'}});
  std::vector<Grammar::Expression> parts{g.Repeat(any, 0, Grammar::kUnbounded), g.Literal("a")};
  for (int i = 0; i < 1000; ++i) parts.push_back(any);
  g.set_root(g.AddRule(g.Sequence(parts)));
  std::vector<std::string> tokens;
  for (int i = 0; i < 4096; ++i) {
    std::string token;
    for (int bit = 0; bit < 12; ++bit) token += i >> bit & 1 ? 'a' : 'b';
    tokens.push_back(token);
  }
  Matcher matcher(std::make_shared<Constraint>(Compiled(g), Trie(tokens)));
  std::vector<uint32_t> mask(4096 / 32);
  absl::Status status;
  for (int i = 0; i < 300 && status.ok(); ++i) {
    status = matcher.FillMask(absl::MakeSpan(mask));
    if (status.ok()) {
      ASSERT_TRUE(matcher.Accept(4095));
    }
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

// Over random walks, every mask against what Accept says of each token, with little memory and with enough.
TEST(MatcherTest, MasksEqualBruteForce) {
  std::vector<std::string> tokens;
  const std::string alphabet = "x(),b;";
  for (const char a : alphabet) {
    tokens.push_back({a});
    for (const char b : alphabet) {
      tokens.push_back({a, b});
      for (const char c : alphabet) tokens.push_back({a, b, c});
    }
  }
  tokens.push_back("(");  // a second token of the same bytes
  Grammar g = Nested();
  const auto counted = g.Repeat(g.OneOf({g.Call(g.root()), g.Literal("b")}), 3, 100);
  g.set_root(g.AddRule(g.Sequence({counted, g.Literal(";")})));
  const auto trie = Trie(tokens);
  const auto roomy = std::make_shared<Constraint>(Compiled(g), trie);
  const auto tight = std::make_shared<Constraint>(Compiled(g), trie, /*max_memory_bytes=*/4000);
  std::mt19937 random(1);
  int masks = 0;
  for (int walk = 0; walk < 40; ++walk) {
    Matcher a(roomy), b(tight);
    for (int step = 0; step < 40; ++step) {
      const std::vector<uint32_t> allowed = Allowed(a, tokens.size());
      ASSERT_EQ(Allowed(b, tokens.size()), allowed);
      std::vector<uint32_t> accepted;
      for (uint32_t id = 0; id < tokens.size(); ++id) {
        Matcher copy = a;
        if (copy.Accept(id)) accepted.push_back(id);
      }
      ASSERT_EQ(allowed, accepted);
      ++masks;
      if (allowed.empty()) break;
      const uint32_t id = allowed[random() % allowed.size()];
      ASSERT_TRUE(a.Accept(id));
      ASSERT_TRUE(b.Accept(id));
      ASSERT_EQ(a.CanEnd(), b.CanEnd());
    }
  }
  EXPECT_GT(masks, 500);
}

}  // namespace
}  // namespace spotinference
