// The largest finite element of each SPAN of an output row, and its place: the first of equals, zeros being equal.
//
// Of integers, since a device may take the smallest floats for zero. Group: 32. Groups: [width / SPAN, outputs].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Words row;             // [outputs, width] floats
  MutableWords largest;  // [outputs, width / SPAN] the float and its place; NOWHERE: there is none
  uint width;
};

const uint LANES = 32, SPAN = 2048, NOWHERE = 0xffffffffu;
const int LOWEST = -0x7fffffff - 1;

shared int keys[LANES];
shared uint places[LANES];

// Ordered as the floats are.
int Key(uint bits) {
  if ((bits & 0x7f800000u) == 0x7f800000u) return LOWEST;
  const int magnitude = int(bits & 0x7fffffffu);
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

void main() {
  const uint lane = gl_LocalInvocationID.x, part = gl_WorkGroupID.x, o = gl_WorkGroupID.y;
  if (o >= step.rows[1]) return;
  int key = LOWEST;
  uint place = NOWHERE;
  const uint end = min(width, (part + 1) * SPAN);
  for (uint i = part * SPAN + lane; i < end; i += LANES) {
    const int here = Key(row.v[o * width + i]);
    if (here <= key) continue;
    key = here;
    place = i;
  }
  keys[lane] = key;
  places[lane] = place;
  barrier();
  if (lane > 0) return;
  for (uint i = 1; i < LANES; ++i) {
    if (keys[i] < key || (keys[i] == key && places[i] >= place)) continue;
    key = keys[i];
    place = places[i];
  }
  const uint at = (o * gl_NumWorkGroups.x + part) * 2;
  largest.v[at] = place == NOWHERE ? 0 : row.v[o * width + place];
  largest.v[at + 1] = place;
}
