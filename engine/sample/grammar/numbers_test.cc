#include "engine/sample/grammar/numbers.h"

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/sample/grammar/automaton.h"
#include "engine/sample/grammar/configurations.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

bool Matched(const absl::StatusOr<Automaton>& automaton, const std::string& text) {
  return automaton.ok() && Matches(*automaton, text);  // what matches nothing does not compile
}

TEST(NumbersTest, IntegersAreThoseWithinTheBounds) {
  const std::vector<std::optional<int64_t>> bounds = {std::nullopt, -1234, -100, -99, -10, -9, -1, 0,
                                                      1,            7,     10,   99,  100, 101, 999, 1234};
  for (const auto& min : bounds) {
    for (const auto& max : bounds) {
      for (const uint64_t multiple : {1, 2, 7, 100}) {
        Grammar g;
        g.set_root(g.AddRule(IntegerExpression(g, min, max, multiple)));
        const auto automaton = Automaton::Compile(g);
        for (int64_t value = -1300; value <= 1300; value += value % 50 == 0 ? 1 : 3) {
          const bool valid =
              (!min || value >= *min) && (!max || value <= *max) && value % static_cast<int64_t>(multiple) == 0;
          ASSERT_EQ(Matched(automaton, absl::StrCat(value)), valid)
              << value << " in " << min.value_or(-9999999) << ".." << max.value_or(9999999) << " by " << multiple;
        }
        for (const char* text : {"", "-", "-0", "00", "01", "+1", "1.0"}) {
          EXPECT_FALSE(Matched(automaton, text)) << text;
        }
      }
    }
  }
}

TEST(NumbersTest, LargestIntegers) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  Grammar g;
  g.set_root(g.AddRule(IntegerExpression(g, kLeast, kMost)));
  const auto automaton = Automaton::Compile(g);
  for (const char* in : {"-9223372036854775808", "9223372036854775807", "0"}) EXPECT_TRUE(Matched(automaton, in));
  for (const char* out : {"-9223372036854775809", "9223372036854775808"}) EXPECT_FALSE(Matched(automaton, out));
}

TEST(NumbersTest, DecimalsAreThoseWithinTheBounds) {
  struct Named {
    std::optional<DecimalBound> bound;
    double value;
  };
  std::vector<Named> bounds = {{std::nullopt, 0}};
  for (const bool exclusive : {false, true}) {
    for (const auto& [negative, integer, fraction] : std::vector<std::tuple<bool, uint64_t, std::string>>{
             {true, 10, "25"}, {true, 1, ""}, {true, 0, "5"}, {false, 0, ""}, {false, 0, "001"}, {false, 1, "75"},
             {false, 2, ""}, {false, 10, "5"}, {false, 100, "09"}}) {
      const double value = std::stod(absl::StrCat(integer, ".", fraction, "0")) * (negative ? -1 : 1);
      bounds.push_back({DecimalBound{negative, integer, fraction, exclusive}, value});
    }
  }
  std::vector<std::string> texts = {"0",      "0.0",   "0.00",    "0.001", "0.0010", "0.00099", "0.0011",
                                    "1.75",   "1.7500", "1.74999", "1.7501", "1.8",  "2",       "2.0",
                                    "2.01",   "9",     "10",      "10.5",  "10.49",  "10.50",   "10.51",
                                    "100",    "100.09", "100.1",  "100.089", "101",  "5000",    "0.5",
                                    "0.49",   "0.51",  "1.0",     "10.25", "10.26"};
  for (size_t i = 0, n = texts.size(); i < n; ++i) {
    if (std::stod(texts[i]) != 0) texts.push_back("-" + texts[i]);
  }
  int matched = 0;
  for (const Named& min : bounds) {
    for (const Named& max : bounds) {
      Grammar g;
      g.set_root(g.AddRule(DecimalExpression(g, min.bound, max.bound)));
      const auto automaton = Automaton::Compile(g);
      for (const std::string& text : texts) {
        const double x = std::stod(text);
        const bool low = !min.bound || (min.bound->exclusive ? x > min.value : x >= min.value);
        const bool high = !max.bound || (max.bound->exclusive ? x < max.value : x <= max.value);
        ASSERT_EQ(Matched(automaton, text), low && high) << text << " in " << min.value << ".." << max.value;
        matched += low && high;
      }
      for (const char* text : {"", "-", ".5", "1.", "00.5", "1e3"}) EXPECT_FALSE(Matched(automaton, text)) << text;
    }
  }
  EXPECT_GT(matched, 1000);
}

}  // namespace
}  // namespace spotinference
