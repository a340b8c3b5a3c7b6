#include "engine/text/pre_tokenizer.h"

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

constexpr PreTokenizer kPreTokenizers[] = {
    {.name = "gpt-2", .lone_numbers = false},
    {.name = "smollm", .lone_numbers = true},
};

constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

struct Char {
  CharClass char_class;
  size_t bytes;
};

constexpr std::array<CharClass, 128> kAsciiClasses = [] {
  std::array<CharClass, 128> classes = {};
  for (int c = 0; c < 128; ++c) {
    classes[c] = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? CharClass::kLetter
                 : c >= '0' && c <= '9'                           ? CharClass::kNumber
                 : (c >= 0x09 && c <= 0x0d) || c == ' '           ? CharClass::kSpace
                                                                  : CharClass::kOther;
  }
  return classes;
}();

Char CharAt(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < kAsciiClasses.size()) return {kAsciiClasses[lead], 1};
  const Utf8Char next = DecodeUtf8(text.substr(at));
  return {ClassOf(next.code_point), next.bytes};
}

// One look at `text`: the stretch that the pattern sees ends at the end of the text or at a lone
// number.
class Scanner {
 public:
  Scanner(const PreTokenizer& pre_tokenizer, std::string_view text)
      : lone_numbers_(pre_tokenizer.lone_numbers), text_(text) {}

  size_t FirstWord() const {
    const Char first = CharAt(text_, 0);
    if (IsLoneNumber(first.char_class)) return first.bytes;
    if (text_[0] == '\'') {
      for (const std::string_view contraction : kContractions) {
        if (text_.starts_with(contraction)) return contraction.size();
      }
    }
    if (first.char_class != CharClass::kSpace) return RunEnd(0, ClassInPattern(first.char_class));
    if (text_[0] == ' ' && !AtEnd(1)) {
      const CharClass second = ClassInPattern(CharAt(text_, 1).char_class);
      if (second != CharClass::kSpace) return RunEnd(1, second);
    }
    return SpaceRun();
  }

 private:
  bool IsLoneNumber(CharClass c) const {
    return lone_numbers_ && (c == CharClass::kNumber || c == CharClass::kNewerNumber);
  }

  static CharClass ClassInPattern(CharClass c) {
    return c == CharClass::kNewerNumber ? CharClass::kOther : c;
  }

  bool AtEnd(size_t at) const {
    return at == text_.size() || IsLoneNumber(CharAt(text_, at).char_class);
  }

  size_t RunEnd(size_t at, CharClass char_class) const {
    while (at < text_.size()) {
      const Char next = CharAt(text_, at);
      if (IsLoneNumber(next.char_class) || ClassInPattern(next.char_class) != char_class) break;
      at += next.bytes;
    }
    return at;
  }

  // `\s+(?!\S)` leaves the last space of a run to what follows, `\s+` takes a space that stands
  // alone.
  size_t SpaceRun() const {
    size_t end = 0, last = 0;
    while (end < text_.size()) {
      const Char next = CharAt(text_, end);
      if (next.char_class != CharClass::kSpace) break;
      last = end;
      end += next.bytes;
    }
    return AtEnd(end) || last == 0 ? end : last;
  }

  const bool lone_numbers_;
  const std::string_view text_;
};

}  // namespace

absl::StatusOr<PreTokenizer> FindPreTokenizer(std::string_view name) {
  std::string known;
  for (const PreTokenizer& row : kPreTokenizers) {
    if (row.name == name) return row;
    absl::StrAppend(&known, known.empty() ? "" : ", ", std::string(row.name));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("pre-tokenizer \"", std::string(name), "\" is unknown; known are: ", known));
}

size_t FirstWord(const PreTokenizer& pre_tokenizer, std::string_view text) {
  return Scanner(pre_tokenizer, text).FirstWord();
}

}  // namespace spotinference
