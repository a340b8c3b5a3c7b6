// Noise without state: a pure function of (seed, choice, position, id), the same bits on every
// machine.
//
// To add standard Gumbel noise to each scaled logit and take the largest is to sample from their
// softmax (Gumbel-max). The random bits are Philox4x32-10 (Salmon et al., "Parallel random numbers:
// as easy as 1, 2, 3", SC11), a counter-based generator: key = seed, counter = (id / 4, position,
// choice, 0), and id % 4 picks one of its four words.
#ifndef ENGINE_SAMPLE_NOISE_H_
#define ENGINE_SAMPLE_NOISE_H_

#include <array>
#include <bit>
#include <cstdint>

#include "engine/sample/exp_log.h"

namespace spotinference {

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The noise of all ids at one place of one answer.
class Noise {
 public:
  // `position`: index in the answer, from 0.
  Noise(uint64_t seed, uint32_t choice, uint32_t position)
      : seed_(seed), choice_(choice), position_(position) {}

  // The uniform bits of one id, or of kBlock ids from `first_id`, a multiple of four.
  static constexpr uint32_t kBlock = 128;
  uint32_t Bits(uint32_t id) const;
  void Bits(uint32_t first_id, uint32_t* bits /* [kBlock] */) const;

  // Gumbel noise of uniform bits: -log(-log(u)), u = (bits + 1/2) / 2^32. From -log(33 ln2) = -3.13
  // to 33 ln2 = 22.874.
  static double Gumbel(uint32_t bits) { return -Log(-Log((bits + 0.5) * 0x1p-32)); }
  static constexpr float kMaxGumbel = 22.88f;

  // More than Gumbel(bits) by at least 1e-5, so that a caller may go on in float. Cheap, and free
  // of branches.
  static float GumbelBound(uint32_t bits);

 private:
  uint64_t seed_;
  uint32_t choice_;
  uint32_t position_;
};

// From -log(u) >= 1 - u = w / 2^32, w = 2^32 - bits - 1/2: Gumbel(bits) <= ln2 (32 - log2(w)). A
// float's bits, read as an integer, are its log2 with straight lines between the powers of two,
// never above log2 itself. w is halved to fit in an int32. The rounding here is below 1e-5; 2e-5
// are added.
inline float Noise::GumbelBound(uint32_t bits) {
  const float half_w = static_cast<float>(static_cast<int32_t>(~bits >> 1)) + 0.25f;
  const float log2_w = static_cast<float>(std::bit_cast<int32_t>(half_w)) * 0x1p-23f - (127 - 1);
  return (32 - log2_w) * 0.693147181f + 2e-5f;
}

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_NOISE_H_
