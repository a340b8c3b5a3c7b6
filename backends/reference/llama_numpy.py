"""The llama family's forward pass in NumPy, written from the papers and not from the C++: the oracle of the oracle.

RMSNorm: arXiv 1910.07467; RoPE: 2104.09864 (pairs (2i, 2i+1), as GGUF stores Q and K); SwiGLU: 2002.05202; grouped
queries: 2305.13245. Weights are float32, dequantised by the `gguf` package; everything here is float32.
"""

import gguf
import numpy as np


class Llama:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)

        def key(name, default=None):
            field = reader.fields.get("llama." + name)
            return default if field is None else field.contents()

        self.layers = key("block_count")
        self.heads = key("attention.head_count")
        self.kv_heads = key("attention.head_count_kv", self.heads)
        self.head_dim = key("attention.key_length", key("embedding_length") // self.heads)
        self.rotated = key("rope.dimension_count", self.head_dim)
        self.rope_base = key("rope.freq_base", 10000.0)
        self.epsilon = np.float32(key("attention.layer_norm_rms_epsilon"))
        self.weights = {
            t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors
        }

    def _norm(self, x, name):
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + self.epsilon) * self.weights[name]

    def _rotate(self, x):  # [tokens, heads, head_dim]
        pairs = np.arange(self.rotated // 2)
        angles = np.arange(len(x))[:, None] * self.rope_base ** (-2.0 * pairs / self.rotated)
        turned = x[..., 0 : self.rotated : 2] + 1j * x[..., 1 : self.rotated : 2]
        turned = turned * np.exp(1j * angles)[:, None, :]
        out = x.copy()
        out[..., 0 : self.rotated : 2] = turned.real
        out[..., 1 : self.rotated : 2] = turned.imag
        return out

    def _attend(self, x, layer):
        tokens = len(x)

        def project(name, heads):
            return (x @ self.weights[f"blk.{layer}.{name}.weight"].T).reshape(tokens, heads, self.head_dim)

        q = self._rotate(project("attn_q", self.heads))
        k = self._rotate(project("attn_k", self.kv_heads))
        v = project("attn_v", self.kv_heads)
        group = self.heads // self.kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("thd,shd->hts", q, k) / np.float32(np.sqrt(self.head_dim))
        scores = np.where(np.tri(tokens, dtype=bool), scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hts,shd->thd", weights, v).reshape(tokens, -1)
        return mixed @ self.weights[f"blk.{layer}.attn_output.weight"].T

    def _feed_forward(self, x, layer):
        gate = x @ self.weights[f"blk.{layer}.ffn_gate.weight"].T
        up = x @ self.weights[f"blk.{layer}.ffn_up.weight"].T
        return (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"blk.{layer}.ffn_down.weight"].T

    def logits(self, ids):
        """float32 [len(ids), vocabulary]: what follows each prefix."""
        x = self.weights["token_embd.weight"][ids]
        for layer in range(self.layers):
            x = x + self._attend(self._norm(x, f"blk.{layer}.attn_norm.weight"), layer)
            x = x + self._feed_forward(self._norm(x, f"blk.{layer}.ffn_norm.weight"), layer)
        output = self.weights.get("output.weight", self.weights["token_embd.weight"])
        return self._norm(x, "output_norm.weight") @ output.T
