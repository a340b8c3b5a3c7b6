// What every backend asks of a step before it runs one.
#ifndef ENGINE_DEVICE_CHECK_STEP_H_
#define ENGINE_DEVICE_CHECK_STEP_H_

#include <cstddef>

#include "absl/status/status.h"
#include "engine/device/graph.h"
#include "engine/device/selection.h"

namespace spotinference {

// INVALID_ARGUMENT: an index or a size of `input` is out of the graph's range. kv_blocks: of the smallest cache that
// the graph names, 0: it names none. out_elements: what the caller has room for.
absl::Status CheckStep(const Graph& graph, const StepInput& input, int kv_blocks, size_t out_elements);

// The same of what is wanted of its output rows, `outputs` of `width` logits, with room for what is `selected` of as
// many.
absl::Status CheckSelections(absl::Span<const Selection> selections, size_t selected, size_t outputs, size_t width);

// The same of one row, of those of the last run.
absl::Status CheckSelection(const Selection& selection, size_t width);

}  // namespace spotinference

#endif  // ENGINE_DEVICE_CHECK_STEP_H_
