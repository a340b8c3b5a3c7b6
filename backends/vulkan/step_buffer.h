// What a step feeds, where the device reads it: shaders/step.glsl. Written through a mapping before each run; where that
// is across the bus, copied to the device's own memory at the beginning of the run, since every dispatch reads some of
// it.
#ifndef BACKENDS_VULKAN_STEP_BUFFER_H_
#define BACKENDS_VULKAN_STEP_BUFFER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/recorder.h"
#include "engine/device/graph.h"

namespace spotinference::vulkan {

class StepBuffer {
 public:
  // For steps of `graph`, which outlives it.
  static absl::StatusOr<std::unique_ptr<StepBuffer>> Create(const Graph& graph, Memory& memory);

  // `input` has been checked. No step may be running. True: what RecordCopies recorded before is of no use any more.
  absl::StatusOr<bool> Write(const StepInput& input);

  // To be called before anything is recorded that reads the step.
  void RecordCopies(Recorder& recorder) const;

  VkDeviceAddress address() const { return fixed_.address(); }
  // Cosines and sines of Graph::ropes[rope]: [tokens, pairs, 2] floats.
  VkDeviceAddress turns(int rope) const { return address() + turns_at_[rope]; }

 private:
  StepBuffer(const Graph& graph, Memory& memory) : graph_(graph), memory_(memory) {}

  // Memory that the host writes and shaders read.
  struct Upload {
    std::unique_ptr<Region> host;
    std::unique_ptr<Region> copy;  // null: shaders read the host's

    VkDeviceAddress address() const { return copy != nullptr ? copy->address() : host->address(); }
  };
  static absl::StatusOr<Upload> Allocate(size_t bytes, Memory& memory);

  void WriteTurns(const StepInput& input);

  const Graph& graph_;
  Memory& memory_;
  Upload fixed_;         // all but the block tables
  Upload block_tables_;  // grows with the steps
  size_t token_ids_at_ = 0, positions_at_ = 0, sequences_at_ = 0, output_rows_at_ = 0;  // bytes in fixed_
  std::vector<size_t> turns_at_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_STEP_BUFFER_H_
