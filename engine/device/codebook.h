// The 16 values that the quanta of IQ4_NL and IQ4_XS stand for.
#ifndef ENGINE_DEVICE_CODEBOOK_H_
#define ENGINE_DEVICE_CODEBOOK_H_

#include <cstdint>

namespace spotinference {

inline constexpr int8_t kCodebook4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace spotinference

#endif  // ENGINE_DEVICE_CODEBOOK_H_
