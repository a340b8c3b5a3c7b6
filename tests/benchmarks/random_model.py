"""Writes a GGUF model of random weights, for measuring speed at sizes and types for which no file is at hand.

  ./bazelw run //tests/benchmarks:random_model -- --type Q4_K_M --out /tmp/random-q4_k_m.gguf
  ./bazelw run //tests/benchmarks:random_model -- --type Q8_0 --width 128 --layers 2 --out /tmp/tiny.gguf

The shape is a llama, of 0.32 billion parameters unless it is said; tokenizer and vocabulary are those of the bundled
model. Quantised blocks
are random bytes under scales that keep weights near a trained model's, so that speed and numbers are of the usual kind.
"""
import argparse
import os

import gguf
import numpy as np

HEAD = 64
SPREAD = 0.02  # of a weight, about

# Where a block's halves lie, and about how large an element is in units of d and of the minimum's half.
HALVES = {
    "Q8_0": (0, 64, None, None),
    "Q4_K": (0, 250, 2, 32),
    "Q6_K": (208, 1000, None, None),
}


def random_blocks(kind, rows, columns, random):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // elements, size), np.uint8)
    d_at, d_units, m_at, m_units = HALVES[kind.name]
    blocks[:, d_at:d_at + 2] = np.frombuffer(np.float16(SPREAD / d_units).tobytes(), np.uint8)
    if m_at is not None:
        blocks[:, m_at:m_at + 2] = np.frombuffer(np.float16(SPREAD / m_units).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


def type_of(name, layer, layers, mixture):
    """A "Q4_K_M" file has Q6_K for the output and, in half of the layers, for attn_v and ffn_down."""
    kinds = gguf.GGMLQuantizationType
    if mixture == "Q8_0":
        return kinds.Q8_0
    more = name in ("attn_v", "ffn_down") and (
        layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2)
    return kinds.Q6_K if more or name == "token_embd" else kinds.Q4_K


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--type", choices=("Q8_0", "Q4_K_M"), default="Q4_K_M")
    parser.add_argument("--width", type=int, default=1024, help="a multiple of 128, for Q4_K_M of 256")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    width, layers = arguments.width, arguments.layers
    feed_forward, heads, kv_heads = width * 11 // 4, width // HEAD, max(1, width // HEAD // 4)
    out = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", ""), arguments.out)
    base = gguf.GGUFReader(os.path.realpath(arguments.base))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(10000.0)
    for name, field in base.fields.items():
        if name.startswith("tokenizer."):
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub)
    vocabulary = len(base.fields["tokenizer.ggml.tokens"].data)
    random = np.random.default_rng(1)

    def add(name, rows, columns, layer=0):
        kind = type_of(name, layer, layers, arguments.type)
        full = f"blk.{layer}.{name}.weight" if name != "token_embd" else "token_embd.weight"
        writer.add_tensor(full, random_blocks(kind, rows, columns, random), raw_dtype=kind)

    add("token_embd", vocabulary, width)
    for layer in range(layers):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.ones(width, np.float32))
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", np.ones(width, np.float32))
        for name, rows, columns in (("attn_q", heads * HEAD, width), ("attn_k", kv_heads * HEAD, width),
                                    ("attn_v", kv_heads * HEAD, width), ("attn_output", width, heads * HEAD),
                                    ("ffn_gate", feed_forward, width), ("ffn_up", feed_forward, width),
                                    ("ffn_down", width, feed_forward)):
            add(name, rows, columns, layer)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{out}: {os.path.getsize(out) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
