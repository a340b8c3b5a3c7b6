#include "gateway/openai/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace spotinference::openai {
namespace {

// Bytes that stand for themselves inside a JSON string.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

void AppendUnicodeEscape(unsigned unit, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  const char escape[] = {
      '\\', 'u', kHex[unit >> 12], kHex[unit >> 8 & 15], kHex[unit >> 4 & 15], kHex[unit & 15]};
  out->append(escape, sizeof(escape));
}

void AppendAsciiEscape(char c, std::string* out) {
  switch (c) {
    case '"': out->append("\\\""); return;
    case '\\': out->append("\\\\"); return;
    case '\n': out->append("\\n"); return;
    case '\r': out->append("\\r"); return;
    case '\t': out->append("\\t"); return;
    default: AppendUnicodeEscape(static_cast<unsigned char>(c), out);
  }
}

void AppendSequence(absl::string_view sequence, std::string* out) {
  if (sequence == "\xc2\x85") return AppendUnicodeEscape(0x85, out);
  if (sequence == "\xe2\x80\xa8") return AppendUnicodeEscape(0x2028, out);
  if (sequence == "\xe2\x80\xa9") return AppendUnicodeEscape(0x2029, out);
  out->append(sequence.data(), sequence.size());
}

}  // namespace

size_t Utf8SequenceLength(absl::string_view text, size_t* skip) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  *skip = 1;
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and what lies past U+10FFFF
  // (Unicode 15, table 3-7).
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < length; ++i) {
    *skip = i;
    if (i >= text.size()) return 0;
    if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xbf)) return 0;
  }
  return length;
}

int64_t CodePoints(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

bool IsUtf8(absl::string_view text) {
  size_t skip;
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text, &skip);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void AppendJsonEscaped(absl::string_view text, std::string* out) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t start = i;
    while (i < text.size() && kPlain[static_cast<unsigned char>(text[i])]) ++i;
    out->append(text.data() + start, i - start);
    if (i == text.size()) return;
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      AppendAsciiEscape(text[i++], out);
      continue;
    }
    size_t skip;
    const size_t length = Utf8SequenceLength(text.substr(i), &skip);
    if (length == 0) {
      out->append("\xef\xbf\xbd");
      i += skip;
    } else {
      AppendSequence(text.substr(i, length), out);
      i += length;
    }
  }
}

void AppendJsonString(absl::string_view text, std::string* out) {
  out->push_back('"');
  AppendJsonEscaped(text, out);
  out->push_back('"');
}

void AppendJsonStringOrNull(absl::string_view text, std::string* out) {
  if (text.empty()) {
    out->append("null");
  } else {
    AppendJsonString(text, out);
  }
}

void AppendJsonInteger(int64_t value, std::string* out) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
  out->append(digits, end - digits);
}

void AppendJsonFloat(float value, std::string* out) {
  if (!std::isfinite(value)) {
    out->append("-9999.0");
    return;
  }
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
  out->append(digits, end - digits);
}

}  // namespace spotinference::openai
