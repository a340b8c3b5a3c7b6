#include "engine/text/chat_template.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "engine/base/status.h"

namespace spotinference {
namespace {

using jinja::Value;

Value RoleValue(const std::string& role) {
  constexpr std::string_view kKnown[] = {"system",    "developer", "user",
                                         "assistant", "tool",      "function"};
  const bool known = std::find(std::begin(kKnown), std::end(kKnown), role) != std::end(kKnown);
  return known ? Value::String(role) : Value::Input(role);
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(std::string_view source, std::string bos,
                                                 std::string eos) {
  ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::Parse(source));
  return ChatTemplate(std::move(parsed), std::move(bos), std::move(eos));
}

absl::StatusOr<jinja::Text> ChatTemplate::Render(absl::Span<const ChatMessage> messages,
                                                 absl::CivilSecond now) const {
  std::vector<Value> list;
  for (const ChatMessage& message : messages) {
    list.push_back(Value::MakeMap({{Value::String("role"), RoleValue(message.role)},
                                   {Value::String("content"), Value::Input(message.content)}}));
  }
  return template_.Render({{"messages", Value::MakeList(std::move(list))},
                           {"add_generation_prompt", Value(true)},
                           {"bos_token", Value::String(bos_)},
                           {"eos_token", Value::String(eos_)}},
                          now);
}

}  // namespace spotinference
