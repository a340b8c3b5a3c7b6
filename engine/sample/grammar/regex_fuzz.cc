// Any bytes as a pattern: it is refused, or compiles and matches, in little time and memory.
#include <cstddef>
#include <cstdint>

#include "engine/sample/grammar/automaton.h"
#include "engine/sample/grammar/configurations.h"
#include "engine/sample/grammar/regex.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  if (size > 4096) return 0;
  Grammar grammar;
  const auto regex = RegexExpression({reinterpret_cast<const char*>(data), size}, grammar,
                                     [&](const CodePoints& set) { return grammar.Character(set); });
  if (!regex.ok()) return 0;
  grammar.set_root(grammar.AddRule(*regex));
  const auto automaton = Automaton::Compile(grammar);
  if (!automaton.ok()) return 0;
  for (const char* text : {"", "a", "aaaaaaaaab", "2026-11", "x\xc3\xa9\xf0\x9f\x98\x80 \n"}) Matches(*automaton, text);
  return 0;
}
