"""Our reader of tokenizer.json against the `tokenizers` package: steps and flags beyond those of the families' own files.

  json_tokenizer_oracle_test ENCODE_MAIN LLAMA2.json
"""

import io
import json
import os
import sys
import tempfile

import sentencepiece
from tokenizers import Tokenizer

import tokenizer_oracle

MARK = "\u2581"


def added(number, content, special=False, **flags):
    base = dict(id=number, content=content, special=special, normalized=False, single_word=False, lstrip=False, rstrip=False)
    return {**base, **flags}


def metaspace(scheme, split):
    return dict(type="Metaspace", replacement=MARK, prepend_scheme=scheme, split=split)


# As Phi-3's <|user|>, XLM-R's <mask>, and more.
FLAGS = [
    added(32000, "<|user|>", special=True, rstrip=True),
    added(32001, "<mask>", special=True, lstrip=True),
    added(32002, "w\u00f6rd"),
    added(32003, "<|both|>", lstrip=True, rstrip=True),
    added(32004, "<|bo"),
]


def llama2(source, **changes):
    """Llama 2's file with some parts of it changed."""
    made = json.loads(json.dumps(source))
    made["added_tokens"] += FLAGS
    made.update(changes)
    return made


def unigram(**changes):
    """A unigram model that sentencepiece trains here."""
    model = io.BytesIO()
    corpus = tokenizer_oracle.lines([" "])[:1500]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(l for t in corpus for l in t.split("\n") if l and "\0" not in l and len(l) < 400),
        model_writer=model,
        model_type="unigram",
        vocab_size=2000,
        byte_fallback=True,
        normalization_rule_name="identity",
        character_coverage=0.98,
        num_threads=1,
        minloglevel=2,
    )
    made = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocabulary = [[made.id_to_piece(i), made.get_score(i)] for i in range(len(made))]
    specials = [added(i, piece, special=True) for i, (piece, _) in enumerate(vocabulary[:3])]
    shifted = [dict(flag, id=flag["id"] - 32000 + len(vocabulary)) for flag in FLAGS]
    return dict(
        version="1.0",
        added_tokens=specials + shifted,
        normalizer=None,
        pre_tokenizer=metaspace("always", True),
        post_processor=None,
        decoder=metaspace("always", True),
        model=dict(type="Unigram", unk_id=0, vocab=vocabulary, byte_fallback=False),
    ) | changes


def replace(pattern, content):
    return dict(type="Replace", pattern=pattern, content=content)


def sequence(*normalizers):
    return dict(type="Sequence", normalizers=list(normalizers))


def variants(source):
    strip = dict(type="Strip", strip_left=True, strip_right=True)
    normalized = [dict(flag, normalized=True, lstrip=False, rstrip=False) for flag in FLAGS]
    yield "llama2 with added tokens", llama2(source)
    yield "llama2 as Metaspace, first", llama2(source, normalizer=None, pre_tokenizer=metaspace("first", False))
    yield "llama2 as Metaspace, never", llama2(source, normalizer=None, pre_tokenizer=metaspace("never", True))
    plain = sequence(dict(type="NFC"), replace(dict(String="."), "!!"), replace(dict(String=" "), MARK))
    yield "llama2 with NFC and Replace", llama2(source, normalizer=plain, added_tokens=source["added_tokens"] + normalized)
    yield "unigram", unigram()
    collapse = sequence(strip, replace(dict(Regex=" {2,}"), " "))
    yield "unigram, Strip, whole", unigram(normalizer=collapse, pre_tokenizer=metaspace("first", False))


def check(binary, folder, name, source):
    path = os.path.join(folder, "tokenizer.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(source, file)
    tokenizer = Tokenizer.from_file(path)
    specials = [token["content"] for token in source["added_tokens"]]
    texts = tokenizer_oracle.lines(specials + [" " + text for text in specials] + [text + " " for text in specials])
    with_special = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    tokenizer.encode_special_tokens = True
    plain = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    decoded = tokenizer.decode_batch(plain)
    # Of a unigram model the package makes <s> in a text that very token, asked to or not; we never do.
    made_of_text = [token["content"] for token in source["added_tokens"][:3]] if source["model"]["type"] == "Unigram" else []
    skipped = 0
    for i, (ids, special_ids) in enumerate(tokenizer_oracle.encode(binary, path, texts)):
        assert special_ids == with_special[i], f"{name}: {texts[i]!r}: {special_ids} but expected {with_special[i]}"
        if any(text in texts[i] for text in made_of_text):
            skipped += 1
            continue
        assert ids == plain[i], f"{name}: {texts[i]!r}: {ids} but expected {plain[i]}"
    for i, text in enumerate(tokenizer_oracle.decode(binary, path, plain)):
        assert "\ufffd" in text or text == decoded[i], f"{name}: {plain[i]} is {text!r} but expected {decoded[i]!r}"
    print(f"{name}: {len(texts)} texts are equal, {skipped} of them only with control tokens parsed")


def main():
    binary, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        source = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        for name, variant in variants(source):
            check(binary, folder, name, variant)


main()
