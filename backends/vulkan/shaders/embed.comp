// out[t] = scale · weight[token_ids[t]]
//
// An invocation has four elements. Group: 32. Groups: [columns / 128, tokens].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "dequantize.glsl"

layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Words weight;
  Floats out_;  // [tokens, columns]
  float scale;
  uint columns;
  uint row_words;
  uint apart;
};

void main() {
  const uint t = gl_WorkGroupID.y, at = gl_GlobalInvocationID.x * 4;
  if (t >= step.rows[0] || at >= columns) return;
  const uint o = uint(step.token_ids.v[t]), c = at / 32;
  Row row = Row(weight, o / TILE_OUTPUTS * row_words * TILE_OUTPUTS + o % TILE_OUTPUTS, apart);
  const Chunk chunk = LoadChunk(row, c);
  vec4 values;
  [[unroll]] for (uint j = 0; j < 8; ++j) {
    if (j == at / 4 % 8) values = Elements(row, chunk, c, j);
  }
  [[unroll]] for (uint i = 0; i < 4; ++i) out_.v[t * columns + at + i] = values[i] * scale;
}
