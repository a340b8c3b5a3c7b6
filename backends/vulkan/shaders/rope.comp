// Turns pairs of each head by the token's position, in place. The angles are the host's (step_buffer.h): they need more
// than a float.
//
// An invocation has a pair. Group: 32. Groups: [heads · pairs / 32, tokens].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats a;     // [tokens, heads, head_dim]
  Pairs turns;  // [tokens, pairs] cosine and sine
  uint heads;
  uint head_dim;
  uint pairs;
  uint interleaved;
};

void main() {
  const uint t = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x;
  if (t >= step.rows[0] || i >= heads * pairs) return;
  const uint pair = i % pairs, head = (t * heads + i / pairs) * head_dim;
  const uint first = head + (interleaved != 0 ? 2 * pair : pair);
  const uint second = interleaved != 0 ? first + 1 : first + pairs;
  const vec2 turn = turns.v[t * pairs + pair];
  const float p = a.v[first], q = a.v[second];
  precise const float turned_p = p * turn.x - q * turn.y;
  precise const float turned_q = p * turn.y + q * turn.x;
  a.v[first] = turned_p;
  a.v[second] = turned_q;
}
