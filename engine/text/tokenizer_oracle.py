"""Texts for tests that compare tokenizers, and a way to ask ours."""

import random
import struct
import subprocess

LINES = 10500

WORDS = (
    "the quick brown Fox don't we'll I'VE it's they're he'd I'm 'sup rock'n'roll naïve Straße Ελληνικά "
    "привет мир 你好世界 こんにちは 한국어 สวัสดี שלום مرحبا हिन्दी বাংলা ગુજરાતી ქართული ትግርኛ "
    "e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343 ﬁne Ⅷ ½ ² ①② ٣٤٥ १२३ 𝟘𝟙 𑣠 〇 万 3.14159 1,000,000 0xFF 1e-9 v2.0.1 "
    "😀 👩‍🚀 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ❤️ ☕︎ → ≠ ∑ € £ « » “quoted” ‘single’ … — \u200b \ufeff \u00ad"
).split(" ")
CODE = [
    "def f(x, *args, **kwargs):\n    return [i**2 for i in range(10) if i % 2 == 0]\n",
    "int main(void) {\n\tprintf(\"%d\\n\", 42);\n\treturn 0;\n}\n",
    "SELECT * FROM t WHERE a >= 10 AND b != 'x''y';",
    "<div class=\"a-b\">&nbsp;</div><!-- x -->",
    "for (auto& [k, v] : map) { sum += v->size() << 3; }",
    "https://example.org/a/b?c=d&e=f#g user@example.org",
    "$ git commit -m \"x\" && ./run.sh --flag=1 2>&1 | tee log.txt",
    "\\frac{1}{2} \\sum_{i=0}^{n} x_i^2",
]
SPACES = [" ", "  ", "   ", " " * 17, "\t", "\t\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", ""]


def random_char(rng):
    while True:
        kind = rng.random()
        top = 0x80 if kind < 0.3 else 0x800 if kind < 0.5 else 0x10000 if kind < 0.8 else 0x20000 if kind < 0.9 else 0x110000
        code_point = rng.randrange(top)
        if not 0xD800 <= code_point < 0xE000:
            return chr(code_point)


def line(rng, specials):
    parts = []
    for _ in range(rng.randrange(1, 14)):
        kind = rng.random()
        if kind < 0.55:
            parts.append(rng.choice(WORDS))
        elif kind < 0.63:
            parts.append(rng.choice(CODE))
        elif kind < 0.70:
            parts.append("".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 9))))
        elif kind < 0.76:
            parts.append("".join(random_char(rng) for _ in range(rng.randrange(1, 12))))
        elif kind < 0.82:
            parts.append(rng.choice("abcxyz!'-_=*#.<|") * rng.choice([1, 2, 3, 8, 40, 100]))
        elif kind < 0.88:
            parts.append("".join(rng.choice("abcdefghijklmnop") for _ in range(rng.randrange(1, 120))))
        elif kind < 0.93:
            parts.append(bytes(rng.randrange(256) for _ in range(12)).decode("utf-8", errors="replace"))
        else:
            special = rng.choice(specials)
            parts.append(special if rng.random() < 0.7 else special[: rng.randrange(len(special))])
        if rng.random() < 0.7:
            parts.append(rng.choice(SPACES))
    return "".join(parts)



def lines(specials):
    rng = random.Random(20261125)
    return [line(rng, specials) for _ in range(LINES)]


def every_character():
    """Texts with each character after each kind of character that matters to a pattern."""
    # In the blocks of ideographs and syllables, and past the second plane, nearly all is alike.
    alike = [range(0x3400, 0xA000), range(0xAC00, 0xD7A4), range(0x17000, 0x19000), range(0x20000, 0x110000)]
    step = 101
    code_points = [c for c in range(0x20000) if not 0xD800 <= c < 0xE000 and not any(c in r for r in alike)]
    code_points += [c for r in alike for c in r[::step]]
    for i in range(0, len(code_points), 2048):
        yield "".join(f"a{c}1{c}!{c} {c}'{c}x\n{c}\n" for c in map(chr, code_points[i : i + 2048]))


def run(binary, model, mode, records):
    out = subprocess.run([binary, model, mode], input=b"".join(records), stdout=subprocess.PIPE, check=True).stdout
    return memoryview(out)


def encode(binary, model, texts):
    """For each text, a string or bytes, its ids, read letter by letter and with control tokens parsed."""
    data = [text.encode() if isinstance(text, str) else text for text in texts]
    out = run(binary, model, "encode", (struct.pack("<I", len(each)) + each for each in data))
    at = 0
    for _ in texts:
        both = []
        for _ in range(2):
            (count,) = struct.unpack_from("<I", out, at)
            both.append(list(struct.unpack_from(f"<{count}I", out, at + 4)))
            at += 4 + 4 * count
        yield both
    assert at == len(out), f"{len(out) - at} bytes left over"


def decode(binary, model, lists):
    """The text of each list of ids."""
    out = run(binary, model, "decode", (struct.pack(f"<I{len(ids)}I", len(ids), *ids) for ids in lists))
    at = 0
    for _ in lists:
        (size,) = struct.unpack_from("<I", out, at)
        yield bytes(out[at + 4 : at + 4 + size]).decode()
        at += 4 + size
    assert at == len(out), f"{len(out) - at} bytes left over"
