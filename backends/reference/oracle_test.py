"""The reference backend against NumPy over the weights as the `gguf` package reads them.

oracle_test.py LOGITS_MAIN MAX_DIFFERENCE MODEL...   (models without a tokenizer get random ids)
"""

import os
import random
import subprocess
import sys
import tempfile
import unittest

import gguf
import numpy as np

from backends.reference.llama_numpy import Llama

PROMPTS = [
    "The lighthouse keeper climbed the stairs each evening, and from the gallery he could see the boats come home, one "
    "after the other, before the fog closed over the harbour.",
    "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n    if len(ordered) % 2:\n"
    "        return ordered[middle]\n    return (ordered[middle - 1] + ordered[middle]) / 2\n",
    "<|im_start|>system\nYou answer in one sentence.<|im_end|>\n<|im_start|>user\nWhy is the sky blue at noon, and red when "
    "the sun goes down?<|im_end|>\n<|im_start|>assistant\n",
    "Bread needs four things: flour, water, salt and time. Mix the flour with the water and let it rest for half an hour "
    "before the salt goes in. Fold the dough every thirty minutes, four times, until it holds its shape. Overnight in the "
    "cold it gains its taste. In the morning heat the oven as far as it will go, with an iron pot inside, and bake the "
    "loaf for twenty minutes under the lid and twenty without. Then comes the hardest part: to wait until it is cool.",
]


def prompt_ids(path):
    fields = gguf.GGUFReader(path).fields
    if "tokenizer.ggml.tokens" not in fields:
        vocabulary = fields["llama.vocab_size"].contents()
        generator = random.Random(1)
        return [[generator.randrange(vocabulary) for _ in range(length)] for length in (1, 17, 50)]
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return [tokenizer.encode(prompt).ids for prompt in PROMPTS]


class OracleTest(unittest.TestCase):
    def test_logits(self):
        for model in MODELS:
            with self.subTest(os.path.basename(model)), tempfile.TemporaryDirectory() as folder:
                prompts = prompt_ids(model)
                ids_file, out_file = os.path.join(folder, "ids"), os.path.join(folder, "logits")
                with open(ids_file, "w") as f:
                    f.writelines(" ".join(map(str, ids)) + "\n" for ids in prompts)
                subprocess.run([LOGITS_MAIN, model, "reference", ids_file, out_file], check=True)
                llama = Llama(model)
                ours = np.fromfile(out_file, np.float32).reshape(sum(map(len, prompts)), -1)
                for ids in prompts:
                    theirs = llama.logits(ids)
                    worst = np.max(np.abs(ours[: len(ids)] - theirs))
                    print(f"{os.path.basename(model)}: {len(ids)} tokens, logits up to {np.abs(theirs).max():.1f}, "
                          f"largest difference {worst:.1e}")
                    self.assertLessEqual(worst, MAX_DIFFERENCE)
                    ours = ours[len(ids):]


if __name__ == "__main__":
    LOGITS_MAIN, MAX_DIFFERENCE, MODELS = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    assert MODELS
    unittest.main(argv=sys.argv[:1])
