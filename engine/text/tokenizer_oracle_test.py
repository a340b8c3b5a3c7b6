"""Our tokenizer against the `tokenizers` package, made from the bundled model's vocabulary and merges."""

import os
import sys
import tempfile

import gguf
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

import tokenizer_oracle

CONTROL = 3  # tokenizer.ggml.token_type


def with_pre(fields, pre, path):
    """Writes the tokenizer of a GGUF file with another tokenizer.ggml.pre."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(fields["tokenizer.ggml.tokens"].contents())
    writer.add_token_types(fields["tokenizer.ggml.token_type"].contents())
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def main():
    binary, model = sys.argv[1:]
    fields = gguf.GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    specials = [token for token, kind in zip(tokens, types) if kind == CONTROL]

    def theirs(pre):
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words]) if pre == "smollm" else words
        return tokenizer

    texts = tokenizer_oracle.lines(specials)
    lines = len(texts)
    texts += tokenizer_oracle.every_character()

    # The vocabulary lacks some bytes; both leave them out.
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    lacking = bytes(b for b in range(0x80) if alphabet.pre_tokenize_str(chr(b))[0][0] not in tokens)
    lacking += b"\xf1\xf2"  # lead bytes of characters from U+40000 to U+BFFFF

    with tempfile.TemporaryDirectory() as folder:
        gpt2 = os.path.join(folder, "gpt-2.gguf")
        with_pre(fields, "gpt-2", gpt2)
        for pre, path in (("smollm", model), ("gpt-2", gpt2)):
            plain, with_special = theirs(pre), theirs(pre)
            with_special.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
            expected = [e.ids for e in plain.encode_batch(texts)]
            expected_special = [e.ids for e in with_special.encode_batch(texts[:lines])] + expected[lines:]
            ours = []
            for i, (ids, special_ids) in enumerate(tokenizer_oracle.encode(binary, path, texts)):
                assert ids == expected[i], f"{pre}: {texts[i]!r}: {ids} but expected {expected[i]}"
                assert special_ids == expected_special[i], f"{pre}, special: {texts[i]!r}: {special_ids}"
                ours.append(ids)
            for i, text in enumerate(tokenizer_oracle.decode(binary, path, ours)):
                kept = texts[i].encode().translate(None, lacking).decode(errors="replace")
                assert text == kept, f"{texts[i]!r} comes back as {text!r}"
            print(f"{pre}: {lines} lines and {len(texts) - lines} texts of all characters are equal")


main()
