// Whether an operation's weights, cache and tensors fit each other.
#ifndef BACKENDS_VULKAN_CHECK_GRAPH_H_
#define BACKENDS_VULKAN_CHECK_GRAPH_H_

#include "absl/status/status.h"
#include "engine/device/graph.h"

namespace spotinference::vulkan {

// `op` is one of graph.ops, and its buffers are this backend's. INVALID_ARGUMENT: its number, and what does not fit.
absl::Status CheckOp(const Graph& graph, const Op& op);

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_CHECK_GRAPH_H_
