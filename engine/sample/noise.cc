#include "engine/sample/noise.h"

namespace spotinference {
namespace {

// `kLanes` counters at once, word by word: [4][kLanes].
template <int kLanes>
void Philox4x32Lanes(uint32_t (&counter)[4][kLanes], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kLanes; ++i) {
      const uint64_t product0 = uint64_t{0xd2511f53} * counter[0][i];
      const uint64_t product1 = uint64_t{0xcd9e8d57} * counter[2][i];
      counter[0][i] = static_cast<uint32_t>(product1 >> 32) ^ counter[1][i] ^ key0;
      counter[1][i] = static_cast<uint32_t>(product1);
      counter[2][i] = static_cast<uint32_t>(product0 >> 32) ^ counter[3][i] ^ key1;
      counter[3][i] = static_cast<uint32_t>(product0);
    }
    key0 += 0x9e3779b9;
    key1 += 0xbb67ae85;
  }
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  uint32_t lanes[4][1] = {{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}};
  Philox4x32Lanes(lanes, key[0], key[1]);
  return {lanes[0][0], lanes[1][0], lanes[2][0], lanes[3][0]};
}

uint32_t Noise::Bits(uint32_t id) const {
  return Philox4x32({id / 4, position_, choice_, 0},
                    {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)})[id % 4];
}

void Noise::Bits(uint32_t first_id, uint32_t* bits) const {
  constexpr int kLanes = kBlock / 4;
  uint32_t lanes[4][kLanes];
  for (int i = 0; i < kLanes; ++i) {
    lanes[0][i] = first_id / 4 + i;
    lanes[1][i] = position_;
    lanes[2][i] = choice_;
    lanes[3][i] = 0;
  }
  Philox4x32Lanes(lanes, static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32));
  for (int i = 0; i < kLanes; ++i) {
    for (int word = 0; word < 4; ++word) bits[4 * i + word] = lanes[word][i];
  }
}

}  // namespace spotinference
