#include "backends/vulkan/tile_choices.h"

#include <algorithm>
#include <iterator>

namespace spotinference::vulkan {
namespace {

template <typename Values, typename T>
bool Contains(const Values& values, T value) {
  return std::find(std::begin(values), std::end(values), value) != std::end(values);
}

}  // namespace

std::string TileChoices::Serialize() const {
  std::string bytes;
  for (const auto& [key, outputs] : outputs_) {
    bytes += {static_cast<char>(key.first), static_cast<char>(key.second), static_cast<char>(outputs)};
  }
  return bytes;
}

TileChoices TileChoices::Parse(absl::Span<const std::byte> bytes) {
  TileChoices choices;
  for (; bytes.size() >= 3; bytes.remove_prefix(3)) {
    const auto type = std::to_integer<size_t>(bytes[0]);
    const auto rows = std::to_integer<int>(bytes[1]);
    const auto outputs = std::to_integer<uint32_t>(bytes[2]);
    if (type >= DTypes().size() || !Contains(kTileRowCounts, rows) || !Contains(kTileOutputs, outputs)) continue;
    if (!IsTile(rows, outputs)) continue;
    choices.Set(static_cast<DType>(type), rows, outputs);
  }
  return choices;
}

}  // namespace spotinference::vulkan
