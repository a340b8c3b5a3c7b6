// The Vulkan instance and what devices it has.
#ifndef BACKENDS_VULKAN_INSTANCE_H_
#define BACKENDS_VULKAN_INSTANCE_H_

#include <functional>
#include <memory>
#include <optional>
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
  std::optional<uint32_t> transfer_queue_family;  // one that does nothing but copy
  VkDeviceSize local_bytes = 0;    // of its largest heap of its own
  bool tells_compiles = false;     // VK_EXT_pipeline_creation_feedback
  bool has_dots = false;           // integer dot products of words of four (VK_KHR_shader_integer_dot_product)
  bool has_fast_dots = false;      // faster than others of its instructions would be
  bool sums_subgroups = false;     // subgroupAdd and the like, in compute shaders
  bool has_halves = false;         // float16_t
  bool has_matrices = false;       // those of shaders/matrix.glsl, by VK_NV_cooperative_matrix
  absl::Status usable;           // why not, with its name

  bool is_software() const { return properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU; }
};

class Instance {
 public:
  // `validated`: with the Khronos validation layer, its synchronisation checks included; the first of its messages ends
  // the process. `intercept`, where there is one, may put other functions in the place of the driver's. Both for tests.
  // NOT_FOUND: no loader, no driver or no validation layer, and what to do about it.
  static absl::StatusOr<std::unique_ptr<Instance>> Create(bool validated,
                                                          const std::function<void(Api&)>& intercept = nullptr);
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
