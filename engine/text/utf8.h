// UTF-8, one character at a time, for bytes that may not be UTF-8 at all.
#ifndef ENGINE_TEXT_UTF8_H_
#define ENGINE_TEXT_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace spotinference {

struct Utf8Char {
  static constexpr char32_t kInvalid = 0xffffffff;

  char32_t code_point;  // kInvalid: these bytes are no character
  // At least 1. Of an invalid sequence, the longest part that could have begun a character (Unicode
  // 15, section 3.9, "maximal subpart"): what Python's errors="replace" turns into one U+FFFD.
  size_t bytes;
  bool cut_short;  // invalid, but more bytes could still make a character of it
};

// The character at the start of `text`, which is not empty.
inline Utf8Char DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, false};
  if (lead < 0xc2 || lead > 0xf4) return {Utf8Char::kInvalid, 1, false};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  char32_t code_point = lead & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Utf8Char::kInvalid, i, true};
    // The second byte also rules out overlong forms, surrogates and what lies past U+10FFFF.
    const unsigned char low = i > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = i > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(i) < low || byte(i) > high) return {Utf8Char::kInvalid, i, false};
    code_point = code_point << 6 | (byte(i) & 0x3f);
  }
  return {code_point, length, false};
}

// `code_point` is at most U+10FFFF.
inline void AppendUtf8(char32_t code_point, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

}  // namespace spotinference

#endif  // ENGINE_TEXT_UTF8_H_
