// How a weight lies on the device: GGUF's own bits, in another order.
//
// A row is the 32-bit words of its blocks, one block after the other. Of a type whose blocks are no whole number of
// words the half d of each block lies behind all others instead, two a word. 32 rows are a tile, whose words lie
// interleaved: word w of row r at w · 32 + r, so that invocations with neighbouring outputs read neighbouring words.
// Missing rows of the last tile are zero.
#ifndef BACKENDS_VULKAN_TILES_H_
#define BACKENDS_VULKAN_TILES_H_

#include <cstddef>
#include <cstdint>

#include "engine/device/tensor.h"

namespace spotinference::vulkan {

inline constexpr int kTileRows = 32;

struct TileLayout {
  uint32_t apart;      // word of a row at which the halves of the blocks begin; row_words where there are none
  uint32_t row_words;

  size_t tile_bytes() const { return size_t{row_words} * kTileRows * sizeof(uint32_t); }
};

// columns: a multiple of 32.
TileLayout LayoutOf(DType type, int64_t columns);

inline int64_t TileCount(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

// Writes tiles [first, first + count). to: [count, row_words, kTileRows].
void PackTiles(const TensorView& view, int64_t first, int64_t count, std::byte* to);

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_TILES_H_
