// What Python's str knows of characters, as far as templates ask.
#ifndef ENGINE_TEXT_PYTHON_TEXT_H_
#define ENGINE_TEXT_PYTHON_TEXT_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace spotinference {

// str.isspace(), and \s of Python's re.
bool IsPythonSpace(char32_t code_point);

// How many bytes of white space `text` begins or ends with.
size_t LeadingSpaceBytes(std::string_view text);
size_t TrailingSpaceBytes(std::string_view text);

// Where each character of `text` begins, and the end of the last one. A byte that is not UTF-8
// counts as one.
std::vector<size_t> CharBoundaries(std::string_view text);

size_t CountChars(std::string_view text);

// Where character `index` begins, or the end if there are no more than that.
size_t OffsetOfChar(std::string_view text, size_t index);

}  // namespace spotinference

#endif  // ENGINE_TEXT_PYTHON_TEXT_H_
