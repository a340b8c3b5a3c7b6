"""Writes what `transformers` computes beside this file: logits of the tiny models, <model>.txt; rope_frequencies.txt.

    python3 -m venv VENV && VENV/bin/pip install torch==2.14.1 transformers==5.24.0 gguf==0.19.0 numpy==2.4.6
    VENV/bin/python engine/model/goldens/make_goldens.py [MODEL...]

Run by hand when a model is added or changed; it takes seconds. The folder that it hands to `transformers` is the one
that the build makes for our own loader. A golden has a line with the hash of the weights, one with the prompt's ids,
and one each with a position and every STRIDE-th logit after it: a logit is a random direction of the last hidden
state, so that 48 of them nearly give it away. float32, attention "eager".
"""

import os
import sys
import tempfile

import tiny_models
import torch
import transformers

# The first token, the last ones that see everything through a window, both sides of a piece of 256; and the last one.
POSITIONS = {0, 39, 40, 255, 256}
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
    for position in sorted(POSITIONS & set(range(len(ids))) | {len(ids) - 1}):
        values = logits[position, ::STRIDE].tolist()
        lines.append(f"{position} " + " ".join(f"{v:.9g}" for v in values))
    return "\n".join(lines) + "\n"


# The rotations of published models: kind, head_dim, base, factor, original context.
ROPES = {
    "llama-3.1-8b": ("llama3", 128, 500000.0, 8.0, 8192),
    "llama-3.2-1b": ("llama3", 64, 500000.0, 32.0, 8192),
    "qwen2.5-7b": ("yarn", 128, 1000000.0, 4.0, 32768),
    "yarn-llama-2-7b-128k": ("yarn", 128, 10000.0, 32.0, 4096),
    "gemma-3-4b": ("linear", 256, 1000000.0, 8.0, 131072),
}


def rope_frequencies():
    lines = ["# model kind head_dim base factor original_context magnitude frequencies"]
    for model, (kind, head_dim, base, factor, context) in ROPES.items():
        scaling = {"rope_type": kind, "factor": factor, "original_max_position_embeddings": context}
        if kind == "llama3":
            scaling.update(low_freq_factor=1.0, high_freq_factor=4.0)
        config = transformers.LlamaConfig(head_dim=head_dim, rope_theta=base, rope_scaling=scaling,
                                          max_position_embeddings=int(context * factor))
        frequencies, magnitude = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
        values = " ".join(f"{v:.8g}" for v in frequencies.tolist())
        lines.append(f"{model} {kind} {head_dim} {base} {factor} {context} {magnitude:.9g} {values}")
    return "\n".join(lines) + "\n"


def write(name, text):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".txt"), "w") as f:
        f.write(text)


if __name__ == "__main__":
    write("rope_frequencies", rope_frequencies())
    for name in sys.argv[1:] or tiny_models.MODELS:
        write(name, golden(name))
