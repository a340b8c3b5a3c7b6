// Turns pairs of each head by the token's position, in place. The angles are the host's (step_buffer.h): they need more
// than a float.
//
// Two tensors, query and key, or one. An invocation has a pair. Group: 32. Groups: [heads of both · pairs / 32,
// tokens].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "step.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Floats both[2];  // [tokens, heads, head_dim]
  Pairs turns;     // [tokens, pairs] cosine and sine
  uint heads[2];   // 0 of the second: there is none
  uint head_dim;
  uint pairs;
  uint interleaved;
};

void main() {
  const uint t = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x;
  if (t >= step.rows[0] || i >= (heads[0] + heads[1]) * pairs) return;
  const uint pair = i % pairs, h = i / pairs;
  const bool second_tensor = h >= heads[0];
  Floats a = both[0];
  if (second_tensor) a = both[1];
  const uint head = (second_tensor ? t * heads[1] + h - heads[0] : t * heads[0] + h) * head_dim;
  const uint first = head + (interleaved != 0 ? 2 * pair : pair);
  const uint second = interleaved != 0 ? first + 1 : first + pairs;
  const vec2 turn = turns.v[t * pairs + pair];
  const float p = a.v[first], q = a.v[second];
  precise const float turned_p = p * turn.x - q * turn.y;
  precise const float turned_q = p * turn.y + q * turn.x;
  a.v[first] = turned_p;
  a.v[second] = turned_q;
}
