// What a Hugging Face folder says of its text, but for the tokenizer itself (json_tokenizer.h).
//
// tokenizer_config.json and chat_template.jinja: the chat template; generation_config.json and config.json: the ids
// that end an answer; config.json: the context. Format: https://huggingface.co/docs/transformers/chat_templating and
// …/main_classes/text_generation.
#ifndef ENGINE_TEXT_HUGGING_FACE_TEXT_H_
#define ENGINE_TEXT_HUGGING_FACE_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference {

struct HuggingFaceText {
  std::string tokenizer;                     // tokenizer.json as it is
  std::string tokenizer_config;              // tokenizer_config.json as it is; empty where there is none
  std::optional<std::string> chat_template;  // a Jinja source
  std::vector<uint32_t> stop_ids;            // may be outside of the vocabulary
  uint32_t context_tokens = 0;               // what the model was trained for
};

// Reads the folder's files, all but config.json and tokenizer.json optional. NOT_FOUND: one of these is missing, named.
// INVALID_ARGUMENT: a file is not what it should be; the message names file, key and value. UNIMPLEMENTED: as
// ParseHuggingFaceConfig.
absl::StatusOr<HuggingFaceText> ReadHuggingFaceText(const std::string& folder);

// chat_template of tokenizer_config.json: one, or several by name, of which "default" is taken; or none.
absl::StatusOr<std::optional<std::string>> ParseChatTemplate(absl::string_view tokenizer_config);

// eos_token_id of generation_config.json or config.json: a number, a list of them, or none.
absl::StatusOr<std::vector<uint32_t>> ParseEosIds(absl::string_view text);

}  // namespace spotinference

#endif  // ENGINE_TEXT_HUGGING_FACE_TEXT_H_
