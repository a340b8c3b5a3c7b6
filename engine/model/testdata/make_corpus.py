"""Writes the seeds of the fuzz targets: make_corpus.py gguf_corpus. Each is a valid file of a kilobyte or less."""

import os
import struct
import sys

import gguf
import numpy as np
import safetensors.numpy

FOLDER = sys.argv[1]


def write(name, fill, architecture="llama"):
    writer = gguf.GGUFWriter(os.path.join(FOLDER, name), architecture)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def every_value(writer):
    writer.add_uint8("x.u8", 1)
    writer.add_int8("x.i8", -1)
    writer.add_uint16("x.u16", 1)
    writer.add_int16("x.i16", -1)
    writer.add_uint32("x.u32", 1)
    writer.add_int32("x.i32", -1)
    writer.add_uint64("x.u64", 1)
    writer.add_int64("x.i64", -1)
    writer.add_float32("x.f32", 0.5)
    writer.add_float64("x.f64", 0.5)
    writer.add_bool("x.b", True)
    writer.add_string("x.s", "text")
    writer.add_array("x.strings", ["a", "", "bcd"])
    writer.add_array("x.integers", [1, 2, 3])
    writer.add_array("x.floats", [0.5, 1.5])
    writer.add_array("x.nested", [[1, 2], [3, 4]])


def every_tensor_type(writer):
    writer.add_custom_alignment(64)
    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_1"):
        quantization = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(kind, gguf.quants.quantize(values, quantization), raw_dtype=quantization)
    writer.add_tensor("cube", np.ones((2, 3, 4), np.float32))


def model_keys(writer):
    writer.add_context_length(64)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(2)
    writer.add_sliding_window(64)
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), np.float32))


def yarn_keys(writer):
    model_keys(writer)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(16)
    writer.add_rope_scaling_attn_factors(1.25)
    writer.add_rope_scaling_yarn_beta_fast(32.0)
    writer.add_rope_scaling_yarn_beta_slow(1.0)
    writer.add_tensor("rope_freqs.weight", np.ones(8, np.float32))


def long_rope_keys(writer):
    model_keys(writer)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
    writer.add_rope_scaling_orig_ctx_len(16)
    writer.add_tensor("rope_factors_long.weight", np.full(8, 4, np.float32))
    writer.add_tensor("rope_factors_short.weight", np.ones(8, np.float32))


def window_keys(writer):
    model_keys(writer)
    writer.add_sliding_window_pattern(6)
    writer.add_rope_freq_base_swa(10000.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(8.0)
    writer.add_attention_scale(0.25)


write("every_value.gguf", every_value)
write("every_tensor_type.gguf", every_tensor_type)
write("model_keys.gguf", model_keys)
write("yarn_keys.gguf", yarn_keys)
write("long_rope_keys.gguf", long_rope_keys, "phi3")
write("window_keys.gguf", window_keys, "gemma3")


def shard(number, names):
    """One of two shards of a model with tensors 'a' and 'b', as bytes."""
    path = os.path.join(FOLDER, "shard.tmp")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint16("split.no", number)
    writer.add_uint16("split.count", 2)
    writer.add_int32("split.tensors.count", 2)
    for name in names:
        writer.add_tensor(name, np.zeros((2, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open(path, "rb") as f:
        data = f.read()
    os.remove(path)
    return data


first, second = shard(0, ["a"]), shard(1, ["b"])
with open(os.path.join(FOLDER, "two_shards"), "wb") as f:  # as gguf_shards_fuzz takes it
    f.write(struct.pack("<I", len(first)) + first + second)

tensors = {
    "matrix": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "half": np.ones((2, 3), np.float16),
    "cube": np.ones((2, 3, 4), np.float32),
    "scalar": np.array(1, np.float32),
    "empty": np.zeros((0, 4), np.float32),
}
safetensors.numpy.save_file(tensors, os.path.join(FOLDER, "../safetensors_corpus/shapes.safetensors"), {"format": "pt"})
