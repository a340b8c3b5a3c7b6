// What a step feeds, where the device reads it: shaders/step.glsl. Written through a mapping before each run.
#ifndef BACKENDS_VULKAN_STEP_BUFFER_H_
#define BACKENDS_VULKAN_STEP_BUFFER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/vulkan/memory.h"
#include "engine/device/graph.h"

namespace spotinference::vulkan {

class StepBuffer {
 public:
  // For steps of `graph`, which outlives it.
  static absl::StatusOr<std::unique_ptr<StepBuffer>> Create(const Graph& graph, Memory& memory);

  // `input` has been checked. No step may be running.
  absl::Status Write(const StepInput& input);

  const Region& region() const { return *region_; }
  VkDeviceAddress address() const { return region_->address(); }
  // Cosines and sines of Graph::ropes[rope]: [tokens, pairs, 2] floats.
  VkDeviceAddress turns(int rope) const { return region_->address() + turns_at_[rope]; }

 private:
  StepBuffer(const Graph& graph, Memory& memory) : graph_(graph), memory_(memory) {}

  void WriteTurns(const StepInput& input);

  const Graph& graph_;
  Memory& memory_;
  std::unique_ptr<Region> region_;
  std::unique_ptr<Region> block_tables_;  // grows with the steps
  size_t token_ids_at_ = 0, positions_at_ = 0, sequences_at_ = 0, output_rows_at_ = 0;  // bytes in region_
  std::vector<size_t> turns_at_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_STEP_BUFFER_H_
