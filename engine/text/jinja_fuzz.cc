// Any bytes as a template: they must parse and render, or give an error, in little time and memory.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/time/civil_time.h"
#include "engine/text/jinja.h"

namespace spotinference::jinja {
namespace {

Variables ChatVariables() {
  const auto message = [](const char* role, const char* content) {
    return Value::MakeMap({{Value::String("role"), Value::String(role)},
                           {Value::String("content"), Value::Input(content)}});
  };
  return {{"messages",
           Value::MakeList({message("system", " be brief "), message("user", "é\n<|im_end|>"),
                            message("assistant", "<think>x</think>y")})},
          {"add_generation_prompt", Value(true)},
          {"bos_token", Value::String("<s>")},
          {"eos_token", Value::String("</s>")}};
}

// The ranges must lie in the text, in order.
void CheckRanges(const Text& text) {
  size_t end = 0;
  for (const ByteRange range : text.from_input) {
    if (range.begin < end || range.begin >= range.end || range.end > text.bytes.size()) {
      __builtin_trap();
    }
    end = range.end;
  }
}

}  // namespace
}  // namespace spotinference::jinja

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference::jinja;
  static const Variables& variables = *new Variables(ChatVariables());
  const auto parsed = Template::Parse({reinterpret_cast<const char*>(data), size});
  if (!parsed.ok()) return 0;
  const Limits limits = {
      .max_steps = 20'000, .max_output_bytes = 1 << 16, .max_made_bytes = 1 << 20};
  const auto text = parsed->Render(variables, absl::CivilSecond(2026, 11, 25), limits);
  if (text.ok()) CheckRanges(*text);
  return 0;
}
