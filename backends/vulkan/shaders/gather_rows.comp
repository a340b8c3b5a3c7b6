// out[i] = a[output_rows[i]]
//
// Group: 32. Groups: [width / 32, outputs].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats a, out_;  // [rows, width]
  uint width;
};

void main() {
  const uint i = gl_GlobalInvocationID.x, o = gl_WorkGroupID.y;
  if (o >= step.rows[1] || i >= width) return;
  out_.v[o * width + i] = a.v[uint(step.output_rows.v[o]) * width + i];
}
