// What Python's str can do to a text, keeping track of what came from input.
#ifndef ENGINE_TEXT_JINJA_TEXT_H_
#define ENGINE_TEXT_JINJA_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja_operations.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

// Where `part` stands in `text` at or after `from`, or npos. In linear time, unlike std::string's.
size_t FindIn(std::string_view text, std::string_view part, size_t from);

// text.strip(chars); without `chars`, white space.
Text Strip(const Text& text, const Text* chars, bool left, bool right);
// text.replace(old, new), the first `count` times; negative: all.
absl::StatusOr<Text> Replace(Budget& budget, const Text& text, const Text& from, const Text& to,
                             int64_t count);

// The caller charges the budget with three bytes for each of the text.
Text Upper(const Text& text);
Text Lower(const Text& text);
Text Capitalize(const Text& text);
Text Title(const Text& text);
// Unlike str.title(), Jinja's filter begins a word only after white space or an opening bracket or
// dash.
Text TitleOfWords(const Text& text);

// str.isupper() and str.islower(), but that letters without another case count as none.
bool IsUpper(std::string_view text);
bool IsLower(std::string_view text);

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_TEXT_H_
