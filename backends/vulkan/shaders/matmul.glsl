// What the shaders of a matmul share: what they are told, whose outputs a group has, and what becomes of a sum.
#include "activation.glsl"
#include "chunks.glsl"
#include "dequantize.glsl"

layout(constant_id = 1) const uint ROWS = 1;
layout(constant_id = 2) const uint OUTPUTS = 2;
layout(constant_id = 4) const bool GATED = false;
layout(constant_id = 5) const uint ACTIVATION = 0;  // of the gate

layout(push_constant) uniform Push {
  Step step;
#ifdef INTEGERS
  Chunks x;          // [rows, columns / 32]
#else
  Quads x;           // [rows, columns]
#endif
  Words weights[3];
  Floats outs[3];    // [rows, outputs] of each weight; of one weight, [1] is what is added
  Floats biases[3];  // [outputs]
  uint outputs[3];   // of each weight; 0: there is none
  uint flags;        // bit i: weight i has a bias; bit 3: something is added
  uint domain;       // of the rows: index into Step::rows
  uint columns;
  uint row_words;    // of a weight, with halves apart
  uint apart;        // Row::apart
};

// Of one of the weights, those from `first` on; past the last one the last one is read once more, and nothing written.
struct Tiles {
  uint weight, first, count;
};

// Of a group, by its number along x.
Tiles TilesOf(uint group) {
  const uint wide = GATED ? OUTPUTS / 2 : OUTPUTS;
  Tiles tiles = Tiles(0, group * wide, 0);
  if (!GATED) {
    [[unroll]] for (uint i = 0; i < 2; ++i) {
      const uint before = ((outputs[i] + 31) / 32 + wide - 1) / wide * wide;
      if (tiles.weight != i || tiles.first < before) continue;
      tiles.first -= before;
      tiles.weight = i + 1;
    }
  }
  tiles.count = (outputs[tiles.weight] + 31) / 32;
  return tiles;
}

// The k-th of OUTPUTS: GATED, the two weights take turns.
uint TileOf(Tiles tiles, uint k) { return tiles.first + (GATED ? k / 2 : k); }

Row RowOf(Tiles tiles, uint k, uint lane) {
  const uint tile = min(TileOf(tiles, k), tiles.count - 1);
  return Row(weights[GATED ? k % 2 : tiles.weight], tile * row_words * TILE_OUTPUTS + lane, apart);
}

// The sum of `lane` of the k-th tile, and, GATED, of the next one.
void Write(Tiles tiles, uint k, uint lane, uint row, float one, float other) {
  const uint weight = tiles.weight, o = TileOf(tiles, k) * TILE_OUTPUTS + lane;
  if (o >= outputs[weight]) return;
  const uint at = row * outputs[weight] + o;
  precise float sum = one + ((flags & (1u << weight)) != 0 ? biases[weight].v[o] : 0);
  if (GATED) {
    precise const float factor = other + ((flags & 2u) != 0 ? biases[1].v[o] : 0);
    sum = Activate(ACTIVATION, sum) * factor;
  } else if ((flags & 8u) != 0) {
    sum += outs[1].v[at];
  }
  outs[weight].v[at] = sum;
}
