#include "backends/vulkan/check_graph.h"

#include "absl/strings/str_cat.h"
#include "backends/vulkan/buffers.h"

namespace spotinference::vulkan {

absl::Status CheckOp(const Graph& graph, const Op& op) {
  const auto width = [&](TensorId id) { return graph.tensors[id].width; };
  const auto bad = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("graph: operation ", &op - graph.ops.data(), ": ", what));
  };
  for (const TensorId id : {op.out, op.a, op.b}) {
    if (id < kNoTensor || id >= static_cast<TensorId>(graph.tensors.size())) return bad("a tensor is out of range");
  }
  const bool has_weight = op.kind == OpKind::kEmbed || op.kind == OpKind::kMatmul || op.kind == OpKind::kRmsNorm;
  if (has_weight && op.weight == nullptr) return bad("its weight is missing");
  const bool has_kv = op.kind == OpKind::kStoreKv || op.kind == OpKind::kAttention;
  if (has_kv && op.kv == nullptr) return bad("its cache is missing");
  switch (op.kind) {
    case OpKind::kEmbed:
      if (Weight(op).tiles == nullptr || Weight(op).columns != width(op.out) || Weight(op).rows < graph.vocabulary) {
        return bad("the embedding does not fit");
      }
      break;
    case OpKind::kMatmul:
      if (Weight(op).tiles == nullptr || Weight(op).columns != width(op.a) || Weight(op).rows != width(op.out)) {
        return bad("the weight does not fit its tensors");
      }
      if (op.bias != nullptr) {
        const auto& bias = *static_cast<const WeightBuffer*>(op.bias);
        if (bias.vector == nullptr || bias.columns != width(op.out)) return bad("the bias does not fit its output");
      }
      break;
    case OpKind::kRmsNorm:
      if (Weight(op).vector == nullptr || width(op.a) % Weight(op).columns != 0) {
        return bad("the norm's weight does not fit");
      }
      break;
    case OpKind::kRope:
      if (op.rope < 0 || op.rope >= static_cast<int>(graph.ropes.size())) return bad("a rope is out of range");
      if (const RopeAttributes& rope = graph.ropes[op.rope];
          rope.head_dim <= 0 || width(op.a) % rope.head_dim != 0 || 2 * rope.pairs() > rope.head_dim) {
        return bad("a rope does not fit its tensor");
      }
      break;
    case OpKind::kStoreKv:
    case OpKind::kAttention: {
      const KvBuffer& kv = Kv(op);
      const int of_token = kv.kv_heads * kv.head_dim;
      const bool fits = op.kind == OpKind::kStoreKv ? width(op.a) == of_token && width(op.b) == of_token
                                                    : width(op.a) == op.attention.heads * kv.head_dim &&
                                                          op.attention.heads % kv.kv_heads == 0;
      if (!fits) return bad("its tensors do not fit the cache");
      break;
    }
    default:
      break;
  }
  return absl::OkStatus();
}

}  // namespace spotinference::vulkan
