#include "backends/cpu/packed.h"

#include <algorithm>
#include <cstring>

namespace spotinference::cpu {
namespace {

constexpr int kOutputs = 16;

// `halves` f16 scales and `words` groups of four bytes a block, in the file and, transposed, in the tile.
void PackQuantized(const std::byte* rows, int64_t row_bytes, int outputs, int64_t blocks, int halves, int words,
                   std::byte* tile) {
  const int64_t block_bytes = 2 * halves + 4 * words;
  for (int o = 0; o < outputs; ++o) {
    const std::byte* from = rows + o * row_bytes;
    std::byte* to = tile;
    for (int64_t b = 0; b < blocks; ++b, from += block_bytes, to += kOutputs * block_bytes) {
      for (int h = 0; h < halves; ++h) std::memcpy(to + 2 * (kOutputs * h + o), from + 2 * h, 2);
      std::byte* bytes = to + 2 * kOutputs * halves;
      for (int g = 0; g < words; ++g) std::memcpy(bytes + 4 * (kOutputs * g + o), from + 2 * halves + 4 * g, 4);
    }
  }
}

void PackFloats(const std::byte* rows, int64_t row_bytes, int outputs, int64_t columns, int element_bytes,
                std::byte* tile) {
  for (int o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < columns; ++i) {
      std::memcpy(tile + (i * kOutputs + o) * element_bytes, rows + o * row_bytes + i * element_bytes, element_bytes);
    }
  }
}

}  // namespace

size_t TileBytes(DType type, int64_t columns) { return kOutputs * RowBytes(type, columns); }

void PackTiles(const TensorView& view, int64_t begin, int64_t end, std::byte* tiles) {
  const int64_t row_bytes = RowBytes(view.type, view.columns);
  const size_t tile_bytes = TileBytes(view.type, view.columns);
  for (int64_t t = begin; t < end; ++t) {
    const std::byte* rows = view.data.data() + t * kOutputs * row_bytes;
    std::byte* tile = tiles + t * tile_bytes;
    const int outputs = static_cast<int>(std::min<int64_t>(kOutputs, view.rows - t * kOutputs));
    if (outputs < kOutputs) std::memset(tile, 0, tile_bytes);
    switch (view.type) {
      case DType::kF32:
        PackFloats(rows, row_bytes, outputs, view.columns, 4, tile);
        break;
      case DType::kF16:
      case DType::kBF16:
        PackFloats(rows, row_bytes, outputs, view.columns, 2, tile);
        break;
      case DType::kQ8_0:
        PackQuantized(rows, row_bytes, outputs, view.columns / 32, 1, 8, tile);
        break;
      case DType::kQ4_1:
        PackQuantized(rows, row_bytes, outputs, view.columns / 32, 2, 4, tile);
        break;
    }
  }
}

}  // namespace spotinference::cpu
