// out = a + b, element by element
//
// Group: 32. Groups: [width / 32, rows].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats a, b, out_;  // [rows, width]
  uint domain;
  uint width;
};

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (gl_WorkGroupID.y >= step.rows[domain] || i >= width) return;
  const uint at = gl_WorkGroupID.y * width + i;
  out_.v[at] = a.v[at] + b.v[at];
}
