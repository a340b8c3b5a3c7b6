#include "backends/cpu/packed.h"

#include <algorithm>
#include <cstring>

#include "engine/device/block.h"
#include "engine/device/codebook.h"

namespace spotinference::cpu {
namespace {

constexpr int kOutputs = 16;

enum class Quanta { kTwo, kThree, kFour, kFive, kSix, kEight, kCodebook };

// What lies in one block of a quantised packing, for one output.
struct Form {
  int elements;     // 32 or 256
  int halves;       // d, m
  int small_bytes;  // scales and minima of 32 inputs, for 256
  Quanta quanta;
};

int QuantaBytes(Quanta quanta) {  // of 32 inputs
  switch (quanta) {
    case Quanta::kTwo: return 8;
    case Quanta::kThree: return 12;
    case Quanta::kFour:
    case Quanta::kCodebook: return 16;
    case Quanta::kFive: return 20;
    case Quanta::kSix: return 24;
    case Quanta::kEight: return 32;
  }
  return 0;
}

Form FormOf(Packing packing) {
  switch (packing) {
    case Packing::kQ4_1: return {32, 2, 0, Quanta::kFour};
    case Packing::kQ5_1: return {32, 2, 0, Quanta::kFive};
    case Packing::kQ8_0: return {32, 1, 0, Quanta::kEight};
    case Packing::kIQ4_NL: return {32, 1, 0, Quanta::kCodebook};
    case Packing::kQ2_K: return {256, 2, 4, Quanta::kTwo};
    case Packing::kQ3_K: return {256, 1, 2, Quanta::kThree};
    case Packing::kQ4_K: return {256, 2, 2, Quanta::kFour};
    case Packing::kQ5_K: return {256, 2, 2, Quanta::kFive};
    case Packing::kQ6_K: return {256, 1, 2, Quanta::kSix};
    case Packing::kIQ4_XS: return {256, 1, 1, Quanta::kCodebook};
    case Packing::kF32:
    case Packing::kF16:
    case Packing::kBF16: break;
  }
  return {};
}

int BlockBytes(const Form& form) {  // for one output
  return 2 * form.halves + form.elements / 32 * QuantaBytes(form.quanta) + (form.elements == 256 ? 8 * form.small_bytes : 0);
}

// What a type's signed quanta are short of the unsigned ones of its packing.
int Zero(DType type) {
  switch (type) {
    case DType::kQ4_0: return 8;
    case DType::kQ5_0: return 16;
    case DType::kQ3_K: return 4;
    case DType::kQ6_K: return 32;
    default: return 0;
  }
}

uint8_t CodebookIndex(int8_t value) {
  return static_cast<uint8_t>(std::lower_bound(kCodebook4, kCodebook4 + 16, value) - kCodebook4);
}

// Bits from … from + count of operands 4h + k (k = 0 … 3) go to fields of `count` bits.
void PackFields(const uint8_t* q, int from, int count, int operands, uint8_t* to) {
  const int mask = (1 << count) - 1;
  for (int i = 0; i < 4; ++i) {
    int byte = 0;
    for (int f = 0; f < operands; ++f) byte |= (q[4 * f + i] >> from & mask) << (count * f);
    to[i] = static_cast<uint8_t>(byte);
  }
}

// 32 quanta of output `o` to the groups at `to`.
void PackQuanta(Quanta quanta, const uint8_t* q, int o, uint8_t* to) {
  constexpr int kGroup = 4 * kOutputs;
  to += 4 * o;
  switch (quanta) {
    case Quanta::kEight:
      for (int f = 0; f < 8; ++f) std::memcpy(to + kGroup * f, q + 4 * f, 4);
      return;
    case Quanta::kTwo:
    case Quanta::kThree:
      for (int h = 0; h < 2; ++h) PackFields(q + 16 * h, 0, 2, 4, to + kGroup * h);
      if (quanta == Quanta::kThree) PackFields(q, 2, 1, 8, to + 2 * kGroup);
      return;
    case Quanta::kFour:
    case Quanta::kCodebook:
    case Quanta::kFive:
    case Quanta::kSix: {
      uint8_t nibbles[16];
      for (int i = 0; i < 16; ++i) nibbles[i] = static_cast<uint8_t>((q[i] & 15) | q[i + 16] << 4);
      for (int g = 0; g < 4; ++g) std::memcpy(to + kGroup * g, nibbles + 4 * g, 4);
      if (quanta == Quanta::kFive) PackFields(q, 4, 1, 8, to + 4 * kGroup);
      if (quanta == Quanta::kSix) {
        for (int h = 0; h < 2; ++h) PackFields(q + 16 * h, 4, 2, 4, to + kGroup * (4 + h));
      }
      return;
    }
  }
}

void UnpackFields(const uint8_t* from, int at, int count, int operands, uint8_t* q) {
  const int mask = (1 << count) - 1;
  for (int i = 0; i < 4; ++i) {
    for (int f = 0; f < operands; ++f) q[4 * f + i] |= (from[i] >> (count * f) & mask) << at;
  }
}

void UnpackQuanta(Quanta quanta, const uint8_t* from, int o, uint8_t* q) {
  constexpr int kGroup = 4 * kOutputs;
  from += 4 * o;
  std::memset(q, 0, 32);
  switch (quanta) {
    case Quanta::kEight:
      for (int f = 0; f < 8; ++f) std::memcpy(q + 4 * f, from + kGroup * f, 4);
      return;
    case Quanta::kTwo:
    case Quanta::kThree:
      for (int h = 0; h < 2; ++h) UnpackFields(from + kGroup * h, 0, 2, 4, q + 16 * h);
      if (quanta == Quanta::kThree) UnpackFields(from + 2 * kGroup, 2, 1, 8, q);
      return;
    case Quanta::kFour:
    case Quanta::kCodebook:
    case Quanta::kFive:
    case Quanta::kSix:
      for (int i = 0; i < 16; ++i) {
        const uint8_t both = from[kGroup * (i / 4) + i % 4];
        q[i] = both & 15;
        q[i + 16] = both >> 4;
      }
      if (quanta == Quanta::kFive) UnpackFields(from + 4 * kGroup, 4, 1, 8, q);
      if (quanta == Quanta::kSix) {
        for (int h = 0; h < 2; ++h) UnpackFields(from + kGroup * (4 + h), 4, 2, 4, q + 16 * h);
      }
      return;
  }
}

// The small scales of output `o`.
void PackScales(const Form& form, const Block& block, BlockShape shape, int o, uint8_t* to) {
  const int of_32 = 32 / shape.sub_elements;  // 1 or 2
  for (int j = 0; j < 8; ++j) {
    if (form.quanta == Quanta::kTwo) {
      std::memcpy(to + 2 * (kOutputs * j + o), &block.scale[2 * j], 2);
      std::memcpy(to + 2 * (kOutputs * (8 + j) + o), &block.minimum[2 * j], 2);
      continue;
    }
    uint8_t* const at = to + form.small_bytes * (kOutputs * j + o);
    std::memcpy(at, &block.scale[of_32 * j], of_32);
    if (shape.has_minimum) at[1] = block.minimum[j];
  }
}

void UnpackScales(const Form& form, BlockShape shape, const uint8_t* from, int o, Block& block) {
  const int of_32 = 32 / shape.sub_elements;  // 1 or 2
  for (int j = 0; j < 8; ++j) {
    if (form.quanta == Quanta::kTwo) {
      std::memcpy(&block.scale[2 * j], from + 2 * (kOutputs * j + o), 2);
      std::memcpy(&block.minimum[2 * j], from + 2 * (kOutputs * (8 + j) + o), 2);
      continue;
    }
    const uint8_t* const at = from + form.small_bytes * (kOutputs * j + o);
    std::memcpy(&block.scale[of_32 * j], at, of_32);
    if (shape.has_minimum) block.minimum[j] = at[1];
  }
}

// m as the packing has it.
uint16_t Minimum(DType type, const Block& block) {
  switch (type) {
    case DType::kQ4_0:
    case DType::kQ5_0: return FloatToHalf(-Zero(type) * HalfToFloat(block.d));  // exact up to d = 4094, past any real one
    case DType::kQ2_K:
    case DType::kQ4_K:
    case DType::kQ5_K: return block.m ^ 0x8000;
    default: return block.m;
  }
}

// Q4_1 and Q8_0 lie in the file as in a tile but for the order of words, and are most of what is loaded: `halves` scales
// and `words` groups of four bytes a block go where they belong, which boots the bundled model in 70 ms instead of 170.
void PackWords(const TensorView& view, int halves, int words, int64_t row, int o, uint8_t* to) {
  const int block_bytes = Layout(view.type).block_bytes;
  const std::byte* from = view.data.data() + row * RowBytes(view.type, view.columns);
  for (int64_t at = 0; at < view.columns; at += 32, from += block_bytes, to += kOutputs * block_bytes) {
    for (int h = 0; h < halves; ++h) std::memcpy(to + 2 * (kOutputs * h + o), from + 2 * h, 2);
    uint8_t* const bytes = to + 2 * kOutputs * halves;
    for (int g = 0; g < words; ++g) std::memcpy(bytes + 4 * (kOutputs * g + o), from + 2 * halves + 4 * g, 4);
  }
}

void PackBlocks(const TensorView& view, const Form& form, int64_t row, int o, uint8_t* to) {
  if (view.type == DType::kQ4_1) return PackWords(view, 2, 4, row, o, to);
  if (view.type == DType::kQ8_0) return PackWords(view, 1, 8, row, o, to);
  const DTypeLayout& layout = Layout(view.type);
  const BlockShape shape = ShapeOf(view.type);
  const int zero = Zero(view.type);
  const std::byte* from = view.data.data() + row * RowBytes(view.type, view.columns);
  Block block;
  uint8_t q[256];
  for (int64_t at = 0; at < view.columns; at += form.elements, from += layout.block_bytes) {
    OpenBlock(view.type, from, &block);
    if (form.quanta == Quanta::kCodebook) {
      for (int i = 0; i < form.elements; ++i) q[i] = CodebookIndex(block.q[i]);
    } else {
      for (int i = 0; i < form.elements; ++i) q[i] = static_cast<uint8_t>(block.q[i] + zero);
    }
    std::memcpy(to + 2 * o, &block.d, 2);
    if (form.halves == 2) {
      const uint16_t m = Minimum(view.type, block);
      std::memcpy(to + 2 * (kOutputs + o), &m, 2);
    }
    uint8_t* quanta = to + 2 * kOutputs * form.halves;
    if (form.elements == 256) {
      PackScales(form, block, shape, o, quanta);
      quanta += 8 * form.small_bytes * kOutputs;
    }
    for (int j = 0; j < form.elements / 32; ++j, quanta += kOutputs * QuantaBytes(form.quanta)) {
      PackQuanta(form.quanta, q + 32 * j, o, quanta);
    }
    to += kOutputs * BlockBytes(form);
  }
}

// Output `o` of the block of a tile at `from`.
void UnpackBlock(DType type, const Form& form, BlockShape shape, const uint8_t* from, int o, Block& block) {
  std::memcpy(&block.d, from + 2 * o, 2);
  if (shape.has_minimum) {
    std::memcpy(&block.m, from + 2 * (kOutputs + o), 2);
    if (form.elements == 256) block.m ^= 0x8000;
  }
  from += 2 * kOutputs * form.halves;
  if (form.elements == 256) {
    UnpackScales(form, shape, from, o, block);
    from += 8 * form.small_bytes * kOutputs;
  }
  const int zero = Zero(type);
  for (int j = 0; j < form.elements / 32; ++j, from += kOutputs * QuantaBytes(form.quanta)) {
    uint8_t q[32];
    UnpackQuanta(form.quanta, from, o, q);
    for (int i = 0; i < 32; ++i) {
      block.q[32 * j + i] = form.quanta == Quanta::kCodebook ? kCodebook4[q[i]] : static_cast<int8_t>(q[i] - zero);
    }
  }
}

void PackFloats(const TensorView& view, int64_t row, int o, std::byte* to) {
  const int bytes = Layout(view.type).block_bytes;
  const std::byte* const from = view.data.data() + row * RowBytes(view.type, view.columns);
  for (int64_t i = 0; i < view.columns; ++i) std::memcpy(to + (i * kOutputs + o) * bytes, from + i * bytes, bytes);
}

}  // namespace

Packing PackingOf(DType type) {
  switch (type) {
    case DType::kF32: return Packing::kF32;
    case DType::kF16: return Packing::kF16;
    case DType::kBF16: return Packing::kBF16;
    case DType::kQ4_0:
    case DType::kQ4_1: return Packing::kQ4_1;
    case DType::kQ5_0:
    case DType::kQ5_1: return Packing::kQ5_1;
    case DType::kQ8_0: return Packing::kQ8_0;
    case DType::kIQ4_NL: return Packing::kIQ4_NL;
    case DType::kQ2_K: return Packing::kQ2_K;
    case DType::kQ3_K: return Packing::kQ3_K;
    case DType::kQ4_K: return Packing::kQ4_K;
    case DType::kQ5_K: return Packing::kQ5_K;
    case DType::kQ6_K: return Packing::kQ6_K;
    case DType::kIQ4_XS: return Packing::kIQ4_XS;
  }
  return Packing::kF32;
}

size_t TileBytes(Packing packing, int64_t columns) {
  switch (packing) {
    case Packing::kF32: return kOutputs * 4 * columns;
    case Packing::kF16:
    case Packing::kBF16: return kOutputs * 2 * columns;
    default: break;
  }
  const Form form = FormOf(packing);
  return columns / form.elements * kOutputs * BlockBytes(form);
}

void PackTiles(const TensorView& view, int64_t begin, int64_t end, std::byte* tiles) {
  const Packing packing = PackingOf(view.type);
  const Form form = FormOf(packing);
  const size_t tile_bytes = TileBytes(packing, view.columns);
  for (int64_t t = begin; t < end; ++t) {
    std::byte* const tile = tiles + t * tile_bytes;
    const int outputs = static_cast<int>(std::min<int64_t>(kOutputs, view.rows - t * kOutputs));
    if (outputs < kOutputs) std::memset(tile, 0, tile_bytes);
    for (int o = 0; o < outputs; ++o) {
      if (IsQuantized(packing)) {
        PackBlocks(view, form, t * kOutputs + o, o, reinterpret_cast<uint8_t*>(tile));
      } else {
        PackFloats(view, t * kOutputs + o, o, tile);
      }
    }
  }
}

void UnpackRow(DType type, const std::byte* tiles, int64_t row, absl::Span<float> out) {
  const Packing packing = PackingOf(type);
  const int64_t columns = static_cast<int64_t>(out.size());
  const std::byte* const tile = tiles + row / kOutputs * TileBytes(packing, columns);
  const int o = static_cast<int>(row % kOutputs);
  if (!IsQuantized(packing)) {
    const int bytes = Layout(type).block_bytes;
    std::byte plain[4];
    for (int64_t i = 0; i < columns; ++i) {
      std::memcpy(plain, tile + (i * kOutputs + o) * bytes, bytes);
      DequantizeRow({"", type, 1, 1, {plain, static_cast<size_t>(bytes)}}, 0, out.subspan(i, 1));
    }
    return;
  }
  const Form form = FormOf(packing);
  const BlockShape shape = ShapeOf(type);
  const uint8_t* from = reinterpret_cast<const uint8_t*>(tile);
  Block block;
  for (int64_t i = 0; i < columns; i += form.elements, from += kOutputs * BlockBytes(form)) {
    UnpackBlock(type, form, shape, from, o, block);
    BlockValues(block, shape, &out[i]);
  }
}

}  // namespace spotinference::cpu
