"""Prints the ids of text.txt as the model's own tokenizer cuts it: make_text_ids.py MODEL.gguf text.txt > text_ids.txt

The tokenizer is built from the GGUF file with the PyPI package `tokenizers`.
"""

import sys

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers

fields = gguf.GGUFReader(sys.argv[1]).fields
tokens = fields["tokenizer.ggml.tokens"].contents()
merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)
with open(sys.argv[2], encoding="utf-8") as text:
    print(*tokenizer.encode(text.read()).ids)
