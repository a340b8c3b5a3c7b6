#include "backends/vulkan/tiles.h"

#include <algorithm>
#include <cstring>

namespace spotinference::vulkan {
namespace {

// Where a block of a type that has no whole number of words has its d.
int ApartOffset(DType type) { return type == DType::kQ3_K ? 108 : type == DType::kQ6_K ? 208 : 0; }

}  // namespace

TileLayout LayoutOf(DType type, int64_t columns) {
  const DTypeLayout& layout = Layout(type);
  const int64_t blocks = columns / layout.block_elements;
  if (layout.block_elements == 1 || layout.block_bytes % 4 == 0) {
    const auto words = static_cast<uint32_t>(blocks * layout.block_bytes / 4);
    return {words, words};
  }
  const auto apart = static_cast<uint32_t>(blocks * (layout.block_bytes - 2) / 4);
  return {apart, static_cast<uint32_t>(apart + (blocks + 1) / 2)};
}

void PackTiles(const TensorView& view, int64_t first, int64_t count, std::byte* to) {
  const DTypeLayout& layout = Layout(view.type);
  const TileLayout tiles = LayoutOf(view.type, view.columns);
  const int64_t row_bytes = RowBytes(view.type, view.columns);
  const int apart_at = ApartOffset(view.type);
  const int64_t last_row = std::min((first + count) * kTileRows, view.rows);
  if (last_row < (first + count) * kTileRows) std::memset(to, 0, count * tiles.tile_bytes());
  for (int64_t r = first * kTileRows; r < last_row; ++r) {
    const std::byte* from = view.data.data() + r * row_bytes;
    std::byte* word = to + (r / kTileRows - first) * tiles.tile_bytes() + r % kTileRows * 4;
    const auto put_words = [&](const std::byte* words, int64_t n) {
      for (int64_t w = 0; w < n; ++w, word += kTileRows * 4) std::memcpy(word, words + 4 * w, 4);
    };
    if (tiles.apart == tiles.row_words) {
      put_words(from, tiles.row_words);
      continue;
    }
    const int body = layout.block_bytes - 2;
    const int64_t blocks = view.columns / layout.block_elements;
    for (int64_t b = 0; b < blocks; ++b) {
      const std::byte* const block = from + b * layout.block_bytes;
      if (apart_at == 0) {
        put_words(block + 2, body / 4);
      } else {
        put_words(block, body / 4);
      }
    }
    for (int64_t b = 0; b < blocks; b += 2, word += kTileRows * 4) {
      std::memcpy(word, from + b * layout.block_bytes + apart_at, 2);
      if (b + 1 < blocks) {
        std::memcpy(word + 2, from + (b + 1) * layout.block_bytes + apart_at, 2);
      } else {
        std::memset(word + 2, 0, 2);
      }
    }
  }
}

}  // namespace spotinference::vulkan
