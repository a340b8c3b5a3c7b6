"""Writes unicode_classes.cc: the classes that the `tokenizers` package gives to every code point.

Models are trained with that package, so its version of Unicode is the one to follow, not the newest.

  PYTHONPATH=<site-packages with tokenizers> python3 unicode_classes.py > unicode_classes.cc
"""

from tokenizers import pre_tokenizers

HEAD = """\
// Written by unicode_classes.py; do not edit.
#include "engine/text/unicode_classes.h"

#include <algorithm>
#include <iterator>

namespace spotinference {
namespace {

constexpr CharClass O = CharClass::kOther, L = CharClass::kLetter, N = CharClass::kNumber,
                    D = CharClass::kNewerNumber, S = CharClass::kSpace;

struct Run {
  char32_t first : 24;  // the run ends where the next one begins
  CharClass char_class;
};

constexpr Run kRuns[] = {
"""

TAIL = """\
};

}  // namespace

CharClass ClassOf(char32_t code_point) {
  const Run* next = std::upper_bound(std::begin(kRuns), std::end(kRuns), code_point,
                                     [](char32_t c, const Run& run) { return c < run.first; });
  return std::prev(next)->char_class;
}

}  // namespace spotinference
"""

BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def one_word(text):
    return len(BYTE_LEVEL.pre_tokenize_str(text)) == 1


def char_class(code_point):
    if 0xD800 <= code_point < 0xE000:  # surrogates are no characters
        return "O"
    char = chr(code_point)
    if one_word("a" + char):
        return "L"
    if one_word("1" + char):
        return "N"
    if not one_word("!" + char):
        return "S"
    return "D" if len(DIGITS.pre_tokenize_str("a" + char)) == 2 else "O"


def main():
    runs = []
    for code_point in range(0x110000):
        kind = char_class(code_point)
        if not runs or runs[-1][1] != kind:
            runs.append((code_point, kind))
    print(HEAD, end="")
    line = "   "
    for first, kind in runs:
        item = f" {{0x{first:x}, {kind}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print(TAIL, end="")


main()
