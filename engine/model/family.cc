#include "engine/model/family.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace spotinference {
namespace {

constexpr LayerStep kLlamaLayer[] = {
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kResidual, Slot::kNone, "attn_norm"},
    {OpKind::kMatmul, Slot::kQuery, Slot::kBranch, Slot::kNone, "attn_q"},
    {OpKind::kMatmul, Slot::kKey, Slot::kBranch, Slot::kNone, "attn_k"},
    {OpKind::kMatmul, Slot::kValue, Slot::kBranch, Slot::kNone, "attn_v"},
    {OpKind::kRope, Slot::kQuery, Slot::kQuery},
    {OpKind::kRope, Slot::kKey, Slot::kKey},
    {OpKind::kStoreKv, Slot::kNone, Slot::kKey, Slot::kValue},
    {OpKind::kAttention, Slot::kAttended, Slot::kQuery},
    {OpKind::kMatmul, Slot::kBranch, Slot::kAttended, Slot::kNone, "attn_output"},
    {OpKind::kAdd, Slot::kResidual, Slot::kResidual, Slot::kBranch},
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kResidual, Slot::kNone, "ffn_norm"},
    {OpKind::kMatmul, Slot::kGate, Slot::kBranch, Slot::kNone, "ffn_gate"},
    {OpKind::kMatmul, Slot::kUp, Slot::kBranch, Slot::kNone, "ffn_up"},
    {OpKind::kGate, Slot::kGate, Slot::kGate, Slot::kUp},
    {OpKind::kMatmul, Slot::kBranch, Slot::kGate, Slot::kNone, "ffn_down"},
    {OpKind::kAdd, Slot::kResidual, Slot::kResidual, Slot::kBranch},
};

// Biases of the projections to Q, K and V.
constexpr LayerStep kQwen2Layer[] = {
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kResidual, Slot::kNone, "attn_norm"},
    {OpKind::kMatmul, Slot::kQuery, Slot::kBranch, Slot::kNone, "attn_q", /*bias=*/true},
    {OpKind::kMatmul, Slot::kKey, Slot::kBranch, Slot::kNone, "attn_k", /*bias=*/true},
    {OpKind::kMatmul, Slot::kValue, Slot::kBranch, Slot::kNone, "attn_v", /*bias=*/true},
    {OpKind::kRope, Slot::kQuery, Slot::kQuery},
    {OpKind::kRope, Slot::kKey, Slot::kKey},
    {OpKind::kStoreKv, Slot::kNone, Slot::kKey, Slot::kValue},
    {OpKind::kAttention, Slot::kAttended, Slot::kQuery},
    {OpKind::kMatmul, Slot::kBranch, Slot::kAttended, Slot::kNone, "attn_output"},
    {OpKind::kAdd, Slot::kResidual, Slot::kResidual, Slot::kBranch},
    {OpKind::kRmsNorm, Slot::kBranch, Slot::kResidual, Slot::kNone, "ffn_norm"},
    {OpKind::kMatmul, Slot::kGate, Slot::kBranch, Slot::kNone, "ffn_gate"},
    {OpKind::kMatmul, Slot::kUp, Slot::kBranch, Slot::kNone, "ffn_up"},
    {OpKind::kGate, Slot::kGate, Slot::kGate, Slot::kUp},
    {OpKind::kMatmul, Slot::kBranch, Slot::kGate, Slot::kNone, "ffn_down"},
    {OpKind::kAdd, Slot::kResidual, Slot::kResidual, Slot::kBranch},
};

constexpr Family kFamilies[] = {
    {.architecture = "llama", .interleaved_rope = true, .layer = kLlamaLayer},
    {.architecture = "qwen2", .interleaved_rope = false, .layer = kQwen2Layer},
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
