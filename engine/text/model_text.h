// Everything textual of one model: what the gateway needs to turn requests into token ids and back.
#ifndef ENGINE_TEXT_MODEL_TEXT_H_
#define ENGINE_TEXT_MODEL_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "engine/model/gguf.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// Immutable; any thread may use it.
class ModelText {
 public:
  // Keeps nothing of `file`. INVALID_ARGUMENT names the key that is missing or wrong.
  static absl::StatusOr<std::unique_ptr<const ModelText>> Read(const GgufFile& file);

  // From a Hugging Face folder: tokenizer.json and what hugging_face_text.h reads. NOT_FOUND names the file that is
  // missing, INVALID_ARGUMENT file and key.
  static absl::StatusOr<std::unique_ptr<const ModelText>> ReadFolder(const std::string& folder);

  // The prompt of a conversation, ready for the assistant's answer. `now`: for templates that print
  // the date.
  //
  // UNIMPLEMENTED: the model has no chat template. FAILED_PRECONDITION: its template refuses the
  // messages, in its own words. OUT_OF_RANGE: the text is so long that it cannot fit the context,
  // so it was not even tokenized; the caller checks the number of ids itself. Else the template is
  // at fault: see jinja::Template.
  absl::StatusOr<std::vector<uint32_t>> EncodeChat(absl::Span<const ChatMessage> messages,
                                                   absl::CivilSecond now) const;

  // The prompt of a plain completion. Control tokens in it are parsed, since there is no turn to
  // break out of. OUT_OF_RANGE: as above.
  absl::StatusOr<std::vector<uint32_t>> EncodePrompt(std::string_view text) const;

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  bool has_chat_template() const { return chat_template_.has_value(); }
  // Begins every prompt, where the model has one that does.
  std::optional<uint32_t> added_bos() const { return added_bos_; }
  // End of text and end of turn, ascending.
  const std::vector<uint32_t>& stop_ids() const { return stop_ids_; }
  // What the model was trained for.
  uint32_t context_tokens() const { return context_tokens_; }

 private:
  // What both formats come to.
  struct Parts {
    ModelTokenizer tokenizer;
    std::optional<std::string> chat_template;
    std::string template_name;  // for messages
    std::vector<uint32_t> stop_ids;
    uint32_t context_tokens = 0;
  };

  ModelText() = default;

  static absl::StatusOr<std::unique_ptr<const ModelText>> Create(Parts parts);

  absl::StatusOr<std::vector<uint32_t>> Encode(std::string_view text,
                                               absl::Span<const ByteRange> from_input) const;

  std::unique_ptr<const Tokenizer> tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::vector<uint32_t> stop_ids_;
  std::optional<uint32_t> added_bos_;
  uint32_t context_tokens_ = 0;
  size_t max_prompt_bytes_ = 0;  // no more fits context_tokens_
};

// Opens the file, of several GGUF files the first, or the folder, reads it and closes it. Also the errors of
// GgufFile::Open.
absl::StatusOr<std::unique_ptr<const ModelText>> LoadModelText(const std::string& path);

}  // namespace spotinference

#endif  // ENGINE_TEXT_MODEL_TEXT_H_
