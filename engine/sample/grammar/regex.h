// Regular expressions as ECMA-262 writes them (the `u` flag's strictness aside), as expressions of a grammar.
//
// Refused by name, since no pushdown automaton of ours decides them: look-ahead and look-behind, back references, word
// boundaries, anchors in the middle, Unicode properties, inline flags. Lazy quantifiers match the same texts as greedy
// ones. `.`, \d, \w and \s are ECMA's: \d and \w are ASCII; `.` is no line end (\n, \r, U+2028, U+2029).
#ifndef ENGINE_SAMPLE_GRAMMAR_REGEX_H_
#define ENGINE_SAMPLE_GRAMMAR_REGEX_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/sample/grammar/grammar.h"

namespace spotinference {

// Groups within groups.
inline constexpr int kMaxRegexDepth = 100;
// Of a quantifier.
inline constexpr uint32_t kMaxRegexRepeats = 65535;

// What matches the texts in which `pattern` (UTF-8) finds a match: the whole text only where it is anchored by ^ and $.
// `character` makes what matches one character of a set, as the text is written. INVALID_ARGUMENT: what is wrong or
// refused, and at which byte.
absl::StatusOr<Grammar::Expression> RegexExpression(
    absl::string_view pattern, Grammar& grammar,
    absl::FunctionRef<Grammar::Expression(const CodePoints&)> character);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_REGEX_H_
