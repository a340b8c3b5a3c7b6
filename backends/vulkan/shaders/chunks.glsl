// The input of a matmul in integers: of each 32 values eight words of int8, four a word; then d, which they count, and the sum of
// each half of them.
#ifndef CHUNKS_GLSL
#define CHUNKS_GLSL
#extension GL_EXT_buffer_reference : require

layout(buffer_reference, std430, buffer_reference_align = 16) buffer Chunks { uvec4 v[]; };  // three a chunk
#endif
