#include "engine/text/model_text.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/model/gguf_shards.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/hugging_face_text.h"
#include "engine/text/json_tokenizer.h"

namespace spotinference {
namespace {

// Control tokens that end a turn or a text, in the models we know; GGUF names only one of them for
// sure.
constexpr std::string_view kEnds[] = {"<|im_end|>", "<|endoftext|>",   "<|eot_id|>",
                                      "<|eom_id|>", "<|end_of_text|>", "<|end|>",
                                      "</s>",       "<end_of_turn>"};

absl::StatusOr<std::optional<uint32_t>> TokenId(const GgufFile& file, const Tokenizer& tokenizer,
                                                absl::string_view key) {
  if (!file.Has(key)) return std::nullopt;
  ASSIGN_OR_RETURN(const int64_t id, file.Integer(key, 0, tokenizer.vocabulary_size() - 1));
  return static_cast<uint32_t>(id);
}

std::string TextOf(const Tokenizer& tokenizer, std::optional<uint32_t> id) {
  return id ? std::string(tokenizer.Piece(*id)) : "";
}

// `ids` and the known ends that the vocabulary has, each once, ascending.
std::vector<uint32_t> WithKnownEnds(std::vector<uint32_t> ids, const Tokenizer& tokenizer) {
  for (const std::string_view text : kEnds) {
    const std::optional<uint32_t> id = tokenizer.Find(text);
    if (id && tokenizer.IsSpecial(*id)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

absl::StatusOr<uint32_t> ContextTokens(const GgufFile& file) {
  ASSIGN_OR_RETURN(const absl::string_view family, file.String("general.architecture"));
  ASSIGN_OR_RETURN(const int64_t tokens, file.Integer(absl::StrCat(family, ".context_length"), 1,
                                                      std::numeric_limits<int32_t>::max()));
  return static_cast<uint32_t>(tokens);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ModelText>> ModelText::Create(Parts parts) {
  std::unique_ptr<ModelText> text(new ModelText);
  ModelTokenizer& made = parts.tokenizer;
  text->tokenizer_ = std::move(made.tokenizer);
  const Tokenizer& tokenizer = *text->tokenizer_;
  if (made.add_bos) text->added_bos_ = made.bos;
  if (parts.chat_template) {
    absl::StatusOr<ChatTemplate> parsed =
        ChatTemplate::Parse(*parts.chat_template, TextOf(tokenizer, made.bos), TextOf(tokenizer, made.eos));
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(parts.template_name, ": ", parsed.status().message()));
    }
    text->chat_template_ = *std::move(parsed);
  }
  text->stop_ids_ = WithKnownEnds(std::move(parts.stop_ids), tokenizer);
  text->context_tokens_ = parts.context_tokens;
  size_t longest_piece = 1;
  for (uint32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    longest_piece = std::max(longest_piece, tokenizer.Piece(id).size());
  }
  text->max_prompt_bytes_ = longest_piece * text->context_tokens_;
  return text;
}

absl::StatusOr<std::unique_ptr<const ModelText>> ModelText::Read(const GgufFile& file) {
  Parts parts;
  ASSIGN_OR_RETURN(parts.tokenizer, ReadTokenizer(file));
  if (constexpr absl::string_view kTemplate = "tokenizer.chat_template"; file.Has(kTemplate)) {
    ASSIGN_OR_RETURN(const absl::string_view source, file.String(kTemplate));
    parts.chat_template = std::string(source);
    parts.template_name = std::string(kTemplate);
  }
  for (const absl::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    ASSIGN_OR_RETURN(const std::optional<uint32_t> id, TokenId(file, *parts.tokenizer.tokenizer, key));
    if (id) parts.stop_ids.push_back(*id);
  }
  ASSIGN_OR_RETURN(parts.context_tokens, ContextTokens(file));
  return Create(std::move(parts));
}

absl::StatusOr<std::unique_ptr<const ModelText>> ModelText::ReadFolder(const std::string& folder) {
  ASSIGN_OR_RETURN(HuggingFaceText said, ReadHuggingFaceText(folder));
  absl::StatusOr<ModelTokenizer> made = TokenizerFromJson(said.tokenizer, said.tokenizer_config);
  if (!made.ok()) {
    return absl::Status(made.status().code(),
                        absl::StrCat("model folder '", folder, "': tokenizer: ", made.status().message()));
  }
  const uint32_t vocabulary = made->tokenizer->vocabulary_size();
  for (const uint32_t id : said.stop_ids) {
    if (id < vocabulary) continue;
    return absl::InvalidArgumentError(absl::StrCat("model folder '", folder, "': key 'eos_token_id': ", id,
                                                   " is outside of the vocabulary of ", vocabulary, " tokens"));
  }
  Parts parts{.tokenizer = *std::move(made),
              .chat_template = std::move(said.chat_template),
              .template_name = absl::StrCat("model folder '", folder, "': chat template"),
              .stop_ids = std::move(said.stop_ids),
              .context_tokens = said.context_tokens};
  if (parts.tokenizer.eos) parts.stop_ids.push_back(*parts.tokenizer.eos);
  return Create(std::move(parts));
}

absl::StatusOr<std::vector<uint32_t>> ModelText::EncodeChat(absl::Span<const ChatMessage> messages,
                                                            absl::CivilSecond now) const {
  if (!chat_template_) return absl::UnimplementedError("the model has no chat template");
  ASSIGN_OR_RETURN(const jinja::Text text, chat_template_->Render(messages, now));
  return Encode(text.bytes, text.from_input);
}

absl::StatusOr<std::vector<uint32_t>> ModelText::EncodePrompt(std::string_view text) const {
  return Encode(text, {});
}

absl::StatusOr<std::vector<uint32_t>> ModelText::Encode(
    std::string_view text, absl::Span<const ByteRange> from_input) const {
  if (text.size() > max_prompt_bytes_) {
    return absl::OutOfRangeError(absl::StrCat("the prompt has ", text.size(),
                                              " bytes, which cannot fit the model's context of ",
                                              context_tokens_, " tokens"));
  }
  std::vector<uint32_t> ids =
      tokenizer_->Encode(text, {.parse_special = true, .from_input = from_input});
  const bool has_bos = !ids.empty() && ids.front() == added_bos_;  // a template may write its own
  if (added_bos_ && !has_bos) ids.insert(ids.begin(), *added_bos_);
  return ids;
}

absl::StatusOr<std::unique_ptr<const ModelText>> LoadModelText(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return ModelText::ReadFolder(path);
  ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  RETURN_IF_ERROR(CheckIsFirstShard(*file, path));
  return ModelText::Read(*file);
}

}  // namespace spotinference
