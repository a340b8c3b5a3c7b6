// Activations of a gate; graph.h has them.
#include "exp.glsl"

float Silu(float x) { return x / (1.0 + Exp(-x)); }

// x/2 · (1 + tanh y) = x / (1 + e^−2y)
float GeluTanh(float x) {
  precise const float y = 0.797884561 * (x + 0.044715 * x * x * x);
  return x / (1.0 + Exp(-2.0 * y));
}

// `activation`: in the order of Activation.
float Activate(uint activation, float x) { return activation == 0 ? Silu(x) : GeluTanh(x); }
