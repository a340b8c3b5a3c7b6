#include "engine/text/jinja_text.h"

#include <string.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "engine/base/status.h"
#include "engine/text/python_text.h"
#include "engine/text/unicode_case.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

constexpr size_t kNotFound = std::string_view::npos;

bool StripsChar(std::string_view next, const Text* chars) {
  if (chars == nullptr) return LeadingSpaceBytes(next) == next.size();
  return chars->bytes.find(next) != kNotFound;
}

enum class Case { kUpper, kLower, kTitle };

std::string InCase(char32_t c, Case to) {
  std::string out;
  switch (to) {
    case Case::kUpper: AppendUpper(c, out); break;
    case Case::kLower: AppendLower(c, out); break;
    case Case::kTitle: AppendTitle(c, out); break;
  }
  return out;
}

// Whether it has another case. (Python also knows letters that have a case and no other.)
bool IsCased(char32_t c) {
  std::string same;
  AppendUtf8(c, same);
  return InCase(c, Case::kUpper) != same || InCase(c, Case::kLower) != same;
}

// Sigma is written otherwise at the end of a word: after a letter and before none.
bool IsFinalSigma(char32_t c, bool after_cased, std::string_view rest) {
  constexpr char32_t kCapitalSigma = 0x3a3;
  if (c != kCapitalSigma || !after_cased) return false;
  return rest.empty() || !IsCased(DecodeUtf8(rest).code_point);
}

// Each character in the case that `choose` gives for its place and for whether one with a case
// stands before it.
template <typename Choose>
Text WithCase(const Text& text, Choose choose) {
  const std::string_view bytes = text.bytes;
  Text out;
  out.is_markup = text.is_markup;
  bool after_cased = false;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char next = DecodeUtf8(bytes.substr(at));
    const Text here = text.Slice(at, at + next.bytes);
    const Case to = choose(at, after_cased);
    at += next.bytes;
    if (next.code_point == Utf8Char::kInvalid) {
      out.Append(here);
      after_cased = false;
      continue;
    }
    const bool final =
        to == Case::kLower && IsFinalSigma(next.code_point, after_cased, bytes.substr(at));
    out.Append(here.Remade(final ? "\u03c2" : InCase(next.code_point, to)));
    after_cased = IsCased(next.code_point);
  }
  return out;
}

// The same where all is ASCII, whose bytes stay where they are.
template <typename Choose>
Text InCases(const Text& text, Choose choose) {
  const auto is_ascii = [](char c) { return (c & 0x80) == 0; };
  if (!std::all_of(text.bytes.begin(), text.bytes.end(), is_ascii)) return WithCase(text, choose);
  Text out = text;
  bool after_cased = false;
  for (size_t at = 0; at < out.bytes.size(); ++at) {
    const auto c = static_cast<unsigned char>(out.bytes[at]);
    const bool lower = choose(at, after_cased) == Case::kLower;
    out.bytes[at] = lower ? absl::ascii_tolower(c) : absl::ascii_toupper(c);
    after_cased = absl::ascii_isalpha(c);
  }
  return out;
}

// How much of `text` stands before white space, a dash or an opening bracket.
size_t WordBytes(std::string_view text) {
  size_t word = 0;
  while (word < text.size()) {
    const Utf8Char next = DecodeUtf8(text.substr(word));
    if (IsPythonSpace(next.code_point)) break;
    if (std::string_view("-({[<").find(text[word]) != kNotFound) break;
    word += next.bytes;
  }
  return word;
}

// There is a character with a case, and none is in another one than `to`.
bool AllInCase(std::string_view text, Case to) {
  bool has_case = false;
  while (!text.empty()) {
    const Utf8Char next = DecodeUtf8(text);
    if (next.code_point != Utf8Char::kInvalid && IsCased(next.code_point)) {
      if (InCase(next.code_point, to) != text.substr(0, next.bytes)) return false;
      has_case = true;
    }
    text.remove_prefix(next.bytes);
  }
  return has_case;
}

}  // namespace

size_t FindIn(std::string_view text, std::string_view part, size_t from) {
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<const char*>(found) - text.data() : kNotFound;
}

Text Strip(const Text& text, const Text* chars, bool left, bool right) {
  size_t begin = 0, end = text.bytes.size();
  const std::string_view bytes = text.bytes;
  if (chars == nullptr) {
    if (left) begin = LeadingSpaceBytes(bytes);
    if (right && begin < end) end -= TrailingSpaceBytes(bytes);
    return text.Slice(begin, end);
  }
  while (left && begin < end) {
    const size_t next = DecodeUtf8(bytes.substr(begin)).bytes;
    if (!StripsChar(bytes.substr(begin, next), chars)) break;
    begin += next;
  }
  while (right && end > begin) {
    size_t last = end - 1;
    while (last > begin && end - last < 4 && (bytes[last] & 0xc0) == 0x80) --last;
    if (!StripsChar(bytes.substr(last, end - last), chars)) break;
    end = last;
  }
  return text.Slice(begin, end);
}

absl::StatusOr<Text> Replace(Budget& budget, const Text& text, const Text& from, const Text& to,
                             int64_t count) {
  Text replaced;
  replaced.is_markup = text.is_markup;
  size_t begin = 0;  // of what is not copied yet
  size_t at = 0;
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  for (uint64_t done = 0; count < 0 || done < static_cast<uint64_t>(count); ++done) {
    at = at > text.bytes.size() ? kNotFound : FindIn(text.bytes, from.bytes, at);
    if (at == kNotFound) break;
    RETURN_IF_ERROR(budget.Spend(1));
    RETURN_IF_ERROR(budget.SpendBytes(to.bytes.size()));
    replaced.Append(text.Slice(begin, at));
    // What stands in for input counts as input.
    const Text match = text.Slice(at, at + from.bytes.size());
    replaced.Append(match.from_input.empty() ? to : match.Remade(to.bytes));
    begin = at + from.bytes.size();
    at = begin;
    if (from.bytes.empty()) {  // between all characters
      at += at < text.bytes.size() ? DecodeUtf8(std::string_view(text.bytes).substr(at)).bytes : 1;
    }
  }
  replaced.Append(text.Slice(std::min(begin, text.bytes.size()), text.bytes.size()));
  return replaced;
}

Text Upper(const Text& text) {
  return InCases(text, [](size_t, bool) { return Case::kUpper; });
}

Text Lower(const Text& text) {
  return InCases(text, [](size_t, bool) { return Case::kLower; });
}

Text Capitalize(const Text& text) {
  return InCases(text, [](size_t at, bool) { return at == 0 ? Case::kTitle : Case::kLower; });
}

Text Title(const Text& text) {
  return InCases(text, [](size_t, bool after) { return after ? Case::kLower : Case::kTitle; });
}

Text TitleOfWords(const Text& text) {
  Text out;
  for (size_t at = 0; at < text.bytes.size();) {
    const std::string_view rest = std::string_view(text.bytes).substr(at);
    const size_t word = WordBytes(rest);
    const size_t first = std::min(word, DecodeUtf8(rest).bytes);
    out.Append(Upper(text.Slice(at, at + first)));
    out.Append(Lower(text.Slice(at + first, at + word)));
    at += word;
    const size_t border = word == rest.size() ? 0 : DecodeUtf8(rest.substr(word)).bytes;
    out.Append(text.Slice(at, at + border));
    at += border;
  }
  return out;
}

bool IsUpper(std::string_view text) { return AllInCase(text, Case::kUpper); }
bool IsLower(std::string_view text) { return AllInCase(text, Case::kLower); }

}  // namespace spotinference::jinja
