// A model's own chat template: messages to the text that the model was trained on.
//
// The rendered text is what jinja2 gives, byte for byte, together with the parts that came from the
// messages. Control tokens are parsed only outside these parts, so that no message can end its turn
// or open another one.
#ifndef ENGINE_TEXT_CHAT_TEMPLATE_H_
#define ENGINE_TEXT_CHAT_TEMPLATE_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "engine/text/jinja.h"
#include "engine/text/jinja_value.h"

namespace spotinference {

struct ChatMessage {
  std::string role;
  std::string content;
};

// Immutable; any thread may use it.
class ChatTemplate {
 public:
  // `bos` and `eos`: the text of these tokens, for bos_token and eos_token; empty where the model
  // has none.
  static absl::StatusOr<ChatTemplate> Parse(std::string_view source, std::string bos,
                                            std::string eos);

  // Ends with the head of the assistant's turn (add_generation_prompt). `now`: for templates that
  // print the date.
  //
  // All of a message counts as input but its role where that is a well-known one: some templates
  // make a control token of it ("<|" + role + "|>").
  //
  // FAILED_PRECONDITION: the template refuses these messages, in its own words. Else as
  // jinja::Template.
  absl::StatusOr<jinja::Text> Render(absl::Span<const ChatMessage> messages,
                                     absl::CivilSecond now) const;

 private:
  ChatTemplate(jinja::Template parsed, std::string bos, std::string eos)
      : template_(std::move(parsed)), bos_(std::move(bos)), eos_(std::move(eos)) {}

  jinja::Template template_;
  std::string bos_;
  std::string eos_;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_CHAT_TEMPLATE_H_
