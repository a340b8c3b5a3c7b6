"""Our tokenizer against the `sentencepiece` package, over models that its trainer makes here of made-up text."""

import io
import os
import random
import sys
import tempfile

import gguf
import sentencepiece

import tokenizer_oracle

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # tokenizer.ggml.token_type
SYMBOLS = ["<tab>", "\u2581\u2581\u2581", "we", "quick\u2581brown"]  # user-defined; only BPE cuts a text at them first
MODELS = {
    # As Llama 2 and Mistral are trained, and without the space before a text as Gemma is.
    "BPE": dict(model_type="bpe", byte_fallback=True, remove_extra_whitespaces=False),
    "BPE, no space": dict(model_type="bpe", byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False),
    "BPE, no bytes": dict(model_type="bpe", byte_fallback=False, remove_extra_whitespaces=True),
    "unigram": dict(model_type="unigram", byte_fallback=True, remove_extra_whitespaces=False),
    "unigram, no bytes": dict(model_type="unigram", byte_fallback=False, remove_extra_whitespaces=True),
}


def train(texts, options):
    model = io.BytesIO()
    lines = [line for text in texts for line in text.split("\n") if line and "\0" not in line and len(line) < 400]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=2000 if options["byte_fallback"] else 1700,
        normalization_rule_name="identity",
        character_coverage=0.98,
        user_defined_symbols=SYMBOLS if options["model_type"] == "bpe" else [],
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def write_gguf(model, options, path):
    size = model.get_piece_size()
    pieces = [model.id_to_piece(i) for i in range(size)]

    def kind(i):
        if model.is_unknown(i):
            return UNKNOWN
        if model.is_control(i):
            return CONTROL
        if model.is_byte(i):
            return BYTE
        return USER_DEFINED if options["model_type"] == "bpe" and pieces[i] in SYMBOLS else NORMAL

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama" if options["model_type"] == "bpe" else "t5")
    writer.add_token_list(pieces)
    writer.add_token_scores([model.get_score(i) for i in range(size)])
    writer.add_token_types([kind(i) for i in range(size)])
    writer.add_unk_token_id(model.unk_id())
    writer.add_add_space_prefix(options.get("add_dummy_prefix", True))
    writer.add_remove_extra_whitespaces(options["remove_extra_whitespaces"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def broken(text, rng):
    """The text as bytes, now and then not as UTF-8."""
    data = bytearray(text.encode())
    while data and rng.random() < 0.2:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def check(name, model, binary, path, texts):
    expected = model.encode(texts)
    for i, (ids, _) in enumerate(tokenizer_oracle.encode(binary, path, texts)):
        assert ids == expected[i], f"{name}: {texts[i]!r}: {ids} but expected {expected[i]}"

    # Of broken UTF-8 we make other replacement characters, and of the unknown token nothing; a byte token of a space at
    # the beginning goes as any space there does, as in `tokenizers`.
    rng = random.Random(1)
    lists = expected + [[rng.randrange(len(model)) for _ in range(rng.randrange(9))] for _ in range(len(texts))]
    space = model.piece_to_id("<0x20>")
    lists = [ids for ids in lists if model.unk_id() not in ids and ids[:1] != [space]]
    if MODELS[name]["remove_extra_whitespaces"]:  # of more spaces in front, which no text has, we take one away
        lists = [ids for ids in lists if not "".join(map(model.id_to_piece, ids)).startswith("\u2581\u2581")]
    decoded = model.decode(lists)
    keep = [i for i, text in enumerate(decoded) if "\ufffd" not in text]
    lists, decoded = [lists[i] for i in keep], [decoded[i] for i in keep]
    for i, text in enumerate(tokenizer_oracle.decode(binary, path, lists)):
        assert text == decoded[i], f"{name}: {lists[i]} is {text!r} but expected {decoded[i]!r}"
    print(f"{name}: {len(texts)} texts are equal, {len(lists)} lists of ids, too")


def main():
    (binary,) = sys.argv[1:]
    rng = random.Random(2)
    texts = [broken(text, rng) for text in tokenizer_oracle.lines(SYMBOLS + ["<s>", "</s>", "<unk>", "<0x0A>"])]
    corpus = tokenizer_oracle.lines([" "])[:1500]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "made.gguf")
        for name, options in MODELS.items():
            model = train(corpus, options)
            write_gguf(model, options, path)
            check(name, model, binary, path, texts)


main()
