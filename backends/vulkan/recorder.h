// Records dispatches into a command buffer, with a barrier only where one needs what another before it wrote, or writes
// what another reads.
#ifndef BACKENDS_VULKAN_RECORDER_H_
#define BACKENDS_VULKAN_RECORDER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "backends/vulkan/api.h"
#include "backends/vulkan/memory.h"

namespace spotinference::vulkan {

// Which share of each dispatch's groups is recorded, along x: several command buffers make it whole.
struct GroupShare {
  uint32_t index = 0, of = 1;
};

class Recorder {
 public:
  Recorder(const Api& api, VkCommandBuffer commands, VkPipelineLayout layout, GroupShare share = {})
      : api_(api), commands_(commands), layout_(layout), share_(share) {}

  // What the dispatches and copies that follow name as read or written. Two different regions never overlap.
  using Regions = absl::Span<const Region* const>;

  // Of a dispatch, along each dimension.
  struct GroupCounts {
    uint32_t x, y, z = 1;
  };

  // Push: a struct laid out as the shader's push constants.
  template <typename Push>
  void Dispatch(VkPipeline pipeline, const Push& push, GroupCounts groups, Regions reads, Regions writes) {
    DispatchBytes(pipeline, &push, sizeof(push), share_, groups, reads, writes);
  }
  // What all of a dispatch after it needs that is dealt out: whole, in the first share.
  template <typename Push>
  void DispatchBefore(VkPipeline pipeline, const Push& push, GroupCounts groups, Regions reads, Regions writes) {
    if (share_.index == 0) DispatchBytes(pipeline, &push, sizeof(push), {}, groups, reads, writes);
  }
  // What needs all of a dispatch before it that is dealt out: whole, in the last share.
  template <typename Push>
  void DispatchWhole(VkPipeline pipeline, const Push& push, GroupCounts groups, Regions reads, Regions writes) {
    if (share_.index + 1 == share_.of) DispatchBytes(pipeline, &push, sizeof(push), {}, groups, reads, writes);
  }
  void Copy(const Region& from, const Region& to, size_t bytes);
  // What follows reads `regions`, without naming them.
  void AwaitWrites(Regions regions) { Order(regions, {}); }

  // Makes all writes visible to the host and to what is submitted later.
  void End();

  int barriers() const { return barriers_; }

 private:
  void DispatchBytes(VkPipeline pipeline, const void* push, uint32_t push_bytes, GroupShare share, GroupCounts groups,
                     Regions reads, Regions writes);
  void Order(Regions reads, Regions writes);

  const Api& api_;
  const VkCommandBuffer commands_;
  const VkPipelineLayout layout_;
  const GroupShare share_;
  VkPipeline bound_ = VK_NULL_HANDLE;
  std::vector<const Region*> read_, written_;  // since the last barrier
  int barriers_ = 0;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_RECORDER_H_
