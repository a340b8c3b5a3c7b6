// out = softmax(scale · a · Kᵀ) · V over the positions that the token sees
//
// A group has one head of one token. It takes the positions in pieces of 32 that begin at multiples of 32, so that a row
// does not depend on how its tokens came: a lane has a position's score, then HEAD_WORDS / 32 pairs of elements of the sum
// over the piece's values, in ascending order. Pieces are joined by the running maximum.
//
// Group: 32. Groups: [heads, tokens].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "exp.glsl"
#include "step.glsl"

layout(constant_id = 0) const uint HEAD_WORDS = 32;  // head_dim / 2
layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Pairs a;      // [tokens, heads, HEAD_WORDS]
  Floats out_;  // the same in floats
  Words kv;     // kv.h
  uint kv_heads;
  uint window;  // 0: none
  float scale;
};

const uint LANES = 32;
const uint PER_LANE = (HEAD_WORDS + LANES - 1) / LANES;

shared float scores[LANES];
shared float weights[LANES];

void main() {
  const uint head = gl_WorkGroupID.x, t = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
  if (t >= step.rows[0]) return;
  const uint kv_head = head / (gl_NumWorkGroups.x / kv_heads);
  const uint page_words = kv_heads * HEAD_WORDS * 32, in_page = kv_head * HEAD_WORDS * 16;
  const uint query = (t * gl_NumWorkGroups.x + head) * HEAD_WORDS;
  const int last = step.positions.v[t];
  const int first = window > 0 ? max(0, last + 1 - int(window)) : 0;

  const float none = uintBitsToFloat(0xff800000u);
  precise float largest = none, total = 0;
  precise vec2 sums[PER_LANE];
  [[unroll]] for (uint i = 0; i < PER_LANE; ++i) sums[i] = vec2(0);

  for (int begin = first / 32 * 32; begin <= last; begin += 32) {
    const int position = begin + int(lane);
    const bool seen = position >= first && position <= last;
    precise float score = none;
    if (seen) {
      const uint keys = uint(BlockOf(step, t, position)) * page_words + in_page + uint(position) % 16;
      precise float sum = 0;
      for (uint w = 0; w < HEAD_WORDS; ++w) {
        const vec2 q = a.v[query + w], k = unpackHalf2x16(kv.v[keys + w * 16]);
        sum = fma(q.x, k.x, sum);
        sum = fma(q.y, k.y, sum);
      }
      score = sum * scale;
    }
    scores[lane] = score;
    barrier();
    float piece_largest = largest;
    for (uint i = 0; i < LANES; ++i) piece_largest = max(piece_largest, scores[i]);
    weights[lane] = seen ? Exp(score - piece_largest) : 0;
    const float shrink = largest == none ? 0 : Exp(largest - piece_largest);
    barrier();
    total *= shrink;
    for (uint i = 0; i < LANES; ++i) total += weights[i];
    largest = piece_largest;
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) sums[i] *= shrink;
    const int from = max(first, begin), to = min(last, begin + 31);
    for (int p = from; p <= to; ++p) {
      const float weight = weights[p - begin];
      const uint values = uint(BlockOf(step, t, p)) * page_words + page_words / 2 + in_page + uint(p) % 16 * HEAD_WORDS;
      [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
        const uint w = lane + i * LANES;
        if (w >= HEAD_WORDS) continue;
        const vec2 v = unpackHalf2x16(kv.v[values + w]);
        sums[i].x = fma(weight, v.x, sums[i].x);
        sums[i].y = fma(weight, v.y, sums[i].y);
      }
    }
  }
  [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
    const uint w = lane + i * LANES;
    if (w >= HEAD_WORDS) continue;
    out_.v[(query + w) * 2] = sums[i].x / total;
    out_.v[(query + w) * 2 + 1] = sums[i].y / total;
  }
}
