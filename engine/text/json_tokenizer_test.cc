#include "engine/text/json_tokenizer.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/text/tokenizer.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

// As Llama 2's file, with a small vocabulary.
constexpr char kLlama[] = R"({
  "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true},
                   {"id": 2, "content": "</s>", "special": true}, {"id": 9, "content": "<tab>", "special": false, "normalized": false}],
  "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
  "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "<0xC3>": 3, "<0xA9>": 4, "▁": 5, "a": 6, "b": 7, "▁a": 8},
            "merges": ["▁ a"]}})";

using Replacements = std::vector<std::pair<std::string_view, std::string_view>>;

std::string With(const Replacements& replacements) {
  std::string json = kLlama;
  for (const auto& [from, to] : replacements) {
    const size_t at = json.find(from);
    EXPECT_NE(at, json.npos) << from;
    json.replace(at, from.size(), to);
  }
  return json;
}

std::string Error(const Replacements& replacements, absl::string_view config = "") {
  return std::string(TokenizerFromJson(With(replacements), config).status().message());
}

std::vector<std::string> Pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> pieces;
  for (const uint32_t id : tokenizer.Encode(text, {.parse_special = true})) {
    pieces.emplace_back(tokenizer.Piece(id));
  }
  return pieces;
}

using Strings = std::vector<std::string>;

TEST(JsonTokenizerTest, ReadsAllParts) {
  const auto made = TokenizerFromJson(kLlama, R"({"eos_token": {"content": "</s>"}})");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->bos, 1);
  EXPECT_EQ(made->eos, 2);
  EXPECT_TRUE(made->add_bos);
  const Tokenizer& tokenizer = *made->tokenizer;
  EXPECT_TRUE(tokenizer.adds_space());
  EXPECT_EQ(tokenizer.vocabulary_size(), 10);
  EXPECT_TRUE(tokenizer.IsSpecial(1));
  EXPECT_FALSE(tokenizer.IsSpecial(9));
  EXPECT_EQ(Pieces(tokenizer, "ab é<s>a<tab>"),
            (Strings{" a", "b", " ", "\xc3", "\xa9", "<s>", " a", "<tab>"}));
  EXPECT_EQ(Pieces(tokenizer, "axyb"), (Strings{" a", "<unk>", "b"}));
}

TEST(JsonTokenizerTest, TheConfigSaysWhatTheFileDoesNot) {
  const std::string without = With({{"\"post_processor\"", "\"unused\""}});
  const auto made = TokenizerFromJson(without, R"({"bos_token": "<s>", "add_bos_token": true})");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->bos, 1);
  EXPECT_TRUE(made->add_bos);
  EXPECT_EQ(made->eos, std::nullopt);
  const auto none = TokenizerFromJson(without, R"({"bos_token": "<s>"})");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->add_bos);
}

TEST(JsonTokenizerTest, FlagsOfAddedTokens) {
  const auto pieces = [](std::string_view flags, std::string_view text) {
    const std::string json = With({{R"("<tab>", "special": false, "normalized": false)", flags}});
    const auto made = TokenizerFromJson(json, "");
    EXPECT_TRUE(made.ok()) << made.status();
    return Pieces(*made->tokenizer, text);
  };
  EXPECT_EQ(pieces(R"("<tab>", "rstrip": true, "normalized": false)", "<tab>  a"),
            (Strings{"<tab>", " a"}));
  EXPECT_EQ(pieces(R"("<tab>", "lstrip": true, "normalized": false)", "a  <tab>a"),
            (Strings{" a", "<tab>", " a"}));
}

TEST(JsonTokenizerTest, WhatIsNotKnownIsRefusedByName) {
  EXPECT_EQ(Error({{"\"BPE\"", "\"WordPiece\""}}),
            "model.type is \"WordPiece\"; expected BPE or Unigram");
  EXPECT_EQ(Error({{"\"dropout\": null", "\"dropout\": 0.5"}}), "model.dropout is 5E-1; expected null");
  EXPECT_EQ(Error({{R"("type": "Prepend")", R"("type": "BertNormalizer")"}}),
            "normalizer.normalizers[0].type is \"BertNormalizer\"; expected NFC, Strip, Prepend, "
            "Replace or a Sequence of them");
  EXPECT_EQ(Error({{"\"pre_tokenizer\": null", R"("pre_tokenizer": {"type": "Whitespace"})"}}),
            "pre_tokenizer.type is \"Whitespace\"; expected ByteLevel, or Metaspace alone");
  EXPECT_EQ(Error({{"\"pre_tokenizer\": null",
                    R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split",
                        "pattern": {"Regex": "\\d+"}, "behavior": "Isolated"}, {"type": "ByteLevel",
                        "add_prefix_space": false, "use_regex": false}]})"},
                   {R"("type": "Replace", "pattern": {"String": " "}, "content": "▁")",
                    R"("type": "NFC")"}}),
            "pre_tokenizer cuts text in a way that is not known here: \\d+");
  EXPECT_EQ(Error({{R"("type": "Fuse")", R"("type": "CTC")"}}),
            "decoder.decoders[2].type is \"CTC\"; expected ByteLevel, Metaspace, Replace, "
            "ByteFallback, Fuse or Strip");
  EXPECT_EQ(Error({{R"("id": "<s>", "type_id": 0)", R"("id": "<x>")"}}),
            "post_processor.single[0].SpecialToken.id is \"<x>\"; expected a token");
  EXPECT_EQ(Error({{"\"special\": false", "\"single_word\": true"}}),
            "added_tokens[3].single_word is true; expected false");
  EXPECT_EQ(Error({{R"({"Sequence": {"id": "A", "type_id": 0}})",
                    R"({"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}})"}}),
            "post_processor.single is an array; expected a special token or none, then the text");
}

TEST(JsonTokenizerTest, WhatMakesNoSenseIsRefusedByName) {
  EXPECT_EQ(TokenizerFromJson("{", "").status().message(),
            "tokenizer.json is no JSON: incomplete JSON");
  EXPECT_EQ(TokenizerFromJson("[]", "").status().message(), " is an array; expected an object");
  EXPECT_EQ(Error({{"\"▁a\": 8", "\"▁a\": 999999999"}}),
            "model.vocab[\"▁a\"] is 999999999; expected an id, of few gaps among all");
  EXPECT_EQ(Error({{"\"id\": 9", "\"id\": 99999999"}}),
            "added_tokens: \"<tab>\" has the id 99999999; expected one that is not far past the others");
  EXPECT_EQ(Error({{"\"▁ a\"", "\"▁a\""}}),
            "model.merges[0] is \"▁a\"; expected two tokens with a blank between");
  EXPECT_EQ(Error({{"\"▁ a\"", "\"▁ b\""}}),
            "merge 0, \"▁ b\": expected two tokens with a blank between, which together are a token");
  EXPECT_EQ(Error({{"\"unk_token\": \"<unk>\"", "\"unk_token\": \"[UNK]\""}}),
            "model.unk_token is \"[UNK]\", which model.vocab lacks");
  EXPECT_EQ(Error({{"\"special\": false", "\"special\": 1"}}),
            "added_tokens[3].special is 1; expected true or false");
  EXPECT_EQ(Error({}, R"({"eos_token": "<eos>"})"),
            "tokenizer_config.eos_token is \"<eos>\"; expected a token of tokenizer.json");
}

}  // namespace
}  // namespace spotinference
