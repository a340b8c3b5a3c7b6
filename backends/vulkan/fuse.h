// Which operations of a graph run as one dispatch: fewer passes over memory, fewer barriers, the same bits.
#ifndef BACKENDS_VULKAN_FUSE_H_
#define BACKENDS_VULKAN_FUSE_H_

#include <vector>

#include "absl/container/inlined_vector.h"
#include "engine/device/graph.h"

namespace spotinference::vulkan {

// What one dispatch does.
struct Stage {
  // One operation, or several of one kind that share their input: up to three kMatmul (query, key and value), or two
  // kRope that turn alike.
  absl::InlinedVector<const Op*, 3> ops;
  // What is done at once with what they give, in place of their own outputs: a kGate with the sums of two kMatmul, in
  // this order, or a kAdd with those of one.
  const Op* then = nullptr;

  const Op& op() const { return *ops[0]; }
};

// In the order of graph.ops, at which the stages point. Weights are this backend's. `gates`: kGate is done with its sums.
std::vector<Stage> Fuse(const Graph& graph, bool gates = true);

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_FUSE_H_
