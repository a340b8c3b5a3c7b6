// The Vulkan instance and what devices it has.
#ifndef BACKENDS_VULKAN_INSTANCE_H_
#define BACKENDS_VULKAN_INSTANCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/vulkan/api.h"

namespace spotinference::vulkan {

struct PhysicalDevice {
  VkPhysicalDevice handle;
  VkPhysicalDeviceProperties properties;
  uint32_t compute_queue_family = 0;
  VkDeviceSize local_bytes = 0;  // of its largest heap of its own
  absl::Status usable;           // why not, with its name

  bool is_software() const { return properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU; }
};

class Instance {
 public:
  // `validated`: with the Khronos validation layer, its synchronisation checks included; the first of its messages ends
  // the process. For tests. NOT_FOUND: no loader, no driver or no validation layer, and what to do about it.
  static absl::StatusOr<std::unique_ptr<Instance>> Create(bool validated);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const Api& api() const { return api_; }

  // Best first: graphics cards before integrated ones before software, then by memory; unusable ones last.
  std::vector<PhysicalDevice> Devices() const;

  // The first of Devices(). NOT_FOUND: none can be used, and why.
  absl::StatusOr<PhysicalDevice> BestDevice() const;

 private:
  explicit Instance(const Api& api) : api_(api) {}

  Api api_;
  VkInstance instance_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_INSTANCE_H_
