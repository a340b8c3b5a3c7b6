// out[t][o] = Σ_i x[t][i] · weight[o][i] + bias[o]
//
// Up to three weights of one type have the same x, each an output. Or, of one weight, something is added: out = sum +
// add. Or, GATED, of two weights: out = activation(sum of the first) · sum of the second.
//
// An invocation has OUTPUTS outputs, 32 apart, of ROWS rows: a weight is dequantised once for all rows, an element of x
// is loaded once for all outputs. Invocations side by side read words side by side (tiles.h); x is uniform over them.
// Each sum runs over ascending fours of elements within one of SPLITS ranges of chunks, then over ascending ranges: it
// depends on SPLITS alone, which is one for all tensors of a device, and not on ROWS.
//
// Group: [32 outputs, SPLITS]. Groups: [outputs / (32 · OUTPUTS) of each weight, rows / ROWS]; GATED, an invocation has
// OUTPUTS / 2 outputs.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "activation.glsl"
#include "dequantize.glsl"

layout(constant_id = 1) const uint ROWS = 1;
layout(constant_id = 2) const uint OUTPUTS = 2;
layout(constant_id = 3) const uint SPLITS = 1;
layout(constant_id = 4) const bool GATED = false;
layout(constant_id = 5) const uint ACTIVATION = 0;  // of the gate
layout(local_size_x = 32, local_size_y_id = 3) in;

layout(push_constant) uniform Push {
  Step step;
  Quads x;           // [rows, columns]
  Words weights[3];
  Floats outs[3];    // [rows, outputs] of each weight; of one weight, [1] is what is added
  Floats biases[3];  // [outputs]
  uint outputs[3];   // of each weight; 0: there is none
  uint flags;        // bit i: weight i has a bias; bit 3: something is added
  uint domain;       // of the rows: index into Step::rows
  uint columns;
  uint row_words;    // of a weight, with halves apart
  uint apart;        // Row::apart
};

const uint SUMS = ROWS * OUTPUTS;
shared float partial[SPLITS > 1 ? SPLITS * SUMS * 32 : 1];

void main() {
  const uint lane = gl_LocalInvocationID.x, split = gl_LocalInvocationID.y;
  const uint first_row = gl_WorkGroupID.y * ROWS;
  if (first_row >= step.rows[domain]) return;
  // Whose outputs these are.
  const uint wide = GATED ? OUTPUTS / 2 : OUTPUTS;  // tiles
  uint weight = 0, first_tile = gl_WorkGroupID.x * wide;
  if (!GATED) {
    [[unroll]] for (uint i = 0; i < 2; ++i) {
      const uint tiles_before = ((outputs[i] + 31) / 32 + wide - 1) / wide * wide;
      if (weight != i || first_tile < tiles_before) continue;
      first_tile -= tiles_before;
      weight = i + 1;
    }
  }
  const uint tiles = (outputs[weight] + 31) / 32;
  Row rows[OUTPUTS];
  [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) {
    const uint tile = first_tile + (GATED ? k / 2 : k);
    // Past the last tile the last one is read once more, and nothing written.
    rows[k] = Row(weights[GATED ? k % 2 : weight], min(tile, tiles - 1) * row_words * TILE_OUTPUTS + lane, apart);
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
  [[unroll]] for (uint k = 0; k < OUTPUTS; k += GATED ? 2 : 1) {
    const uint o = (first_tile + (GATED ? k / 2 : k)) * TILE_OUTPUTS + lane;
    if (o >= outputs[weight]) continue;
    const float bias = (flags & (1u << weight)) != 0 ? biases[weight].v[o] : 0;
    const float other_bias = GATED && (flags & 2u) != 0 ? biases[1].v[o] : 0;
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
      const uint at = (first_row + r) * outputs[weight] + o;
      precise float sum = sums[r * OUTPUTS + k] + bias;
      if (GATED) {
        precise const float other = sums[r * OUTPUTS + k + 1] + other_bias;
        sum = Activate(ACTIVATION, sum) * other;
      } else if ((flags & 8u) != 0) {
        sum += outs[1].v[at];
      }
      outs[weight].v[at] = sum;
    }
  }
}
