#include "engine/text/detokenizer.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

// Each piece is a token; the last one is a control token.
class PieceTokenizer final : public Tokenizer {
 public:
  explicit PieceTokenizer(std::vector<std::string> pieces, bool adds_space = false)
      : pieces_(std::move(pieces)), adds_space_(adds_space) {}

  std::vector<uint32_t> Encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string_view Piece(uint32_t id) const override { return pieces_.at(id); }
  std::optional<uint32_t> Find(std::string_view) const override { return std::nullopt; }
  bool IsSpecial(uint32_t id) const override { return id + 1 == pieces_.size(); }
  uint32_t vocabulary_size() const override { return pieces_.size(); }
  bool adds_space() const override { return adds_space_; }

 private:
  const std::vector<std::string> pieces_;
  const bool adds_space_;
};

std::vector<std::string> Feed(const std::vector<std::string>& pieces) {
  const PieceTokenizer tokenizer([&] {
    std::vector<std::string> with_special = pieces;
    with_special.push_back("<end>");
    return with_special;
  }());
  Detokenizer detokenizer(tokenizer);
  std::vector<std::string> texts;
  for (uint32_t id = 0; id < pieces.size(); ++id) texts.push_back(detokenizer.Feed(id));
  texts.push_back(detokenizer.Feed(pieces.size()));
  texts.push_back(detokenizer.Flush());
  return texts;
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += text;
  return joined;
}

TEST(DetokenizerTest, NoSplitCutsACharacter) {
  const std::string text = "aé€😀👩‍🚀z";
  const auto is_start = [&](size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
  };
  for (size_t i = 0; i <= text.size(); ++i) {
    for (size_t k = i; k <= text.size(); ++k) {
      const std::vector<std::string> texts =
          Feed({text.substr(0, i), text.substr(i, k - i), text.substr(k)});
      EXPECT_EQ(Joined(texts), text);
      for (const std::string& part : texts) {
        EXPECT_TRUE(part.empty() || (part[0] & 0xc0) != 0x80) << part;
      }
      // Nothing is held longer than it must be.
      size_t whole = i;
      while (whole > 0 && whole < text.size() && !is_start(whole)) --whole;
      EXPECT_EQ(texts[0].size(), whole);
    }
  }
}

// Each pair: bytes, and what Python 3.11 makes of them with bytes.decode("utf-8",
// errors="replace").
TEST(DetokenizerTest, InvalidBytesBecomeWhatPythonMakesOfThem) {
  const std::pair<std::string, std::string> cases[] = {
      {"a\xff"
       "b",
       "a\uFFFDb"},
      {"\xc3(", "\uFFFD("},
      {"\xe2\x82", "\uFFFD"},
      {"\xe2\x82z", "\uFFFDz"},
      {"\xf0\x9f\x98", "\uFFFD"},
      {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\uFFFD😀"},
      {"\xc0\xaf", "\uFFFD\uFFFD"},
      {"\xe0\x80\xaf", "\uFFFD\uFFFD\uFFFD"},
      {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\x80\x80", "\uFFFD\uFFFD"},
  };
  for (const auto& [bytes, text] : cases) {
    for (size_t i = 0; i <= bytes.size(); ++i) {
      EXPECT_EQ(Joined(Feed({bytes.substr(0, i), bytes.substr(i)})), text);
    }
  }
}

TEST(DetokenizerTest, ControlTokensGiveNoText) {
  const PieceTokenizer tokenizer({"\xc3", "\xa9", "<end>"});
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.Feed(0), "");
  EXPECT_EQ(detokenizer.Feed(2), "");
  EXPECT_EQ(detokenizer.Feed(1), "é");
  EXPECT_EQ(detokenizer.Flush(), "");
}

TEST(DetokenizerTest, TheSpaceBeforeATextIsLeftOut) {
  const PieceTokenizer tokenizer({" a", "  ", "", "<end>"}, /*adds_space=*/true);
  Detokenizer whole(tokenizer);
  EXPECT_EQ(whole.Feed(3), "");
  EXPECT_EQ(whole.Feed(2), "");
  EXPECT_EQ(whole.Feed(0), "a");
  EXPECT_EQ(whole.Feed(0), " a");
  EXPECT_EQ(Detokenizer(tokenizer).Feed(1), " ");
  EXPECT_EQ(Detokenizer(tokenizer, Detokenizer::Text::kGoesOn).Feed(0), " a");
  const PieceTokenizer adds_none({" a", "<end>"});
  EXPECT_EQ(Detokenizer(adds_none).Feed(0), " a");
}

}  // namespace
}  // namespace spotinference
