// Elements of a weight, four at a time, out of the words that tiles.h lays out: GGUF's own bits.
//
// A row is read in chunks of 32 elements. Element i of a chunk is q[i] · scale + offset, rounded once, where scale and
// offset belong to its half of the chunk; for types whose values are (q - z) · d the offset is -z · d, exact but
// for its sign, so that the result is rounded as DequantizeRow (engine/device/dequantize.cc) rounds it.
#include "step.glsl"

layout(constant_id = 0) const uint TYPE = 0;

// DType (engine/device/tensor.h), in its order.
const uint F32 = 0, F16 = 1, BF16 = 2, Q4_0 = 3, Q4_1 = 4, Q5_0 = 5, Q5_1 = 6, Q8_0 = 7, IQ4_NL = 8, Q2_K = 9,
           Q3_K = 10, Q4_K = 11, Q5_K = 12, Q6_K = 13, IQ4_XS = 14;

const bool FLOATS = TYPE <= BF16;
const bool LARGE = TYPE >= Q2_K;  // 256 elements in a block
const bool CODEBOOK = TYPE == IQ4_NL || TYPE == IQ4_XS;
// The quanta are signed bytes.
const bool SIGNED = TYPE == Q8_0;
// z of types whose values are (q - z) · d.
const int ZERO = TYPE == Q4_0 ? 8 : TYPE == Q5_0 ? 16 : TYPE == Q3_K ? 4 : TYPE == Q6_K ? 32 : 0;
// Words of a block without the half that tiles.h keeps at the end of the row.
const uint BLOCK_WORDS = TYPE == F32 ? 32 : FLOATS ? 16 : TYPE == Q4_0 || TYPE == IQ4_NL ? 4 : TYPE == Q4_1 ? 5 :
    TYPE == Q5_0 ? 5 : TYPE == Q5_1 ? 6 : TYPE == Q8_0 ? 8 : TYPE == Q2_K ? 21 : TYPE == Q3_K ? 27 : TYPE == Q4_K ? 36 :
    TYPE == Q5_K ? 44 : TYPE == Q6_K ? 52 : 34;
// Whether that half is there: the block's d.
const bool APART = TYPE == Q4_0 || TYPE == Q5_0 || TYPE == Q8_0 || TYPE == IQ4_NL || TYPE == Q3_K || TYPE == Q6_K;

const uint TILE_OUTPUTS = 32;

// A row of a tile: its word w lies at base + w · TILE_OUTPUTS.
struct Row {
  Words words;
  uint base;
  uint apart;  // word of the row at which the halves begin
};

// 32 elements of a row. bits[j] are the bytes of elements 4j … 4j + 3.
struct Chunk {
  uint bits[8];
  float scale[2], offset[2];
};

uint Word(Row row, uint w) { return row.words.v[row.base + w * TILE_OUTPUTS]; }

float ApartHalf(Row row, uint block) {
  const uint word = Word(row, row.apart + (block >> 1));
  return unpackHalf2x16(word >> ((block & 1u) * 16u)).x;
}

uint Byte(uint word, uint i) { return (word >> (8 * i)) & 255u; }

// A nibble's value out of the codebook, as a byte: codebook.h, four values a word.
uint CodebookByte(uint nibble) {
  const uint low = (nibble & 4u) != 0 ? 0xf6eaddcfu : 0xbfad9881u;
  const uint high = (nibble & 4u) != 0 ? 0x71594535u : 0x26190d01u;
  return Byte((nibble & 8u) != 0 ? high : low, nibble & 3u);
}

uint CodebookBytes(uint nibbles) {
  return CodebookByte(nibbles & 15u) | CodebookByte((nibbles >> 8) & 15u) << 8 |
         CodebookByte((nibbles >> 16) & 15u) << 16 | CodebookByte((nibbles >> 24) & 15u) << 24;
}

void SetScales(inout Chunk chunk, float scale, float offset) {
  chunk.scale[0] = chunk.scale[1] = scale;
  chunk.offset[0] = chunk.offset[1] = offset;
}

// Spreads bits 4j … 4j + 3 of `bits` over the bytes of a word, each as bit 4.
uint FifthBits(uint bits, uint j) {
  const uint four = (bits >> (4 * j)) & 15u;
  return (four & 1u) << 4 | (four & 2u) << 11 | (four & 4u) << 18 | (four & 8u) << 25;
}

// Types of 32 elements: `first` is the block's first word.
void LoadSmall(Row row, uint block, uint first, inout Chunk chunk) {
  float d, m = 0;
  uint at = first;
  if (APART) {
    d = ApartHalf(row, block);
  } else {
    const vec2 both = unpackHalf2x16(Word(row, at++));
    d = both.x;
    m = both.y;
  }
  if (TYPE == Q8_0) {
    [[unroll]] for (uint j = 0; j < 8; ++j) chunk.bits[j] = Word(row, at + j);
  } else {
    const bool five = TYPE == Q5_0 || TYPE == Q5_1;
    const uint fifth = five ? Word(row, at++) : 0;
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      const uint word = Word(row, at + j);
      chunk.bits[j] = word & 0x0f0f0f0fu;
      chunk.bits[j + 4] = (word >> 4) & 0x0f0f0f0fu;
    }
    if (five) {
      [[unroll]] for (uint j = 0; j < 8; ++j) chunk.bits[j] |= FifthBits(fifth, j);
    }
  }
  SetScales(chunk, d, TYPE == Q4_0 ? -8 * d : TYPE == Q5_0 ? -16 * d : m);
}

// The two bits at `shift` of each byte.
uint TwoBits(uint word, uint shift) { return (word >> shift) & 0x03030303u; }

void LoadQ2K(Row row, uint first, uint c, inout Chunk chunk) {
  const vec2 d = unpackHalf2x16(Word(row, first + 20));
  const uint scales = Word(row, first + c / 2) >> (16 * (c & 1u));
  [[unroll]] for (uint s = 0; s < 2; ++s) {
    const uint both = Byte(scales, s);
    chunk.scale[s] = d.x * float(both & 15u);
    chunk.offset[s] = -(d.y * float(both >> 4));
  }
  [[unroll]] for (uint j = 0; j < 8; ++j) {
    chunk.bits[j] = TwoBits(Word(row, first + 4 + c / 4 * 8 + j), 2 * (c & 3u));
  }
}

void LoadQ3K(Row row, uint block, uint first, uint c, inout Chunk chunk) {
  const float d = ApartHalf(row, block);
  [[unroll]] for (uint i = 0; i < 2; ++i) {
    const uint s = 2 * c + i;
    const uint low = Byte(Word(row, first + 24 + (s & 7u) / 4), s & 3u) >> (4 * (s / 8)) & 15u;
    const uint high = Byte(Word(row, first + 26), s & 3u) >> (2 * (s / 4)) & 3u;
    chunk.scale[i] = d * float(int(low | high << 4) - 32);
    chunk.offset[i] = -4 * chunk.scale[i];
  }
  [[unroll]] for (uint j = 0; j < 8; ++j) {
    const uint high = (Word(row, first + j) >> c) & 0x01010101u;
    chunk.bits[j] = TwoBits(Word(row, first + 8 + c / 4 * 8 + j), 2 * (c & 3u)) | high << 2;
  }
}

void LoadQ45K(Row row, uint first, uint c, inout Chunk chunk) {
  const vec2 d = unpackHalf2x16(Word(row, first));
  // Six bits each of eight scales and minima in words 1 … 3 (block.cc).
  const uint j = c & 3u;
  const uint a = Byte(Word(row, first + 1), j), b = Byte(Word(row, first + 2), j), e = Byte(Word(row, first + 3), j);
  const uint scale = c < 4 ? a & 63u : (e & 15u) | a >> 6 << 4;
  const uint minimum = c < 4 ? b & 63u : e >> 4 | b >> 6 << 4;
  SetScales(chunk, d.x * float(scale), -(d.y * float(minimum)));
  const uint quanta = first + (TYPE == Q5_K ? 12 : 4) + c / 2 * 8;
  [[unroll]] for (uint i = 0; i < 8; ++i) {
    chunk.bits[i] = (Word(row, quanta + i) >> (4 * (c & 1u))) & 0x0f0f0f0fu;
    if (TYPE == Q5_K) chunk.bits[i] |= ((Word(row, first + 4 + i) >> c) & 0x01010101u) << 4;
  }
}

void LoadQ6K(Row row, uint block, uint first, uint c, inout Chunk chunk) {
  const float d = ApartHalf(row, block);
  const uint scales = Word(row, first + 48 + c / 2) >> (16 * (c & 1u));
  [[unroll]] for (uint i = 0; i < 2; ++i) {
    chunk.scale[i] = d * float(bitfieldExtract(int(scales), int(8 * i), 8));
    chunk.offset[i] = -32 * chunk.scale[i];
  }
  // Chunks 0 … 3 and 4 … 7 share 16 words of low nibbles each: two chunks in the low ones, two in the high ones.
  const uint quanta = first + c / 4 * 16 + (c & 1u) * 8;
  [[unroll]] for (uint j = 0; j < 8; ++j) {
    const uint low = (Word(row, quanta + j) >> (4 * ((c & 3u) / 2))) & 0x0f0f0f0fu;
    chunk.bits[j] = low | TwoBits(Word(row, first + 32 + c / 4 * 8 + j), 2 * (c & 3u)) << 4;
  }
}

void LoadIQ4XS(Row row, uint first, uint c, inout Chunk chunk) {
  const uint head = Word(row, first);
  const float d = unpackHalf2x16(head).x;
  const uint low = (Word(row, first + 1) >> (4 * c)) & 15u, high = (head >> (16 + 2 * c)) & 3u;
  SetScales(chunk, d * float(int(low | high << 4) - 32), 0);
  [[unroll]] for (uint j = 0; j < 4; ++j) {
    const uint word = Word(row, first + 2 + c * 4 + j);
    chunk.bits[j] = word & 0x0f0f0f0fu;
    chunk.bits[j + 4] = (word >> 4) & 0x0f0f0f0fu;
  }
}

// Chunk `c` of a row of quantised elements.
Chunk LoadChunk(Row row, uint c) {
  Chunk chunk;
  const uint block = LARGE ? c / 8 : c, part = LARGE ? c & 7u : 0, first = block * BLOCK_WORDS;
  if (TYPE == Q2_K) LoadQ2K(row, first, part, chunk);
  else if (TYPE == Q3_K) LoadQ3K(row, block, first, part, chunk);
  else if (TYPE == Q4_K || TYPE == Q5_K) LoadQ45K(row, first, part, chunk);
  else if (TYPE == Q6_K) LoadQ6K(row, block, first, part, chunk);
  else if (TYPE == IQ4_XS) LoadIQ4XS(row, first, part, chunk);
  else if (!FLOATS) LoadSmall(row, block, first, chunk);
  if (CODEBOOK) {
    [[unroll]] for (uint j = 0; j < 8; ++j) chunk.bits[j] = CodebookBytes(chunk.bits[j]);
  }
  return chunk;
}

// Elements 4j … 4j + 3 of chunk `c`, which LoadChunk gave.
vec4 Elements(Row row, Chunk chunk, uint c, uint j) {
  if (TYPE == F32) {
    const uint at = 32 * c + 4 * j;
    return vec4(uintBitsToFloat(Word(row, at)), uintBitsToFloat(Word(row, at + 1)), uintBitsToFloat(Word(row, at + 2)),
                uintBitsToFloat(Word(row, at + 3)));
  }
  if (FLOATS) {
    const uint at = 16 * c + 2 * j;
    const uint a = Word(row, at), b = Word(row, at + 1);
    if (TYPE == F16) return vec4(unpackHalf2x16(a), unpackHalf2x16(b));
    return vec4(uintBitsToFloat(a << 16), uintBitsToFloat(a & 0xffff0000u), uintBitsToFloat(b << 16),
                uintBitsToFloat(b & 0xffff0000u));
  }
  const uint bits = chunk.bits[j];
  vec4 q;
  if (SIGNED || CODEBOOK) {
    q = vec4(int(bits << 24) >> 24, int(bits << 16) >> 24, int(bits << 8) >> 24, int(bits) >> 24);
  } else {
    q = vec4(bits & 255u, (bits >> 8) & 255u, (bits >> 16) & 255u, bits >> 24);
  }
  precise const vec4 values = fma(q, vec4(chunk.scale[j / 4]), vec4(chunk.offset[j / 4]));
  return values;
}
