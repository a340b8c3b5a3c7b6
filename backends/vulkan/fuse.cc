#include "backends/vulkan/fuse.h"

#include <algorithm>
#include <cstddef>

#include "absl/types/span.h"
#include "backends/vulkan/buffers.h"

namespace spotinference::vulkan {
namespace {

using Ops = absl::Span<const Op>;

// Whether nobody reads `tensor` as it is before `ops`.
bool IsDead(TensorId tensor, Ops ops, TensorId output) {
  for (const Op& op : ops) {
    if (op.a == tensor || op.b == tensor) return false;
    if (op.out == tensor) return true;
  }
  return tensor != output;
}

// Whether one dispatch can have both: a weight is read the same way, and no output is the other's input.
bool GoTogether(const Op& a, const Op& b) {
  return b.kind == OpKind::kMatmul && a.a == b.a && a.out != b.out && a.out != b.a &&
         Weight(a).type == Weight(b).type && Weight(a).columns == Weight(b).columns;
}

// Of a kMatmul and those that follow it.
Stage FuseMatmuls(Ops ops, const Graph& graph, bool gates) {
  Stage stage{{&ops[0]}};
  while (stage.ops.size() < std::min<size_t>(3, ops.size()) && GoTogether(ops[0], ops[stage.ops.size()])) {
    stage.ops.push_back(&ops[stage.ops.size()]);
  }
  if (stage.ops.size() == ops.size()) return stage;
  const Op& then = ops[stage.ops.size()];
  const Ops rest = ops.subspan(stage.ops.size() + 1);
  const auto dead = [&](const Op& op) { return then.out == op.out || IsDead(op.out, rest, graph.output); };
  if (gates && then.kind == OpKind::kGate && stage.ops.size() == 2 && then.a == ops[0].out && then.b == ops[1].out &&
      graph.tensors[then.a].width == graph.tensors[then.b].width && then.out != ops[0].a && dead(ops[0]) &&
      dead(ops[1])) {
    stage.then = &then;
  }
  if (then.kind == OpKind::kAdd && stage.ops.size() == 1 && (then.a == ops[0].out) != (then.b == ops[0].out) &&
      then.out != ops[0].a && dead(ops[0])) {
    stage.then = &then;
  }
  return stage;
}

}  // namespace

std::vector<Stage> Fuse(const Graph& graph, bool gates) {
  std::vector<Stage> stages;
  for (Ops ops = graph.ops; !ops.empty();) {
    Stage stage{{&ops[0]}};
    if (ops[0].kind == OpKind::kMatmul) stage = FuseMatmuls(ops, graph, gates);
    if (ops[0].kind == OpKind::kRope && ops.size() > 1 && ops[1].kind == OpKind::kRope && ops[0].rope == ops[1].rope &&
        ops[0].a != ops[1].a) {
      stage.ops.push_back(&ops[1]);
    }
    ops.remove_prefix(stage.ops.size() + (stage.then != nullptr));
    stages.push_back(stage);
  }
  return stages;
}

}  // namespace spotinference::vulkan
