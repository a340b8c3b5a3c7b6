"""Our tokenizer against the `tokenizers` package, over a tokenizer.json that npm carries, and over the same in GGUF.

  vocabulary_oracle_test ENCODE_MAIN TOKENIZER.json KIND

KIND: how a GGUF file names the family's tokenizer, `gpt2/PRE` or `llama/SPACE`, SPACE being 1 or 0: whether a space is put
before a text.
"""

import json
import os
import random
import sys
import tempfile

import gguf
from tokenizers import Tokenizer

import tokenizer_oracle

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # tokenizer.ggml.token_type


def write_gguf(source, kind, path):
    model, _, detail = kind.partition("/")
    vocabulary = source["model"]["vocab"]
    tokens = {i: token for token, i in vocabulary.items()}
    types = dict.fromkeys(tokens, NORMAL)
    for added in source["added_tokens"]:
        tokens[added["id"]] = added["content"]
        if added["special"]:
            types[added["id"]] = CONTROL
        elif "\u2581" not in added["content"]:  # the package finds that only where a text has the mark itself
            types[added["id"]] = USER_DEFINED
    merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in source["model"]["merges"]]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    if model == "gpt2":
        writer.add_tokenizer_pre(detail)
        writer.add_token_merges([" ".join(merge) for merge in merges])
    else:
        scores = dict.fromkeys(tokens, -1e9)
        for rank, (left, right) in reversed(list(enumerate(merges))):
            scores[vocabulary[left + right]] = -float(rank)
        for i, token in tokens.items():
            if len(token) == 6 and token.startswith("<0x"):
                types[i] = BYTE
        writer.add_token_scores([scores[i] for i in sorted(tokens)])
        writer.add_add_space_prefix(detail == "1")
        writer.add_unk_token_id(vocabulary["<unk>"])
    writer.add_token_list([tokens[i] for i in sorted(tokens)])
    writer.add_token_types([types[i] for i in sorted(tokens)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def check(binary, path, name, texts, lists, expected):
    plain, with_special, decoded = expected
    for i, (ids, special_ids) in enumerate(tokenizer_oracle.encode(binary, path, texts)):
        assert ids == plain[i], f"{name}: {texts[i]!r}: {ids} but expected {plain[i]}"
        assert special_ids == with_special[i], f"{name}, special: {texts[i]!r}: {special_ids} but expected {with_special[i]}"
    for i, text in enumerate(tokenizer_oracle.decode(binary, path, lists)):
        assert text == decoded[i], f"{name}: {lists[i]} is {text!r} but expected {decoded[i]!r}"
    print(f"{name}: {len(texts)} texts are equal, {len(lists)} lists of ids, too")


def main():
    binary, path, kind = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        source = json.load(file)
    tokenizer = Tokenizer.from_file(path)
    specials = [added["content"] for added in source["added_tokens"]]
    if kind.startswith("llama"):  # see write_gguf
        specials = [text for text in specials if "\u2581" not in text]
    texts = tokenizer_oracle.lines(specials)

    with_special = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    texts += tokenizer_oracle.every_character()  # none has a special token
    tokenizer.encode_special_tokens = True
    plain = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    with_special += plain[len(with_special) :]
    # What a model says is mostly text; ids at random are hardly ever, and of broken UTF-8 we make other replacement
    # characters than the package.
    rng = random.Random(1)
    lists = plain[: tokenizer_oracle.LINES]
    size = tokenizer.get_vocab_size()
    lists += [[rng.randrange(size) for _ in range(rng.randrange(9))] for _ in range(tokenizer_oracle.LINES)]
    decoded = tokenizer.decode_batch(lists)
    keep = [i for i, text in enumerate(decoded) if "\ufffd" not in text]
    lists, decoded = [lists[i] for i in keep], [decoded[i] for i in keep]
    assert len(lists) > tokenizer_oracle.LINES

    expected = (plain, with_special, decoded)
    check(binary, path, "tokenizer.json", texts, lists, expected)
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "made.gguf")
        write_gguf(source, kind, made)
        check(binary, made, "GGUF", texts, lists, expected)


main()
