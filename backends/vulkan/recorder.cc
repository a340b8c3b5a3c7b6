#include "backends/vulkan/recorder.h"

#include <algorithm>

namespace spotinference::vulkan {
namespace {

constexpr VkPipelineStageFlags kStages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags kWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags kReads = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

bool Meet(absl::Span<const Region* const> a, const std::vector<const Region*>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const Region* region) { return std::count(b.begin(), b.end(), region) > 0; });
}

}  // namespace

void Recorder::Order(Regions reads, Regions writes) {
  if (Meet(reads, written_) || Meet(writes, written_) || Meet(writes, read_)) {
    VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
    barrier.srcAccessMask = kWrites;
    barrier.dstAccessMask = kReads | kWrites;
    api_.CmdPipelineBarrier(commands_, kStages, kStages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
    read_.clear();
    written_.clear();
    ++barriers_;
  }
  read_.insert(read_.end(), reads.begin(), reads.end());
  written_.insert(written_.end(), writes.begin(), writes.end());
}

void Recorder::DispatchBytes(VkPipeline pipeline, const void* push, uint32_t push_bytes, GroupShare share,
                             GroupCounts groups, Regions reads, Regions writes) {
  const auto begin = static_cast<uint32_t>(uint64_t{groups.x} * share.index / share.of);
  const auto end = static_cast<uint32_t>(uint64_t{groups.x} * (share.index + 1) / share.of);
  if (begin == end || groups.y == 0) return;
  Order(reads, writes);
  if (pipeline != bound_) api_.CmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  bound_ = pipeline;
  api_.CmdPushConstants(commands_, layout_, VK_SHADER_STAGE_COMPUTE_BIT, 0, push_bytes, push);
  if (share.of == 1) {
    api_.CmdDispatch(commands_, groups.x, groups.y, groups.z);
  } else {
    api_.CmdDispatchBase(commands_, begin, 0, 0, end - begin, groups.y, groups.z);
  }
}

void Recorder::Copy(const Region& from, const Region& to, size_t bytes) {
  if (bytes == 0) return;
  const Region* const reads[] = {&from};
  const Region* const writes[] = {&to};
  Order(reads, writes);
  const VkBufferCopy copy{from.offset(), to.offset(), bytes};
  api_.CmdCopyBuffer(commands_, from.buffer(), to.buffer(), 1, &copy);
}

void Recorder::End() {
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = kWrites;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | kReads | kWrites;
  api_.CmdPipelineBarrier(commands_, kStages, kStages | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0,
                          nullptr);
}

}  // namespace spotinference::vulkan
