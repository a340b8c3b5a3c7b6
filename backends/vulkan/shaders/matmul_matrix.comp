// matmul.comp's function for many rows, by matrix instructions (matrix.glsl): x and weights are rounded to halves, and the
// order of a sum is the device's. So a row's result depends on how many there are: only with --batch_invariant=false.
//
// A group has ROWS rows, a multiple of 16, of OUTPUTS tiles of 32 outputs. Of each chunk of 32 columns a lane puts its
// output's elements of each tile, and its share of x, into shared memory; a weight is dequantised once for all rows.
//
// Group: 32, which are one subgroup. Groups: as matmul.comp has them.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "matmul.glsl"
#include "matrix.glsl"

layout(local_size_x = 32) in;

const uint CHUNK = 32, QUADS = CHUNK / 4;
const uint HALVES = TILE_OUTPUTS / SIDE;  // of a tile
const uint ROW_TILES = ROWS / SIDE;

shared float16_t xs[ROWS * CHUNK];
shared float16_t ws[OUTPUTS * TILE_OUTPUTS * CHUNK];
shared float sums_out[OUTPUTS * SIDE * TILE_OUTPUTS];  // of a row tile

MatrixSum sums[ROW_TILES * OUTPUTS * HALVES];

void LoadFactors(Tiles tiles, uint c, uint first_row, uint lane) {
  for (uint i = lane; i < ROWS * QUADS; i += 32) {
    const vec4 v = x.v[(first_row + i / QUADS) * (columns / 4) + c * QUADS + i % QUADS];
    [[unroll]] for (uint e = 0; e < 4; ++e) xs[4 * i + e] = float16_t(v[e]);
  }
  [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) {
    Row row = RowOf(tiles, k, lane);
    const Chunk chunk = LoadChunk(row, c);
    [[unroll]] for (uint j = 0; j < QUADS; ++j) {
      const vec4 w = Elements(row, chunk, c, j);
      [[unroll]] for (uint e = 0; e < 4; ++e) ws[(k * TILE_OUTPUTS + lane) * CHUNK + 4 * j + e] = float16_t(w[e]);
    }
  }
}

void main() {
  const uint lane = gl_LocalInvocationID.x, first_row = gl_WorkGroupID.y * ROWS;
  if (first_row >= step.rows[domain]) return;
  const Tiles tiles = TilesOf(gl_WorkGroupID.x);
  OVER_MATRICES for (uint i = 0; i < ROW_TILES * OUTPUTS * HALVES; ++i) ZERO_SUM(sums[i]);
  for (uint c = 0; c < columns / CHUNK; ++c) {
    barrier();  // what was there has been read
    LoadFactors(tiles, c, first_row, lane);
    barrier();
    OVER_MATRICES for (uint from = 0; from < CHUNK; from += SIDE) {
      MatrixX factors[ROW_TILES];
      OVER_MATRICES for (uint t = 0; t < ROW_TILES; ++t) LOAD_X(factors[t], xs, t * SIDE * CHUNK + from, CHUNK);
      OVER_MATRICES for (uint o = 0; o < OUTPUTS * HALVES; ++o) {
        MatrixW weight;
        LOAD_W(weight, ws, o * SIDE * CHUNK + from, CHUNK);
        OVER_MATRICES for (uint t = 0; t < ROW_TILES; ++t) {
          MULTIPLY_ADD(sums[t * OUTPUTS * HALVES + o], factors[t], xs, weight, ws, CHUNK);
        }
      }
    }
  }
  OVER_MATRICES for (uint t = 0; t < ROW_TILES; ++t) {
    barrier();
    OVER_MATRICES for (uint o = 0; o < OUTPUTS * HALVES; ++o) {
      STORE_SUM(sums[t * OUTPUTS * HALVES + o], sums_out, o / HALVES * SIDE * TILE_OUTPUTS + o % HALVES * SIDE, TILE_OUTPUTS);
    }
    barrier();
    OVER_MATRICES for (uint k = 0; k < OUTPUTS; k += GATED ? 2 : 1) {
      for (uint r = 0; r < SIDE; ++r) {
        const uint at = (k * SIDE + r) * TILE_OUTPUTS + lane;
        Write(tiles, k, lane, first_row + t * SIDE + r, sums_out[at], GATED ? sums_out[at + SIDE * TILE_OUTPUTS] : 0);
      }
    }
  }
}
