// A weight matrix laid out for the kernels: tiles of 16 outputs, each one run of bytes that a kernel reads once, in order.
//
// A tile of a quantised weight holds, for each block of 32 or 256 inputs:
//   1. 16 halves d; 16 halves m where the packing has a minimum (−dmin for a K type);
//   2. for 256 inputs: eight times, once for each 32, the small scales as [16 outputs][bytes]: scale and minimum (Q4_K, Q5_K),
//      two scales (Q3_K, Q6_K; Q2_K, which has its two minima in another such run after all scales), one scale (IQ4_XS);
//   3. for each 32 inputs the quanta, in groups of [16 outputs][4 bytes], byte i of a group being of inputs 4f + i:
//        8 bits: group f has operand f;          4 bits: group g has f = g in its low nibble, f = g + 4 in its high one;
//        5 bits: 4 bits, then a group whose bit f is the fifth of f;
//        6 bits: 4 bits, then two groups whose bits 2k are of f = k and f = 4 + k;
//        2 bits: two groups as those;            3 bits: 2 bits, then a group whose bit f is the third of f.
// A tile of a float weight is [columns][16 outputs] in the file's type. Outputs past the last are zero.
//
// Every type keeps its values to the bit and about its size; Q4_0 and Q5_0 become Q4_1 and Q5_1 with m = −8·d and −16·d.
#ifndef BACKENDS_CPU_PACKED_H_
#define BACKENDS_CPU_PACKED_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "backends/cpu/kernels.h"
#include "engine/device/tensor.h"

namespace spotinference::cpu {

Packing PackingOf(DType type);

// Bytes of one tile. `columns` is a whole number of blocks.
size_t TileBytes(Packing packing, int64_t columns);

inline int64_t TileCount(int64_t rows) { return (rows + 15) / 16; }

// Writes tiles begin … end of `view` to `tiles`, the place of tile 0. Different tiles may be packed at once.
void PackTiles(const TensorView& view, int64_t begin, int64_t end, std::byte* tiles);

// Row `row` of a weight that was of `type` before it was packed, as DequantizeRow has it, to the bit.
void UnpackRow(DType type, const std::byte* tiles, int64_t row, absl::Span<float> out);

}  // namespace spotinference::cpu

#endif  // BACKENDS_CPU_PACKED_H_
