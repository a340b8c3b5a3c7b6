"""Writes small random llama models, one for each element type: make_tiny_models.py OUT.gguf...

OUT names what is in it: tiny_<type>_<tied|separate>_<heads>x<kv_heads>.gguf. The same names give the same bytes. OUT may
end as the first of three shards does, which all are written then: the same tensors, eight a file.
"""

import os
import sys
import zlib

import gguf
import numpy as np

SHARDS = "-00001-of-00003"
WIDTH, HEAD_DIM, FEED_FORWARD, VOCABULARY, LAYERS, CONTEXT = 96, 32, 160, 131, 2, 512


def write_model(path):
    in_shards = SHARDS in path
    path = path.replace(SHARDS, "")
    stem = os.path.splitext(os.path.basename(path))[0]
    _, type_name, output, heads_name = stem.replace("q8_0", "q80").replace("q4_1", "q41").split("_")
    heads, kv_heads = map(int, heads_name.split("x"))
    quantization = {
        "f32": gguf.GGMLQuantizationType.F32,
        "f16": gguf.GGMLQuantizationType.F16,
        "bf16": gguf.GGMLQuantizationType.BF16,
        "q80": gguf.GGMLQuantizationType.Q8_0,
        "q41": gguf.GGMLQuantizationType.Q4_1,
    }[type_name]
    random = np.random.default_rng(zlib.crc32(stem.encode()))
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=8 if in_shards else 0)
    writer.add_context_length(CONTEXT)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)

    def matrix(name, rows, columns):
        values = random.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, quantization), raw_dtype=quantization)

    def vector(name, size):
        writer.add_tensor(name, random.uniform(0.5, 1.5, size).astype(np.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        vector(f"blk.{layer}.attn_norm.weight", WIDTH)
        matrix(f"blk.{layer}.attn_q.weight", heads * HEAD_DIM, WIDTH)
        matrix(f"blk.{layer}.attn_k.weight", kv_heads * HEAD_DIM, WIDTH)
        matrix(f"blk.{layer}.attn_v.weight", kv_heads * HEAD_DIM, WIDTH)
        matrix(f"blk.{layer}.attn_output.weight", WIDTH, heads * HEAD_DIM)
        vector(f"blk.{layer}.ffn_norm.weight", WIDTH)
        matrix(f"blk.{layer}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_up.weight", FEED_FORWARD, WIDTH)
        matrix(f"blk.{layer}.ffn_down.weight", WIDTH, FEED_FORWARD)
    vector("output_norm.weight", WIDTH)
    if output == "separate":
        matrix("output.weight", VOCABULARY, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    for out in sys.argv[1:]:
        write_model(out)
