// One block of a quantised type as the integers and scales that its bytes stand for. What the bits of a file mean is said
// here alone: floats (DequantizeRow) and the layouts of the kernels are both made of it.
//
// Layouts: ggml's, as GGUF files have them. Pure functions, any thread.
#ifndef ENGINE_DEVICE_BLOCK_H_
#define ENGINE_DEVICE_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "engine/device/tensor.h"

namespace spotinference {

// Element i is
//   32 elements:   q[i]·d, + m where the type has one;
//   256 elements:  d·scale[i / sub]·q[i], − m·minimum[i / sub] where the type has one.
struct Block {
  uint16_t d, m;  // halves
  int8_t scale[16];
  uint8_t minimum[16];
  int8_t q[256];
};

// What a type's blocks have.
struct BlockShape {
  int elements;      // 32 or 256
  int sub_elements;  // of a scale: 16 or 32
  bool has_minimum;
};
BlockShape ShapeOf(DType type);

// `type` is none of the float types; `from` has its block_bytes, of any alignment. What the type lacks stays as it is.
void OpenBlock(DType type, const std::byte* from, Block* to);

// Its elements as DequantizeRow has them, to the bit; see the table in tensor.h.
void BlockValues(const Block& block, BlockShape shape, float* to);

}  // namespace spotinference

#endif  // ENGINE_DEVICE_BLOCK_H_
