// Compiled shaders, each once a choice of constants.
#ifndef BACKENDS_VULKAN_PIPELINES_H_
#define BACKENDS_VULKAN_PIPELINES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/vulkan/gpu.h"
#include "backends/vulkan/shaders.h"

namespace spotinference::vulkan {

// Of every shader: what Vulkan promises every device to have.
inline constexpr uint32_t kPushBytes = 128;

// Thread-compatible. Goes before the Gpu.
class Pipelines {
 public:
  static absl::StatusOr<std::unique_ptr<Pipelines>> Create(Gpu& gpu);
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  // One layout for all: push constants, and no descriptors, since all memory is reached by address.
  VkPipelineLayout layout() const { return layout_; }

  // `constants`: of constant_id 0, 1, …
  absl::StatusOr<VkPipeline> Get(Shader shader, absl::Span<const uint32_t> constants);

 private:
  explicit Pipelines(Gpu& gpu) : gpu_(gpu) {}

  absl::StatusOr<VkPipeline> Make(Shader shader, absl::Span<const uint32_t> constants);

  Gpu& gpu_;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  std::map<std::pair<Shader, std::vector<uint32_t>>, VkPipeline> pipelines_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_PIPELINES_H_
