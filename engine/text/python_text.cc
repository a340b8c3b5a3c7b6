#include "engine/text/python_text.h"

#include "engine/text/utf8.h"

namespace spotinference {

bool IsPythonSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

size_t LeadingSpaceBytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char next = DecodeUtf8(text.substr(at));
    if (!IsPythonSpace(next.code_point)) break;
    at += next.bytes;
  }
  return at;
}

size_t TrailingSpaceBytes(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && (text[begin] & 0xc0) == 0x80) --begin;
    const Utf8Char last = DecodeUtf8(text.substr(begin, end - begin));
    if (begin + last.bytes != end || !IsPythonSpace(last.code_point)) break;
    end = begin;
  }
  return text.size() - end;
}

std::vector<size_t> CharBoundaries(std::string_view text) {
  std::vector<size_t> boundaries = {0};
  for (size_t at = 0; at < text.size();) {
    at += DecodeUtf8(text.substr(at)).bytes;
    boundaries.push_back(at);
  }
  return boundaries;
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at += DecodeUtf8(text.substr(at)).bytes;
  return count;
}

size_t OffsetOfChar(std::string_view text, size_t index) {
  size_t at = 0;
  for (; at < text.size() && index > 0; --index) at += DecodeUtf8(text.substr(at)).bytes;
  return at;
}

}  // namespace spotinference
