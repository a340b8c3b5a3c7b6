#include "backends/vulkan/device_state.h"

#include <glog/logging.h>

namespace spotinference::vulkan {

absl::Status DeviceState::status() const {
  if (!lost_) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  return why_;
}

absl::Status DeviceState::Lose(const absl::Status& why, bool may_be_running) {
  absl::MutexLock lock(&mutex_);
  if (may_be_running) may_be_running_ = true;
  if (why_.ok()) {
    LOG(ERROR) << "vulkan: " << why.message();
    why_ = why;
    lost_ = true;
  }
  return why_;
}

}  // namespace spotinference::vulkan
