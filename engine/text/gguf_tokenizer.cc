#include "engine/text/gguf_tokenizer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/text/byte_pair_model.h"
#include "engine/text/normalizer.h"
#include "engine/text/pipeline_tokenizer.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/unigram_model.h"
#include "engine/text/utf8.h"
#include "engine/text/vocabulary.h"

namespace spotinference {
namespace {

using Step = Normalizer::Step;

std::string_view View(absl::string_view text) { return {text.data(), text.size()}; }

absl::StatusOr<bool> BoolOr(const GgufFile& file, absl::string_view key, bool otherwise) {
  if (!file.Has(key)) return otherwise;
  return file.Bool(key);
}

absl::StatusOr<std::optional<uint32_t>> TokenId(const GgufFile& file, const Vocabulary& vocabulary,
                                                absl::string_view key) {
  if (!file.Has(key)) return std::nullopt;
  ASSIGN_OR_RETURN(const int64_t id, file.Integer(key, 0, vocabulary.size() - 1));
  return static_cast<uint32_t>(id);
}

absl::StatusOr<std::unique_ptr<const Vocabulary>> ReadVocabulary(const GgufFile& file,
                                                                 Spelling spelling) {
  ASSIGN_OR_RETURN(const auto strings, file.Strings("tokenizer.ggml.tokens"));
  std::vector<std::string_view> tokens;
  tokens.reserve(strings.size());
  for (const absl::string_view token : strings) tokens.push_back(View(token));
  std::vector<TokenType> types;
  if (constexpr absl::string_view kTypes = "tokenizer.ggml.token_type"; file.Has(kTypes)) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, file.Integers(kTypes, 1, 6));
    for (const int64_t type : numbers) types.push_back(static_cast<TokenType>(type));
  }
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(tokens, types, spelling));
  return std::make_unique<const Vocabulary>(std::move(vocabulary));
}

// What a name of `tokenizer.ggml.pre` means besides how text is cut into words: that of the
// tokenizer.json of its family, which GGUF does not repeat.
struct PreTraits {
  absl::string_view name;
  bool ignore_merges, nfc, add_bos;
};

PreTraits TraitsOf(absl::string_view pre) {
  for (const PreTraits& traits :
       {PreTraits{.name = "llama-bpe", .ignore_merges = true, .nfc = false, .add_bos = true},
        PreTraits{.name = "qwen2", .ignore_merges = false, .nfc = true, .add_bos = false}}) {
    if (traits.name == pre) return traits;
  }
  return {.name = pre, .ignore_merges = false, .nfc = false, .add_bos = false};
}

// `add_bos`: unless the file says.
absl::StatusOr<ModelTokenizer> Finish(const GgufFile& file, TokenizerParts parts, bool add_bos) {
  ModelTokenizer made;
  constexpr absl::string_view kBos = "tokenizer.ggml.bos_token_id";
  constexpr absl::string_view kAddBos = "tokenizer.ggml.add_bos_token";
  ASSIGN_OR_RETURN(made.bos, TokenId(file, *parts.vocabulary, kBos));
  ASSIGN_OR_RETURN(made.eos, TokenId(file, *parts.vocabulary, "tokenizer.ggml.eos_token_id"));
  ASSIGN_OR_RETURN(made.add_bos, BoolOr(file, kAddBos, add_bos && made.bos));
  if (made.add_bos && !made.bos) {
    return absl::InvalidArgumentError(
        absl::StrCat(kAddBos, " is true, but there is no ", kBos));
  }
  made.tokenizer = std::make_unique<const PipelineTokenizer>(std::move(parts));
  return made;
}

absl::StatusOr<ModelTokenizer> ReadByteLevel(const GgufFile& file) {
  ASSIGN_OR_RETURN(const absl::string_view pre, file.String("tokenizer.ggml.pre"));
  const PreTraits traits = TraitsOf(pre);
  ASSIGN_OR_RETURN(const PreTokenizer pre_tokenizer, FindPreTokenizer(View(pre)));
  ASSIGN_OR_RETURN(std::unique_ptr<const Vocabulary> vocabulary,
                   ReadVocabulary(file, Spelling::kByteLevel));
  ASSIGN_OR_RETURN(const auto lines, file.Strings("tokenizer.ggml.merges"));
  std::vector<BytePairModel::Pair> merges;
  merges.reserve(lines.size());
  for (const absl::string_view line : lines) {
    const size_t blank = line.find(' ');
    // Without a blank the right one is empty, which is no token.
    merges.emplace_back(View(line.substr(0, blank)),
                        View(blank == line.npos ? "" : line.substr(blank + 1)));
  }
  ASSIGN_OR_RETURN(BytePairModel model,
                   BytePairModel::FromMerges(*vocabulary, merges,
                                             {.ignore_merges = traits.ignore_merges}));
  TokenizerParts parts = {.pre_tokenizer = pre_tokenizer, .model = std::move(model)};
  for (uint32_t id = 0; id < vocabulary->size(); ++id) {
    const TokenType type = vocabulary->type(id);
    const bool control = type == TokenType::kControl;
    if (!control && type != TokenType::kUserDefined) continue;
    parts.special.Add(vocabulary->Piece(id), {.id = id, .control = control});
  }
  if (traits.nfc) parts.normalizer = Normalizer({{.kind = Step::Kind::kNfc}});
  parts.vocabulary = std::move(vocabulary);
  return Finish(file, std::move(parts), traits.add_bos);
}

// What `sentencepiece` does to text before it looks for tokens.
Normalizer SentencePieceNormalizer(bool add_space, bool remove_extra) {
  std::vector<Step> steps;
  std::string replacement;
  AppendUtf8(0xfffd, replacement);
  steps.push_back({.kind = Step::Kind::kReplaceInvalid, .to = replacement});
  if (remove_extra) {
    steps.push_back({.kind = Step::Kind::kStripLeft, .from = " "});
    steps.push_back({.kind = Step::Kind::kCollapse, .from = " ", .to = " "});
  }
  steps.push_back({.kind = Step::Kind::kReplace, .from = std::string(kSpaceMark), .to = " "});
  if (remove_extra) steps.push_back({.kind = Step::Kind::kStripRight, .from = " "});
  if (add_space) steps.push_back({.kind = Step::Kind::kPrepend, .to = " "});
  return Normalizer(std::move(steps));
}

absl::StatusOr<uint32_t> UnknownToken(const GgufFile& file, const Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const auto id,
                   TokenId(file, vocabulary, "tokenizer.ggml.unknown_token_id"));
  return id.value_or(0);  // where trainers put it
}

// Phi-3's tokens around a turn take the white space after them ("rstrip" in its tokenizer.json). GGUF
// has no place for such a flag, so that readers must know it.
bool TakesSpaceAfter(const GgufFile& file, std::string_view token) {
  const auto family = file.String("general.architecture");
  return family.ok() && *family == "phi3" && token != "<unk>" && token != "<s>" &&
         token != "<|endoftext|>";
}

absl::StatusOr<ModelTokenizer> ReadSentencePiece(const GgufFile& file, bool unigram) {
  ASSIGN_OR_RETURN(std::unique_ptr<const Vocabulary> vocabulary,
                   ReadVocabulary(file, Spelling::kSentencePiece));
  ASSIGN_OR_RETURN(const std::vector<float> scores, file.Floats("tokenizer.ggml.scores"));
  ASSIGN_OR_RETURN(const uint32_t unknown, UnknownToken(file, *vocabulary));
  ASSIGN_OR_RETURN(const bool add_space,
                   BoolOr(file, "tokenizer.ggml.add_space_prefix", true));
  ASSIGN_OR_RETURN(const bool remove_extra,
                   BoolOr(file, "tokenizer.ggml.remove_extra_whitespaces", false));
  if (file.Has("tokenizer.ggml.precompiled_charsmap")) {
    return absl::InvalidArgumentError(
        "tokenizer.ggml.precompiled_charsmap is there; expected a vocabulary without one");
  }
  PreTokenizer pre_tokenizer = {.pattern = PreTokenizer::Pattern::kWhole};
  const auto make_model = [&]() -> absl::StatusOr<std::variant<BytePairModel, UnigramModel>> {
    if (unigram) {
      const std::vector<double> doubles(scores.begin(), scores.end());
      return UnigramModel::Create(*vocabulary, doubles, {.unknown = unknown});
    }
    ASSIGN_OR_RETURN(BytePairModel model, BytePairModel::FromScores(*vocabulary, scores,
                                                                    {.unknown = unknown}));
    if (model.spaces_only_lead()) pre_tokenizer.pattern = PreTokenizer::Pattern::kSpaceRuns;
    return model;
  };
  ASSIGN_OR_RETURN(auto model, make_model());
  TokenizerParts parts = {.normalizer = SentencePieceNormalizer(add_space, remove_extra),
                          .pre_tokenizer = pre_tokenizer,
                          .model = std::move(model),
                          .adds_space = add_space};
  for (uint32_t id = 0; id < vocabulary->size(); ++id) {
    const std::string_view piece = vocabulary->Piece(id);
    const TokenType type = vocabulary->type(id);
    if (type == TokenType::kControl || type == TokenType::kUnknown) {
      const bool eats_right = TakesSpaceAfter(file, piece);
      parts.special.Add(piece, {.id = id, .control = true, .eats_right = eats_right});
    } else if (type == TokenType::kUserDefined) {
      const bool eats_right = TakesSpaceAfter(file, piece);
      parts.normalized_special.Add(piece, {.id = id, .eats_right = eats_right});
    }
  }
  parts.vocabulary = std::move(vocabulary);
  return Finish(file, std::move(parts), /*add_bos=*/!unigram);
}

}  // namespace

absl::StatusOr<ModelTokenizer> ReadTokenizer(const GgufFile& file) {
  ASSIGN_OR_RETURN(const absl::string_view model, file.String("tokenizer.ggml.model"));
  if (model == "gpt2") return ReadByteLevel(file);
  if (model == "llama") return ReadSentencePiece(file, /*unigram=*/false);
  if (model == "t5") return ReadSentencePiece(file, /*unigram=*/true);
  return absl::InvalidArgumentError(absl::StrCat("tokenizer.ggml.model is \"", model,
                                                 "\"; expected \"gpt2\", \"llama\" or \"t5\""));
}

}  // namespace spotinference
