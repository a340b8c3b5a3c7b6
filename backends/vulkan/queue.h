// One of a device's queues, and a timeline semaphore that counts what it has done.
#ifndef BACKENDS_VULKAN_QUEUE_H_
#define BACKENDS_VULKAN_QUEUE_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "backends/vulkan/api.h"
#include "backends/vulkan/device_state.h"

namespace spotinference::vulkan {

// Thread-safe. Goes before the device, when nothing runs on it.
class Queue {
 public:
  // The first of `family`. `api` and `state` outlive it.
  static absl::StatusOr<std::unique_ptr<Queue>> Create(const Api& api, VkDevice device, DeviceState& state,
                                                       uint32_t family);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  uint32_t family() const { return family_; }

  // Begins it, after what was submitted before, and with all in sight that `other` (null: no other) is known to have
  // done. Returns what to wait for. UNAVAILABLE: the device is lost.
  absl::StatusOr<uint64_t> Submit(VkCommandBuffer commands, const Queue* other);

  // Waits for one submission, those before it being done. UNAVAILABLE: the device is lost, as it is from then on if it
  // takes longer than any work that we give it. Only time counts in which this process runs: it may be stopped for long.
  absl::Status Wait(uint64_t value);

 private:
  Queue(const Api& api, VkDevice device, DeviceState& state, uint32_t family)
      : api_(api), device_(device), state_(state), family_(family) {}

  const Api& api_;
  const VkDevice device_;
  DeviceState& state_;
  const uint32_t family_;
  VkQueue queue_ = VK_NULL_HANDLE;
  VkSemaphore timeline_ = VK_NULL_HANDLE;
  std::atomic<uint64_t> done_{0};  // known to be
  absl::Mutex mutex_;
  uint64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;  // the timeline's value when all of it is done
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_QUEUE_H_
