"""Writes unicode_case.cc: upper, lower and title case as Python's str has them.

python3 unicode_case.py > unicode_case.cc
"""

import unicodedata

HEAD = """\
// Written by unicode_case.py from Unicode {version}; do not edit.
#include "engine/text/unicode_case.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "engine/text/utf8.h"

namespace spotinference {{
namespace {{

// Every `step`th character from `first` to `last` moves by `delta`. Ascending and disjoint.
struct Run {{
  char32_t first, last;
  int8_t step;
  int32_t delta;
}};

// One character that becomes several.
struct Expansion {{
  char32_t from;
  std::string_view to;
}};

"""

TAIL = """\
template <size_t n>
bool Append(const Run (&runs)[n], char32_t c, std::string& out) {
  const Run* run = std::upper_bound(std::begin(runs), std::end(runs), c,
                                    [](char32_t at, const Run& r) { return at < r.first; });
  if (run == std::begin(runs)) return false;
  --run;
  if (c > run->last || (c - run->first) % run->step != 0) return false;
  AppendUtf8(c + run->delta, out);
  return true;
}

template <size_t n>
bool Append(const Expansion (&expansions)[n], char32_t c, std::string& out) {
  const Expansion* found = std::lower_bound(std::begin(expansions), std::end(expansions), c,
                                            [](const Expansion& e, char32_t at) { return e.from < at; });
  if (found == std::end(expansions) || found->from != c) return false;
  out.append(found->to);
  return true;
}

}  // namespace

void AppendUpper(char32_t c, std::string& out) {
  if (!Append(kUpperRuns, c, out) && !Append(kUpperExpansions, c, out)) AppendUtf8(c, out);
}

void AppendLower(char32_t c, std::string& out) {
  if (!Append(kLowerRuns, c, out) && !Append(kLowerExpansions, c, out)) AppendUtf8(c, out);
}

void AppendTitle(char32_t c, std::string& out) {
  if (!Append(kTitleRuns, c, out) && !Append(kTitleExpansions, c, out)) AppendUpper(c, out);
}

}  // namespace spotinference
"""


def wrap(items):
    line = "   "
    for item in items:
        if len(line) + len(item) + 1 > 100:
            print(line)
            line = "   "
        line += " " + item
    print(line)


def literal(text):
    return '"' + "".join(c if c < "\x80" else f"\\u{ord(c):04x}" for c in text) + '"'


def table(name, mapping):
    """`mapping`: characters, ascending, with what they become."""
    runs = []
    expansions = []
    for char, to in mapping:
        if len(to) > 1:
            expansions.append((ord(char), to))
            continue
        code, delta = ord(char), ord(to) - ord(char)
        last = runs[-1] if runs else None
        if last and last[3] == delta and code - last[1] in ((1, 2) if last[0] == last[1] else (last[2],)):
            last[1], last[2] = code, code - last[1]
        else:
            runs.append([code, code, 1, delta])
    print(f"constexpr Run k{name}Runs[] = {{")
    wrap(f"{{0x{a:x}, 0x{b:x}, {step}, {delta}}}," for a, b, step, delta in runs)
    print(f"}};\n\nconstexpr Expansion k{name}Expansions[] = {{")
    wrap(f"{{0x{code:x}, {literal(to)}}}," for code, to in expansions)
    print("};\n")


def main():
    chars = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    print(HEAD.format(version=unicodedata.unidata_version), end="")
    table("Upper", [(c, c.upper()) for c in chars if c.upper() != c])
    table("Lower", [(c, c.lower()) for c in chars if c.lower() != c])
    table("Title", [(c, c.title()) for c in chars if c.title() != c.upper()])
    print(TAIL, end="")


main()
