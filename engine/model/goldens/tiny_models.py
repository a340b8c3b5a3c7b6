"""Tiny random models, one or more of each family, as a model hub would have them and as GGUF files of the same weights.

A model is its config.json. Its weights follow from its name by a rule that needs NumPy alone, so that only the logits
that `transformers` computed with them are kept (make_goldens.py). Every value is a whole number of at most 8 bits
times a power of two: F32, F16 and BF16 hold it exactly.
"""

import hashlib
import json
import math
import os
import zlib

import gguf
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

VOCABULARY = 288
PROMPT_TOKENS = 300  # past a piece of attention (256), every window and every original context below

# More often than not the defaults of `transformers` and of GGUF files are other values.
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "float32",
}

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu"}
QWEN2 = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "rms_norm_eps": 1e-6,
         "tie_word_embeddings": True}
PHI3 = {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "hidden_act": "silu",
        "original_max_position_embeddings": 512}
LONGROPE = {"original_max_position_embeddings": 64,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.0, 1.1, 1.1, 1.2, 1.3, 1.5, 1.5],
                             "long_factor": [1.0, 1.1, 1.5, 2.0, 3.5, 5.0, 7.0, 8.0]}}


def _stretched(kind, **more):
    """From an original context of 64 tokens to 512."""
    return {"rope_scaling": {"rope_type": kind, "factor": 8.0, "original_max_position_embeddings": 64, **more}}


MODELS = {
    "llama_llama3": {**LLAMA, **_stretched("llama3", low_freq_factor=1.0, high_freq_factor=4.0)},
    "llama_linear": {**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "attention_bias": True,
                     "mlp_bias": True, "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_act": "silu",
                "sliding_window": 40, "num_key_value_heads": 1},
    "qwen2": {**QWEN2, "rope_theta": 1000000.0},
    "qwen2_yarn": {**QWEN2, **_stretched("yarn")},
    "qwen3": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_act": "silu", "head_dim": 32},
    "gemma3": {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"],
               "hidden_activation": "gelu_pytorch_tanh", "head_dim": 32, "query_pre_attn_scalar": 32,
               "num_hidden_layers": 7, "sliding_window": 40, "sliding_window_pattern": 6, "rope_theta": 1000000.0,
               "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
               "tie_word_embeddings": True},
    "phi3": {**PHI3, "sliding_window": 40, "num_key_value_heads": 4},
    "phi3_partial": {**PHI3, "num_attention_heads": 2, "num_key_value_heads": 1, "partial_rotary_factor": 0.75,
                     "tie_word_embeddings": True},
    "phi3_longrope": {**PHI3, **LONGROPE},
    "phi3_longrope_short": {**PHI3, **LONGROPE},
}


def config(name):
    return {**COMMON, **MODELS[name]}


def head_dim(c):
    return c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]


def _layer_shapes(c):
    """The tensors of a layer, under the names that the family's published files give them."""
    width, inner = c["hidden_size"], c["intermediate_size"]
    q, kv = c["num_attention_heads"] * head_dim(c), c["num_key_value_heads"] * head_dim(c)
    shapes = {"input_layernorm": (width,), "post_attention_layernorm": (width,), "self_attn.o_proj": (width, q),
              "mlp.down_proj": (width, inner)}
    if c["model_type"] == "phi3":
        shapes.update({"self_attn.qkv_proj": (q + 2 * kv, width), "mlp.gate_up_proj": (2 * inner, width)})
    else:
        shapes.update({"self_attn.q_proj": (q, width), "self_attn.k_proj": (kv, width),
                       "self_attn.v_proj": (kv, width), "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width)})
    if c["model_type"] in ("qwen3", "gemma3_text"):
        shapes.update({"self_attn.q_norm": (head_dim(c),), "self_attn.k_norm": (head_dim(c),)})
    if c["model_type"] == "gemma3_text":
        shapes.update({"pre_feedforward_layernorm": (width,), "post_feedforward_layernorm": (width,)})
    return shapes


def _has_bias(c, tensor):
    if not tensor.endswith("_proj"):
        return False
    if c["model_type"] == "qwen2":
        return tensor.removeprefix("self_attn.") in ("q_proj", "k_proj", "v_proj")
    return c.get("mlp_bias" if tensor.startswith("mlp") else "attention_bias", False)


def _adds_one_to_norms(c):
    return c["model_type"] == "gemma3_text"


def _values(name, tensor, shape):
    """Matrices of standard deviation near 1/√columns, norms round 1 (less 1 in gemma's files) and biases round 0."""
    random = np.random.default_rng(zlib.crc32(f"{name}/{tensor}".encode()))
    whole = random.integers(-64, 65, shape)  # of standard deviation 37
    if "norm" in tensor:
        return (whole / 128 + (0 if _adds_one_to_norms(config(name)) else 1)).astype(np.float32)
    if tensor.endswith(".bias"):
        return (whole / 128).astype(np.float32)
    return (whole * 2.0 ** round(-math.log2(37 * math.sqrt(shape[-1])))).astype(np.float32)


def weights(name):
    """{tensor: float32 array}, in the order of the files."""
    c = config(name)
    shapes = {"model.embed_tokens.weight": (VOCABULARY, c["hidden_size"])}
    for layer in range(c["num_hidden_layers"]):
        for tensor, shape in _layer_shapes(c).items():
            shapes[f"model.layers.{layer}.{tensor}.weight"] = shape
            if _has_bias(c, tensor):
                shapes[f"model.layers.{layer}.{tensor}.bias"] = shape[:1]
    shapes["model.norm.weight"] = (c["hidden_size"],)
    if not c["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (VOCABULARY, c["hidden_size"])
    return {tensor: _values(name, tensor, shape) for tensor, shape in shapes.items()}


def weights_hash(tensors):
    digest = hashlib.sha256()
    for tensor, values in tensors.items():
        digest.update(f"{tensor} {values.shape}\n".encode() + values.tobytes())
    return digest.hexdigest()


def prompt(name):
    tokens = 64 if name.endswith("_short") else PROMPT_TOKENS  # within the original context
    return np.random.default_rng(zlib.crc32(name.encode())).integers(3, VOCABULARY, tokens).tolist()


# --- As a model hub has them


def write_folder(name, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config(name), f, indent=2)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                   "pad_token": "<pad>", "add_bos_token": False}, f, indent=2)
    _write_tokenizer(os.path.join(folder, "tokenizer.json"))
    _write_safetensors(weights(name), os.path.join(folder, "model.safetensors"))


def _write_safetensors(tensors, path):
    """https://github.com/huggingface/safetensors: length of the header, the header as JSON, the tensors."""
    header, end = {}, 0
    for tensor, values in tensors.items():
        header[tensor] = {"dtype": "F32", "shape": values.shape, "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            f.write(values.tobytes())


CONTROL_TOKENS = ["<pad>", "<s>", "</s>"]
MERGES = [("Ġ", "t"), ("h", "e"), ("Ġ", "a"), ("i", "n"), ("Ġt", "he"), ("r", "e"), ("o", "n"), ("e", "r")]


def _tokens():
    tokens = CONTROL_TOKENS + sorted(pre_tokenizers.ByteLevel.alphabet()) + [a + b for a, b in MERGES]
    return tokens + [f"<unused{i}>" for i in range(VOCABULARY - len(tokens))]


def _write_tokenizer(path):
    """Byte-level BPE split as Llama 3's, with three control tokens and a few merges."""
    vocabulary = {t: i for i, t in enumerate(_tokens())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES, ignore_merges=True))
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
               r"\s+(?!\S)|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CONTROL_TOKENS])
    tokenizer.save(path)


# --- As GGUF

ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3"}  # GGUF's names of model types, where they are others

TENSORS = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up",
}
GEMMA3_TENSORS = {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def _gguf_name(c, tensor):
    outside = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem, _, kind = tensor.rpartition(".")
    if stem in outside:
        return f"{outside[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    names = {**TENSORS, **GEMMA3_TENSORS} if c["model_type"] == "gemma3_text" else TENSORS
    return f"blk.{layer}.{names[part]}.{kind}"


def _gguf_values(c, architecture, tensor, values):
    """Llama's converter puts the rows of Q and K in the order that rotates neighbours, gemma's adds the 1 to norms."""
    if "norm" in tensor and _adds_one_to_norms(c):
        return values + np.float32(1)
    for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
        if architecture == "llama" and part in tensor:
            halves = values.reshape(c[heads], 2, head_dim(c) // 2, -1)
            return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
    return values


def _llama3_divisors(c):
    """By wavelength: 1 where it turns often in the original context, the factor where hardly, blended between."""
    scaling = c["rope_scaling"]
    context, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    divisors = []
    for i in range(0, head_dim(c), 2):
        turns = context / (2 * math.pi * c["rope_theta"] ** (i / head_dim(c)))
        kept = min(max((turns - low) / (high - low), 0), 1)
        divisors.append(1 / ((1 - kept) / factor + kept))
    return np.array(divisors, np.float32)


def _add_positions(writer, c):
    """Rotations and windows."""
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_rope_dimension_count(int(head_dim(c) * c.get("partial_rotary_factor", 1)))
    if c.get("sliding_window"):
        writer.add_sliding_window(c["sliding_window"])
    scaling = c.get("rope_scaling", {"rope_type": "none"})
    if scaling.get("type") == "longrope":
        context, original = c["max_position_embeddings"], c["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(context / original) / math.log(original)))
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", np.array(scaling[f"{length}_factor"], np.float32))
    elif scaling["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_divisors(c))
    elif scaling["rope_type"] != "none":
        writer.add_rope_scaling_type(gguf.RopeScalingType(scaling["rope_type"]))
        writer.add_rope_scaling_factor(scaling["factor"])
        if "original_max_position_embeddings" in scaling:
            writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])


def _add_tokenizer(writer):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(_tokens())
    control = len(CONTROL_TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] * control + [gguf.TokenType.NORMAL] * (VOCABULARY - control))
    writer.add_token_merges([" ".join(merge) for merge in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)


def write_gguf(name, path, files=1):
    c = config(name)
    architecture = ARCHITECTURES.get(c["model_type"], c["model_type"])
    in_each = -(-len(weights(name)) // files) if files > 1 else 0
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=in_each)
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_vocab_size(VOCABULARY)
    _add_positions(writer, c)
    _add_tokenizer(writer)
    if "head_dim" in c:
        writer.add_key_length(c["head_dim"])
        writer.add_value_length(c["head_dim"])
    for tensor, values in weights(name).items():
        writer.add_tensor(_gguf_name(c, tensor), _gguf_values(c, architecture, tensor, values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
