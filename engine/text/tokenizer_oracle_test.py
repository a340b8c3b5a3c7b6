"""Our tokenizer against the `tokenizers` package, made from the same file's vocabulary and merges."""

import random
import struct
import subprocess
import sys

import gguf
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

LINES = 12000
CONTROL = 3  # tokenizer.ggml.token_type

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


def ours(binary, model, texts):
    data = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for text in texts))
    out = subprocess.run([binary, model], input=data, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in texts:
        ids = []
        for _ in range(2):
            (count,) = struct.unpack_from("<I", out, at)
            ids.append(list(struct.unpack_from(f"<{count}I", out, at + 4)))
            at += 4 + 4 * count
        (size,) = struct.unpack_from("<I", out, at)
        yield ids[0], ids[1], out[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == len(out), f"{len(out) - at} bytes left over"


def main():
    binary, model = sys.argv[1:]
    fields = gguf.GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    specials = [token for token, kind in zip(tokens, types) if kind == CONTROL]

    def theirs():
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        return tokenizer

    plain, with_special = theirs(), theirs()
    with_special.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])

    rng = random.Random(20261125)
    texts = [line(rng, specials) for _ in range(LINES)]
    # Every character once, after each kind of character that matters to the pattern.
    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for i in range(0, len(code_points), 4096):
        chars = [chr(c) for c in code_points[i : i + 4096]]
        texts.append("".join(f"a{c}1{c}!{c} {c}" for c in chars))

    # The vocabulary lacks some bytes; both leave them out.
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    lacking = bytes(b for b in range(0x80) if alphabet.pre_tokenize_str(chr(b))[0][0] not in tokens)
    lacking += b"\xf1\xf2"  # lead bytes of characters from U+40000 to U+BFFFF

    for i, (ids, special_ids, pieces) in enumerate(ours(binary, model, texts)):
        text = texts[i]
        assert ids == plain.encode(text).ids, f"{text!r}: {ids} but expected {plain.encode(text).ids}"
        expected = with_special.encode(text).ids if i < LINES else ids
        assert special_ids == expected, f"special, {text!r}: {special_ids} but expected {expected}"
        assert pieces == text.encode().translate(None, lacking), f"{text!r} comes back as {pieces!r}"
    print(f"{len(texts)} texts are equal")


main()
