// Rounds the input of a matmul to int8 for matmul.comp's integers (chunks.glsl), as the cpu backend does.
//
// Of each 32 values: d = max|x| / 127, q = x / d to nearest, ties to even. NaN and infinity come out wrong but bounded, and stay
// their own row's affair.
//
// Group: 32 chunks of a row. Groups: [chunks / 32, rows].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "chunks.glsl"
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Quads x;          // [rows, chunks of 8]
  Chunks chunks_;   // [rows, chunks]
  uint domain;
  uint chunks;      // of a row
};

void main() {
  const uint c = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (c >= chunks || row >= step.rows[domain]) return;
  const uint chunk = row * chunks + c;
  vec4 largest = vec4(0);
  [[unroll]] for (uint j = 0; j < 8; ++j) largest = max(largest, abs(x.v[chunk * 8 + j]));
  precise const float d = max(max(largest.x, largest.y), max(largest.z, largest.w)) / 127.0;
  precise const float divisor = d > 0 ? d : 1.0;
  uvec4 packed[2];
  int sums[2];
  [[unroll]] for (uint h = 0; h < 2; ++h) {
    ivec4 sum = ivec4(0);
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      precise const vec4 steps = x.v[chunk * 8 + h * 4 + j] / divisor;
      const ivec4 q = ivec4(clamp(roundEven(steps), -127.0, 127.0));
      sum += q;
      const uvec4 bytes = uvec4(q) & 255u;
      packed[h][j] = bytes.x | bytes.y << 8 | bytes.z << 16 | bytes.w << 24;
    }
    sums[h] = sum.x + sum.y + sum.z + sum.w;
  }
  chunks_.v[3 * chunk] = packed[0];
  chunks_.v[3 * chunk + 1] = packed[1];
  chunks_.v[3 * chunk + 2] = uvec4(floatBitsToUint(d), uint(sums[0]), uint(sums[1]), 0);
}
