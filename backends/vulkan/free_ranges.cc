#include "backends/vulkan/free_ranges.h"

#include <iterator>

namespace spotinference::vulkan {

std::optional<uint64_t> FreeRanges::Take(uint64_t size) {
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    const auto [offset, length] = *range;
    if (length < size) continue;
    free_.erase(range);
    if (length > size) free_[offset + size] = length - size;
    return offset;
  }
  return std::nullopt;
}

void FreeRanges::Give(uint64_t offset, uint64_t size) {
  const auto after = free_.lower_bound(offset);
  if (after != free_.end() && after->first == offset + size) {
    size += after->second;
    free_.erase(after);
  }
  const auto next = free_.lower_bound(offset);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += size;
      return;
    }
  }
  free_[offset] = size;
}

}  // namespace spotinference::vulkan
