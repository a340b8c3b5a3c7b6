// What the sampler needs of each part of an output row (engine/device/selection.h): the largest logits, and the largest
// of logit / temperature + noise; with their bounds, so that what is rounded here decides nothing.
//
// The row is dealt out to parts in runs of 32 ids, so that none has all of the likeliest: run r is of part r % parts.
// Orders are those of integers, since a device may take the smallest floats for zero.
//
// Group: 32. Groups: [parts, outputs].
#version 460
#extension GL_GOOGLE_include_directive : require
#include "exp.glsl"
#include "selection.glsl"
#include "step.glsl"

layout(local_size_x = 32) in;

const uint LANES = 32, PER_LANE = 32;  // a lane has eight runs of four ids, LANES apart
const int LOWEST = -0x7fffffff - 1;

layout(push_constant) uniform Push {
  Step step;
  Words rows;             // [outputs, width] floats
  Selections selections;  // [outputs]
  Words allowed;          // [outputs, width / 32] bits
  Words asked;            // [outputs, MOST_ASKED]
  Parts parts;            // [outputs, parts]
  MutableWords answers;   // [outputs, MOST_ASKED]
  uint width;
};

// Of two searches in turn, so that one may begin while lanes look at what the last one found.
shared int lane_keys[2 * LANES];
shared uint lane_ids[2 * LANES];
shared uint found_lane[2];
shared float lane_weights[LANES];

int keys[PER_LANE];  // of the lane's ids; LOWEST: no candidate. Registers: indices are constants, loops unrolled.

int best_key;  // of the lane's largest, and its place; of equals the first
uint best_place;
uint searches = 0;

// Ordered as the floats are; equal where they are.
int Key(uint bits) {
  if ((bits & 0x7f800000u) == 0x7f800000u) return LOWEST;
  const int magnitude = int(bits & 0x7fffffffu);
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}
uint BitsOf(int key) { return key < 0 ? uint(-key) | 0x80000000u : uint(key); }
float OfKey(int key) { return uintBitsToFloat(BitsOf(key)); }

// Of the `place`-th id of a lane.
uint IdOf(uint lane, uint place) {
  const uint at = (place / 4 * LANES + lane) * 4 + place % 4;
  return (at / 32 * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 32 + at % 32;
}

void FindBest() {
  best_key = LOWEST;
  best_place = 0;
  [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
    best_place = keys[i] > best_key ? i : best_place;
    best_key = max(keys[i], best_key);
  }
}

// The lane of the largest key of all, the smallest id of equals; those are `key` and `id`.
uint LaneOfLargest(uint lane, out int key, out uint id) {
  const uint turn = searches++ % 2, first = turn * LANES;
  lane_keys[first + lane] = best_key;
  lane_ids[first + lane] = best_key == LOWEST ? NOWHERE : IdOf(lane, best_place);
  barrier();
  if (lane == 0) {
    uint largest = 0;
    for (uint i = 1; i < LANES; ++i) {
      const int here = lane_keys[first + i], there = lane_keys[first + largest];
      if (here > there || (here == there && lane_ids[first + i] < lane_ids[first + largest])) largest = i;
    }
    found_lane[turn] = largest;
  }
  barrier();
  const uint found = found_lane[turn];
  key = lane_keys[first + found];
  id = lane_ids[first + found];
  return found;
}

// Four words of engine/sample/noise.h.
uvec4 Philox(uvec4 counter, uvec2 key) {
  for (uint round = 0; round < 10; ++round) {
    uint high0, low0, high1, low1;
    umulExtended(0xd2511f53u, counter.x, high0, low0);
    umulExtended(0xcd9e8d57u, counter.z, high1, low1);
    counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
    key += uvec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter;
}

// Noise::GumbelBound: more than the noise of these bits.
float NoiseBound(uint bits) {
  const float half_w = float(int(~bits >> 1)) + 0.25;
  const float log2_w = float(floatBitsToInt(half_w)) * 1.1920928955078125e-07 - 126.0;
  return (32.0 - log2_w) * 0.693147181 + 2e-5;
}

// Makes candidates, from place `first`, of those with the largest keys, which are then out. How many, and the last one's
// key.
uint Take(uint lane, uint at, uint row, uint first, uint most, out int last) {
  last = 0;
  for (uint count = 0; count < most; ++count) {
    int key;
    uint id;
    const uint winner = LaneOfLargest(lane, key, id);
    if (key == LOWEST) return count;
    last = key;
    if (lane != winner) continue;
    parts.v[at].ids[first + count] = id;
    parts.v[at].logits[first + count] = rows.v[row + id];
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) keys[i] = i == best_place ? LOWEST : keys[i];
    FindBest();
  }
  return most;
}

void main() {
  const uint lane = gl_LocalInvocationID.x, part = gl_WorkGroupID.x, o = gl_WorkGroupID.y;
  if (o >= step.rows[1]) return;
  const Selection selection = selections.v[o];
  if (selection.kind == ALL || selection.kind == LIKELIER) return;
  const uint row = o * width, group_lanes = gl_NumWorkGroups.x * LANES;
  for (uint i = part * LANES + lane; i < selection.asked; i += group_lanes) {
    answers.v[o * MOST_ASKED + i] = rows.v[row + asked.v[o * MOST_ASKED + i]];
  }
  const uint mask_words = (width + 31) / 32;
  const int least = Key(selection.least), tied = Key(selection.tied);
  [[unroll]] for (uint i = 0; i < PER_LANE; i += 4) {
    const uint first = IdOf(lane, i);
    const bool masked = selection.masked != 0 && first < width;
    const uint mask = masked ? allowed.v[o * mask_words + first / 32] >> (first % 32) : 15;
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      keys[i + j] = LOWEST;
      if (first + j < width && (mask >> j & 1) != 0) {
        const int key = Key(rows.v[row + first + j]);
        const bool out_of_it = key < least || (key == tied && first + j >= selection.tied_id);
        keys[i + j] = out_of_it ? LOWEST : key;
      }
    }
  }
  FindBest();
  int key;
  uint id;
  LaneOfLargest(lane, key, id);
  const uint at = o * gl_NumWorkGroups.x + part;
  if (lane == 0) {
    parts.v[at].top = 0;
    parts.v[at].noisy = 0;
    parts.v[at].largest_id = id;
    if (key != LOWEST) parts.v[at].largest = BitsOf(key);
  }
  if (key == LOWEST) return;
  const float largest = OfKey(key);
  if (selection.kind == LARGEST) return;

  if (selection.kind == TOP) {
    float weight = 0;
    [[unroll]] for (uint i = 0; i < PER_LANE; ++i) {
      if (keys[i] != LOWEST) weight += Exp((OfKey(keys[i]) - largest) * selection.inverse_temperature);
    }
    lane_weights[lane] = weight;
    barrier();
    const uint top = Take(lane, at, row, 0, MOST_TOP, key);
    if (lane == 0) {
      for (uint i = 1; i < LANES; ++i) weight += lane_weights[i];
      parts.v[at].weight = weight;
      parts.v[at].top = top;
      parts.v[at].last_logit = BitsOf(key);
    }
  }
  [[unroll]] for (uint i = 0; i < PER_LANE; i += 4) {
    const uvec4 bits = Philox(uvec4(IdOf(lane, i) / 4, selection.position, selection.choice, 0),
                              uvec2(selection.seed[0], selection.seed[1]));
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      const float z = (OfKey(keys[i + j]) - largest) * selection.inverse_temperature;
      keys[i + j] = keys[i + j] == LOWEST ? LOWEST : Key(floatBitsToUint(z + NoiseBound(bits[j])));
    }
  }
  FindBest();
  const uint noisy = Take(lane, at, row, MOST_TOP, MOST_NOISY, key);
  if (lane == 0) {
    parts.v[at].noisy = noisy;
    parts.v[at].last_score = BitsOf(key);
  }
}
