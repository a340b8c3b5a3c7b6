// Joins the ranges that attention.comp left of each token and head.
//
// Group: 32. Groups: [heads, tokens].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "softmax.glsl"
#include "step.glsl"

layout(constant_id = 0) const uint HEAD_WORDS = 32;  // head_dim / 2
layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats parts;  // [tokens, heads, ranges, 2 + 2 · HEAD_WORDS]
  Floats out_;   // [tokens, heads, 2 · HEAD_WORDS]
  uint window;   // 0: none
  uint ranges;
};

const uint LANES = 32;
const uint PER_LANE = (HEAD_WORDS + LANES - 1) / LANES;

void main() {
  const uint lane = gl_LocalInvocationID.x, head = gl_WorkGroupID.x, heads = gl_NumWorkGroups.x, t = gl_WorkGroupID.y;
  if (t >= step.rows[0]) return;
  const int last = step.positions.v[t];
  const int first = window > 0 ? max(0, last + 1 - int(window)) : 0;
  float largest = NONE, total = 0;
  vec2 sums[PER_LANE];
  [[unroll]] for (uint i = 0; i < PER_LANE; ++i) sums[i] = vec2(0);
  for (int range = first / RANGE; range <= last / RANGE; ++range) {
    const uint part = ((t * heads + head) * ranges + range) * (2 + 2 * HEAD_WORDS);
    const Joint joint = Join(largest, total, parts.v[part], parts.v[part + 1]);
    largest = joint.largest;
    total = joint.total;
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
      // Past the head the last word is read once more, and not written.
      const uint at = part + 2 + 2 * min(lane + i * LANES, HEAD_WORDS - 1);
      sums[i] = JoinSums(joint, sums[i], vec2(parts.v[at], parts.v[at + 1]));
    }
  }
  [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
    const uint w = lane + i * LANES;
    if (w >= HEAD_WORDS) continue;
    const uint at = ((t * heads + head) * HEAD_WORDS + w) * 2;
    const vec2 value = sums[i] / total;
    out_.v[at] = value.x;
    out_.v[at + 1] = value.y;
  }
}
