// A weight matrix laid out for the kernels: tiles of 16 outputs, each one run of bytes that a kernel reads once, in order.
//
// A tile of a quantised weight holds, for each block of 32 inputs:
//   Q4_1: 16 halves d, 16 halves m, then 4 groups g of [16 outputs][4 bytes]; byte i of a group has input 4g + i in its low
//         nibble and input 4g + i + 16 in its high one, which is how the file has them: packing only transposes words.
//   Q8_0: 16 halves d, then 8 groups of [16 outputs][4 bytes], int8.
// A tile of a float weight is [columns][16 outputs] in the file's type. Outputs past the last are zero.
//
// Other types become one of these, with the same values to the bit: Q4_0 is Q4_1 with m = −8·d; the quanta of Q5_0 and
// IQ4_NL are int8 and so Q8_0. The rest (Q5_1 and those with scales in 256s) have no kernels of their own yet and become F32,
// which is right and takes 5 to 12 times their memory.
#ifndef BACKENDS_CPU_PACKED_H_
#define BACKENDS_CPU_PACKED_H_

#include <cstddef>
#include <cstdint>

#include "engine/device/tensor.h"

namespace spotinference::cpu {

// What a weight of `type` is packed as: kF32, kF16, kBF16, kQ4_1 or kQ8_0.
DType PackedType(DType type);

// Bytes of one tile; `type` is a packed one.
size_t TileBytes(DType type, int64_t columns);

inline int64_t TileCount(int64_t rows) { return (rows + 15) / 16; }

// Writes tiles begin … end of `view` to `tiles`, the place of tile 0. Different tiles may be packed at once.
void PackTiles(const TensorView& view, int64_t begin, int64_t end, std::byte* tiles);

}  // namespace spotinference::cpu

#endif  // BACKENDS_CPU_PACKED_H_
