#include "engine/text/pipeline_tokenizer.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/gguf.h"
#include "engine/text/gguf_keys.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/utf8.h"
#include "engine/text/vocabulary.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using ::testing::Test;

// The keys of a GGUF file.
struct SmallVocabulary {
  std::string model = "gpt2";
  std::string pre = "gpt-2";
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
  std::vector<float> scores;
  bool add_space_prefix = true;
  std::string family = "llama";

  void Add(std::string text, TokenType type = TokenType::kNormal, float score = 0) {
    tokens.push_back(std::move(text));
    types.push_back(static_cast<int32_t>(type));
    scores.push_back(score);
  }

  void Merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    Add(left + right);
  }

  absl::StatusOr<std::unique_ptr<const Tokenizer>> Make() const {
    GgufKeys bytes;
    bytes.String("general.architecture", family);
    bytes.String("tokenizer.ggml.model", model);
    bytes.String("tokenizer.ggml.pre", pre);
    bytes.Strings("tokenizer.ggml.tokens", tokens);
    if (!types.empty()) bytes.Integers("tokenizer.ggml.token_type", types);
    bytes.Strings("tokenizer.ggml.merges", merges);
    bytes.Floats("tokenizer.ggml.scores", scores);
    bytes.Bool("tokenizer.ggml.add_space_prefix", add_space_prefix);
    const std::string file = bytes.File();
    const auto parsed = GgufFile::Parse(
        absl::MakeSpan(reinterpret_cast<const std::byte*>(file.data()), file.size()));
    if (!parsed.ok()) return parsed.status();
    absl::StatusOr<ModelTokenizer> made = ReadTokenizer(**parsed);
    if (!made.ok()) return made.status();
    return std::move(made->tokenizer);
  }
};

// All 256 bytes in GPT-2's alphabet.
SmallVocabulary ByteLevel() {
  SmallVocabulary vocabulary;
  for (int letter = 0x21; letter < 0x144; ++letter) {
    const bool latin = letter <= 0x7e || (letter >= 0xa1 && letter <= 0xff && letter != 0xad);
    if (!latin && letter < 0x100) continue;
    std::string text;
    AppendUtf8(letter, text);
    vocabulary.Add(text);
  }
  return vocabulary;
}

std::vector<std::string> Pieces(const Tokenizer& tokenizer, std::string_view text,
                                const EncodeOptions& options = {}) {
  std::vector<std::string> pieces;
  for (const uint32_t id : tokenizer.Encode(text, options)) {
    pieces.emplace_back(tokenizer.Piece(id));
  }
  return pieces;
}

class ByteLevelTest : public Test {
 protected:
  ByteLevelTest() {
    SmallVocabulary vocabulary = ByteLevel();
    vocabulary.Merge("a", "a");
    vocabulary.Merge("aa", "aa");
    vocabulary.Merge("a", "b");
    vocabulary.Merge("\u0120", "\u0120");  // two spaces
    vocabulary.Merge("\u0120\u0120", "\u0120\u0120");
    vocabulary.Add("<end>", TokenType::kControl);
    vocabulary.Add("<end>>", TokenType::kControl);
    vocabulary.Add("<tab>", TokenType::kUserDefined);
    tokenizer_ = *vocabulary.Make();
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
};

using Strings = std::vector<std::string>;

TEST_F(ByteLevelTest, MergesTheLowestRankFirstThenTheLeftmost) {
  EXPECT_EQ(Pieces(*tokenizer_, "aab"), (Strings{"aa", "b"}));
  EXPECT_EQ(Pieces(*tokenizer_, "aaaaa"), (Strings{"aaaa", "a"}));
  EXPECT_EQ(Pieces(*tokenizer_, "ab"), (Strings{"ab"}));
}

TEST_F(ByteLevelTest, ControlTokensAreParsedOnlyOnRequest) {
  EXPECT_EQ(Pieces(*tokenizer_, "<end>"), (Strings{"<", "e", "n", "d", ">"}));
  EXPECT_EQ(Pieces(*tokenizer_, "x<end>>y", {.parse_special = true}),
            (Strings{"x", "<end>>", "y"}));
  EXPECT_EQ(Pieces(*tokenizer_, "<en<end>", {.parse_special = true}),
            (Strings{"<", "e", "n", "<end>"}));
  EXPECT_EQ(Pieces(*tokenizer_, "<tab>"), (Strings{"<tab>"})) << "user-defined tokens always are";
}

TEST_F(ByteLevelTest, AControlTokenThatTouchesInputIsReadLetterByLetter) {
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

TEST_F(ByteLevelTest, WordsCrossTheBordersOfInput) {
  const ByteRange range = {1, 3};
  EXPECT_EQ(Pieces(*tokenizer_, "aaaa", {.parse_special = true, .from_input = {&range, 1}}),
            (Strings{"aaaa"}));
}

TEST_F(ByteLevelTest, PiecesAddUpToAnyBytes) {
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
TEST_F(ByteLevelTest, LongRunsTakeLinearTime) {
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

TEST_F(ByteLevelTest, ShortAndLongWordsMergeAlike) {
  std::mt19937 random(1);
  SmallVocabulary vocabulary = ByteLevel();
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
  vocabulary.scores.pop_back();
  const auto tokenizer = *vocabulary.Make();
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

TEST_F(ByteLevelTest, FindIsTheOppositeOfPiece) {
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

TEST(TokenizerLoadTest, BytesThatTheVocabularyLacksAreLeftOut) {
  const SmallVocabulary vocabulary = {.tokens = {"a", "b", "ab"}, .merges = {"a b"}};
  EXPECT_EQ(Pieces(**vocabulary.Make(), "acb"), (Strings{"ab"}));
}

TEST(TokenizerLoadTest, RefusesAndNamesWhatMakesNoSense) {
  const auto error = [](const SmallVocabulary& vocabulary) {
    return std::string(vocabulary.Make().status().message());
  };
  EXPECT_EQ(error({.pre = "qwen9", .tokens = {"a"}}),
            "pre-tokenizer \"qwen9\" is unknown; known are: gpt-2, smollm, llama-bpe, qwen2");
  EXPECT_EQ(error({.tokens = {"a"}, .types = {1, 1}}),
            "the vocabulary has 1 tokens but 2 token types");
  EXPECT_EQ(error({.tokens = {"a", "b c"}}),
            "token 1, \"b c\", has a letter outside the byte alphabet of a byte-level vocabulary");
  for (const std::string merge : {"a b", "b a", "a c", " ", "a  b"}) {
    EXPECT_EQ(error({.tokens = {"a", "b"}, .merges = {merge}}),
              "merge 0, \"" + merge +
                  "\": expected two tokens with a blank between, which together are a token");
  }
  EXPECT_NE(error({.tokens = {"a"}, .merges = {"a"}}), "");
  EXPECT_NE(error({}).find("expected 1 token"), std::string::npos);
  EXPECT_EQ(error({.model = "llama", .tokens = {"a"}}), "the vocabulary has 1 tokens but 0 scores");
  EXPECT_EQ(error({.model = "t5", .tokens = {"a"}, .scores = {std::nanf("")}}),
            "the score of token 0 is no number");
  EXPECT_EQ(error({.model = "llama", .tokens = {"<0xG0>"}, .types = {6}, .scores = {0}}),
            "token 0, \"<0xG0>\", is a byte; expected <0x00> to <0xFF>");
}

// SentencePiece's kinds, by hand; tokenizer_oracle_test holds them against the packages.
SmallVocabulary SentencePiece(const std::string& model) {
  SmallVocabulary vocabulary = {.model = model};
  vocabulary.Add("<unk>", TokenType::kUnknown);
  vocabulary.Add("<s>", TokenType::kControl);
  for (const char* byte : {"<0xC3>", "<0xA9>", "<0xEF>", "<0xBF>", "<0xBD>"}) {
    vocabulary.Add(byte, TokenType::kByte);
  }
  vocabulary.Add("a", TokenType::kNormal, -4);
  vocabulary.Add("b", TokenType::kNormal, -5);
  vocabulary.Add("\u2581", TokenType::kNormal, -6);
  vocabulary.Add("ab", TokenType::kNormal, -2);
  vocabulary.Add("\u2581a", TokenType::kNormal, -1);
  vocabulary.Add("<tab>", TokenType::kUserDefined);
  return vocabulary;
}

TEST(SentencePieceTest, TheHighestScoreMergesFirst) {
  const auto tokenizer = *SentencePiece("llama").Make();
  EXPECT_EQ(Pieces(*tokenizer, "ab"), (Strings{" a", "b"}));
  EXPECT_EQ(Pieces(*tokenizer, "abab"), (Strings{" a", "b", "ab"}));
  EXPECT_EQ(Pieces(*tokenizer, " ab"), (Strings{" ", " a", "b"}));
  EXPECT_EQ(Pieces(*tokenizer, "a\u2581ab"), (Strings{" a", " a", "b"}));
  EXPECT_EQ(Pieces(*tokenizer, ""), Strings{});
}

TEST(SentencePieceTest, TheBestSumWins) {
  const auto tokenizer = *SentencePiece("t5").Make();
  EXPECT_EQ(Pieces(*tokenizer, "ab"), (Strings{" a", "b"}));       // -6, against -8
  EXPECT_EQ(Pieces(*tokenizer, "aab"), (Strings{" a", "ab"}));     // -3
}

TEST(SentencePieceTest, CharactersWithoutATokenAreBytesOrUnknown) {
  for (const std::string model : {"llama", "t5"}) {
    SmallVocabulary vocabulary = SentencePiece(model);
    vocabulary.add_space_prefix = false;
    const auto tokenizer = *vocabulary.Make();
    EXPECT_EQ(Pieces(*tokenizer, "aé"), (Strings{"a", "\xc3", "\xa9"}));
    EXPECT_EQ(Pieces(*tokenizer, "b\xff"), (Strings{"b", "\xef", "\xbf", "\xbd"}));
    EXPECT_EQ(Pieces(*tokenizer, "bxyb"), (Strings{"b", "<unk>", "b"}));
  }
}

TEST(SentencePieceTest, ASpaceComesBeforeTextAndAfterControlTokens) {
  const auto tokenizer = *SentencePiece("llama").Make();
  EXPECT_TRUE(tokenizer->adds_space());
  EXPECT_EQ(Pieces(*tokenizer, "a<s>a", {.parse_special = true}), (Strings{" a", "<s>", " a"}));
  EXPECT_EQ(Pieces(*tokenizer, "a<tab>a"), (Strings{" a", "<tab>", "a"}));
}

TEST(SentencePieceTest, TokensOfPhi3TakeTheWhiteSpaceAfterThem) {
  SmallVocabulary vocabulary = SentencePiece("llama");
  vocabulary.add_space_prefix = false;
  vocabulary.family = "phi3";
  vocabulary.Add("<|user|>", TokenType::kControl);
  const auto tokenizer = *vocabulary.Make();
  EXPECT_EQ(Pieces(*tokenizer, "<|user|> \n\ta b", {.parse_special = true}),
            (Strings{"<|user|>", "a", " ", "b"}));
  EXPECT_EQ(Pieces(*tokenizer, "<s> b", {.parse_special = true}), (Strings{"<s>", " ", "b"}));
}

TEST(SentencePieceTest, FindIsTheOppositeOfPiece) {
  const auto tokenizer = *SentencePiece("llama").Make();
  for (uint32_t id = 0; id < tokenizer->vocabulary_size(); ++id) {
    EXPECT_EQ(tokenizer->Find(tokenizer->Piece(id)), id);
  }
  EXPECT_TRUE(tokenizer->IsSpecial(*tokenizer->Find("<unk>")));
}

TEST(SentencePieceTest, LongRunsTakeLinearTime) {
  for (const std::string model : {"llama", "t5"}) {
    const auto tokenizer = *SentencePiece(model).Make();
    for (const std::string_view unit : {"a", " ", "ab", "<", "<tab", "\u00e9", "a "}) {
      std::string text;
      while (text.size() < 1 << 20) text += unit;
      EXPECT_GE(tokenizer->Encode(text, {.parse_special = true}).size(), 1);
    }
  }
}

}  // namespace
}  // namespace spotinference
