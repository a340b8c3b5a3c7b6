// Compiled shaders, each once a choice of constants.
#ifndef BACKENDS_VULKAN_PIPELINES_H_
#define BACKENDS_VULKAN_PIPELINES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/vulkan/gpu.h"
#include "backends/vulkan/pipeline_cache.h"
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

  PipelineCache& cache() { return *cache_; }

  // A shader and its constants, of constant_id 0, 1, …
  using Key = std::pair<Shader, std::vector<uint32_t>>;

  // Makes what of `keys` there is not yet, on all of the process's threads, since many drivers compile here.
  absl::Status Prepare(const std::set<Key>& keys);

  absl::StatusOr<VkPipeline> Get(const Key& key);

 private:
  explicit Pipelines(Gpu& gpu) : gpu_(gpu) {}

  absl::StatusOr<VkPipeline> Make(const Key& key);  // from any thread

  Gpu& gpu_;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  std::unique_ptr<PipelineCache> cache_;
  std::map<Key, VkPipeline> pipelines_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_PIPELINES_H_
