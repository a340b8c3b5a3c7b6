#include "backends/vulkan/api.h"

#include <dlfcn.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::vulkan {

absl::StatusOr<Api> OpenLoader() {
  constexpr const char* kLoader = "libvulkan.so.1";
  void* const loader = dlopen(kLoader, RTLD_NOW | RTLD_LOCAL);
  if (loader == nullptr) {
    const absl::string_view why = dlerror();
    return absl::NotFoundError(absl::StrCat(
        "no Vulkan loader: ", why,
        absl::StrContains(why, "GLIBC") ? "; it was built for a newer C library than this system's"
                                        : "; install it (Debian: libvulkan1), or name its folder in LD_LIBRARY_PATH"));
  }
  Api api;
  api.GetInstanceProcAddr = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(loader, "vkGetInstanceProcAddr"));
  if (api.GetInstanceProcAddr == nullptr) {
    return absl::NotFoundError(absl::StrCat(kLoader, " is no Vulkan loader: it has no vkGetInstanceProcAddr"));
  }
#define LOAD(name) \
  api.name = reinterpret_cast<PFN_vk##name>(api.GetInstanceProcAddr(nullptr, "vk" #name));
  SPOTINFERENCE_VULKAN_GLOBAL(LOAD)
#undef LOAD
  if (api.CreateInstance == nullptr || api.EnumerateInstanceVersion == nullptr) {
    return absl::NotFoundError(absl::StrCat(kLoader, " is a loader of Vulkan 1.0; 1.2 is needed"));
  }
  return api;
}

absl::Status Api::Load(VkInstance instance) {
#define LOAD(name)                                                                   \
  name = reinterpret_cast<PFN_vk##name>(GetInstanceProcAddr(instance, "vk" #name)); \
  if (name == nullptr) return absl::UnavailableError("the Vulkan loader has no vk" #name);
  SPOTINFERENCE_VULKAN_INSTANCE(LOAD)
#undef LOAD
#define LOAD(name) name = reinterpret_cast<PFN_vk##name>(GetInstanceProcAddr(instance, "vk" #name));
  SPOTINFERENCE_VULKAN_EXTENSIONS(LOAD)
#undef LOAD
  return absl::OkStatus();
}

absl::Status ToStatus(VkResult result, absl::string_view call) {
  switch (result) {
    case VK_SUCCESS:
      return absl::OkStatus();
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return absl::ResourceExhaustedError(absl::StrCat(call, ": out of the machine's memory"));
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_TOO_MANY_OBJECTS:
    case VK_ERROR_MEMORY_MAP_FAILED:
    case VK_ERROR_FRAGMENTATION:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
      return absl::ResourceExhaustedError(absl::StrCat(call, ": out of the device's memory"));
    case VK_ERROR_DEVICE_LOST:
      return absl::UnavailableError(absl::StrCat(call, ": the device is lost"));
    default:
      return absl::InternalError(absl::StrCat(call, ": VkResult ", static_cast<int>(result)));
  }
}

}  // namespace spotinference::vulkan
