// A logical device with its queues and memory.
#ifndef BACKENDS_VULKAN_GPU_H_
#define BACKENDS_VULKAN_GPU_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "backends/vulkan/device_state.h"
#include "backends/vulkan/instance.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/queue.h"

namespace spotinference::vulkan {

class Gpu {
 public:
  // `instance` is the Gpu's from here on. `staged`: see Memory.
  static absl::StatusOr<std::unique_ptr<Gpu>> Create(std::unique_ptr<Instance> instance, const PhysicalDevice& physical,
                                                     bool staged);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Api& api() const { return instance_->api(); }
  VkDevice device() const { return device_; }
  const PhysicalDevice& physical() const { return physical_; }
  Memory& memory() { return *memory_; }
  // Of the driver, a queue or a wait that failed. All calls of the Gpu say the same once it is lost.
  const DeviceState& state() const { return state_; }

  // A command buffer that `record` fills, to be submitted any number of times; ended and freed by the Gpu, or by
  // FreeCommands once it has run. The engine's thread.
  absl::StatusOr<VkCommandBuffer> Record(const std::function<void(VkCommandBuffer)>& record);
  void FreeCommands(VkCommandBuffer commands);

  // Runs them, a submission each, and waits for the end. From any thread, one at a time. UNAVAILABLE: the device is
  // lost.
  absl::Status Run(absl::Span<const VkCommandBuffer> commands);

  // Fills a kDevice region piece by piece: calls fill(first, pieces) for consecutive pieces of `piece_bytes`, through
  // the mapping or, where there is none, through two halves of a staging buffer, one being filled while the other is
  // copied.
  absl::Status Upload(Region& to, size_t piece_bytes, size_t pieces,
                      const std::function<void(size_t first, size_t count, std::byte* to)>& fill);

  // Part of a kDevice region.
  struct Piece {
    const Region* region;
    size_t offset, size;
  };
  // Copies pieces to or from the host, where they lie one after the other: through the mapping, or as many at once as
  // the staging buffer holds. From any thread.
  absl::Status Read(absl::Span<const Piece> from, std::byte* to);
  absl::Status Write(absl::Span<const Piece> to, const std::byte* from);

 private:
  Gpu(std::unique_ptr<Instance> instance, const PhysicalDevice& physical)
      : instance_(std::move(instance)), physical_(physical) {}

  absl::Status CreateDevice(bool staged);
  void Free(VkCommandPool pool, VkCommandBuffer commands);  // null: nothing
  // The queue of staged copies.
  Queue& copies() { return transfer_ != nullptr ? *transfer_ : *compute_; }
  absl::StatusOr<uint64_t> SubmitCopies(VkCommandBuffer commands) {
    return copies().Submit(commands, transfer_ != nullptr ? compute_.get() : nullptr);
  }
  // Of pieces that the staging buffer holds together.
  absl::Status CopyStaged(absl::Span<const Piece> pieces, bool to_device, std::byte* host);
  absl::Status Copy(absl::Span<const Piece> pieces, bool to_device, std::byte* host);

  DeviceState state_;
  std::unique_ptr<Instance> instance_;
  const PhysicalDevice physical_;
  VkDevice device_ = VK_NULL_HANDLE;
  std::unique_ptr<Queue> compute_;
  std::unique_ptr<Queue> transfer_;  // null where there is none that only copies
  VkCommandPool pool_ = VK_NULL_HANDLE;
  std::unique_ptr<Memory> memory_;
  absl::Mutex staging_mutex_;  // held while the staging buffer, its command pool and its commands are in use
  std::unique_ptr<Region> staging_[2] ABSL_GUARDED_BY(staging_mutex_);
  VkCommandPool staging_pool_ ABSL_GUARDED_BY(staging_mutex_) = VK_NULL_HANDLE;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_GPU_H_
