// out = a / sqrt(mean(a²) + epsilon) · weight, over each part of a row as long as the weight
//
// The squares are summed by lanes, each LANES apart and ascending, then over the lanes ascending; SUBGROUPS, over these
// as subgroup.glsl has it.
// Group: LANES. Groups: [parts of a row, rows].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"
#ifdef SUBGROUPS
#include "subgroup.glsl"
#endif

layout(constant_id = 0) const uint LANES = 32;
layout(local_size_x_id = 0) in;

layout(push_constant) uniform Push {
  Step step;
  Floats a, weight, out_;
  uint domain;
  uint width;  // of a part
  float epsilon;
};

#ifndef SUBGROUPS
shared float partial[LANES];
#endif

void main() {
  if (gl_WorkGroupID.y >= step.rows[domain]) return;
  const uint lane = gl_LocalInvocationID.x;
  const uint first = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * width;
  precise float sum = 0;
  for (uint i = lane; i < width; i += LANES) {
    const float v = a.v[first + i];
    sum = fma(v, v, sum);
  }
#ifdef SUBGROUPS
  sum = GroupSum(sum);
#else
  partial[lane] = sum;
  barrier();
  sum = partial[0];
  for (uint i = 1; i < LANES; ++i) sum += partial[i];
#endif
  precise const float scale = 1.0 / sqrt(sum / float(width) + epsilon);
  for (uint i = lane; i < width; i += LANES) out_.v[first + i] = a.v[first + i] * scale * weight.v[i];
}
