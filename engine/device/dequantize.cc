#include <bit>
#include <cstring>

#include "engine/device/tensor.h"

namespace spotinference {
namespace {

constexpr int8_t kCodebook4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
float Half(const uint8_t* from) { return HalfToFloat(Load<uint16_t>(from)); }

// One block each: `from` its bytes, `to` its elements.

void F32(const uint8_t* from, float* to) { *to = Load<float>(from); }
void F16(const uint8_t* from, float* to) { *to = Half(from); }
void BF16(const uint8_t* from, float* to) {
  *to = std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(from)) << 16);
}

int Nibble(const uint8_t* nibbles, int j) { return j < 16 ? nibbles[j] & 15 : nibbles[j - 16] >> 4; }

void Q4_0(const uint8_t* from, float* to) {
  const float d = Half(from);
  for (int j = 0; j < 32; ++j) to[j] = (Nibble(from + 2, j) - 8) * d;
}

void Q4_1(const uint8_t* from, float* to) {
  const float d = Half(from), m = Half(from + 2);
  for (int j = 0; j < 32; ++j) to[j] = Nibble(from + 4, j) * d + m;
}

int FiveBits(const uint8_t* bits, int j) { return Nibble(bits + 4, j) | (Load<uint32_t>(bits) >> j & 1) << 4; }

void Q5_0(const uint8_t* from, float* to) {
  const float d = Half(from);
  for (int j = 0; j < 32; ++j) to[j] = (FiveBits(from + 2, j) - 16) * d;
}

void Q5_1(const uint8_t* from, float* to) {
  const float d = Half(from), m = Half(from + 2);
  for (int j = 0; j < 32; ++j) to[j] = FiveBits(from + 4, j) * d + m;
}

void Q8_0(const uint8_t* from, float* to) {
  const float d = Half(from);
  for (int j = 0; j < 32; ++j) to[j] = static_cast<int8_t>(from[2 + j]) * d;
}

void IQ4_NL(const uint8_t* from, float* to) {
  const float d = Half(from);
  for (int j = 0; j < 32; ++j) to[j] = kCodebook4[Nibble(from + 2, j)] * d;
}

// Two bits of element i of 256: each 32 bytes hold four runs of 32 elements, one in every two bits.
int TwoBits(const uint8_t* q, int i) { return q[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32)) & 3; }

void Q2_K(const uint8_t* from, float* to) {
  const uint8_t *scales = from, *q = from + 16;
  const float d = Half(from + 80), dmin = Half(from + 82);
  for (int i = 0; i < 256; ++i) {
    const int scale = scales[i / 16];
    to[i] = d * (scale & 15) * TwoBits(q, i) - dmin * (scale >> 4);
  }
}

void Q3_K(const uint8_t* from, float* to) {
  const uint8_t *high = from, *q = from + 32, *scales = from + 96;
  const float d = Half(from + 108);
  for (int i = 0; i < 256; ++i) {
    const int s = i / 16;
    const int low4 = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
    const int scale = (low4 | (scales[8 + s % 4] >> (2 * (s / 4)) & 3) << 4) - 32;
    const int has_high = high[i % 32] >> (i / 32) & 1;
    to[i] = d * scale * (TwoBits(q, i) - (has_high ? 0 : 4));
  }
}

// Scale and minimum j, six bits each, of the 12 bytes that Q4_K and Q5_K have of them.
struct ScaleAndMinimum {
  int scale, minimum;
};
ScaleAndMinimum SixBits(const uint8_t* q, int j) {
  if (j < 4) return {q[j] & 63, q[j + 4] & 63};
  return {(q[j + 4] & 15) | q[j - 4] >> 6 << 4, q[j + 4] >> 4 | q[j] >> 6 << 4};
}

// Four bits of element i of 256: each 32 bytes hold two runs of 32 elements, the low nibbles first.
int FourBits(const uint8_t* q, int i) { return q[i / 64 * 32 + i % 32] >> (4 * (i % 64 / 32)) & 15; }

void Q4_K(const uint8_t* from, float* to) {
  const float d = Half(from), dmin = Half(from + 2);
  for (int i = 0; i < 256; ++i) {
    const ScaleAndMinimum s = SixBits(from + 4, i / 32);
    to[i] = d * s.scale * FourBits(from + 16, i) - dmin * s.minimum;
  }
}

void Q5_K(const uint8_t* from, float* to) {
  const float d = Half(from), dmin = Half(from + 2);
  for (int i = 0; i < 256; ++i) {
    const ScaleAndMinimum s = SixBits(from + 4, i / 32);
    const int fifth = from[16 + i % 32] >> (i / 32) & 1;
    to[i] = d * s.scale * (FourBits(from + 48, i) | fifth << 4) - dmin * s.minimum;
  }
}

void Q6_K(const uint8_t* from, float* to) {
  const uint8_t *low = from, *high = from + 128, *scales = from + 192;
  const float d = Half(from + 208);
  for (int i = 0; i < 256; ++i) {
    const int four = low[i / 128 * 64 + i % 64] >> (4 * (i % 128 / 64)) & 15;
    to[i] = d * static_cast<int8_t>(scales[i / 16]) * ((four | TwoBits(high, i) << 4) - 32);
  }
}

void IQ4_XS(const uint8_t* from, float* to) {
  const float d = Half(from);
  const int high = Load<uint16_t>(from + 2);
  for (int i = 0; i < 256; ++i) {
    const int s = i / 32;
    const int scale = ((from[4 + s / 2] >> (4 * (s % 2)) & 15) | (high >> (2 * s) & 3) << 4) - 32;
    to[i] = d * scale * kCodebook4[Nibble(from + 8 + 16 * s, i % 32)];
  }
}

// In the order of DType.
constexpr void (*kDequantizeBlock[])(const uint8_t*, float*) = {F32,    F16,  BF16, Q4_0, Q4_1, Q5_0, Q5_1,  Q8_0,
                                                                IQ4_NL, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS};

}  // namespace

absl::Span<const int8_t> Codebook4() { return kCodebook4; }

void DequantizeRow(const TensorView& view, int64_t row, absl::Span<float> out) {
  const DTypeLayout& layout = Layout(view.type);
  const uint8_t* from = reinterpret_cast<const uint8_t*>(view.data.data()) + row * RowBytes(view.type, view.columns);
  if (view.type == DType::kF32) {
    std::memcpy(out.data(), from, view.columns * sizeof(float));
    return;
  }
  const auto block = kDequantizeBlock[static_cast<size_t>(view.type)];
  for (int64_t i = 0; i < view.columns; i += layout.block_elements, from += layout.block_bytes) block(from, &out[i]);
}

}  // namespace spotinference
