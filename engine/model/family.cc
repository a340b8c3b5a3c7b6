#include "engine/model/family.h"

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace spotinference {
namespace {

// Parts that layers are put together from.

template <size_t... N>
constexpr auto Join(const std::array<LayerStep, N>&... parts) {
  std::array<LayerStep, (N + ...)> joined{};
  size_t at = 0;
  const auto append = [&](const auto& part) {
    for (const LayerStep& step : part) joined[at++] = step;
  };
  (append(parts), ...);
  return joined;
}

constexpr std::array<LayerStep, 1> kAttentionNorm = {{
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kResidual, Slot::kNone, "attn_norm"},
}};
constexpr std::array<LayerStep, 3> kProjections = {{
    {OpKind::kMatmul, Slot::kQuery, Slot::kBranch, Slot::kNone, "attn_q"},
    {OpKind::kMatmul, Slot::kKey, Slot::kBranch, Slot::kNone, "attn_k"},
    {OpKind::kMatmul, Slot::kValue, Slot::kBranch, Slot::kNone, "attn_v"},
}};
constexpr std::array<LayerStep, 3> kBiasedProjections = {{
    {OpKind::kMatmul, Slot::kQuery, Slot::kBranch, Slot::kNone, "attn_q", /*bias=*/true},
    {OpKind::kMatmul, Slot::kKey, Slot::kBranch, Slot::kNone, "attn_k", /*bias=*/true},
    {OpKind::kMatmul, Slot::kValue, Slot::kBranch, Slot::kNone, "attn_v", /*bias=*/true},
}};
constexpr std::array<LayerStep, 3> kFusedProjections = {{
    {OpKind::kMatmul, Slot::kQuery, Slot::kBranch, Slot::kNone, "attn_qkv"},
    {OpKind::kMatmul, Slot::kKey, Slot::kBranch, Slot::kNone, "attn_qkv"},
    {OpKind::kMatmul, Slot::kValue, Slot::kBranch, Slot::kNone, "attn_qkv"},
}};
constexpr std::array<LayerStep, 2> kHeadNorms = {{
    {OpKind::kRmsNorm, Slot::kQuery, Slot::kQuery, Slot::kNone, "attn_q_norm"},
    {OpKind::kRmsNorm, Slot::kKey, Slot::kKey, Slot::kNone, "attn_k_norm"},
}};
constexpr std::array<LayerStep, 5> kAttend = {{
    {OpKind::kRope, Slot::kQuery, Slot::kQuery},
    {OpKind::kRope, Slot::kKey, Slot::kKey},
    {OpKind::kStoreKv, Slot::kNone, Slot::kKey, Slot::kValue},
    {OpKind::kAttention, Slot::kAttended, Slot::kQuery},
    {OpKind::kMatmul, Slot::kBranch, Slot::kAttended, Slot::kNone, "attn_output"},
}};
constexpr std::array<LayerStep, 1> kAfterAttentionNorm = {{
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kBranch, Slot::kNone, "post_attention_norm"},
}};
constexpr std::array<LayerStep, 1> kAdd = {{
    {OpKind::kAdd, Slot::kResidual, Slot::kResidual, Slot::kBranch},
}};
constexpr std::array<LayerStep, 1> kFeedForwardNorm = {{
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kResidual, Slot::kNone, "ffn_norm"},
}};
constexpr std::array<LayerStep, 2> kGateAndUp = {{
    {OpKind::kMatmul, Slot::kGate, Slot::kBranch, Slot::kNone, "ffn_gate"},
    {OpKind::kMatmul, Slot::kUp, Slot::kBranch, Slot::kNone, "ffn_up"},
}};
constexpr std::array<LayerStep, 2> kFusedGateAndUp = {{
    {OpKind::kMatmul, Slot::kGate, Slot::kBranch, Slot::kNone, "ffn_up"},
    {OpKind::kMatmul, Slot::kUp, Slot::kBranch, Slot::kNone, "ffn_up"},
}};
constexpr std::array<LayerStep, 2> kDown = {{
    {OpKind::kGate, Slot::kGate, Slot::kGate, Slot::kUp},
    {OpKind::kMatmul, Slot::kBranch, Slot::kGate, Slot::kNone, "ffn_down"},
}};
constexpr std::array<LayerStep, 1> kAfterFeedForwardNorm = {{
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kBranch, Slot::kNone, "post_ffw_norm"},
}};

// Llama 2 and 3, Mistral, SmolLM2, TinyLlama.
constexpr auto kLlamaLayer =
    Join(kAttentionNorm, kProjections, kAttend, kAdd, kFeedForwardNorm, kGateAndUp, kDown, kAdd);
constexpr auto kQwen2Layer =
    Join(kAttentionNorm, kBiasedProjections, kAttend, kAdd, kFeedForwardNorm, kGateAndUp, kDown, kAdd);
constexpr auto kQwen3Layer =
    Join(kAttentionNorm, kProjections, kHeadNorms, kAttend, kAdd, kFeedForwardNorm, kGateAndUp, kDown, kAdd);
constexpr auto kGemma3Layer =
    Join(kAttentionNorm, kProjections, kHeadNorms, kAttend, kAfterAttentionNorm, kAdd, kFeedForwardNorm, kGateAndUp,
         kDown, kAfterFeedForwardNorm, kAdd);
constexpr auto kPhi3Layer =
    Join(kAttentionNorm, kFusedProjections, kAttend, kAdd, kFeedForwardNorm, kFusedGateAndUp, kDown, kAdd);

constexpr Family kFamilies[] = {
    {.architecture = "llama", .interleaved_rope = true, .layer = kLlamaLayer},
    {.architecture = "qwen2", .interleaved_rope = false, .layer = kQwen2Layer},
    {.architecture = "qwen3", .interleaved_rope = false, .layer = kQwen3Layer},
    {.architecture = "gemma3",
     .interleaved_rope = false,
     .layer = kGemma3Layer,
     .activation = Activation::kGeluTanh,
     .scaled_embedding = true,
     .window_pattern = 6,
     .window_rope_base = 10000,
     .scale_by_width_layers = 62},  // 27B
    {.architecture = "phi3", .interleaved_rope = false, .layer = kPhi3Layer},
};

}  // namespace

absl::Span<const Family> Families() { return kFamilies; }

absl::StatusOr<const Family*> FindFamily(absl::string_view architecture) {
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return &family;
  }
  return absl::UnimplementedError(absl::StrCat(
      "key 'general.architecture': '", absl::CHexEscape(architecture.substr(0, 80)),
      "'; supported: ", absl::StrJoin(kFamilies, ", ", [](std::string* out, const Family& f) {
        absl::StrAppend(out, f.architecture);
      })));
}

}  // namespace spotinference
