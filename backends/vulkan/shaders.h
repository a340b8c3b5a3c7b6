// The shaders of shaders/, as SPIR-V.
#ifndef BACKENDS_VULKAN_SHADERS_H_
#define BACKENDS_VULKAN_SHADERS_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace spotinference::vulkan {

enum class Shader : uint8_t {
  kAdd,
  kAttention,
  kAttentionSubgroups,
  kAttentionJoin,
  kEmbed,
  kGate,
  kGatherRows,
  kMatmul,
  kMatmulIntegers,
  kMatmulMatrix,
  kMatmulMatrixEmulated,
  kQuantize,
  kRmsNorm,
  kRmsNormSubgroups,
  kRope,
  kSelect,
  kStoreKv,
  kWeigh,
};
inline constexpr int kShaders = 18;

absl::Span<const uint32_t> SpirV(Shader shader);

// Of all of them: SHA-256, in hex.
std::string ShadersHash();

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_SHADERS_H_
