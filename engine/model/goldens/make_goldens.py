"""Writes <model>.txt beside this file: logits of the tiny models as `transformers` computes them.

    python3 -m venv VENV && VENV/bin/pip install torch==2.14.1 transformers==5.24.0 gguf==0.19.0 numpy==2.4.6
    VENV/bin/python engine/model/goldens/make_goldens.py [MODEL...]

Run by hand when a model is added or changed; it takes seconds. The folder that it hands to `transformers` is the one that the
build makes for our own loader. A golden has a line with the hash of the weights, one with the prompt's ids, and one each with
a position and every STRIDE-th logit after it: a logit is a random direction of the last hidden state, so that 48 of them
nearly give it away. float32, attention "eager".
"""

import os
import sys
import tempfile

import tiny_models
import torch
import transformers

# The first token, the last ones that see everything through a window, both sides of a piece of 256, the last one.
POSITIONS = [0, 39, 40, 255, 256, 299]
STRIDE = 6


def golden(name):
    with tempfile.TemporaryDirectory() as folder:
        tiny_models.write_folder(name, folder)
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        assert not any(info.values()), info
    ids = tiny_models.prompt(name)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids])).logits[0]
    print(f"{name}: logits of standard deviation {logits.std():.2f}")
    lines = [f"# transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}",
             f"weights {tiny_models.weights_hash(tiny_models.weights(name))}",
             "prompt " + " ".join(map(str, ids))]
    for position in POSITIONS:
        values = logits[position, ::STRIDE].tolist()
        lines.append(f"{position} " + " ".join(f"{v:.9g}" for v in values))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:] or tiny_models.MODELS:
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".txt"), "w") as f:
            f.write(golden(name))
