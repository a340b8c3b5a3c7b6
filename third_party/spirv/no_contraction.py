"""no_contraction.py IN.spv OUT.spv OUT.inc: decorates all float arithmetic with NoContraction, and lists the words.

A driver may compute a * b + c with one rounding or two, as it likes for each shader and each choice of constants, unless
the operations say NoContraction; and it may take Fma apart unless that does. glslc says it where GLSL has `precise`, but
never of Fma.
"""

import array
import sys

OP_EXT_INST, OP_DECORATE = 12, 71
ARITHMETIC = {127, 129, 131, 133, 136, 140, 141, 142, 143, 144, 145, 146, 148}  # OpFNegate … OpDot, of floats
FMA = 50  # of GLSL.std.450
NO_CONTRACTION = 42
# What a module has before its annotations: capabilities up to OpModuleProcessed.
BEFORE_ANNOTATIONS = {17, 10, 11, 14, 15, 16, 331, 2, 3, 4, 5, 6, 7, 8, 330}
HEADER_WORDS = 5


def instructions(words):
    at = HEADER_WORDS
    while at < len(words):
        count = words[at] >> 16
        yield at, words[at] & 0xffff, words[at:at + count]
        at += count


def decorated(words):
    wanted, exact, annotations = [], set(), None
    for at, opcode, words_of_it in instructions(words):
        if annotations is None and opcode not in BEFORE_ANNOTATIONS:
            annotations = at
        if opcode == OP_DECORATE and words_of_it[2] == NO_CONTRACTION:
            exact.add(words_of_it[1])
        if opcode in ARITHMETIC or (opcode == OP_EXT_INST and words_of_it[4] == FMA):
            wanted.append(words_of_it[2])
    added = array.array('I')
    for result in wanted:
        if result not in exact:
            added.extend([3 << 16 | OP_DECORATE, result, NO_CONTRACTION])
    return words[:annotations] + added + words[annotations:]


def main():
    source, target, listed = sys.argv[1:]
    words = array.array('I')
    with open(source, 'rb') as file:
        words.frombytes(file.read())
    words = decorated(words)
    with open(target, 'wb') as file:
        words.tofile(file)
    with open(listed, 'w', encoding='ascii') as file:
        file.write(',\n'.join(map(str, words)) + '\n')


if __name__ == '__main__':
    main()
