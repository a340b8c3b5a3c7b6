// The Vulkan backend: any vendor's graphics card, and Mesa's lavapipe where there is none.
//
// Weights lie as GGUF's own bits and are dequantised in the shaders; all arithmetic is float32, in an order that
// depends on a tensor's shape alone; keys and values are kept as halves.
#ifndef BACKENDS_VULKAN_VULKAN_DEVICE_H_
#define BACKENDS_VULKAN_VULKAN_DEVICE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/device/device.h"

namespace spotinference {

namespace vulkan {
struct Api;
}

struct VulkanOptions {
  // Whether a row has the same bits in any company. Without, what is fastest: sums by subgroups, and matrix instructions
  // where the device has them. Built, validated, run on lavapipe but for these instructions; no card has run it.
  bool batch_invariant = true;

  // Where a test wants what another device would have.
  bool integers = false;           // integer dot products where the device has them, be they no faster
  bool emulates_matrices = false;  // in their place, where the device has none
  bool validated = false;  // under the validation layer; a message ends the process
  bool staged = false;     // the device's memory is out of the host's reach, as a card's is
  std::function<void(vulkan::Api&)> intercept;  // puts functions of its own in the place of the driver's
  uint32_t splits = 0;     // ranges of a matmul's sums; 0: 1 on software, 8 on hardware
  bool measures_tiles = false;  // on software too
  bool gates_together = false;  // the same: see Tuning::gates_apart
  double submission_work = 0;  // multiply-adds that are submitted together; 0: by the kind of device
};

absl::StatusOr<std::unique_ptr<Device>> CreateVulkanDevice(const VulkanOptions& options);

// Its probe runs a shader and looks at the result. `threads` is of no use to it: a driver on the processor takes all
// there are.
Backend VulkanBackend(const VulkanOptions& options = {});

}  // namespace spotinference

#endif  // BACKENDS_VULKAN_VULKAN_DEVICE_H_
