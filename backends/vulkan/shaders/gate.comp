// out = activation(a) · b, element by element; graph.h has the activations
//
// Group: 32. Groups: [width / 32, rows].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "activation.glsl"
#include "step.glsl"

layout(constant_id = 0) const uint ACTIVATION = 0;  // in the order of Activation
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
  const float x = a.v[at];
  precise const float value = Activate(ACTIVATION, x) * b.v[at];
  out_.v[at] = value;
}
