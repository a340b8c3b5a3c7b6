#include "backends/vulkan/instance.h"

#include <glog/logging.h>

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

constexpr uint32_t kVersion = VK_API_VERSION_1_2;

VKAPI_ATTR VkBool32 VKAPI_CALL EndOnMessage(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                            const VkDebugUtilsMessengerCallbackDataEXT* data, void*) {
  LOG(FATAL) << "validation: " << data->pMessage;
  return VK_FALSE;
}

std::string Version(uint32_t version) {
  return absl::StrCat(VK_API_VERSION_MAJOR(version), ".", VK_API_VERSION_MINOR(version));
}

// What the shaders and the queue need; others are asked for by nobody.
absl::Status CheckFeatures(const Api& api, VkPhysicalDevice device) {
  VkPhysicalDeviceVulkan12Features v12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &v12};
  api.GetPhysicalDeviceFeatures2(device, &features);
  if (!v12.bufferDeviceAddress) return absl::UnimplementedError("it has no buffer device addresses");
  if (!v12.timelineSemaphore) return absl::UnimplementedError("it has no timeline semaphores");
  return absl::OkStatus();
}

bool HasExtension(const Api& api, VkPhysicalDevice device, absl::string_view name) {
  uint32_t count = 0;
  api.EnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  if (api.EnumerateDeviceExtensionProperties(device, nullptr, &count, extensions.data()) < 0) return false;
  return std::any_of(extensions.begin(), extensions.end(),
                     [&](const VkExtensionProperties& extension) { return extension.extensionName == name; });
}

// Whether it has matrices of 16 × 16 halves, summed in floats, of a subgroup of 32: what shaders/matrix.glsl wants.
bool HasMatrices(const Api& api, VkPhysicalDevice device, uint32_t subgroup) {
  if (subgroup != 32 || api.GetPhysicalDeviceCooperativeMatrixPropertiesNV == nullptr ||
      !HasExtension(api, device, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME)) {
    return false;
  }
  VkPhysicalDeviceCooperativeMatrixFeaturesNV matrices{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &matrices};
  api.GetPhysicalDeviceFeatures2(device, &features);
  uint32_t count = 0;
  if (!matrices.cooperativeMatrix ||
      api.GetPhysicalDeviceCooperativeMatrixPropertiesNV(device, &count, nullptr) != VK_SUCCESS) {
    return false;
  }
  std::vector<VkCooperativeMatrixPropertiesNV> kinds(count, {VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV});
  if (api.GetPhysicalDeviceCooperativeMatrixPropertiesNV(device, &count, kinds.data()) < 0) return false;
  return std::any_of(kinds.begin(), kinds.end(), [](const VkCooperativeMatrixPropertiesNV& kind) {
    return kind.MSize == 16 && kind.NSize == 16 && kind.KSize == 16 && kind.AType == VK_COMPONENT_TYPE_FLOAT16_NV &&
           kind.BType == VK_COMPONENT_TYPE_FLOAT16_NV && kind.CType == VK_COMPONENT_TYPE_FLOAT32_NV &&
           kind.DType == VK_COMPONENT_TYPE_FLOAT32_NV && kind.scope == VK_SCOPE_SUBGROUP_NV;
  });
}

void ExamineDots(const Api& api, PhysicalDevice& device) {
  if (!HasExtension(api, device.handle, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) return;
  VkPhysicalDeviceShaderIntegerDotProductFeatures dots{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &dots};
  api.GetPhysicalDeviceFeatures2(device.handle, &features);
  VkPhysicalDeviceShaderIntegerDotProductProperties fast{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &fast};
  api.GetPhysicalDeviceProperties2(device.handle, &properties);
  device.has_dots = dots.shaderIntegerDotProduct;
  device.has_fast_dots = device.has_dots && fast.integerDotProduct4x8BitPackedSignedAccelerated;
}

// What --batch_invariant=false may use.
void ExamineForVariance(const Api& api, PhysicalDevice& device) {
  VkPhysicalDeviceSubgroupProperties subgroups{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &subgroups};
  api.GetPhysicalDeviceProperties2(device.handle, &properties);
  constexpr VkSubgroupFeatureFlags kSums = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
  device.sums_subgroups = (subgroups.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
                          (subgroups.supportedOperations & kSums) == kSums;
  VkPhysicalDeviceVulkan12Features v12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &v12};
  api.GetPhysicalDeviceFeatures2(device.handle, &features);
  device.has_halves = v12.shaderFloat16;
  device.has_matrices = device.has_halves && HasMatrices(api, device.handle, subgroups.subgroupSize);
}

absl::Status Examine(const Api& api, PhysicalDevice& device) {
  if (device.properties.apiVersion < kVersion) {
    return absl::UnimplementedError(
        absl::StrCat("it has Vulkan ", Version(device.properties.apiVersion), "; ", Version(kVersion), " is needed"));
  }
  RETURN_IF_ERROR(CheckFeatures(api, device.handle));
  uint32_t count = 0;
  api.GetPhysicalDeviceQueueFamilyProperties(device.handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  api.GetPhysicalDeviceQueueFamilyProperties(device.handle, &count, families.data());
  // A family without graphics runs beside the desktop's.
  int best = -1;
  for (uint32_t i = 0; i < count; ++i) {
    // The first that copies and does nothing else: cards list engines for video and optical flow after it, which copy, too.
    constexpr VkQueueFlags kCopies = VK_QUEUE_TRANSFER_BIT | VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;
    const VkQueueFlags does = families[i].queueFlags;
    if (!device.transfer_queue_family.has_value() && (does & VK_QUEUE_TRANSFER_BIT) != 0 && (does & ~kCopies) == 0) {
      device.transfer_queue_family = i;
    }
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) continue;
    if (best < 0 || (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0) best = static_cast<int>(i);
  }
  if (best < 0) return absl::UnimplementedError("it has no queue for compute shaders");
  device.compute_queue_family = best;
  device.tells_compiles = HasExtension(api, device.handle, VK_EXT_PIPELINE_CREATION_FEEDBACK_EXTENSION_NAME);
  ExamineDots(api, device);
  ExamineForVariance(api, device);
  return absl::OkStatus();
}

int Rank(const PhysicalDevice& device) {
  switch (device.properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return 0;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return 1;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return 4;
    default:
      return 3;
  }
}

constexpr absl::string_view kNoDriver =
    "the Vulkan loader found no driver: no manifest (*_icd.json) under /usr/share/vulkan/icd.d, /etc/vulkan/icd.d or "
    "in VK_DRIVER_FILES. In a container: the host's has to be let in (NVIDIA: "
    "NVIDIA_DRIVER_CAPABILITIES=graphics,compute)";

}  // namespace

absl::StatusOr<std::unique_ptr<Instance>> Instance::Create(bool validated,
                                                          const std::function<void(Api&)>& intercept) {
  ASSIGN_OR_RETURN(const Api api, OpenLoader());
  uint32_t version = 0;
  RETURN_IF_ERROR(ToStatus(api.EnumerateInstanceVersion(&version), "vkEnumerateInstanceVersion"));
  if (version < kVersion) {
    return absl::NotFoundError(
        absl::StrCat("the Vulkan loader is of version ", Version(version), "; ", Version(kVersion), " is needed"));
  }
  std::unique_ptr<Instance> instance(new Instance(api));

  const VkValidationFeatureEnableEXT synchronisation = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
  VkValidationFeaturesEXT checks{VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT};
  checks.enabledValidationFeatureCount = 1;
  checks.pEnabledValidationFeatures = &synchronisation;
  VkDebugUtilsMessengerCreateInfoEXT messenger{VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT, &checks};
  messenger.messageSeverity =
      VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT;
  messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
  messenger.pfnUserCallback = EndOnMessage;
  const char* const layer = "VK_LAYER_KHRONOS_validation";
  const char* const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
  application.apiVersion = kVersion;
  VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &application;
  if (validated) {
    info.pNext = &messenger;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &layer;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
  }
  const VkResult created = api.CreateInstance(&info, nullptr, &instance->instance_);
  if (created == VK_ERROR_INCOMPATIBLE_DRIVER) return absl::NotFoundError(kNoDriver);
  if (created == VK_ERROR_LAYER_NOT_PRESENT) {
    return absl::NotFoundError(absl::StrCat("no ", layer, "; see VK_LAYER_PATH"));
  }
  RETURN_IF_ERROR(ToStatus(created, "vkCreateInstance"));
  RETURN_IF_ERROR(instance->api_.Load(instance->instance_));
  if (intercept) intercept(instance->api_);
  if (validated) {
    messenger.pNext = nullptr;
    RETURN_IF_ERROR(ToStatus(instance->api_.CreateDebugUtilsMessengerEXT(instance->instance_, &messenger, nullptr,
                                                                         &instance->messenger_),
                             "vkCreateDebugUtilsMessengerEXT"));
  }
  return instance;
}

Instance::~Instance() {
  if (messenger_ != VK_NULL_HANDLE) api_.DestroyDebugUtilsMessengerEXT(instance_, messenger_, nullptr);
  if (instance_ != VK_NULL_HANDLE && api_.DestroyInstance != nullptr) api_.DestroyInstance(instance_, nullptr);
}

std::vector<PhysicalDevice> Instance::Devices() const {
  uint32_t count = 0;
  api_.EnumeratePhysicalDevices(instance_, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (api_.EnumeratePhysicalDevices(instance_, &count, handles.data()) < 0) return {};
  std::vector<PhysicalDevice> devices;
  for (const VkPhysicalDevice handle : handles) {
    PhysicalDevice& device = devices.emplace_back(PhysicalDevice{handle});
    VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    api_.GetPhysicalDeviceProperties2(handle, &properties);
    device.properties = properties.properties;
    VkPhysicalDeviceMemoryProperties memory;
    api_.GetPhysicalDeviceMemoryProperties(handle, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
      if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
        device.local_bytes = std::max(device.local_bytes, memory.memoryHeaps[i].size);
      }
    }
    const absl::Status usable = Examine(api_, device);
    if (!usable.ok()) {
      device.usable =
          absl::Status(usable.code(), absl::StrCat("'", device.properties.deviceName, "': ", usable.message()));
    }
  }
  std::stable_sort(devices.begin(), devices.end(), [](const PhysicalDevice& a, const PhysicalDevice& b) {
    return std::make_tuple(!a.usable.ok(), Rank(a), ~a.local_bytes) <
           std::make_tuple(!b.usable.ok(), Rank(b), ~b.local_bytes);
  });
  return devices;
}

absl::StatusOr<PhysicalDevice> Instance::BestDevice() const {
  const std::vector<PhysicalDevice> devices = Devices();
  if (devices.empty()) return absl::NotFoundError(kNoDriver);
  if (devices[0].usable.ok()) return devices[0];
  return absl::NotFoundError(absl::StrCat(
      "no Vulkan device can be used: ",
      absl::StrJoin(devices, "; ", [](std::string* to, const PhysicalDevice& device) {
        absl::StrAppend(to, device.usable.message());
      })));
}

}  // namespace spotinference::vulkan
