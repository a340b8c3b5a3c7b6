// Whether a device can still be used.
//
// One that is lost is asked for nothing more. One that is at its work for too long is lost too, and may read and write its
// memory for as long as the process lives: nothing that it could use is destroyed, given back or used again.
#ifndef BACKENDS_VULKAN_DEVICE_STATE_H_
#define BACKENDS_VULKAN_DEVICE_STATE_H_

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace spotinference::vulkan {

// Thread-safe.
class DeviceState {
 public:
  // OK, or why it is lost: UNAVAILABLE.
  absl::Status status() const;

  // Lost, and perhaps at its work still.
  bool may_be_running() const { return may_be_running_; }

  // `why`: UNAVAILABLE; the first one stays. Returns what status() says from now on.
  absl::Status Lose(const absl::Status& why, bool may_be_running);

 private:
  std::atomic<bool> lost_{false}, may_be_running_{false};
  mutable absl::Mutex mutex_;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_DEVICE_STATE_H_
