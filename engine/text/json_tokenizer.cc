#include "engine/text/json_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/byte_pair_model.h"
#include "engine/text/json_reader.h"
#include "engine/text/json_text_steps.h"
#include "engine/text/normalizer.h"
#include "engine/text/pipeline_tokenizer.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/special_tokens.h"
#include "engine/text/unigram_model.h"
#include "engine/text/vocabulary.h"

namespace spotinference {
namespace json = boost::json;

namespace {

struct AddedToken {
  std::string_view content;
  SpecialTokens::Token token;
  bool normalized;
};

// Tokens by id while they are collected.
struct Tokens {
  std::vector<std::string_view> texts;  // empty: no token has this id
  std::vector<TokenType> types;
  std::vector<double> scores;
  absl::flat_hash_map<std::string_view, uint32_t> ids;  // of the model's own tokens

  // `id` comes from outside; false: it is so large that the ids would be mostly gaps.
  bool Add(int64_t id, std::string_view text, TokenType type, double score, size_t expected) {
    if (id < 0 || static_cast<size_t>(id) > 2 * expected + 65536) return false;
    const auto index = static_cast<size_t>(id);
    if (index >= texts.size()) {
      texts.resize(index + 1);
      types.resize(index + 1, TokenType::kUnused);
      scores.resize(index + 1, 0);
    }
    texts[index] = text;
    types[index] = type;
    scores[index] = score;
    return true;
  }
};

absl::Status ReadBytePairVocabulary(const JsonReader& model, Tokens& tokens) {
  ASSIGN_OR_RETURN(const JsonReader vocabulary, model.Field("vocab"));
  ASSIGN_OR_RETURN(const json::object* const object, vocabulary.Object());
  tokens.ids.reserve(object->size());
  for (const auto& [key, value] : *object) {
    const std::string_view text(key.data(), key.size());
    const int64_t* const id = value.if_int64();
    if (id == nullptr || !tokens.Add(*id, text, TokenType::kNormal, 0, object->size())) {
      return JsonReader(value, absl::StrCat("model.vocab[\"", std::string(text), "\"]"))
          .Error("an id, of few gaps among all");
    }
    tokens.ids.emplace(text, static_cast<uint32_t>(*id));
  }
  return absl::OkStatus();
}

absl::Status ReadUnigramVocabulary(const JsonReader& model, Tokens& tokens) {
  ASSIGN_OR_RETURN(const JsonReader vocabulary, model.Field("vocab"));
  ASSIGN_OR_RETURN(const json::array* const array, vocabulary.Array());
  for (size_t id = 0; id < array->size(); ++id) {
    const JsonReader row = vocabulary.At(id);
    ASSIGN_OR_RETURN(const json::array* const pair, row.Array());
    if (pair->size() != 2) return row.Error("a token and its score");
    ASSIGN_OR_RETURN(const std::string_view text, row.At(0).String());
    ASSIGN_OR_RETURN(const double score, row.At(1).Number());
    tokens.Add(id, text, TokenType::kNormal, score, array->size());
    tokens.ids.emplace(text, id);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const JsonReader& root) {
  std::vector<AddedToken> all;
  ASSIGN_OR_RETURN(const JsonReader list, root.Field("added_tokens"));
  if (list.is_null()) return all;
  ASSIGN_OR_RETURN(const json::array* const array, list.Array());
  for (size_t i = 0; i < array->size(); ++i) {
    const JsonReader row = list.At(i);
    ASSIGN_OR_RETURN(const JsonReader id, row.Field("id"));
    ASSIGN_OR_RETURN(const JsonReader content, row.Field("content"));
    AddedToken& added = all.emplace_back();
    ASSIGN_OR_RETURN(const int64_t number, id.Integer(0, Vocabulary::kNone - 1));
    added.token.id = static_cast<uint32_t>(number);
    ASSIGN_OR_RETURN(added.content, content.String());
    ASSIGN_OR_RETURN(added.token.control, row.BoolOr("special", false));
    ASSIGN_OR_RETURN(added.token.eats_left, row.BoolOr("lstrip", false));
    ASSIGN_OR_RETURN(added.token.eats_right, row.BoolOr("rstrip", false));
    ASSIGN_OR_RETURN(const bool single_word, row.BoolOr("single_word", false));
    if (single_word) {
      ASSIGN_OR_RETURN(const JsonReader flag, row.Field("single_word"));
      return flag.Error("false");
    }
    ASSIGN_OR_RETURN(added.normalized, row.BoolOr("normalized", !added.token.control));
  }
  return all;
}

// Gives the added tokens their place among all.
absl::Status Merge(const std::vector<AddedToken>& added, Spelling spelling, Tokens& tokens) {
  const size_t expected = tokens.texts.size() + added.size();
  for (const AddedToken& each : added) {
    const uint32_t id = each.token.id;
    const auto own = tokens.ids.find(each.content);
    const bool is_own = own != tokens.ids.end() && own->second == id;
    std::string spelled;
    TokenType type = TokenType::kNormal;  // one that words are made of, too
    if (each.token.control) {
      type = TokenType::kControl;
    } else if (spelling == Spelling::kByteLevel) {
      if (!is_own || !AppendSpelled(each.content, spelling, spelled)) type = TokenType::kUserDefined;
    } else if (!is_own) {
      type = TokenType::kUnused;
    }
    const double score = id < tokens.scores.size() ? tokens.scores[id] : 0;
    if (!tokens.Add(id, each.content, type, score, expected)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "added_tokens: \"", std::string(each.content), "\" has the id ", id,
          "; expected one that is not far past the others"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BytePairModel::Pair>> ReadMerges(const JsonReader& model) {
  ASSIGN_OR_RETURN(const JsonReader list, model.Field("merges"));
  ASSIGN_OR_RETURN(const json::array* const array, list.Array());
  std::vector<BytePairModel::Pair> merges;
  merges.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const JsonReader row = list.At(i);
    if (const json::array* const pair = row.value().if_array()) {
      if (pair->size() != 2) return row.Error("two tokens");
      ASSIGN_OR_RETURN(const std::string_view left, row.At(0).String());
      ASSIGN_OR_RETURN(const std::string_view right, row.At(1).String());
      merges.emplace_back(left, right);
      continue;
    }
    ASSIGN_OR_RETURN(const std::string_view line, row.String());
    const size_t blank = line.find(' ');
    if (blank == line.npos) return row.Error("two tokens with a blank between");
    merges.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  }
  return merges;
}

// Refuses what would change the tokens and is not known here.
absl::Status RefuseExtras(const JsonReader& model) {
  for (const std::string_view name : {"dropout", "continuing_subword_prefix",
                                      "end_of_word_suffix"}) {
    ASSIGN_OR_RETURN(const JsonReader field, model.Field(name));
    const json::value& value = field.value();
    const bool nothing = value.is_null() || (value.is_string() && value.get_string().empty()) ||
                         (value.is_number() && value.to_number<double>() == 0);
    if (!nothing) return field.Error("null");
  }
  return absl::OkStatus();
}

absl::StatusOr<BytePairModel> MakeBytePair(const JsonReader& model, const Tokens& tokens,
                                           const Vocabulary& vocabulary, bool byte_fallback) {
  RETURN_IF_ERROR(RefuseExtras(model));
  BytePairModel::Options options = {.byte_fallback = byte_fallback};
  ASSIGN_OR_RETURN(options.ignore_merges, model.BoolOr("ignore_merges", false));
  ASSIGN_OR_RETURN(options.fuse_unknown, model.BoolOr("fuse_unk", false));
  ASSIGN_OR_RETURN(const std::string_view unknown, model.StringOr("unk_token", ""));
  if (!unknown.empty()) {
    const auto id = tokens.ids.find(unknown);
    if (id == tokens.ids.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model.unk_token is \"", std::string(unknown), "\", which model.vocab lacks"));
    }
    options.unknown = id->second;
  }
  ASSIGN_OR_RETURN(const std::vector<BytePairModel::Pair> merges, ReadMerges(model));
  return BytePairModel::FromMerges(vocabulary, merges, options);
}

absl::StatusOr<UnigramModel> MakeUnigram(const JsonReader& model, const Tokens& tokens,
                                         const Vocabulary& vocabulary, bool byte_fallback) {
  ASSIGN_OR_RETURN(const JsonReader unknown, model.Field("unk_id"));
  ASSIGN_OR_RETURN(const int64_t id, unknown.Integer(0, vocabulary.size() - 1));
  return UnigramModel::Create(vocabulary, tokens.scores,
                              {.unknown = static_cast<uint32_t>(id),
                               .byte_fallback = byte_fallback,
                               .float_sums = false});
}

absl::Status AddSpecial(const std::vector<AddedToken>& added, const TextSteps& steps,
                        TokenizerParts& parts) {
  for (const AddedToken& each : added) {
    // Without a step that changes text it is all the same.
    if (!each.normalized || steps.normalizer.empty() || steps.metaspace) {
      parts.special.Add(each.content, each.token);
      continue;
    }
    if (each.token.eats_left || each.token.eats_right) {
      // What counts as white space is another matter after a normalizer.
      return absl::InvalidArgumentError(
          absl::StrCat("added_tokens: \"", std::string(each.content),
                       "\" is normalized and takes white space; expected only one of the two"));
    }
    std::string buffer;
    parts.normalized_special.Add(steps.normalizer.Run(each.content, /*at_start=*/true, buffer),
                                 each.token);
  }
  return absl::OkStatus();
}

// The id of the token that stands before every text; none: nothing does.
absl::StatusOr<std::optional<uint32_t>> ReadTemplate(const JsonReader& processor,
                                                     const Tokens& tokens) {
  ASSIGN_OR_RETURN(const JsonReader single, processor.Field("single"));
  ASSIGN_OR_RETURN(const json::array* const pieces, single.Array());
  constexpr std::string_view kExpected = "a special token or none, then the text";
  std::optional<uint32_t> first;
  for (size_t i = 0; i < pieces->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonReader special, single.At(i).Field("SpecialToken"));
    if (special.is_null() != (i + 1 == pieces->size()) || i > 1) return single.Error(kExpected);
    if (special.is_null()) continue;
    ASSIGN_OR_RETURN(const JsonReader name, special.Field("id"));
    ASSIGN_OR_RETURN(const std::string_view text, name.String());
    const auto id = std::find(tokens.texts.begin(), tokens.texts.end(), text);
    if (text.empty() || id == tokens.texts.end()) return name.Error("a token");
    first = static_cast<uint32_t>(id - tokens.texts.begin());
  }
  return first;
}

absl::StatusOr<std::optional<uint32_t>> ReadPostProcessor(const JsonReader& processor,
                                                          const Tokens& tokens) {
  if (processor.is_null()) return std::nullopt;
  ASSIGN_OR_RETURN(const JsonReader type, processor.Field("type"));
  ASSIGN_OR_RETURN(const std::string_view name, type.String());
  if (name == "ByteLevel") return std::nullopt;  // concerns offsets only
  if (name == "TemplateProcessing") return ReadTemplate(processor, tokens);
  if (name != "Sequence") return type.Error("ByteLevel, TemplateProcessing or Sequence");
  ASSIGN_OR_RETURN(const JsonReader list, processor.Field("processors"));
  ASSIGN_OR_RETURN(const json::array* const array, list.Array());
  std::optional<uint32_t> first;
  for (size_t i = 0; i < array->size(); ++i) {
    const JsonReader each = list.At(i);
    ASSIGN_OR_RETURN(const JsonReader inner, each.Field("type"));
    if (inner.value() == "Sequence") return inner.Error("ByteLevel or TemplateProcessing");
    ASSIGN_OR_RETURN(const std::optional<uint32_t> token, ReadPostProcessor(each, tokens));
    if (token) first = token;
  }
  return first;
}

// "bos_token" and "eos_token": a text, or an object with a "content".
absl::StatusOr<std::optional<uint32_t>> ReadNamedToken(const JsonReader& config,
                                                       std::string_view name,
                                                       const Tokens& tokens) {
  ASSIGN_OR_RETURN(JsonReader field, config.Field(name));
  if (field.value().is_object()) {
    ASSIGN_OR_RETURN(field, field.Field("content"));
  }
  if (field.is_null()) return std::nullopt;
  ASSIGN_OR_RETURN(const std::string_view text, field.String());
  const auto id = std::find(tokens.texts.begin(), tokens.texts.end(), text);
  if (text.empty() || id == tokens.texts.end()) return field.Error("a token of tokenizer.json");
  return static_cast<uint32_t>(id - tokens.texts.begin());
}

absl::Status ReadEnds(const JsonReader& root, const json::value& config, const Tokens& tokens,
                      ModelTokenizer& made) {
  ASSIGN_OR_RETURN(const JsonReader processor, root.Field("post_processor"));
  ASSIGN_OR_RETURN(made.bos, ReadPostProcessor(processor, tokens));
  made.add_bos = made.bos.has_value();
  if (config.is_null()) return absl::OkStatus();
  const JsonReader reader(config, "tokenizer_config");
  ASSIGN_OR_RETURN(made.eos, ReadNamedToken(reader, "eos_token", tokens));
  if (made.bos) return absl::OkStatus();
  ASSIGN_OR_RETURN(made.bos, ReadNamedToken(reader, "bos_token", tokens));
  ASSIGN_OR_RETURN(made.add_bos, reader.BoolOr("add_bos_token", false));
  if (made.add_bos && !made.bos) {
    return absl::InvalidArgumentError(
        "tokenizer_config.add_bos_token is true, but there is no bos_token");
  }
  return absl::OkStatus();
}

absl::StatusOr<json::value> Parse(absl::string_view text, std::string_view name,
                                  json::storage_ptr storage) {
  json::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error, std::move(storage));
  if (!error) return value;
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(name), " is no JSON: ", error.message()));
}

absl::StatusOr<ModelTokenizer> Make(const JsonReader& root, const json::value& config) {
  ASSIGN_OR_RETURN(const JsonReader model, root.Field("model"));
  ASSIGN_OR_RETURN(const JsonReader type, model.Field("type"));
  ASSIGN_OR_RETURN(const std::string_view type_name, model.StringOr("type", "BPE"));
  const bool unigram = type_name == "Unigram";
  if (!unigram && type_name != "BPE") return type.Error("BPE or Unigram");
  ASSIGN_OR_RETURN(TextSteps steps, ReadTextSteps(root));
  const Spelling spelling = steps.byte_level ? Spelling::kByteLevel : Spelling::kSentencePiece;
  if (unigram && steps.byte_level) return type.Error("BPE, since a pre-tokenizer is ByteLevel");

  Tokens tokens;
  RETURN_IF_ERROR((unigram ? ReadUnigramVocabulary : ReadBytePairVocabulary)(model, tokens));
  ASSIGN_OR_RETURN(const bool byte_fallback, model.BoolOr("byte_fallback", false));
  ASSIGN_OR_RETURN(const std::vector<AddedToken> added, ReadAddedTokens(root));
  if (byte_fallback && !steps.byte_level) MarkByteTokens(tokens.texts, tokens.types);
  RETURN_IF_ERROR(Merge(added, spelling, tokens));
  ASSIGN_OR_RETURN(Vocabulary made_vocabulary,
                   Vocabulary::Create(tokens.texts, tokens.types, spelling));
  auto vocabulary = std::make_unique<const Vocabulary>(std::move(made_vocabulary));

  const auto make_model = [&]() -> absl::StatusOr<std::variant<BytePairModel, UnigramModel>> {
    if (unigram) return MakeUnigram(model, tokens, *vocabulary, byte_fallback);
    ASSIGN_OR_RETURN(BytePairModel pairs, MakeBytePair(model, tokens, *vocabulary, byte_fallback));
    if (steps.pre_tokenizer.pattern == PreTokenizer::Pattern::kWhole && pairs.spaces_only_lead()) {
      steps.pre_tokenizer.pattern = PreTokenizer::Pattern::kSpaceRuns;
    }
    return pairs;
  };
  ASSIGN_OR_RETURN(auto made_model, make_model());
  ModelTokenizer made;
  RETURN_IF_ERROR(ReadEnds(root, config, tokens, made));
  TokenizerParts parts = {.pre_tokenizer = steps.pre_tokenizer,
                          .model = std::move(made_model),
                          .adds_space = steps.adds_space};
  RETURN_IF_ERROR(AddSpecial(added, steps, parts));
  parts.normalizer = std::move(steps.normalizer);
  parts.vocabulary = std::move(vocabulary);
  made.tokenizer = std::make_unique<const PipelineTokenizer>(std::move(parts));
  return made;
}

}  // namespace

absl::StatusOr<ModelTokenizer> TokenizerFromJson(absl::string_view json,
                                                 absl::string_view config) {
  const json::storage_ptr storage = json::make_shared_resource<json::monotonic_resource>();
  ASSIGN_OR_RETURN(const json::value root, Parse(json, "tokenizer.json", storage));
  json::value config_root;
  if (!config.empty()) {
    ASSIGN_OR_RETURN(config_root, Parse(config, "tokenizer_config.json", storage));
  }
  return Make(JsonReader(root, ""), config_root);
}

}  // namespace spotinference
