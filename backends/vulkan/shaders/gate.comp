// out = activation(a) · b, element by element; graph.h has the activations
//
// Group: 32. Groups: [width / 32, rows].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "exp.glsl"
#include "step.glsl"

layout(constant_id = 0) const uint ACTIVATION = 0;  // in the order of Activation
layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats a, b, out_;  // [rows, width]
  uint domain;
  uint width;
};

float Silu(float x) { return x / (1.0 + Exp(-x)); }

// x/2 · (1 + tanh y) = x / (1 + e^−2y)
float GeluTanh(float x) {
  precise const float y = 0.797884561 * (x + 0.044715 * x * x * x);
  return x / (1.0 + Exp(-2.0 * y));
}

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (gl_WorkGroupID.y >= step.rows[domain] || i >= width) return;
  const uint at = gl_WorkGroupID.y * width + i;
  const float x = a.v[at];
  precise const float value = (ACTIVATION == 0 ? Silu(x) : GeluTanh(x)) * b.v[at];
  out_.v[at] = value;
}
