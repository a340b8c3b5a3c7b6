#include "backends/cpu/packed.h"

#include <algorithm>
#include <cstring>
#include <vector>

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

// One block as a block of another type with the same values.

void Q40AsQ41(const std::byte* from, std::byte* to) {
  uint16_t d;
  std::memcpy(&d, from, 2);
  const uint16_t m = FloatToHalf(-8 * HalfToFloat(d));  // exact up to d = 8188, far past any real scale
  std::memcpy(to, from, 2);
  std::memcpy(to + 2, &m, 2);
  std::memcpy(to + 4, from + 2, 16);
}

int Nibble(const std::byte* nibbles, int j) {
  return j < 16 ? std::to_integer<int>(nibbles[j]) & 15 : std::to_integer<int>(nibbles[j - 16]) >> 4;
}

void Q50AsQ80(const std::byte* from, std::byte* to) {
  uint32_t fifth;
  std::memcpy(&fifth, from + 2, 4);
  std::memcpy(to, from, 2);
  for (int j = 0; j < 32; ++j) {
    to[2 + j] = static_cast<std::byte>((Nibble(from + 6, j) | (fifth >> j & 1) << 4) - 16);
  }
}

void Iq4NlAsQ80(const std::byte* from, std::byte* to) {
  std::memcpy(to, from, 2);
  for (int j = 0; j < 32; ++j) to[2 + j] = static_cast<std::byte>(Codebook4()[Nibble(from + 2, j)]);
}

struct Packing {
  DType type;
  void (*convert)(const std::byte* from, std::byte* to) = nullptr;  // null: as it is, or dequantised
};

Packing PackingOf(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_1:
    case DType::kQ8_0: return {type};
    case DType::kQ4_0: return {DType::kQ4_1, Q40AsQ41};
    case DType::kQ5_0: return {DType::kQ8_0, Q50AsQ80};
    case DType::kIQ4_NL: return {DType::kQ8_0, Iq4NlAsQ80};
    default: return {DType::kF32};
  }
}

// Rows `first` … `first + count` of `view` as its packed type has them, one after the other.
std::vector<std::byte> ConvertRows(const TensorView& view, int64_t first, int count) {
  const Packing packing = PackingOf(view.type);
  const int64_t to_bytes = RowBytes(packing.type, view.columns), from_bytes = RowBytes(view.type, view.columns);
  const DTypeLayout &from_layout = Layout(view.type), &to_layout = Layout(packing.type);
  std::vector<std::byte> rows(count * to_bytes);
  for (int r = 0; r < count; ++r) {
    std::byte* const to = &rows[r * to_bytes];
    if (packing.convert == nullptr) {
      DequantizeRow(view, first + r, absl::MakeSpan(reinterpret_cast<float*>(to), view.columns));
      continue;
    }
    const std::byte* const from = view.data.data() + (first + r) * from_bytes;
    for (int64_t b = 0; b < view.columns / to_layout.block_elements; ++b) {
      packing.convert(from + b * from_layout.block_bytes, to + b * to_layout.block_bytes);
    }
  }
  return rows;
}

}  // namespace

DType PackedType(DType type) { return PackingOf(type).type; }

size_t TileBytes(DType type, int64_t columns) { return kOutputs * RowBytes(type, columns); }

void PackTiles(const TensorView& view, int64_t begin, int64_t end, std::byte* tiles) {
  const DType type = PackedType(view.type);
  const int64_t row_bytes = RowBytes(type, view.columns);
  const size_t tile_bytes = TileBytes(type, view.columns);
  for (int64_t t = begin; t < end; ++t) {
    const int outputs = static_cast<int>(std::min<int64_t>(kOutputs, view.rows - t * kOutputs));
    std::vector<std::byte> converted;
    if (type != view.type) converted = ConvertRows(view, t * kOutputs, outputs);
    const std::byte* rows = type != view.type ? converted.data() : view.data.data() + t * kOutputs * row_bytes;
    std::byte* tile = tiles + t * tile_bytes;
    if (outputs < kOutputs) std::memset(tile, 0, tile_bytes);
    switch (type) {
      case DType::kF32:
        PackFloats(rows, row_bytes, outputs, view.columns, 4, tile);
        break;
      case DType::kQ8_0:
        PackQuantized(rows, row_bytes, outputs, view.columns / 32, 1, 8, tile);
        break;
      case DType::kQ4_1:
        PackQuantized(rows, row_bytes, outputs, view.columns / 32, 2, 4, tile);
        break;
      default:  // F16, BF16
        PackFloats(rows, row_bytes, outputs, view.columns, 2, tile);
    }
  }
}

}  // namespace spotinference::cpu
