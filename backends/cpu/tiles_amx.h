// Products of sixteen rows of activations on AMX's tiles of int8 (Intel, Architecture Instruction Set Extensions, chapter 3).
//
// An opened weight's operands are what the instruction wants: rows of [16 outputs][4 bytes]. Sums are exact, so that they are
// those of the other kernels to the bit.
#ifndef BACKENDS_CPU_TILES_AMX_H_
#define BACKENDS_CPU_TILES_AMX_H_

#include <cstdint>

#include "backends/cpu/matmul-inl.h"

namespace {

// Tile registers: 0 the sums, 1 and 2 activations and weights of 32 inputs, 3 and 4 those of 16.
struct TileShape {
  int rows, bytes;
};
constexpr TileShape kTileShapes[] = {{16, 64}, {16, 32}, {8, 64}, {16, 16}, {4, 64}};

#ifdef SPOTINFERENCE_SIMDE  // in plain C, for a test on a processor without them

thread_local uint8_t tile_registers[5][16][64];

template <typename Block>
void TilesBegin() { memset(tile_registers, 0xa5, sizeof(tile_registers)); }
template <typename Block>
void TilesEnd() {}
void TileZero() { memset(tile_registers[0], 0, sizeof(tile_registers[0])); }
template <int t>
void TileLoad(const void* from, int64_t stride) {
  for (int r = 0; r < kTileShapes[t].rows; ++r) {
    memcpy(tile_registers[t][r], static_cast<const uint8_t*>(from) + r * stride, kTileShapes[t].bytes);
  }
}
template <int a, int b>
void TileMultiplyAdd() {
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      int32_t sum;
      memcpy(&sum, &tile_registers[0][m][4 * n], 4);
      for (int k = 0; k < kTileShapes[a].bytes; ++k) {
        sum += static_cast<int8_t>(tile_registers[a][m][k]) * static_cast<int8_t>(tile_registers[b][k / 4][4 * n + k % 4]);
      }
      memcpy(&tile_registers[0][m][4 * n], &sum, 4);
    }
  }
}
void TileStore(int32_t (*to)[16]) { memcpy(to, tile_registers[0], sizeof(tile_registers[0])); }

#else

// The compiler's own intrinsics do not say that they read memory.
inline __attribute__((always_inline)) void MemoryIsRead() { asm volatile("" ::: "memory"); }

template <typename Block>
void TilesBegin() {
  alignas(64) uint8_t config[64] = {1};  // palette 1
  for (int t = 0; t < 5; ++t) {
    config[16 + 2 * t] = static_cast<uint8_t>(kTileShapes[t].bytes);
    config[48 + t] = static_cast<uint8_t>(kTileShapes[t].rows);
  }
  MemoryIsRead();
  _tile_loadconfig(config);
}
template <typename Block>
void TilesEnd() { _tile_release(); }
inline __attribute__((always_inline)) void TileZero() { _tile_zero(0); }
template <int t>
inline __attribute__((always_inline)) void TileLoad(const void* from, int64_t stride) {
  MemoryIsRead();
  if constexpr (t == 1) _tile_loadd(1, from, stride);
  if constexpr (t == 2) _tile_loadd(2, from, stride);
  if constexpr (t == 3) _tile_loadd(3, from, stride);
  if constexpr (t == 4) _tile_loadd(4, from, stride);
}
template <int a, int b>
inline __attribute__((always_inline)) void TileMultiplyAdd() {
  if constexpr (a == 1 && b == 2) _tile_dpbssd(0, 1, 2);
  if constexpr (a == 3 && b == 4) _tile_dpbssd(0, 3, 4);
}
inline __attribute__((always_inline)) void TileStore(int32_t (*to)[16]) {
  _tile_stored(0, to, 64);
  MemoryIsRead();
}

#endif

template <int kBegin, int kEnd>
void TileProducts(const uint8_t* w, const int8_t* const* q, I* sum) {
  static_assert(kEnd - kBegin == 8 || kEnd - kBegin == 4);
  constexpr int a = kEnd - kBegin == 8 ? 1 : 3;
  alignas(64) int32_t sums[16][16];
  TileZero();
  TileLoad<a>(q[0] + 4 * kBegin, q[1] - q[0]);
  TileLoad<a + 1>(w + 64 * kBegin, 64);
  TileMultiplyAdd<a, a + 1>();
  TileStore(sums);
  for (int r = 0; r < 16; ++r) sum[r] = Simd::LoadBytes(reinterpret_cast<const uint8_t*>(sums[r]));
}

}  // namespace

#endif  // BACKENDS_CPU_TILES_AMX_H_
