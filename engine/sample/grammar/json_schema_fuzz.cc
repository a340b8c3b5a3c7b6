// Any bytes as a schema: it is refused with a reason, or compiles to a constraint that can be followed: under its masks
// the text goes on until it may end.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/sample/grammar/json_schema.h"
#include "engine/sample/grammar/matcher.h"

namespace spotinference {
namespace {

std::shared_ptr<const TokenTrie> Bytes() {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(std::string(1, static_cast<char>(byte)));
  bytes.insert(bytes.end(), {"{\"", "\":", "\",\"", "},{", "]}", "true", "null", "\\u00", "  "});
  return std::make_shared<TokenTrie>(std::vector<absl::string_view>(bytes.begin(), bytes.end()));
}

void Follow(Automaton automaton, const std::shared_ptr<const TokenTrie>& trie, uint32_t choice) {
  Matcher matcher(std::make_shared<Constraint>(std::move(automaton), trie));
  std::vector<uint32_t> mask((trie->vocabulary_size() + 31) / 32);
  for (int step = 0; step < 40; ++step) {
    if (!matcher.FillMask(absl::MakeSpan(mask)).ok()) return;
    std::vector<uint32_t> allowed;
    for (uint32_t id = 0; id < trie->vocabulary_size(); ++id) {
      if (mask[id / 32] >> (id % 32) & 1) allowed.push_back(id);
    }
    if (allowed.empty()) {
      if (!matcher.CanEnd()) __builtin_trap();
      return;
    }
    choice = choice * 1664525 + 1013904223;
    if (!matcher.Accept(allowed[(choice >> 8) % allowed.size()])) __builtin_trap();
  }
}

}  // namespace
}  // namespace spotinference

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  static const std::shared_ptr<const TokenTrie>& trie = *new std::shared_ptr<const TokenTrie>(Bytes());
  if (size > 8192) return 0;
  auto automaton = CompileJsonSchema({reinterpret_cast<const char*>(data), size});
  if (automaton.ok()) {
    Follow(*std::move(automaton), trie, static_cast<uint32_t>(size));
  } else if (automaton.status().code() != absl::StatusCode::kInvalidArgument || automaton.status().message().empty()) {
    __builtin_trap();
  }
  return 0;
}
