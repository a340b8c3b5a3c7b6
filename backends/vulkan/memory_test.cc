// Which of a graphics card's memories is taken for what: lavapipe, which has one, listing those of a card.
#include "backends/vulkan/memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "backends/vulkan/gpu.h"

namespace spotinference::vulkan {
namespace {

Api real;
std::vector<uint32_t> taken;  // memory types
int window_left = 0;          // allocations

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                kHost = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
enum Type : uint32_t { kOther, kOwn, kSystem, kSystemCached, kWindow };

void VKAPI_CALL Properties(VkPhysicalDevice, VkPhysicalDeviceMemoryProperties* properties) {
  constexpr VkDeviceSize kMany = VkDeviceSize{8} << 30, kFew = 256 << 20;
  *properties = {.memoryTypeCount = 5,
                 .memoryTypes = {{0, 1}, {kLocal, 0}, {kHost, 1}, {kHost | kCached, 1}, {kLocal | kHost, 2}},
                 .memoryHeapCount = 3,
                 .memoryHeaps = {{kMany, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}, {2 * kMany, 0},
                                 {kFew, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}}};
}
void VKAPI_CALL Requirements(VkDevice device, VkBuffer buffer, VkMemoryRequirements* requirements) {
  real.GetBufferMemoryRequirements(device, buffer, requirements);
  requirements->memoryTypeBits = 31;
}
VkResult VKAPI_CALL Allocate(VkDevice device, const VkMemoryAllocateInfo* info, const VkAllocationCallbacks* callbacks,
                             VkDeviceMemory* memory) {
  if (info->memoryTypeIndex == kWindow && --window_left < 0) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  taken.push_back(info->memoryTypeIndex);
  VkMemoryAllocateInfo only = *info;
  only.memoryTypeIndex = 0;
  return real.AllocateMemory(device, &only, callbacks, memory);
}

TEST(MemoryTest, StepsLieInTheCardsOwnMemoryWhileItsWindowHasRoom) {
  auto instance = Instance::Create(/*validated=*/false, [](Api& api) {
    real = api;
    api.GetPhysicalDeviceMemoryProperties = Properties;
    api.GetBufferMemoryRequirements = Requirements;
    api.AllocateMemory = Allocate;
  });
  ASSERT_TRUE(instance.ok()) << instance.status();
  const auto best = (*instance)->BestDevice();
  ASSERT_TRUE(best.ok()) << best.status();
  const auto gpu = Gpu::Create(*std::move(instance), *best, /*staged=*/false);
  ASSERT_TRUE(gpu.ok()) << gpu.status();
  std::vector<std::unique_ptr<Region>> regions;
  const auto type_of = [&](MemoryUse use) {
    taken.clear();
    auto region = (*gpu)->memory().Allocate(1 << 20, use);
    EXPECT_TRUE(region.ok()) << region.status();
    EXPECT_EQ((*region)->mapped() == nullptr, use == MemoryUse::kDevice);
    EXPECT_EQ((*region)->on_device(), taken.back() == kOwn || taken.back() == kWindow);
    regions.push_back(*std::move(region));
    return taken;
  };
  window_left = 1;
  EXPECT_EQ(type_of(MemoryUse::kDevice), std::vector<uint32_t>{kOwn});
  EXPECT_EQ(type_of(MemoryUse::kReadback), std::vector<uint32_t>{kSystemCached});
  EXPECT_EQ(type_of(MemoryUse::kUpload), std::vector<uint32_t>{kWindow});
  EXPECT_EQ(type_of(MemoryUse::kUpload), std::vector<uint32_t>{kSystem}) << "the window is full";
}

}  // namespace
}  // namespace spotinference::vulkan
