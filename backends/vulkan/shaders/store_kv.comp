// Writes keys and values to the token's slot of the cache, as halves; buffers.h has the layout of a page.
//
// An invocation has a word, two elements, of both. Group: 32. Groups: [kv_heads · head_dim / 64, tokens].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats keys, values;  // [tokens, kv_heads · head_dim]
  MutableWords kv;
  uint words;       // of a token's keys: kv_heads · head_dim / 2
  uint head_words;  // head_dim / 2
};

// The nearest half, ties to even: packHalf2x16 may round either way.
uint Half(float value) {
  const uint bits = floatBitsToUint(value), magnitude = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;            // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;           // rounds to 2^16 or more
  if (magnitude < 0x33000001u) return sign;                      // rounds to 0
  uint mantissa, shift;
  if (magnitude < 0x38800000u) {                                 // no normal half
    mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
    shift = 126 - (magnitude >> 23);
  } else {
    mantissa = magnitude - 0x38000000u;
    shift = 13;
  }
  const uint rest = mantissa & ((1u << shift) - 1), half_way = 1u << (shift - 1), kept = mantissa >> shift;
  return sign | (kept + ((rest > half_way || (rest == half_way && (kept & 1u) != 0)) ? 1u : 0u));
}

uint Halves(Floats from, uint at) { return Half(from.v[at]) | Half(from.v[at + 1]) << 16; }

void main() {
  const uint t = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x;
  if (t >= step.rows[0] || i >= words) return;
  const int position = step.positions.v[t];
  const uint token = uint(position) % 16;
  const uint page = uint(BlockOf(step, t, position)) * words * 32;
  const uint head = i / head_words * head_words * 16, w = i % head_words;
  kv.v[page + head + w * 16 + token] = Halves(keys, (t * words + i) * 2);
  kv.v[page + words * 16 + head + token * head_words + w] = Halves(values, (t * words + i) * 2);
}
