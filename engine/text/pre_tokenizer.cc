#include "engine/text/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

using Pattern = PreTokenizer::Pattern;

constexpr PreTokenizer kPreTokenizers[] = {
    {.name = "gpt-2", .pattern = Pattern::kGpt2},
    {.name = "smollm", .pattern = Pattern::kGpt2, .lone_numbers = true},
    {.name = "llama-bpe", .pattern = Pattern::kLlama3, .max_digits = 3},
    {.name = "qwen2", .pattern = Pattern::kLlama3, .max_digits = 1},
};

constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
constexpr std::string_view kLongS = "\u017f";  // the one letter past ASCII that (?i) takes for an s

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

// Kinds of characters as a pattern sees them.
CharClass ClassInPattern(CharClass c) {
  return c == CharClass::kNewerNumber ? CharClass::kOther : c;
}

// GPT-2's pattern. One look at `text`: the stretch that the pattern sees ends at the end of the text or at a lone
// number.
class Gpt2Scanner {
 public:
  Gpt2Scanner(const PreTokenizer& pre_tokenizer, std::string_view text)
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

class Llama3Scanner {
 public:
  Llama3Scanner(int max_digits, std::string_view text) : max_digits_(max_digits), text_(text) {}

  size_t FirstWord() const {
    if (text_[0] == '\'') {
      if (const size_t bytes = Contraction()) return bytes;
    }
    const Char first = ClassAt(0);
    if (first.char_class == CharClass::kLetter) return RunEnd(0, CharClass::kLetter);
    if (first.char_class == CharClass::kNumber) return Number();
    if (!IsNewline(0) && IsAt(first.bytes, CharClass::kLetter)) {
      return RunEnd(first.bytes, CharClass::kLetter);
    }
    const size_t symbol = text_[0] == ' ' ? 1 : 0;
    if (IsAt(symbol, CharClass::kOther)) {
      size_t end = RunEnd(symbol, CharClass::kOther);
      while (IsNewline(end)) ++end;
      return end;
    }
    return SpaceRun();
  }

 private:
  Char ClassAt(size_t at) const {
    const Char c = CharAt(text_, at);
    return {ClassInPattern(c.char_class), c.bytes};
  }

  bool IsAt(size_t at, CharClass char_class) const {
    return at < text_.size() && ClassAt(at).char_class == char_class;
  }

  bool IsNewline(size_t at) const {
    return at < text_.size() && (text_[at] == '\r' || text_[at] == '\n');
  }

  // 0: none begins here.
  size_t Contraction() const {
    for (const std::string_view contraction : kContractions) {
      if (absl::StartsWithIgnoreCase({text_.data(), text_.size()},
                                     {contraction.data(), contraction.size()})) {
        return contraction.size();
      }
    }
    return text_.substr(1).starts_with(kLongS) ? 1 + kLongS.size() : 0;
  }

  size_t RunEnd(size_t at, CharClass char_class) const {
    while (at < text_.size()) {
      const Char next = ClassAt(at);
      if (next.char_class != char_class) break;
      at += next.bytes;
    }
    return at;
  }

  size_t Number() const {
    size_t end = 0;
    for (int digits = 0; digits < max_digits_ && IsAt(end, CharClass::kNumber); ++digits) {
      end += CharAt(text_, end).bytes;
    }
    return end;
  }

  // `\s*[\r\n]+` ends with the last newline of a run; `\s+(?!\S)` leaves the last space to what
  // follows; `\s+` takes a space that stands alone.
  size_t SpaceRun() const {
    size_t end = 0, last = 0, after_newline = 0;
    while (IsAt(end, CharClass::kSpace)) {
      last = end;
      end += CharAt(text_, end).bytes;
      if (IsNewline(last)) after_newline = end;
    }
    if (after_newline > 0) return after_newline;
    return end == text_.size() || last == 0 ? end : last;
  }

  const int max_digits_;
  const std::string_view text_;
};

// How tokenizer.json files write the kinds.
struct Cuts {
  std::string_view name;
  std::vector<std::string_view> cuts;
};

const std::vector<Cuts>& KnownCuts() {
  constexpr std::string_view kGpt2Regex =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kLlama3Regex =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kQwen2Regex =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const auto& known = *new std::vector<Cuts>{
      {"gpt-2", {kGpt2Cut}},
      {"gpt-2", {kGpt2Regex}},
      {"smollm", {kDigitsCut, kGpt2Cut}},
      {"llama-bpe", {kLlama3Regex}},
      {"qwen2", {kQwen2Regex}},
  };
  return known;
}

size_t FirstSpacedWord(std::string_view text, bool each_space) {
  if (each_space && text.starts_with("  ")) return 1;
  size_t end = 0;
  while (end < text.size() && text[end] == ' ') ++end;
  const size_t next = text.find(' ', end);
  return next == text.npos ? text.size() : next;
}

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

absl::StatusOr<PreTokenizer> FindPreTokenizerByCuts(absl::Span<const std::string> cuts) {
  for (const Cuts& row : KnownCuts()) {
    if (std::equal(cuts.begin(), cuts.end(), row.cuts.begin(), row.cuts.end())) {
      return FindPreTokenizer(row.name);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("pre_tokenizer cuts text in a way that is not known here: ",
                   absl::StrJoin(cuts, ", then ")));
}

size_t FirstWord(const PreTokenizer& pre_tokenizer, std::string_view text) {
  switch (pre_tokenizer.pattern) {
    case Pattern::kGpt2:
      return Gpt2Scanner(pre_tokenizer, text).FirstWord();
    case Pattern::kLlama3:
      return Llama3Scanner(pre_tokenizer.max_digits, text).FirstWord();
    case Pattern::kSpaceRuns:
      return FirstSpacedWord(text, /*each_space=*/false);
    case Pattern::kEachSpace:
      return FirstSpacedWord(text, /*each_space=*/true);
    case Pattern::kWhole:
      break;
  }
  return text.size();
}

}  // namespace spotinference
