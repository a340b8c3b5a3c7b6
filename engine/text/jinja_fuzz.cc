// Any bytes as a template: they must parse and render, or give an error, in little time and memory.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/civil_time.h"
#include "engine/text/jinja.h"

namespace spotinference::jinja {
namespace {

Value Map(std::vector<std::pair<const char*, Value>> entries) {
  std::vector<std::pair<Value, Value>> values;
  for (auto& [key, value] : entries) {
    values.emplace_back(Value::String(key), std::move(value));
  }
  return Value::MakeMap(std::move(values));
}

Value Message(const char* role, const char* content) {
  return Map({{"role", Value::String(role)}, {"content", Value::Input(content)}});
}

// A conversation with all that templates look for.
Variables ChatVariables() {
  const Value parameters =
      Map({{"type", Value::String("object")},
           {"properties", Map({{"city", Map({{"type", Value::String("string")}})}})},
           {"required", Value::MakeList({Value::String("city")})}});
  const Value function = Map({{"name", Value::Input("weather")},
                              {"description", Value::Input("<says> \"it\"")},
                              {"parameters", parameters}});
  const Value call =
      Map({{"id", Value::Input("call00000")},
           {"function", Map({{"name", Value::Input("weather")},
                             {"arguments", Map({{"city", Value::Input("Köln")},
                                                {"days", Value(int64_t{2})},
                                                {"share", Value(0.5)}})}})}});
  const Value parts =
      Value::MakeList({Map({{"type", Value::String("text")}, {"text", Value::Input("part")}})});
  return {{"messages",
           Value::MakeList({Message("system", " be brief "), Message("user", "é\n<|im_end|>"),
                            Message("assistant", "<think>x</think>y"),
                            Map({{"role", Value::String("user")}, {"content", parts}}),
                            Map({{"role", Value::String("assistant")},
                                 {"content", Value()},
                                 {"reasoning_content", Value::Input("hm")},
                                 {"tool_calls", Value::MakeList({call})}}),
                            Message("tool", "20")})},
          {"tools", Value::MakeList({Map({{"type", Value::String("function")},
                                          {"function", function}})})},
          {"add_generation_prompt", Value(true)},
          {"enable_thinking", Value(false)},
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
