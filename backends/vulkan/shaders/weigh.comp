// How many ids of each part of an output row are likelier than each of some bounds, and what they weigh: z, weights and
// their order to the bit as engine/sample/logit.h has them. So that a sampler knows which candidates its filters keep.
//
// A weight is below 2^41 and is added up in two halves of 20 and 21 bits, so that sums of a part stay below 2^32.
// Additions and multiplications are rounded as IEEE 754 says on all devices that there are; none is fused (`precise`).
//
// Group: 32. Groups: [parts, outputs].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "selection.glsl"
#include "step.glsl"

layout(local_size_x = 32) in;

const uint LANES = 32, PART_IDS = 1024;

layout(push_constant) uniform Push {
  Step step;
  Words rows;             // [outputs, width] floats
  Selections selections;  // [outputs]
  Words allowed;          // [outputs, width / 32] bits
  Bounds bounds;          // [MOST_BOUNDS], of the one row that is looked at so
  Sums sums;              // [parts, MOST_BOUNDS]
  uint width;
};

shared uint counts[MOST_BOUNDS], low_halves[MOST_BOUNDS], high_halves[MOST_BOUNDS];

float NormalOrZero(float x) { return (floatBitsToUint(x) & 0x7f800000u) == 0 ? 0.0 : x; }
bool IsFinite(float x) { return (floatBitsToUint(x) & 0x7f800000u) != 0x7f800000u; }

float Z(float logit, float largest, float inverse_temperature) {
  precise const float below = NormalOrZero(logit) - NormalOrZero(largest);
  precise const float z = NormalOrZero(below) * inverse_temperature;
  return NormalOrZero(z);
}

float ExpOfNegative(float x) {
  precise const float clamped = x < -87.0 ? -87.0 : x;
  const float ROUND = 12582912.0;  // 1.5 · 2^23
  precise const float scaled = clamped * 1.44269504;
  precise const float shifted = scaled + ROUND;
  precise const float n = shifted - ROUND;
  precise float high = n * 0.693359375, low = n * -2.12194440e-4;
  precise float r = clamped - high;
  r = r - low;
  precise float p = 1.0 / 5040.0;
  p = p * r;
  p = p + 1.0 / 720.0;
  p = p * r;
  p = p + 1.0 / 120.0;
  p = p * r;
  p = p + 1.0 / 24.0;
  p = p * r;
  p = p + 1.0 / 6.0;
  p = p * r;
  p = p + 0.5;
  p = p * r;
  p = p + 1.0;
  p = p * r;
  p = p + 1.0;
  precise const float result = p * uintBitsToFloat((floatBitsToUint(shifted) + 127) << 23);
  return result;
}

// The low 20 bits of e^z in units of 2^−40, rounded down, and those above.
uvec2 Weight(float z) {
  const uint bits = floatBitsToUint(ExpOfNegative(z));
  const uint mantissa = (bits & 0x7fffffu) | 0x800000u;
  const int shift = int(bits >> 23) - 127 + 40 - 23;  // at most 17
  if (shift >= 0) return uvec2((mantissa << shift) & 0xfffffu, mantissa >> (20 - shift));
  const uint units = mantissa >> min(-shift, 31);
  return uvec2(units & 0xfffffu, units >> 20);
}

void main() {
  const uint lane = gl_LocalInvocationID.x, part = gl_WorkGroupID.x, o = gl_WorkGroupID.y;
  if (o >= step.rows[1]) return;
  const Selection selection = selections.v[o];
  if (selection.kind != LIKELIER) return;
  if (lane < MOST_BOUNDS) counts[lane] = low_halves[lane] = high_halves[lane] = 0;
  barrier();
  const uint mask_words = (width + 31) / 32;
  for (uint i = lane; i < PART_IDS; i += LANES) {
    const uint id = part * PART_IDS + i;
    if (id >= width) break;
    if (selection.masked != 0 && (allowed.v[o * mask_words + id / 32] >> (id % 32) & 1) == 0) continue;
    const float logit = uintBitsToFloat(rows.v[o * width + id]);
    const float z = Z(logit, selection.largest, selection.inverse_temperature);
    if (!IsFinite(logit) || !IsFinite(z)) continue;
    const uvec2 weight = Weight(z);
    for (uint b = 0; b < selection.bounds; ++b) {
      const Bound bound = bounds.v[b];
      if (z < bound.z || (z == bound.z && id >= bound.id)) continue;
      atomicAdd(counts[b], 1);
      atomicAdd(low_halves[b], weight.x);
      atomicAdd(high_halves[b], weight.y);
    }
  }
  barrier();
  if (lane < selection.bounds) {
    sums.v[part * MOST_BOUNDS + lane] = Sum(counts[lane], low_halves[lane], high_halves[lane]);
  }
}
