// What every shader sees of a step; written by the host (step_buffer.h), read through pointers, so that a recorded
// command buffer holds nothing that changes from step to step.
#ifndef STEP_GLSL
#define STEP_GLSL
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Ints { int v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer MutableWords { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Pairs { vec2 v[]; };

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Step {
  uint rows[2];  // tokens, outputs
  uint blocks_per_sequence;
  uint unused;
  Ints token_ids;     // [tokens]
  Ints positions;     // [tokens]
  Ints sequences;     // [tokens]
  Ints output_rows;   // [outputs]
  Ints block_tables;  // [sequences, blocks_per_sequence]
};

// Block that holds `position` of the sequence of token `t`.
int BlockOf(Step step, uint t, int position) {
  return step.block_tables.v[step.sequences.v[t] * int(step.blocks_per_sequence) + position / 16];
}
#endif
