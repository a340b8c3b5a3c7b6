// What lies on a volume for this backend: the tile choices, and a driver's pipeline cache as far as we look at it.
#include <cstddef>
#include <cstdint>

#include "backends/vulkan/pipeline_cache.h"
#include "backends/vulkan/tile_choices.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  const absl::Span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const std::string choices = vulkan::TileChoices::Parse(bytes).Serialize();
  const auto* const again = reinterpret_cast<const std::byte*>(choices.data());
  if (vulkan::TileChoices::Parse({again, choices.size()}).Serialize() != choices) __builtin_trap();
  VkPhysicalDeviceProperties device{};
  if (vulkan::IsPipelineCacheOf(device, bytes) && size < sizeof(VkPipelineCacheHeaderVersionOne)) __builtin_trap();
  return 0;
}
