// out[t][o] = Σ_i x[t][i] · weight[o][i] + bias[o]
//
// An invocation has OUTPUTS outputs, 32 apart, of ROWS rows: a weight is dequantised once for all rows, an element of x
// is loaded once for all outputs. Invocations side by side read words side by side (tiles.h); x is uniform over them.
// Each sum runs over ascending fours of elements within one of SPLITS ranges of chunks, then over ascending ranges: it
// depends on SPLITS alone, which is one for all tensors of a device, and not on ROWS.
//
// Group: [32 outputs, SPLITS]. Groups: [outputs / (32 · OUTPUTS), rows / ROWS].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "dequantize.glsl"

layout(constant_id = 1) const uint ROWS = 1;
layout(constant_id = 2) const uint OUTPUTS = 2;
layout(constant_id = 3) const uint SPLITS = 1;
layout(local_size_x = 32, local_size_y_id = 3) in;

layout(push_constant) uniform Push {
  Step step;
  Words weight;
  Quads x;       // [rows, columns]
  Floats out_;   // [rows, outputs]
  Floats bias;   // [outputs]; read if has_bias
  uint has_bias;
  uint domain;   // of the rows: index into Step::rows
  uint outputs;
  uint columns;
  uint row_words;  // of the weight, with halves apart
  uint apart;      // Row::apart
};

const uint SUMS = ROWS * OUTPUTS;
shared float partial[SPLITS > 1 ? SPLITS * SUMS * 32 : 1];

void main() {
  const uint lane = gl_LocalInvocationID.x, split = gl_LocalInvocationID.y;
  const uint first_row = gl_WorkGroupID.y * ROWS;
  if (first_row >= step.rows[domain]) return;
  const uint first_tile = gl_WorkGroupID.x * OUTPUTS;
  const uint tiles = (outputs + 31) / 32;
  Row rows[OUTPUTS];
  [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) {
    // Past the last tile the last one is read once more, and nothing written.
    rows[k] = Row(weight, min(first_tile + k, tiles - 1) * row_words * TILE_OUTPUTS + lane, apart);
  }
  precise float sums[SUMS];
  [[unroll]] for (uint i = 0; i < SUMS; ++i) sums[i] = 0;
  const uint chunks = columns / 32;
  const uint end = chunks * (split + 1) / SPLITS;
  for (uint c = chunks * split / SPLITS; c < end; ++c) {
    Chunk chunk[OUTPUTS];
    [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) chunk[k] = LoadChunk(rows[k], c);
    [[unroll]] for (uint j = 0; j < 8; ++j) {
      vec4 w[OUTPUTS];
      [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) w[k] = Elements(rows[k], chunk[k], c, j);
      [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        const vec4 v = x.v[(first_row + r) * (columns / 4) + c * 8 + j];
        [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) {
          precise float four = w[k].x * v.x;
          four = fma(w[k].y, v.y, four);
          four = fma(w[k].z, v.z, four);
          four = fma(w[k].w, v.w, four);
          sums[r * OUTPUTS + k] += four;
        }
      }
    }
  }
  if (SPLITS > 1) {
    [[unroll]] for (uint i = 0; i < SUMS; ++i) partial[(split * SUMS + i) * 32 + lane] = sums[i];
    barrier();
    if (split > 0) return;
    [[unroll]] for (uint i = 0; i < SUMS; ++i) {
      for (uint s = 1; s < SPLITS; ++s) sums[i] += partial[(s * SUMS + i) * 32 + lane];
    }
  }
  [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) {
    const uint o = (first_tile + k) * TILE_OUTPUTS + lane;
    if (o >= outputs) continue;
    const float add = has_bias != 0 ? bias.v[o] : 0;
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
      precise const float sum = sums[r * OUTPUTS + k] + add;
      out_.v[(first_row + r) * outputs + o] = sum;
    }
  }
}
