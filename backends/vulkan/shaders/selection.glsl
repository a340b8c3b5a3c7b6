// What is wanted of output rows, and what was found (selection_buffer.cc).
#ifndef SELECTION_GLSL
#define SELECTION_GLSL
#extension GL_EXT_buffer_reference : require

const uint MOST_TOP = 16, MOST_NOISY = 4, MOST = MOST_TOP + MOST_NOISY;  // candidates of a part
const uint MOST_ASKED = 2048, MOST_BOUNDS = 16;
const uint ALL = 0, LARGEST = 1, TOP = 2, NOISY = 3, LIKELIER = 4;  // Selection::Kind
const uint NOWHERE = 0xffffffffu;

struct Selection {
  uint kind;
  float inverse_temperature;
  uint seed[2];
  uint choice, position;
  uint masked;  // whether allowed ids count
  uint asked;   // how many
  uint least, tied;  // the bits of logits
  uint tied_id;
  float largest;
  uint bounds;  // how many
};
struct Part {
  uint top, noisy;  // candidates
  uint largest_id;  // NOWHERE: there is none
  uint largest;     // the bits of its logit
  float weight;     // Σ e^((logit − largest) / temperature)
  uint last_logit;  // the bits of the last top candidate's
  uint last_score;  // the bits of the last noisy candidate's (logit − largest) / temperature + noise
  uint ids[MOST];   // the noisy ones from MOST_TOP
  uint logits[MOST];
};
struct Bound {
  float z;
  uint id;
};
struct Sum {
  uint count, low_half, high_half;  // of the weight: 20 bits, and what is above them
};
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Selections { Selection v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer Parts { Part v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Bounds { Bound v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer Sums { Sum v[]; };
#endif
