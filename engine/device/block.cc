#include "engine/device/block.h"

#include <cstring>

#include "engine/device/codebook.h"

namespace spotinference {
namespace {

template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Sixteen bytes of nibbles: the low ones are elements 0 … 15.
void Nibbles(const uint8_t* from, int8_t* q) {
  for (int j = 0; j < 16; ++j) {
    q[j] = from[j] & 15;
    q[j + 16] = from[j] >> 4;
  }
}

void FiveBits(const uint8_t* from, int8_t* q) {
  Nibbles(from + 4, q);
  const uint32_t fifth = Load<uint32_t>(from);
  for (int j = 0; j < 32; ++j) q[j] |= (fifth >> j & 1) << 4;
}

void Subtract(int zero, int n, int8_t* q) {
  for (int j = 0; j < n; ++j) q[j] -= zero;
}

void LookUp(int n, int8_t* q) {
  for (int j = 0; j < n; ++j) q[j] = kCodebook4[q[j]];
}

void Q4_0(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  Nibbles(from + 2, to->q);
  Subtract(8, 32, to->q);
}

void Q4_1(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  to->m = Load<uint16_t>(from + 2);
  Nibbles(from + 4, to->q);
}

void Q5_0(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  FiveBits(from + 2, to->q);
  Subtract(16, 32, to->q);
}

void Q5_1(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  to->m = Load<uint16_t>(from + 2);
  FiveBits(from + 4, to->q);
}

void Q8_0(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  std::memcpy(to->q, from + 2, 32);
}

void IQ4_NL(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  Nibbles(from + 2, to->q);
  LookUp(32, to->q);
}

// 256 two-bit fields in 64 bytes: each 32 bytes hold four runs of 32 elements, one in every two bits.
void TwoBits(const uint8_t* from, int8_t* q) {
  for (int run = 0; run < 8; ++run) {
    for (int j = 0; j < 32; ++j) q[32 * run + j] = from[run / 4 * 32 + j] >> (2 * (run % 4)) & 3;
  }
}

void Q2_K(const uint8_t* from, Block* to) {
  for (int s = 0; s < 16; ++s) {
    to->scale[s] = from[s] & 15;
    to->minimum[s] = from[s] >> 4;
  }
  TwoBits(from + 16, to->q);
  to->d = Load<uint16_t>(from + 80);
  to->m = Load<uint16_t>(from + 82);
}

void Q3_K(const uint8_t* from, Block* to) {
  const uint8_t *high = from, *scales = from + 96;
  for (int s = 0; s < 16; ++s) {
    const int low4 = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
    to->scale[s] = (low4 | (scales[8 + s % 4] >> (2 * (s / 4)) & 3) << 4) - 32;
  }
  TwoBits(from + 32, to->q);
  for (int run = 0; run < 8; ++run) {
    for (int j = 0; j < 32; ++j) to->q[32 * run + j] += (high[j] >> run & 1) * 4 - 4;
  }
  to->d = Load<uint16_t>(from + 108);
}

// Eight scales and minima of six bits in 12 bytes.
void SixBitPairs(const uint8_t* from, Block* to) {
  for (int j = 0; j < 4; ++j) {
    to->scale[j] = from[j] & 63;
    to->minimum[j] = from[j + 4] & 63;
    to->scale[j + 4] = (from[j + 8] & 15) | from[j] >> 6 << 4;
    to->minimum[j + 4] = from[j + 8] >> 4 | from[j + 4] >> 6 << 4;
  }
}

// `runs` pairs of runs of `run` elements, each in as many bytes of nibbles, the low ones first.
void NibbleRuns(const uint8_t* from, int runs, int run, int8_t* q) {
  for (int i = 0; i < runs; ++i, from += run, q += 2 * run) {
    for (int j = 0; j < run; ++j) {
      q[j] = from[j] & 15;
      q[j + run] = from[j] >> 4;
    }
  }
}

void Q4_K(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  to->m = Load<uint16_t>(from + 2);
  SixBitPairs(from + 4, to);
  NibbleRuns(from + 16, 4, 32, to->q);
}

void Q5_K(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  to->m = Load<uint16_t>(from + 2);
  SixBitPairs(from + 4, to);
  NibbleRuns(from + 48, 4, 32, to->q);
  for (int run = 0; run < 8; ++run) {
    for (int j = 0; j < 32; ++j) to->q[32 * run + j] |= (from[16 + j] >> run & 1) << 4;
  }
}

void Q6_K(const uint8_t* from, Block* to) {
  NibbleRuns(from, 2, 64, to->q);
  int8_t high[256];
  TwoBits(from + 128, high);
  for (int i = 0; i < 256; ++i) to->q[i] = (to->q[i] | high[i] << 4) - 32;
  std::memcpy(to->scale, from + 192, 16);
  to->d = Load<uint16_t>(from + 208);
}

void IQ4_XS(const uint8_t* from, Block* to) {
  to->d = Load<uint16_t>(from);
  const int high = Load<uint16_t>(from + 2);
  for (int s = 0; s < 8; ++s) {
    to->scale[s] = ((from[4 + s / 2] >> (4 * (s % 2)) & 15) | (high >> (2 * s) & 3) << 4) - 32;
  }
  NibbleRuns(from + 8, 8, 16, to->q);
  LookUp(256, to->q);
}

// In the order of DType.
constexpr struct {
  BlockShape shape;
  void (*open)(const uint8_t*, Block*);
} kTypes[] = {
    {}, {}, {},  // floats
    {{32, 32, false}, Q4_0},  {{32, 32, true}, Q4_1},    {{32, 32, false}, Q5_0},  {{32, 32, true}, Q5_1},
    {{32, 32, false}, Q8_0},  {{32, 32, false}, IQ4_NL}, {{256, 16, true}, Q2_K},  {{256, 16, false}, Q3_K},
    {{256, 32, true}, Q4_K},  {{256, 32, true}, Q5_K},   {{256, 16, false}, Q6_K}, {{256, 32, false}, IQ4_XS},
};

}  // namespace

BlockShape ShapeOf(DType type) { return kTypes[static_cast<size_t>(type)].shape; }

void OpenBlock(DType type, const std::byte* from, Block* to) {
  kTypes[static_cast<size_t>(type)].open(reinterpret_cast<const uint8_t*>(from), to);
}

}  // namespace spotinference
