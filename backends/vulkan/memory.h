// The device's memory, cut from large allocations, since a driver allows few and takes long for each.
//
// Everything is reached by address (buffer device addresses): no descriptor, and no limit on the size of a tensor but
// the device's memory. Used by the engine's thread alone.
#ifndef BACKENDS_VULKAN_MEMORY_H_
#define BACKENDS_VULKAN_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/vulkan/api.h"
#include "backends/vulkan/device_state.h"
#include "backends/vulkan/free_ranges.h"

namespace spotinference::vulkan {

enum class MemoryUse {
  kDevice,    // weights, KV, activations: the device's own, mapped too where it shares the machine's memory
  kUpload,    // written by the host, read by the device: little, in the device's own memory where the host can reach that
  kReadback,  // written by the device, read by the host
};

class Memory;

// Part of the memory; given back at the end. Goes before its Memory.
class Region {
 public:
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  VkDeviceAddress address() const { return address_; }
  size_t size() const { return size_; }
  VkBuffer buffer() const { return buffer_; }
  VkDeviceSize offset() const { return offset_; }  // in buffer()
  std::byte* mapped() const { return mapped_; }    // null where the host cannot reach it
  bool on_device() const { return on_device_; }    // or across the bus

 private:
  friend class Memory;
  struct Allocation;
  Region() = default;

  Memory* memory_ = nullptr;
  Allocation* allocation_ = nullptr;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  VkDeviceSize offset_ = 0;
  size_t size_ = 0;
  VkDeviceAddress address_ = 0;
  std::byte* mapped_ = nullptr;
  bool on_device_ = false;
};

class Memory {
 public:
  // Of use to the queues of all `families`. `staged`: kDevice memory is not mapped even where it could be, and no other is
  // taken for the device's own, as on a graphics card without a window to the host; for tests.
  Memory(const Api& api, VkPhysicalDevice physical, VkDevice device, const DeviceState& state,
         std::vector<uint32_t> families, bool staged);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // At an address that is a multiple of 256. RESOURCE_EXHAUSTED: says what was asked for and what is free. UNAVAILABLE: the
  // device is lost.
  absl::StatusOr<std::unique_ptr<Region>> Allocate(size_t bytes, MemoryUse use);

 private:
  friend class Region;

  // Index of the memory type for a use, out of `allowed`; -1: none. `window`: a card's own memory as far as the host sees it
  // may be taken for kUpload.
  int TypeFor(MemoryUse use, bool window, uint32_t allowed) const;
  VkDeviceSize NextAllocationBytes() const;  // of one that is cut up
  absl::StatusOr<Region::Allocation*> NewAllocation(VkDeviceSize bytes, MemoryUse use, bool window = true);
  void Give(const Region& region);
  void Destroy(Region::Allocation& allocation);

  const Api& api_;
  const VkDevice device_;
  const DeviceState& state_;
  const std::vector<uint32_t> families_;
  const bool staged_;
  VkPhysicalDeviceMemoryProperties properties_;
  std::vector<VkDeviceSize> allocated_;  // by heap
  std::vector<std::unique_ptr<Region::Allocation>> allocations_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_MEMORY_H_
