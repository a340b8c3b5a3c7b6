#include "backends/vulkan/memory.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

constexpr VkDeviceSize kAlignment = 256;
// Bounds of an allocation that is cut up.
constexpr VkDeviceSize kLeastAllocation = 1 << 20, kMostAllocation = 16 << 20;

constexpr VkMemoryPropertyFlags kHost = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
// Without the cache a card's memory is reached across the bus, a word at a time: staging is faster by far.
constexpr VkMemoryPropertyFlags kHostCached = kHost | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

}  // namespace

struct Region::Allocation {
  MemoryUse use;
  uint32_t heap;
  VkDeviceSize bytes;
  bool on_device;
  FreeRanges free;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceAddress address = 0;
  std::byte* mapped = nullptr;
};

Region::~Region() { memory_->Give(*this); }

Memory::Memory(const Api& api, VkPhysicalDevice physical, VkDevice device, const DeviceState& state,
               std::vector<uint32_t> families, bool staged)
    : api_(api), device_(device), state_(state), families_(std::move(families)), staged_(staged) {
  api.GetPhysicalDeviceMemoryProperties(physical, &properties_);
  allocated_.resize(properties_.memoryHeapCount);
}

Memory::~Memory() {
  if (state_.may_be_running()) return;
  for (const auto& allocation : allocations_) Destroy(*allocation);
}

int Memory::TypeFor(MemoryUse use, bool window, uint32_t allowed) const {
  constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  const auto find = [&](VkMemoryPropertyFlags wanted) {
    for (uint32_t i = 0; i < properties_.memoryTypeCount; ++i) {
      const VkMemoryPropertyFlags flags = properties_.memoryTypes[i].propertyFlags;
      if ((allowed >> i & 1) && (flags & wanted) == wanted) return static_cast<int>(i);
    }
    return -1;
  };
  std::vector<VkMemoryPropertyFlags> wishes;  // best first
  switch (use) {
    case MemoryUse::kDevice:
      wishes = {kLocal | kHostCached, kLocal, 0};
      break;
    case MemoryUse::kUpload:
      if (window) wishes.push_back(kLocal | kHost);
      wishes.push_back(kHost);
      break;
    case MemoryUse::kReadback:
      wishes = {kHostCached, kHost};
      break;
  }
  for (const VkMemoryPropertyFlags wish : wishes) {
    const int type = find(wish);
    if (type < 0) continue;
    // A card's window to the host is often small: what is mapped must be all of the device's memory.
    if (use == MemoryUse::kDevice && wish == (kLocal | kHostCached)) {
      const VkDeviceSize mapped = properties_.memoryHeaps[properties_.memoryTypes[type].heapIndex].size;
      const int local = find(kLocal);
      if (mapped < properties_.memoryHeaps[properties_.memoryTypes[local].heapIndex].size) continue;
    }
    return type;
  }
  return -1;
}

absl::StatusOr<Region::Allocation*> Memory::NewAllocation(VkDeviceSize bytes, MemoryUse use, bool window) {
  auto allocation = std::make_unique<Region::Allocation>(Region::Allocation{use, 0, bytes, false, FreeRanges(bytes)});
  VkBufferCreateInfo buffer{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  buffer.size = bytes;
  buffer.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (families_.size() > 1) {
    buffer.sharingMode = VK_SHARING_MODE_CONCURRENT;
    buffer.queueFamilyIndexCount = static_cast<uint32_t>(families_.size());
    buffer.pQueueFamilyIndices = families_.data();
  }
  const int likely = TypeFor(use, window, ~0u);
  if (likely < 0) return absl::UnimplementedError("the device has no memory that the host can reach");
  const uint32_t heap = properties_.memoryTypes[likely].heapIndex;
  const VkDeviceSize heap_bytes = properties_.memoryHeaps[heap].size;
  const VkDeviceSize free_bytes = heap_bytes - std::min(heap_bytes, allocated_[heap]);
  const auto make = [&]() -> absl::Status {
    // A software driver would promise what the machine does not have.
    if (bytes > free_bytes) return ToStatus(VK_ERROR_OUT_OF_DEVICE_MEMORY, "Vulkan");
    RETURN_IF_ERROR(ToStatus(api_.CreateBuffer(device_, &buffer, nullptr, &allocation->buffer), "vkCreateBuffer"));
    VkMemoryRequirements requirements;
    api_.GetBufferMemoryRequirements(device_, allocation->buffer, &requirements);
    const int type = TypeFor(use, window, requirements.memoryTypeBits);
    if (type < 0) return absl::UnimplementedError("no memory of the device fits a buffer");
    allocation->heap = properties_.memoryTypes[type].heapIndex;
    VkMemoryAllocateFlagsInfo flags{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO};
    flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
    VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &flags};
    info.allocationSize = requirements.size;
    info.memoryTypeIndex = type;
    RETURN_IF_ERROR(ToStatus(api_.AllocateMemory(device_, &info, nullptr, &allocation->memory), "vkAllocateMemory"));
    allocated_[allocation->heap] += bytes;
    RETURN_IF_ERROR(
        ToStatus(api_.BindBufferMemory(device_, allocation->buffer, allocation->memory, 0), "vkBindBufferMemory"));
    VkBufferDeviceAddressInfo address{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO};
    address.buffer = allocation->buffer;
    allocation->address = api_.GetBufferDeviceAddress(device_, &address);
    allocation->on_device =
        use == MemoryUse::kDevice ||
        (!staged_ && (properties_.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0);
    const VkMemoryPropertyFlags wanted = use == MemoryUse::kDevice ? kHostCached : kHost;
    const bool host = (properties_.memoryTypes[type].propertyFlags & wanted) == wanted;
    if (!host || (use == MemoryUse::kDevice && staged_)) return absl::OkStatus();
    void* mapped = nullptr;
    RETURN_IF_ERROR(ToStatus(api_.MapMemory(device_, allocation->memory, 0, VK_WHOLE_SIZE, 0, &mapped), "vkMapMemory"));
    allocation->mapped = static_cast<std::byte*>(mapped);
    return absl::OkStatus();
  };
  if (const absl::Status made = make(); !made.ok()) {
    Destroy(*allocation);
    if (!absl::IsResourceExhausted(made)) return made;
    return absl::ResourceExhaustedError(absl::StrCat(made.message(), ": ", bytes, " bytes asked for; of ", heap_bytes,
                                                     " this process has not taken ", free_bytes));
  }
  return allocations_.emplace_back(std::move(allocation)).get();
}

// A thirty-second of what is taken: no more than that is wasted, and a model of tens of gigabytes takes some hundred
// allocations of the 4096 that drivers allow.
VkDeviceSize Memory::NextAllocationBytes() const {
  const VkDeviceSize taken = std::accumulate(allocated_.begin(), allocated_.end(), VkDeviceSize{0});
  return std::clamp(taken / 32 / kAlignment * kAlignment, kLeastAllocation, kMostAllocation);
}

absl::StatusOr<std::unique_ptr<Region>> Memory::Allocate(size_t bytes, MemoryUse use) {
  RETURN_IF_ERROR(state_.status());
  const VkDeviceSize size = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  Region::Allocation* found = nullptr;
  std::optional<uint64_t> offset;
  for (const auto& allocation : allocations_) {
    if (allocation->use != use) continue;
    offset = allocation->free.Take(size);
    if (!offset) continue;
    found = allocation.get();
    break;
  }
  if (found == nullptr) {
    // What is large gets one of its own; so does what the host reads or writes, of which there is little.
    const VkDeviceSize next = NextAllocationBytes();
    const bool alone = size > next / 4 || use != MemoryUse::kDevice;
    absl::StatusOr<Region::Allocation*> made = NewAllocation(alone ? size : next, use);
    if (absl::IsResourceExhausted(made.status()) && !alone) made = NewAllocation(size, use);
    // The window may be small, and others' too.
    if (absl::IsResourceExhausted(made.status()) && use == MemoryUse::kUpload) made = NewAllocation(size, use, false);
    RETURN_IF_ERROR(made.status());
    found = *made;
    offset = found->free.Take(size);
  }
  std::unique_ptr<Region> region(new Region);
  region->memory_ = this;
  region->allocation_ = found;
  region->buffer_ = found->buffer;
  region->offset_ = *offset;
  region->size_ = size;
  region->address_ = found->address + *offset;
  region->on_device_ = found->on_device;
  if (found->mapped != nullptr) region->mapped_ = found->mapped + *offset;
  return region;
}

void Memory::Give(const Region& region) {
  if (state_.may_be_running()) return;
  region.allocation_->free.Give(region.offset_, region.size_);
  if (!region.allocation_->free.all_free()) return;
  const auto gone = std::find_if(allocations_.begin(), allocations_.end(),
                                 [&](const auto& a) { return a.get() == region.allocation_; });
  Destroy(**gone);
  allocations_.erase(gone);
}

void Memory::Destroy(Region::Allocation& allocation) {
  if (allocation.buffer != VK_NULL_HANDLE) api_.DestroyBuffer(device_, allocation.buffer, nullptr);
  if (allocation.memory == VK_NULL_HANDLE) return;
  api_.FreeMemory(device_, allocation.memory, nullptr);  // unmaps
  allocated_[allocation.heap] -= allocation.bytes;
}

}  // namespace spotinference::vulkan
