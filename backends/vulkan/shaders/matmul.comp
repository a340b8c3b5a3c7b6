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
// INTEGERS: x is rounded to int8 (quantize.comp), products of a chunk's half are summed exactly, and chunks in ascending order. The
// device multiplies four pairs at once (VK_KHR_shader_integer_dot_product).
//
// Group: [32 outputs, SPLITS]. Groups: [outputs / (32 · OUTPUTS) of each weight, rows / ROWS]; GATED, an invocation has
// OUTPUTS / 2 outputs.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "matmul.glsl"

#ifdef INTEGERS
#extension GL_EXT_spirv_intrinsics : require
// OpSDot; the last operand says that a word is four numbers.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int SignedDot(uint a, uint b, spirv_literal int format);
#endif

layout(constant_id = 3) const uint SPLITS = 1;
layout(local_size_x = 32, local_size_y_id = 3) in;

const uint SUMS = ROWS * OUTPUTS;
shared float partial[SPLITS > 1 ? SPLITS * SUMS * 32 : 1];

void main() {
  const uint lane = gl_LocalInvocationID.x, split = gl_LocalInvocationID.y;
  const uint first_row = gl_WorkGroupID.y * ROWS;
  if (first_row >= step.rows[domain]) return;
  const Tiles tiles = TilesOf(gl_WorkGroupID.x);
  Row rows[OUTPUTS];
  [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) rows[k] = RowOf(tiles, k, lane);
  precise float sums[SUMS];
  [[unroll]] for (uint i = 0; i < SUMS; ++i) sums[i] = 0;
  const uint chunks = columns / 32;
  const uint end = chunks * (split + 1) / SPLITS;
  for (uint c = chunks * split / SPLITS; c < end; ++c) {
    Chunk chunk[OUTPUTS];
    [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) chunk[k] = LoadChunk(rows[k], c);
#ifdef INTEGERS
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
      const uint at = ((first_row + r) * chunks + c) * 3;
      const uvec4 halves[2] = {x.v[at], x.v[at + 1]}, rest = x.v[at + 2];
      [[unroll]] for (uint k = 0; k < OUTPUTS; ++k) {
        precise float part = 0;
        [[unroll]] for (uint h = 0; h < 2; ++h) {
          int products = 0;
          [[unroll]] for (uint j = 0; j < 4; ++j) products += SignedDot(chunk[k].bits[4 * h + j], halves[h][j], 0);
          const int sum = int(rest[1 + h]);
          part = fma(chunk[k].scale[h], float(products - ZERO * sum), part);
          if (ZERO == 0) part = fma(chunk[k].offset[h], float(sum), part);
        }
        sums[r * OUTPUTS + k] = fma(uintBitsToFloat(rest.x), part, sums[r * OUTPUTS + k]);
      }
    }
#else
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
#endif
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
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
      Write(tiles, k, lane, first_row + r, sums[r * OUTPUTS + k], GATED ? sums[r * OUTPUTS + k + 1] : 0);
    }
  }
}
