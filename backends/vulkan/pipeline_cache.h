// What a device's driver has compiled: its VkPipelineCache, kept in a CompileCache from boot to boot, and a count of
// what it had to compile all the same.
//
// Where what is kept is another device's, driver's or build's, it is a miss: the CompileCache is made for one device,
// driver and build, the part is named by the shaders' hash, and the driver's own header is looked at before the
// driver is.
#ifndef BACKENDS_VULKAN_PIPELINE_CACHE_H_
#define BACKENDS_VULKAN_PIPELINE_CACHE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/vulkan/gpu.h"
#include "engine/device/compile_cache.h"

namespace spotinference::vulkan {

// Whether `blob` begins as a pipeline cache of that device and driver does. Any bytes.
bool IsPipelineCacheOf(const VkPhysicalDeviceProperties& device, absl::Span<const std::byte> blob);

// Thread-compatible, but for what says otherwise. Goes before the Gpu.
class PipelineCache {
 public:
  // An empty one.
  static absl::StatusOr<std::unique_ptr<PipelineCache>> Create(Gpu& gpu);
  ~PipelineCache();
  PipelineCache(const PipelineCache&) = delete;
  PipelineCache& operator=(const PipelineCache&) = delete;

  VkPipelineCache handle() const { return handle_; }

  // Begins anew with what an earlier boot kept, if there is any that the driver takes. Before the first pipeline.
  void Load(CompileCache& cache);
  // Keeps all of it (null: nowhere), if anything was compiled since it was loaded or kept. That it fails costs the next boot
  // time, and is logged.
  void Keep(CompileCache* cache);

  // A pipeline was made with it, and this is what the driver said of that. From any thread.
  void Count(const VkPipelineCreationFeedback& feedback);

  // Pipelines that were compiled. A driver that keeps none in its VkPipelineCache, as lavapipe, compiles at the first
  // dispatch and has a folder instead: of those, new files in the folder of Mesa's cache; without one, all. From any
  // thread.
  int64_t compiled() const;

 private:
  explicit PipelineCache(Gpu& gpu);

  absl::Status Begin(absl::Span<const std::byte> blob);
  absl::StatusOr<std::string> Blob() const;

  Gpu& gpu_;
  const std::string mesa_folder_;  // of compiled shaders; "": none
  const int64_t mesa_files_;       // in it when this was made
  VkPipelineCache handle_ = VK_NULL_HANDLE;
  std::atomic<int64_t> compiled_{0};
  std::atomic<bool> keeps_nothing_{false};
  int64_t kept_ = 0;  // compiled_, when it was last kept
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_PIPELINE_CACHE_H_
