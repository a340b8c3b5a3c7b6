#include "gateway/http/target.h"

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte that "%XX" at the front of `text` stands for.
std::optional<char> Escape(std::string_view text) {
  if (text.size() < 3 || text[0] != '%') return std::nullopt;
  const int high = HexDigit(text[1]);
  const int low = HexDigit(text[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

std::string DecodeForm(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const std::optional<char> byte = Escape(text);
    decoded.push_back(byte ? *byte : text[0] == '+' ? ' ' : text[0]);
    text.remove_prefix(byte ? 3 : 1);
  }
  return decoded;
}

// The length of the well-formed UTF-8 sequence at the front of `text` (Unicode 15, table 3-7), or
// 0.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;
    if (first == 0xed && byte(1) > 0x9f) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

bool IsPrintableUtf8(std::string_view text) {
  while (!text.empty()) {
    const uint8_t c = text[0];
    const size_t length = SequenceLength(text);
    if (length == 0 || c < 0x20 || c == 0x7f) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

absl::StatusOr<Target> ParseTarget(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase({target.data(), target.size()}, {scheme.data(), scheme.size()}))
      continue;
    target.remove_prefix(scheme.size());
    const size_t end = target.find_first_of("/?#");
    if (end == 0) return absl::InvalidArgumentError("The request target names no host.");
    target.remove_prefix(std::min(end, target.size()));
    if (target.empty()) return Target{"/", ""};
    if (target[0] == '?') return Target{"/", std::string(target.substr(1))};
    break;
  }
  if (target.empty() || target[0] != '/') {
    return absl::InvalidArgumentError(
        "The request target must start with '/' or be an http:// or https:// URL.");
  }
  if (target.find('#') != target.npos) {
    return absl::InvalidArgumentError("The request target must not have a fragment ('#').");
  }
  Target parsed;
  const size_t question = target.find('?');
  if (question != target.npos) parsed.query = target.substr(question + 1);
  std::string_view path = target.substr(0, question);
  while (!path.empty()) {
    const std::optional<char> byte = Escape(path);
    if (path[0] == '%' && !byte) {
      return absl::InvalidArgumentError(
          "The path has a '%' that two hexadecimal digits do not follow.");
    }
    parsed.path.push_back(byte.value_or(path[0]));
    path.remove_prefix(byte ? 3 : 1);
  }
  if (!IsPrintableUtf8(parsed.path)) {
    return absl::InvalidArgumentError("The path must be UTF-8 text without control characters.");
  }
  return parsed;
}

std::vector<std::pair<std::string, std::string>> ParseQuery(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    pairs.emplace_back(DecodeForm(pair.substr(0, equals)),
                       equals == pair.npos ? "" : DecodeForm(pair.substr(equals + 1)));
  }
  return pairs;
}

}  // namespace spotinference::http
