#include "engine/model/hugging_face_types.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "engine/model/family.h"

namespace spotinference {
namespace {

constexpr NamePair kLayerNames[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

// Four norms a layer: what others call post_attention_layernorm stands before the feed-forward network.
constexpr NamePair kGemmaLayerNames[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};

constexpr NamePair kOtherNames[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};

// transformers' own, of Gemma3TextConfig: the published folders of the larger models name only what differs.
constexpr DefaultNumber kGemma3Defaults[] = {
    {"vocab_size", 262208},      {"num_attention_heads", 8},   {"num_key_value_heads", 4},
    {"head_dim", 256},           {"rms_norm_eps", 1e-6},       {"max_position_embeddings", 131072},
    {"rope_theta", 1e6},         {"rope_local_base_freq", 1e4}, {"query_pre_attn_scalar", 256},
    {"sliding_window", 4096},
};

constexpr HuggingFaceType kTypes[] = {
    {.model_type = "llama", .architecture = "llama", .layer_names = kLayerNames},
    {.model_type = "mistral", .architecture = "llama", .layer_names = kLayerNames},
    {.model_type = "qwen2", .architecture = "qwen2", .layer_names = kLayerNames},
    {.model_type = "qwen3", .architecture = "qwen3", .layer_names = kLayerNames},
    {.model_type = "phi3", .architecture = "phi3", .layer_names = kLayerNames},
    {.model_type = "gemma3_text",
     .architecture = "gemma3",
     .activation = "gelu_pytorch_tanh",
     .layer_names = kGemmaLayerNames,
     .tied_output = true,
     .norms_less_one = true,
     .defaults = kGemma3Defaults},
};

constexpr NamePair kConfigKeys[] = {
    {"max_position_embeddings", "context_length"},
    {"num_hidden_layers", "block_count"},
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"vocab_size", "vocab_size"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "attention.key_length"},
    {"head_dim", "attention.value_length"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"sliding_window", "attention.sliding_window"},
    {"sliding_window_pattern", "attention.sliding_window_pattern"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"rope_theta", "rope.freq_base"},
    {"rope_local_base_freq", "rope.freq_base_swa"},
};

constexpr absl::string_view kTheirLayers = "model.layers.", kOurLayers = "blk.";

// `name` with the longest beginning up to its last '.' translated, or "" where the table lacks it.
std::string Translate(absl::Span<const NamePair> names, absl::string_view NamePair::*from,
                      absl::string_view NamePair::*to, absl::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == absl::string_view::npos) return "";
  for (const NamePair& pair : names) {
    if (pair.*from == name.substr(0, dot)) return absl::StrCat(pair.*to, name.substr(dot));
  }
  return "";
}

std::string TranslateTensor(const HuggingFaceType& type, absl::string_view NamePair::*from,
                            absl::string_view NamePair::*to, absl::string_view from_layers,
                            absl::string_view to_layers, absl::string_view name) {
  absl::string_view rest = name;
  if (!absl::ConsumePrefix(&rest, from_layers)) return Translate(kOtherNames, from, to, name);
  size_t digits = 0;
  while (digits < rest.size() && absl::ascii_isdigit(rest[digits])) ++digits;
  if (digits == 0 || digits == rest.size() || rest[digits] != '.') return "";
  const std::string in_layer = Translate(type.layer_names, from, to, rest.substr(digits + 1));
  if (in_layer.empty()) return "";
  return absl::StrCat(to_layers, rest.substr(0, digits), ".", in_layer);
}

}  // namespace

absl::StatusOr<const HuggingFaceType*> FindHuggingFaceType(absl::string_view model_type) {
  std::vector<absl::string_view> known;
  for (const HuggingFaceType& type : kTypes) {
    if (!FindFamily(type.architecture).ok()) continue;
    if (type.model_type == model_type) return &type;
    known.push_back(type.model_type);
  }
  return absl::UnimplementedError(absl::StrCat("key 'model_type': '", absl::CHexEscape(model_type.substr(0, 80)),
                                               "'; supported: ", absl::StrJoin(known, ", ")));
}

std::string GgufTensorName(const HuggingFaceType& type, absl::string_view hugging_face_name) {
  return TranslateTensor(type, &NamePair::hugging_face, &NamePair::gguf, kTheirLayers, kOurLayers, hugging_face_name);
}

std::string HuggingFaceTensorName(const HuggingFaceType& type, absl::string_view gguf_name) {
  const std::string name =
      TranslateTensor(type, &NamePair::gguf, &NamePair::hugging_face, kOurLayers, kTheirLayers, gguf_name);
  return name.empty() ? std::string(gguf_name) : name;
}

absl::Span<const NamePair> ConfigKeys() { return kConfigKeys; }

}  // namespace spotinference
