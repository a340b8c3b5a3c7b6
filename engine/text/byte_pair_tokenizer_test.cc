#include "engine/text/byte_pair_tokenizer.h"

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::Test;

// All 256 bytes in GPT-2's alphabet, then `more`, then the merges' results.
struct SmallVocabulary {
  std::vector<std::string> tokens;
  std::vector<TokenType> types;
  std::vector<std::string> merges;

  SmallVocabulary() {
    for (int letter = 0x21; letter < 0x144; ++letter) {
      const bool latin = letter <= 0x7e || (letter >= 0xa1 && letter <= 0xff && letter != 0xad);
      if (!latin && letter < 0x100) continue;
      std::string text;
      if (letter < 0x80) {
        text = static_cast<char>(letter);
      } else {
        text = {static_cast<char>(0xc0 | letter >> 6), static_cast<char>(0x80 | (letter & 0x3f))};
      }
      Add(text, TokenType::kNormal);
    }
  }

  void Add(std::string text, TokenType type) {
    tokens.push_back(std::move(text));
    types.push_back(type);
  }

  void Merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    Add(left + right, TokenType::kNormal);
  }

  Vocabulary View(std::string pre = "gpt-2") const {
    return {.tokens = {tokens.begin(), tokens.end()},
            .types = types,
            .merges = {merges.begin(), merges.end()},
            .pre = std::move(pre)};
  }
};

std::vector<std::string> Pieces(const Tokenizer& tokenizer, std::string_view text,
                                const EncodeOptions& options = {}) {
  std::vector<std::string> pieces;
  for (const uint32_t id : tokenizer.Encode(text, options)) {
    pieces.emplace_back(tokenizer.Piece(id));
  }
  return pieces;
}

class BytePairTokenizerTest : public Test {
 protected:
  BytePairTokenizerTest() {
    SmallVocabulary vocabulary;
    vocabulary.Merge("a", "a");
    vocabulary.Merge("aa", "aa");
    vocabulary.Merge("a", "b");
    vocabulary.Merge("\u0120", "\u0120");  // two spaces
    vocabulary.Merge("\u0120\u0120", "\u0120\u0120");
    vocabulary.Add("<end>", TokenType::kControl);
    vocabulary.Add("<end>>", TokenType::kControl);
    vocabulary.Add("<tab>", TokenType::kUserDefined);
    tokenizer_ = *BytePairTokenizer::Create(vocabulary.View());
  }

  std::unique_ptr<BytePairTokenizer> tokenizer_;
};

using Strings = std::vector<std::string>;

TEST_F(BytePairTokenizerTest, MergesTheLowestRankFirstThenTheLeftmost) {
  EXPECT_EQ(Pieces(*tokenizer_, "aab"), (Strings{"aa", "b"}));
  EXPECT_EQ(Pieces(*tokenizer_, "aaaaa"), (Strings{"aaaa", "a"}));
  EXPECT_EQ(Pieces(*tokenizer_, "ab"), (Strings{"ab"}));
}

TEST_F(BytePairTokenizerTest, ControlTokensAreParsedOnlyOnRequest) {
  EXPECT_EQ(Pieces(*tokenizer_, "<end>"), (Strings{"<", "e", "n", "d", ">"}));
  EXPECT_EQ(Pieces(*tokenizer_, "x<end>>y", {.parse_special = true}),
            (Strings{"x", "<end>>", "y"}));
  EXPECT_EQ(Pieces(*tokenizer_, "<en<end>", {.parse_special = true}),
            (Strings{"<", "e", "n", "<end>"}));
  EXPECT_EQ(Pieces(*tokenizer_, "<tab>"), (Strings{"<tab>"})) << "user-defined tokens always are";
}

TEST_F(BytePairTokenizerTest, AControlTokenThatTouchesInputIsReadLetterByLetter) {
  const std::string_view text = "<end>aa<end>aa<end>";
  const Strings spelled = {"<", "e", "n", "d", ">"};
  const Strings with_second_spelled = {"<end>", "aa", "<", "e", "n", "d", ">", "aa", "<end>"};
  for (const ByteRange range : {ByteRange{7, 12}, {7, 8}, {11, 12}, {5, 14}, {9, 10}}) {
    EXPECT_EQ(Pieces(*tokenizer_, text, {.parse_special = true, .from_input = {range}}),
              with_second_spelled);
  }
  // Half from the template and half from a message: no token, and the shorter token before the
  // border is one.
  const ByteRange last = {5, 6};
  EXPECT_EQ(Pieces(*tokenizer_, "<end>>", {.parse_special = true, .from_input = {&last, 1}}),
            (Strings{"<end>", ">"}));
  const ByteRange first = {0, 1};
  EXPECT_EQ(Pieces(*tokenizer_, "<end>", {.parse_special = true, .from_input = {&first, 1}}),
            spelled);
}

TEST_F(BytePairTokenizerTest, WordsCrossTheBordersOfInput) {
  const ByteRange range = {1, 3};
  EXPECT_EQ(Pieces(*tokenizer_, "aaaa", {.parse_special = true, .from_input = {&range, 1}}),
            (Strings{"aaaa"}));
}

TEST_F(BytePairTokenizerTest, PiecesAddUpToAnyBytes) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 200, 0);
    for (char& c : text)
      c = static_cast<char>(random() % 3 ? "ab <end>\xe2\x80"[random() % 11] : random());
    std::string joined;
    for (const std::string& piece : Pieces(*tokenizer_, text, {.parse_special = true})) {
      joined += piece;
    }
    ASSERT_EQ(joined, text);
  }
}

// Quadratic work on a megabyte would take minutes.
TEST_F(BytePairTokenizerTest, LongRunsTakeLinearTime) {
  for (const std::string_view unit : {"a", " ", "ab", "<", "<end", "\xff", "'", "\u00e9"}) {
    std::string text;
    while (text.size() < 1 << 20) text += unit;
    size_t bytes = 0;
    for (const uint32_t id : tokenizer_->Encode(text, {.parse_special = true})) {
      bytes += tokenizer_->Piece(id).size();
    }
    EXPECT_EQ(bytes, text.size());
  }
}

TEST_F(BytePairTokenizerTest, ShortAndLongWordsMergeAlike) {
  std::mt19937 random(1);
  SmallVocabulary vocabulary;
  vocabulary.Merge("b", "a");
  vocabulary.Merge("a", "b");
  vocabulary.Merge("ba", "ba");
  vocabulary.Merge("ab", "b");
  vocabulary.Merge("a", "a");
  vocabulary.Merge("ba", "ab");
  vocabulary.Merge("aa", "bab");  // its parts never both appear: "bab" is no token
  vocabulary.merges.pop_back();
  vocabulary.tokens.pop_back();
  vocabulary.types.pop_back();
  const auto tokenizer = *BytePairTokenizer::Create(vocabulary.View());
  // Merges of a word of letters never reach across "c", which merges with nothing: a long word is
  // its parts in a row.
  for (int round = 0; round < 200; ++round) {
    std::string whole;
    Strings expected;
    for (int part = 0; part < 20; ++part) {
      std::string text = "c";
      for (size_t n = random() % 20; n > 0; --n) text += "ab"[random() % 2];
      whole += text;
      for (const std::string& piece : Pieces(*tokenizer, text)) expected.push_back(piece);
    }
    ASSERT_EQ(Pieces(*tokenizer, whole), expected);
  }
}

TEST_F(BytePairTokenizerTest, FindIsTheOppositeOfPiece) {
  for (uint32_t id = 0; id < tokenizer_->vocabulary_size(); ++id) {
    EXPECT_EQ(tokenizer_->Find(tokenizer_->Piece(id)), id);
  }
  EXPECT_EQ(tokenizer_->Find("abc"), std::nullopt);
  EXPECT_EQ(tokenizer_->Find("<en"), std::nullopt);
  EXPECT_EQ(tokenizer_->Find(""), std::nullopt);
  EXPECT_EQ(tokenizer_->Piece(tokenizer_->vocabulary_size()), "");
  EXPECT_TRUE(tokenizer_->IsSpecial(*tokenizer_->Find("<end>")));
  EXPECT_FALSE(tokenizer_->IsSpecial(*tokenizer_->Find("<tab>")));
  EXPECT_FALSE(tokenizer_->IsSpecial(tokenizer_->vocabulary_size()));
}

TEST(BytePairTokenizerLoadTest, BytesThatTheVocabularyLacksAreLeftOut) {
  const Vocabulary vocabulary = {.tokens = {"a", "b", "ab"}, .merges = {"a b"}, .pre = "gpt-2"};
  EXPECT_EQ(Pieces(**BytePairTokenizer::Create(vocabulary), "acb"), (Strings{"ab"}));
}

TEST(BytePairTokenizerLoadTest, RefusesAndNamesWhatMakesNoSense) {
  const auto error = [](Vocabulary vocabulary) {
    return std::string(BytePairTokenizer::Create(vocabulary).status().message());
  };
  EXPECT_EQ(error({.tokens = {"a"}, .pre = "qwen9"}),
            "pre-tokenizer \"qwen9\" is unknown; known are: gpt-2, smollm");
  EXPECT_EQ(
      error({.tokens = {"a"}, .types = {TokenType::kNormal, TokenType::kNormal}, .pre = "gpt-2"}),
      "the vocabulary has 1 tokens but 2 token types");
  EXPECT_EQ(error({.tokens = {"a", "b c"}, .pre = "gpt-2"}),
            "token 1, \"b c\", has a letter outside the byte alphabet of a gpt2 vocabulary");
  for (const std::string_view merge : {"a", "a b", "b a", "a c", "", " ", "a  b"}) {
    EXPECT_EQ(error({.tokens = {"a", "b"}, .merges = {merge}, .pre = "gpt-2"}),
              "merge 0, \"" + std::string(merge) +
                  "\": expected two tokens with a blank between, which together are a token");
  }
  EXPECT_NE(error({.pre = "gpt-2"}).find("expected 1 token"), std::string::npos);
}

}  // namespace
}  // namespace spotinference
