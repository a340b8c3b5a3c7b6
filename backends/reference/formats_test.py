"""One random llama model written in every format gives one set of logits: formats_test.py LOGITS_MAIN."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import gguf
import numpy as np
import safetensors

from backends.reference.llama_numpy import Llama

WIDTH, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD, VOCABULARY, LAYERS, CONTEXT = 64, 4, 2, 16, 96, 101, 2, 128
THETA, EPSILON = 10000.0, 1e-5
# Logits below 6 and two layers, as in tiny_oracle_test: float32 sums of a hundred terms, in two orders.
MAX_DIFFERENCE = 2e-5
IDS = [5, 17, 3, 99, 0, 42, 42, 77, 8, 61, 23, 90]


def random_weights():
    """By Hugging Face's names, float32, rounded to what bfloat16 and float16 both have."""
    random = np.random.default_rng(7)

    def matrix(rows, columns):
        values = random.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)
        bits = values.view(np.uint32) & np.uint32(0xFFFF0000)  # a bfloat16
        return np.where(np.abs(values) < 2.0**-14, np.float32(0), bits.view(np.float32))  # and no float16 subnormal

    def vector():
        return matrix(1, WIDTH)[0] * np.float32(0.25) + np.float32(1)

    weights = {"model.embed_tokens.weight": matrix(VOCABULARY, WIDTH)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        weights |= {
            prefix + "input_layernorm.weight": np.ones(WIDTH, np.float32),
            prefix + "self_attn.q_proj.weight": matrix(HEADS * HEAD_DIM, WIDTH),
            prefix + "self_attn.k_proj.weight": matrix(KV_HEADS * HEAD_DIM, WIDTH),
            prefix + "self_attn.v_proj.weight": matrix(KV_HEADS * HEAD_DIM, WIDTH),
            prefix + "self_attn.o_proj.weight": matrix(WIDTH, HEADS * HEAD_DIM),
            prefix + "post_attention_layernorm.weight": np.full(WIDTH, 0.75, np.float32),
            prefix + "mlp.gate_proj.weight": matrix(FEED_FORWARD, WIDTH),
            prefix + "mlp.up_proj.weight": matrix(FEED_FORWARD, WIDTH),
            prefix + "mlp.down_proj.weight": matrix(WIDTH, FEED_FORWARD),
        }
    weights["model.norm.weight"] = np.full(WIDTH, 1.25, np.float32)
    weights["lm_head.weight"] = matrix(VOCABULARY, WIDTH)
    return weights


def interleaved(weight, heads):
    """The halves of each head, as they were trained, as neighbours, as GGUF's llama has them."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.": "blk.",
}


def write_gguf(path, weights, quantization, tensors_in_a_shard=0):
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=tensors_in_a_shard)
    writer.add_context_length(CONTEXT)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(VOCABULARY)
    for name, weight in weights.items():
        if "q_proj" in name:
            weight = interleaved(weight, HEADS)
        if "k_proj" in name:
            weight = interleaved(weight, KV_HEADS)
        for theirs, ours in GGUF_NAMES.items():
            name = name.replace(theirs, ours)
        kind = quantization if weight.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(folder, weights, dtype, shards=1, tied=False):
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"model_type": "llama", "hidden_act": "silu", "hidden_size": WIDTH, "intermediate_size": FEED_FORWARD,
                   "max_position_embeddings": CONTEXT, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS,
                   "num_key_value_heads": KV_HEADS, "rms_norm_eps": EPSILON, "rope_theta": THETA,
                   "vocab_size": VOCABULARY, "tie_word_embeddings": tied}, f)
    names, weight_map = list(weights), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
        part = {name: as_type(weights[name], dtype) for name in names[shard::shards]}
        safetensors.serialize_file({name: safetensors.TensorSpec(dtype=dtype, shape=list(values.shape),
                                                                 data_ptr=values.ctypes.data, data_len=values.nbytes)
                                    for name, values in part.items()}, os.path.join(folder, file))
        weight_map |= {name: file for name in part}
    if shards > 1:
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, f)


def as_type(values, dtype):
    if dtype == "bfloat16":  # which NumPy lacks
        return (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(values, dtype)


class FormatsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.weights = random_weights()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def logits(self, path):
        with open(self.path("ids"), "w") as f:
            f.write(" ".join(map(str, IDS)) + "\n")
        subprocess.run([LOGITS_MAIN, path, "reference", self.path("ids"), self.path("logits")], check=True)
        return np.fromfile(self.path("logits"), np.float32).reshape(len(IDS), VOCABULARY)

    def gguf(self, kind, tensors_in_a_shard=0):
        name = f"{kind}_{tensors_in_a_shard}"
        write_gguf(self.path(name + ".gguf"), self.weights, gguf.GGMLQuantizationType[kind], tensors_in_a_shard)
        return self.path(name + ".gguf")

    def assert_close(self, ours, theirs):
        self.assertGreater(np.abs(theirs).max(), 1)  # else the tolerance would say little
        self.assertLessEqual(np.abs(ours - theirs).max(), MAX_DIFFERENCE)

    def test_gguf_element_types(self):
        whole = self.logits(self.gguf("F32"))
        self.assert_close(whole, Llama(self.path("F32_0.gguf")).logits(IDS))
        # These weights are the same numbers in all three.
        for kind in ("F16", "BF16"):
            np.testing.assert_array_equal(self.logits(self.gguf(kind)), whole)

    def test_gguf_shards(self):
        whole = self.logits(self.gguf("F32"))
        self.gguf("F32", tensors_in_a_shard=8)
        np.testing.assert_array_equal(self.logits(self.path("F32_8-00001-of-00003.gguf")), whole)


    def test_safetensors(self):
        write_folder(self.path("float32"), self.weights, "float32")
        whole = self.logits(self.path("float32"))
        # The rows of Q and K lie in another order than in GGUF, and a score is a sum over them.
        self.assert_close(whole, self.logits(self.gguf("F32")))
        for dtype in ("float16", "bfloat16"):
            write_folder(self.path(dtype), self.weights, dtype)
            np.testing.assert_array_equal(self.logits(self.path(dtype)), whole)
        write_folder(self.path("sharded"), self.weights, "bfloat16", shards=3)
        np.testing.assert_array_equal(self.logits(self.path("sharded")), whole)

    def test_tied_safetensors(self):
        weights = self.weights | {"lm_head.weight": self.weights["model.embed_tokens.weight"]}
        write_folder(self.path("untied"), weights, "float16")
        whole = self.logits(self.path("untied"))
        # Its own lm_head.weight counts for nothing.
        write_folder(self.path("tied"), self.weights, "float16", tied=True)
        np.testing.assert_array_equal(self.logits(self.path("tied")), whole)
        weights.pop("lm_head.weight")
        write_folder(self.path("tied_alone"), weights, "float16", tied=True)
        np.testing.assert_array_equal(self.logits(self.path("tied_alone")), whole)


if __name__ == "__main__":
    LOGITS_MAIN = sys.argv[1]
    unittest.main(argv=sys.argv[:1])
