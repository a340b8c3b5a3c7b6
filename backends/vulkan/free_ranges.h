// Which parts of [0, size) are free: first fit, neighbours joined again. Knows nothing of a device.
#ifndef BACKENDS_VULKAN_FREE_RANGES_H_
#define BACKENDS_VULKAN_FREE_RANGES_H_

#include <cstdint>
#include <map>
#include <optional>

namespace spotinference::vulkan {

class FreeRanges {
 public:
  explicit FreeRanges(uint64_t size) : size_(size), free_{{0, size}} {}

  // The lowest place for `size` bytes; none: no range is as long. Places and sizes stay multiples of what sizes are.
  std::optional<uint64_t> Take(uint64_t size);
  // What Take gave.
  void Give(uint64_t offset, uint64_t size);

  bool all_free() const { return free_.size() == 1 && free_.begin()->second == size_; }

 private:
  const uint64_t size_;
  std::map<uint64_t, uint64_t> free_;  // offset to size
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_FREE_RANGES_H_
