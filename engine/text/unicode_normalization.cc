#include "engine/text/unicode_normalization.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "engine/text/unicode_normalization_tables.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

// Hangul syllables (The Unicode Standard, section 3.12).
constexpr char32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11a7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

// Below it nothing combines and all is in form C.
constexpr char32_t kFirstMark = 0x300;

struct Letter {
  char32_t code_point;
  uint8_t combining_class;
};

absl::Span<const Decomposition> Decompositions() { return {kDecompositions, kDecompositionsSize}; }

uint8_t CombiningClass(char32_t code_point) {
  if (code_point < kFirstMark || code_point > 0x10ffff) return 0;
  const CombiningRun* const end = kCombiningRuns + kCombiningRunsSize;
  return std::prev(std::upper_bound(kCombiningRuns, end, code_point,
                                    [](char32_t c, const CombiningRun& run) {
                                      return c < run.first;
                                    }))
      ->combining_class;
}

// Null: it is not decomposed.
const Decomposition* FindDecomposition(char32_t code_point) {
  const auto all = Decompositions();
  const auto found = std::lower_bound(
      all.begin(), all.end(), code_point,
      [](const Decomposition& row, char32_t c) { return row.code_point < c; });
  return found != all.end() && found->code_point == code_point ? &*found : nullptr;
}

void AppendDecomposed(char32_t code_point, std::vector<Letter>& letters) {
  if (code_point >= kSyllables && code_point < kSyllables + kSyllableCount) {
    const char32_t index = code_point - kSyllables;
    letters.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
    letters.push_back({kVowels + index / kTailCount % kVowelCount, 0});
    if (index % kTailCount != 0) letters.push_back({kTails + index % kTailCount, 0});
    return;
  }
  const Decomposition* const row = FindDecomposition(code_point);
  if (row == nullptr) {
    letters.push_back({code_point, CombiningClass(code_point)});
    return;
  }
  AppendDecomposed(row->first, letters);
  if (row->second != 0) letters.push_back({row->second, CombiningClass(row->second)});
}

using Pairs = absl::flat_hash_map<uint64_t, char32_t>;

constexpr uint64_t Pair(char32_t first, char32_t second) { return uint64_t{first} << 32 | second; }

Pairs MakePairs() {
  Pairs pairs;
  for (const Decomposition& row : Decompositions()) {
    if (row.composes) pairs.emplace(Pair(row.first, row.second), row.code_point);
  }
  return pairs;
}

// 0: they do not compose.
char32_t Compose(char32_t first, char32_t second) {
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels &&
      second < kVowels + kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + second - kVowels) * kTailCount;
  }
  if (first >= kSyllables && first < kSyllables + kSyllableCount &&
      (first - kSyllables) % kTailCount == 0 && second > kTails && second < kTails + kTailCount) {
    return first + second - kTails;
  }
  static const Pairs& pairs = *new Pairs(MakePairs());
  const auto found = pairs.find(Pair(first, second));
  return found == pairs.end() ? 0 : found->second;
}

// Marks in the order of their classes, between starters.
void Reorder(std::vector<Letter>& letters) {
  for (auto begin = letters.begin(); begin != letters.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, letters.end(),
                                  [](const Letter& letter) { return letter.combining_class == 0; });
    std::stable_sort(begin, end, [](const Letter& a, const Letter& b) {
      return a.combining_class < b.combining_class;
    });
    begin = end;
  }
}

// Each letter is taken into the last starter before it, unless a letter of its class or a higher
// one stands between.
void Recompose(std::vector<Letter>& letters) {
  constexpr size_t kNoStarter = SIZE_MAX;
  size_t starter = kNoStarter, count = 0;
  for (const Letter letter : letters) {
    const bool blocked = starter == kNoStarter ||
                         (count > starter + 1 &&
                          letters[count - 1].combining_class >= letter.combining_class);
    if (!blocked) {
      if (const char32_t both = Compose(letters[starter].code_point, letter.code_point)) {
        letters[starter].code_point = both;
        continue;
      }
    }
    if (letter.combining_class == 0) starter = count;
    letters[count++] = letter;
  }
  letters.resize(count);
}

void AppendNfc(std::vector<Letter>& letters, std::string& out) {
  Reorder(letters);
  Recompose(letters);
  for (const Letter letter : letters) AppendUtf8(letter.code_point, out);
  letters.clear();
}

size_t AsciiPrefix(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size() && static_cast<unsigned char>(text[bytes]) < 0x80) ++bytes;
  return bytes;
}

// Whether a character can change, or change another one, when text is brought into form C.
bool MayChange(char32_t code_point) {
  if (code_point < kFirstMark || code_point == Utf8Char::kInvalid) return false;
  // Hangul vowels and tails.
  if (code_point >= kVowels && code_point < kTails + kTailCount) return true;
  if (CombiningClass(code_point) != 0) return true;
  const Decomposition* const row = FindDecomposition(code_point);
  if (row != nullptr) return !row->composes;
  static const auto& second_starters = *new absl::flat_hash_set<char32_t>([] {
    absl::flat_hash_set<char32_t> found;
    for (const Decomposition& each : Decompositions()) {
      if (each.composes && CombiningClass(each.second) == 0) found.insert(each.second);
    }
    return found;
  }());
  return second_starters.contains(code_point);
}

}  // namespace

bool IsSurelyNfc(std::string_view text) {
  while (!text.empty()) {
    if (static_cast<unsigned char>(text[0]) < 0xcc) {  // U+0300 begins with the byte 0xcc
      text.remove_prefix(1);
      continue;
    }
    const Utf8Char next = DecodeUtf8(text);
    if (MayChange(next.code_point)) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

std::string Nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<Letter> letters;
  while (!text.empty()) {
    if (const size_t ascii = AsciiPrefix(text); ascii > 0) {  // its last letter may get a mark
      AppendNfc(letters, out);
      out.append(text.substr(0, ascii - 1));
      letters.push_back({static_cast<unsigned char>(text[ascii - 1]), 0});
      text.remove_prefix(ascii);
      continue;
    }
    const Utf8Char next = DecodeUtf8(text);
    if (next.code_point == Utf8Char::kInvalid) {
      AppendNfc(letters, out);
      out.append(text.substr(0, next.bytes));
    } else {
      AppendDecomposed(next.code_point, letters);
    }
    text.remove_prefix(next.bytes);
  }
  AppendNfc(letters, out);
  return out;
}

}  // namespace spotinference
