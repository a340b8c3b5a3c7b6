// How many outputs an invocation of shaders/matmul.comp has, by the weight's type and the rows it has: measured once
// on a device, and kept beside what was compiled there. A choice changes speed, and no bit.
#ifndef BACKENDS_VULKAN_TILE_CHOICES_H_
#define BACKENDS_VULKAN_TILE_CHOICES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/types/span.h"
#include "engine/device/tensor.h"

namespace spotinference::vulkan {

// Rows that an invocation may have; a bucket of more takes the last.
inline constexpr int kTileRowCounts[] = {1, 4, 8};
inline constexpr uint32_t kTileOutputs[] = {1, 2, 4};  // to choose from
inline constexpr uint32_t kUsualTileOutputs = 2;       // where nothing was measured
// Sums of an invocation: more would not stay in registers, and take a compiler seconds.
inline constexpr uint32_t kMostTileSums = 16;

// Whether an invocation may have `rows` of kTileRowCounts and `outputs` of kTileOutputs.
constexpr bool IsTile(int rows, uint32_t outputs) { return rows * outputs <= kMostTileSums; }

class TileChoices {
 public:
  bool Has(DType type, int rows) const { return outputs_.count({type, rows}) > 0; }
  uint32_t outputs(DType type, int rows) const {
    const auto found = outputs_.find({type, rows});
    return found == outputs_.end() ? kUsualTileOutputs : found->second;
  }
  void Set(DType type, int rows, uint32_t outputs) { outputs_[{type, rows}] = outputs; }

  // Three bytes a choice: type, rows, outputs. Of any bytes, those are taken that are choices.
  std::string Serialize() const;
  static TileChoices Parse(absl::Span<const std::byte> bytes);

 private:
  std::map<std::pair<DType, int>, uint32_t> outputs_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_TILE_CHOICES_H_
