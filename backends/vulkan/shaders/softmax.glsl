// Softmax over ranges of positions, and how ranges are joined: in ascending order, here or there to the same bits.
//
// Of a range: the largest score, the total of the weights e^(score − largest), and the sums of the values so weighted.
#include "exp.glsl"

const int RANGE = 256;  // positions
#define NONE uintBitsToFloat(0xff800000u)  // -infinity, which GLSL has no constant for

struct Joint {
  float largest, total;
  float keep, add;  // what the sums of the one and of the other count
};

// What was joined so far, NONE and 0 at first, and one more range.
Joint Join(float largest, float total, float range_largest, float range_total) {
  Joint joint;
  joint.largest = max(largest, range_largest);
  joint.keep = largest == NONE ? 0 : Exp(largest - joint.largest);
  joint.add = Exp(range_largest - joint.largest);
  joint.total = total * joint.keep + range_total * joint.add;
  return joint;
}

vec2 JoinSums(Joint joint, vec2 sums, vec2 range_sums) { return sums * joint.keep + range_sums * joint.add; }
