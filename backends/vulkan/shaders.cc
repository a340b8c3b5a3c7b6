#include "backends/vulkan/shaders.h"

#include "engine/base/sha256.h"

namespace spotinference::vulkan {
namespace {

constexpr uint32_t kAdd[] = {
#include "backends/vulkan/shaders/add.spv.inc"
};
constexpr uint32_t kAttention[] = {
#include "backends/vulkan/shaders/attention.spv.inc"
};
constexpr uint32_t kAttentionSubgroups[] = {
#include "backends/vulkan/shaders/attention_subgroups.spv.inc"
};
constexpr uint32_t kAttentionJoin[] = {
#include "backends/vulkan/shaders/attention_join.spv.inc"
};
constexpr uint32_t kEmbed[] = {
#include "backends/vulkan/shaders/embed.spv.inc"
};
constexpr uint32_t kGate[] = {
#include "backends/vulkan/shaders/gate.spv.inc"
};
constexpr uint32_t kGatherRows[] = {
#include "backends/vulkan/shaders/gather_rows.spv.inc"
};
constexpr uint32_t kMatmul[] = {
#include "backends/vulkan/shaders/matmul.spv.inc"
};
constexpr uint32_t kMatmulIntegers[] = {
#include "backends/vulkan/shaders/matmul_integers.spv.inc"
};
constexpr uint32_t kMatmulMatrix[] = {
#include "backends/vulkan/shaders/matmul_matrix.spv.inc"
};
constexpr uint32_t kMatmulMatrixEmulated[] = {
#include "backends/vulkan/shaders/matmul_matrix_emulated.spv.inc"
};
constexpr uint32_t kQuantize[] = {
#include "backends/vulkan/shaders/quantize.spv.inc"
};
constexpr uint32_t kRmsNorm[] = {
#include "backends/vulkan/shaders/rms_norm.spv.inc"
};
constexpr uint32_t kRmsNormSubgroups[] = {
#include "backends/vulkan/shaders/rms_norm_subgroups.spv.inc"
};
constexpr uint32_t kRope[] = {
#include "backends/vulkan/shaders/rope.spv.inc"
};
constexpr uint32_t kSelect[] = {
#include "backends/vulkan/shaders/select.spv.inc"
};
constexpr uint32_t kStoreKv[] = {
#include "backends/vulkan/shaders/store_kv.spv.inc"
};
constexpr uint32_t kWeigh[] = {
#include "backends/vulkan/shaders/weigh.spv.inc"
};

}  // namespace

absl::Span<const uint32_t> SpirV(Shader shader) {
  switch (shader) {
    case Shader::kAdd:
      return kAdd;
    case Shader::kAttention:
      return kAttention;
    case Shader::kAttentionSubgroups:
      return kAttentionSubgroups;
    case Shader::kAttentionJoin:
      return kAttentionJoin;
    case Shader::kEmbed:
      return kEmbed;
    case Shader::kGate:
      return kGate;
    case Shader::kGatherRows:
      return kGatherRows;
    case Shader::kMatmul:
      return kMatmul;
    case Shader::kMatmulIntegers:
      return kMatmulIntegers;
    case Shader::kMatmulMatrix:
      return kMatmulMatrix;
    case Shader::kMatmulMatrixEmulated:
      return kMatmulMatrixEmulated;
    case Shader::kQuantize:
      return kQuantize;
    case Shader::kRmsNorm:
      return kRmsNorm;
    case Shader::kRmsNormSubgroups:
      return kRmsNormSubgroups;
    case Shader::kRope:
      return kRope;
    case Shader::kSelect:
      return kSelect;
    case Shader::kStoreKv:
      return kStoreKv;
    case Shader::kWeigh:
      return kWeigh;
  }
  return {};
}

std::string ShadersHash() {
  Sha256 hash;
  for (int i = 0; i < kShaders; ++i) {
    const absl::Span<const uint32_t> words = SpirV(static_cast<Shader>(i));
    hash.Update(words.data(), words.size() * sizeof(uint32_t));
  }
  return hash.Hex();
}

}  // namespace spotinference::vulkan
