// out = softmax(scale · a · Kᵀ) · V over the positions that the token sees
//
// A group has GROUP heads of one token, which share a key head and so each load of the cache. It takes the positions in
// ranges of RANGE that begin at multiples of it, and a range in pieces of 64, so that a row does not depend on how its tokens
// came. First a lane has two positions of a piece, 32 apart, and their scores; then, of the sum over the piece's values in
// ascending order, words lane, lane + 32, …. Pieces are joined by the running maximum; a lane keeps the total weight of its
// own positions, and the totals are added up at the end of a range in ascending order. Ranges are joined in ascending order
// (softmax.glsl): here, or, where a group has one range alone, by attention_join.comp, to the same bits. SUBGROUPS: maxima
// and totals are taken over the lanes as subgroup.glsl has it.
//
// Group: 32. Groups: [heads / GROUP, tokens, max(1, ranges)].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "softmax.glsl"
#include "step.glsl"
#ifdef SUBGROUPS
#include "subgroup.glsl"
#endif

layout(constant_id = 0) const uint HEAD_WORDS = 32;  // head_dim / 2
layout(constant_id = 1) const uint GROUP = 1;
layout(local_size_x = 32) in;

layout(push_constant) uniform Push {
  Step step;
  Pairs a;      // [tokens, heads, HEAD_WORDS]
  Floats out_;  // the same in floats; with ranges, [tokens, heads, ranges, 2 + 2 · HEAD_WORDS]: softmax.glsl
  Words kv;     // buffers.h
  uint heads;
  uint kv_heads;
  uint window;  // 0: none
  float scale;
  uint ranges;  // that tokens may have, a group each; 0: a group has all
};

const uint LANES = 32;
const uint PER_LANE = (HEAD_WORDS + LANES - 1) / LANES;
const int PIECE = 64;

#ifndef SUBGROUPS
shared float lane_values[GROUP * LANES];
#endif
shared float weights[GROUP * PIECE];

// Of the range at hand.
float largest[GROUP], total[GROUP];
vec2 sums[GROUP * PER_LANE];

// Of positions first … last, those of the piece from `begin`.
void AddPiece(int begin, int first, int last, uint lane, uint query, uint table, uint page_words, uint in_page) {
  Ints tables = step.block_tables;
  bool seen[2];
  uint keys[2];
  float scores[2 * GROUP];
  [[unroll]] for (uint i = 0; i < 2; ++i) {
    const int position = begin + int(i * LANES + lane);
    seen[i] = position >= first && position <= last;
    const uint p = uint(clamp(position, first, last));  // the score of one that is not seen is of no use, but is one
    keys[i] = uint(tables.v[table + p / 16]) * page_words + in_page + p % 16;
    [[unroll]] for (uint g = 0; g < GROUP; ++g) scores[i * GROUP + g] = 0;
  }
  for (uint w = 0; w < HEAD_WORDS; ++w) {
    const vec2 k0 = unpackHalf2x16(kv.v[keys[0] + w * 16]), k1 = unpackHalf2x16(kv.v[keys[1] + w * 16]);
    [[unroll]] for (uint g = 0; g < GROUP; ++g) {
      const vec2 q = a.v[query + g * HEAD_WORDS + w];
      scores[g] = fma(q.x, k0.x, scores[g]);
      scores[GROUP + g] = fma(q.x, k1.x, scores[GROUP + g]);
      scores[g] = fma(q.y, k0.y, scores[g]);
      scores[GROUP + g] = fma(q.y, k1.y, scores[GROUP + g]);
    }
  }
  [[unroll]] for (uint g = 0; g < GROUP; ++g) {
    [[unroll]] for (uint i = 0; i < 2; ++i) scores[i * GROUP + g] = seen[i] ? scores[i * GROUP + g] * scale : NONE;
#ifndef SUBGROUPS
    lane_values[g * LANES + lane] = max(scores[g], scores[GROUP + g]);
#endif
  }
  barrier();
  [[unroll]] for (uint g = 0; g < GROUP; ++g) {
    float piece_largest = largest[g];
#ifdef SUBGROUPS
    piece_largest = max(piece_largest, GroupMax(max(scores[g], scores[GROUP + g])));
#else
    for (uint i = 0; i < LANES; ++i) piece_largest = max(piece_largest, lane_values[g * LANES + i]);
#endif
    const float shrink = largest[g] == NONE ? 0 : Exp(largest[g] - piece_largest);
    largest[g] = piece_largest;
    total[g] *= shrink;
    [[unroll]] for (uint i = 0; i < 2; ++i) {
      const float weight = seen[i] ? Exp(scores[i * GROUP + g] - piece_largest) : 0;
      weights[g * PIECE + i * LANES + lane] = weight;
      total[g] += weight;
    }
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) sums[g * PER_LANE + i] *= shrink;
  }
  barrier();
  const int end = min(last + 1, begin + PIECE);
  for (int from = max(first, begin); from < end;) {
    const uint page = uint(tables.v[table + uint(from) / 16]) * page_words + page_words / 2 + in_page;
    const int to = min(end, (from / 16 + 1) * 16);
    for (; from < to; ++from) {
      const uint values = page + uint(from) % 16 * HEAD_WORDS;
      [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
        // Past the head the last word is read once more, and not written.
        const vec2 v = unpackHalf2x16(kv.v[values + min(lane + i * LANES, HEAD_WORDS - 1)]);
        [[unroll]] for (uint g = 0; g < GROUP; ++g) {
          const float weight = weights[g * PIECE + from - begin];
          sums[g * PER_LANE + i].x = fma(weight, v.x, sums[g * PER_LANE + i].x);
          sums[g * PER_LANE + i].y = fma(weight, v.y, sums[g * PER_LANE + i].y);
        }
      }
    }
  }
}

void main() {
  const uint lane = gl_LocalInvocationID.x, t = gl_WorkGroupID.y;
  const uint first_head = gl_WorkGroupID.x * GROUP;
  if (t >= step.rows[0]) return;
  const uint kv_head = first_head / (heads / kv_heads);
  const uint page_words = kv_heads * HEAD_WORDS * 32, in_page = kv_head * HEAD_WORDS * 16;
  const uint query = (t * heads + first_head) * HEAD_WORDS;
  const int last = step.positions.v[t];
  const int first = window > 0 ? max(0, last + 1 - int(window)) : 0;
  const uint table = uint(step.sequences.v[t]) * step.blocks_per_sequence;
  int range = first / RANGE, ranges_end = last / RANGE + 1;
  if (ranges > 0) {
    const int only = int(gl_WorkGroupID.z);
    if (only < range || only >= ranges_end) return;
    range = only;
    ranges_end = only + 1;
  }

  float joined_largest[GROUP], joined_total[GROUP];
  vec2 joined_sums[GROUP * PER_LANE];
  [[unroll]] for (uint g = 0; g < GROUP; ++g) {
    joined_largest[g] = NONE;
    joined_total[g] = 0;
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) joined_sums[g * PER_LANE + i] = vec2(0);
  }
  for (; range < ranges_end; ++range) {
    [[unroll]] for (uint g = 0; g < GROUP; ++g) {
      largest[g] = NONE;
      total[g] = 0;
      [[unroll]] for (uint i = 0; i < PER_LANE; ++i) sums[g * PER_LANE + i] = vec2(0);
    }
    const int end = min(last, range * RANGE + RANGE - 1);
    for (int begin = max(first / PIECE * PIECE, range * RANGE); begin <= end; begin += PIECE) {
      AddPiece(begin, first, last, lane, query, table, page_words, in_page);
    }
#ifndef SUBGROUPS
    [[unroll]] for (uint g = 0; g < GROUP; ++g) lane_values[g * LANES + lane] = total[g];
    barrier();
#endif
    [[unroll]] for (uint g = 0; g < GROUP; ++g) {
#ifdef SUBGROUPS
      total[g] = GroupSum(total[g]);
#else
      total[g] = 0;
      for (uint i = 0; i < LANES; ++i) total[g] += lane_values[g * LANES + i];
#endif
      if (ranges > 0) continue;
      const Joint joint = Join(joined_largest[g], joined_total[g], largest[g], total[g]);
      joined_largest[g] = joint.largest;
      joined_total[g] = joint.total;
      [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
        const uint s = g * PER_LANE + i;
        joined_sums[s] = JoinSums(joint, joined_sums[s], sums[s]);
      }
    }
    barrier();
  }
  [[unroll]] for (uint g = 0; g < GROUP; ++g) {
    const uint part = ranges > 0 ? ((t * heads + first_head + g) * ranges + range - 1) * (2 + 2 * HEAD_WORDS) : 0;
    if (ranges > 0 && lane == 0) {
      out_.v[part] = largest[g];
      out_.v[part + 1] = total[g];
    }
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
      const uint w = lane + i * LANES;
      if (w >= HEAD_WORDS) continue;
      const uint s = g * PER_LANE + i;
      const uint at = ranges > 0 ? part + 2 + 2 * w : (query + g * HEAD_WORDS + w) * 2;
      const vec2 value = ranges > 0 ? sums[s] : joined_sums[s] / joined_total[g];
      out_.v[at] = value.x;
      out_.v[at + 1] = value.y;
    }
  }
}
