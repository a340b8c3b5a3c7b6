"""Writes unicode_normalization_tables.cc: decompositions, combining classes and compositions of the `tokenizers` package.

Models are trained with that package, so its version of Unicode is the one to follow, not Python's. Combining classes,
which it does not tell, are found by how it orders a mark against marks of known class.

  PYTHONPATH=<site-packages with tokenizers> python3 unicode_normalization_tables.py > unicode_normalization_tables.cc
"""

import unicodedata

from tokenizers import normalizers

NFD, NFC = normalizers.NFD(), normalizers.NFC()
HANGUL = range(0xAC00, 0xAC00 + 11172)  # by arithmetic
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c not in HANGUL]

HEAD = """\
// Written by unicode_normalization_tables.py; do not edit.
#include "engine/text/unicode_normalization_tables.h"

namespace spotinference {
"""


def moves_before(char, mark):
    return char != mark and NFD.normalize_str("a" + mark + char) == "a" + char + mark


def reference_marks():
    """One mark for each combining class, ascending, that the package knows for a mark."""
    highest = "\u0345"
    marks = {unicodedata.combining(highest): highest}
    for c in CODE_POINTS:
        if (combining := unicodedata.combining(chr(c))) and moves_before(chr(c), highest):
            marks.setdefault(combining, chr(c))
    return sorted(marks.items())


def combining_class(char, references):
    """0 < class(char) < class(mark) is what makes it move before the mark."""
    low, high = 0, len(references) - 1
    if not moves_before(char, references[high][1]):
        # It is of the highest class, or a starter.
        return references[high][0] if moves_before(references[0][1], char) else 0
    while low < high:
        middle = (low + high) // 2
        if moves_before(char, references[middle][1]):
            high = middle
        else:
            low = middle + 1
    return references[low - 1][0]


def table(kind, name, rows):
    print(f"\nconst {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        item = f" {row},"
        if len(line) + len(item) > 120:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")
    print(f"const size_t {name}Size = sizeof({name}) / sizeof({name}[0]);")


def main():
    references = reference_marks()
    print(HEAD, end="")
    wholes = {c: NFD.normalize_str(chr(c)) for c in CODE_POINTS}
    parts = {}  # whole decomposition -> the character that it composes to, else one that decomposes to it
    for c, whole in wholes.items():
        if NFC.normalize_str(whole) == chr(c) or whole not in parts:
            parts[whole] = c
    rows = []
    for c, whole in wholes.items():
        if whole == chr(c):
            continue
        composes = NFC.normalize_str(whole) == chr(c)
        first = parts[whole[:-1]] if len(whole) > 1 else ord(whole)
        second = ord(whole[-1]) if len(whole) > 1 else 0
        rows.append(f"{{0x{c:x}, 0x{first:x}, 0x{second:x}, {int(composes)}}}")
    table("Decomposition", "kDecompositions", rows)
    classes = [(c, combining_class(chr(c), references)) for c in CODE_POINTS]
    runs = [(c, k) for i, (c, k) in enumerate(classes) if i == 0 or classes[i - 1][1] != k]
    table("CombiningRun", "kCombiningRuns", [f"{{0x{c:x}, {k}}}" for c, k in runs])
    print("\n}  // namespace spotinference")


main()
