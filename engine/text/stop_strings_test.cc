#include "engine/text/stop_strings.h"

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

struct Outcome {
  std::string text;
  bool stopped;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Stream(const std::vector<std::string>& stops, const std::vector<std::string_view>& parts) {
  StopStrings stop_strings(stops);
  Outcome outcome;
  for (const std::string_view part : parts) outcome.text += stop_strings.Feed(part);
  outcome.text += stop_strings.Flush();
  outcome.stopped = stop_strings.stopped();
  return outcome;
}

// The definition, tried at every end.
Outcome Expected(const std::vector<std::string>& stops, std::string_view text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (!stop.empty() && text.substr(0, end).ends_with(stop)) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {std::string(text.substr(0, end - longest)), true};
  }
  return {std::string(text), false};
}

TEST(StopStringsTest, EverySplitOfAStopGivesTheTextBeforeIt) {
  const std::string_view text = "Grüße END\n\nmore";
  for (size_t i = 0; i <= text.size(); ++i) {
    for (size_t k = i; k <= text.size(); ++k) {
      const Outcome outcome =
          Stream({"END\n\n"}, {text.substr(0, i), text.substr(i, k - i), text.substr(k)});
      EXPECT_EQ(outcome.text, "Grüße ");
      EXPECT_TRUE(outcome.stopped);
    }
  }
}

TEST(StopStringsTest, AgreesWithTheDefinitionOnRandomText) {
  std::mt19937 random(1);
  const auto draw = [&](size_t most) {
    std::string text(random() % (most + 1), 'a');
    for (char& c : text) c = "ab"[random() % 2];
    return text;
  };
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops(1 + random() % 4);
    for (std::string& stop : stops) stop = draw(6);
    const std::string text = draw(24);
    std::vector<std::string_view> parts;
    for (size_t at = 0; at < text.size();) {
      const size_t bytes = random() % 5;
      parts.push_back(std::string_view(text).substr(at, bytes));
      at += bytes;
    }
    ASSERT_EQ(Stream(stops, parts), Expected(stops, text)) << text;
  }
}

TEST(StopStringsTest, HoldsBackOnlyWhatMayBecomeAStop) {
  StopStrings stop_strings({"<end>", "\n\nUser:"});
  EXPECT_EQ(stop_strings.Feed("a <e"), "a ");
  EXPECT_EQ(stop_strings.Feed("d <end"), "<ed ");
  EXPECT_EQ(stop_strings.Feed(""), "");
  EXPECT_EQ(stop_strings.Feed(" \n"), "<end ");
  EXPECT_EQ(stop_strings.Feed("\n\n"), "\n");
  EXPECT_FALSE(stop_strings.stopped());
  EXPECT_EQ(stop_strings.Feed("User: b"), "");
  EXPECT_TRUE(stop_strings.stopped());
  EXPECT_EQ(stop_strings.Feed("c"), "");
  EXPECT_EQ(stop_strings.Flush(), "");
}

TEST(StopStringsTest, FlushGivesWhatWasHeldBack) {
  StopStrings stop_strings({"stop"});
  EXPECT_EQ(stop_strings.Feed("a sto"), "a ");
  EXPECT_EQ(stop_strings.Flush(), "sto");
  EXPECT_FALSE(stop_strings.stopped());
}

TEST(StopStringsTest, OfStopsThatEndTogetherTheLongestWins) {
  EXPECT_EQ(Stream({"c", "abc", "bc"}, {"xabcd"}), (Outcome{"x", true}));
  EXPECT_EQ(Stream({"abcd", "bc"}, {"xabcd"}), (Outcome{"xa", true}));
}

TEST(StopStringsTest, EmptyStopsNeverMatch) {
  EXPECT_EQ(Stream({"", ""}, {"ab", "c"}), (Outcome{"abc", false}));
  EXPECT_EQ(Stream({}, {"abc"}), (Outcome{"abc", false}));
}

}  // namespace
}  // namespace spotinference
