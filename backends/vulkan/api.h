// Vulkan's functions, from a loader that is opened at run time: a program with this backend starts on a machine
// without.
#ifndef BACKENDS_VULKAN_API_H_
#define BACKENDS_VULKAN_API_H_

#include <vulkan/vulkan.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::vulkan {

#define SPOTINFERENCE_VULKAN_GLOBAL(F) F(CreateInstance) F(EnumerateInstanceVersion)
#define SPOTINFERENCE_VULKAN_INSTANCE(F)                                                                       \
  F(AllocateCommandBuffers)                                                                                    \
  F(AllocateMemory)                                                                                            \
  F(BeginCommandBuffer)                                                                                        \
  F(BindBufferMemory)                                                                                          \
  F(CmdBindPipeline)                                                                                           \
  F(CmdCopyBuffer)                                                                                             \
  F(CmdDispatch)                                                                                               \
  F(CmdDispatchBase)                                                                                           \
  F(CmdPipelineBarrier)                                                                                        \
  F(CmdPushConstants)                                                                                          \
  F(CreateBuffer)                                                                                              \
  F(CreateCommandPool)                                                                                         \
  F(CreateComputePipelines)                                                                                    \
  F(CreateDevice)                                                                                              \
  F(CreatePipelineCache)                                                                                       \
  F(CreatePipelineLayout)                                                                                      \
  F(CreateSemaphore)                                                                                           \
  F(CreateShaderModule)                                                                                        \
  F(DestroyBuffer)                                                                                             \
  F(DestroyCommandPool)                                                                                        \
  F(DestroyDevice)                                                                                             \
  F(DestroyInstance)                                                                                           \
  F(DestroyPipeline)                                                                                           \
  F(DestroyPipelineCache)                                                                                      \
  F(DestroyPipelineLayout)                                                                                     \
  F(DestroySemaphore)                                                                                          \
  F(DestroyShaderModule)                                                                                       \
  F(EndCommandBuffer)                                                                                          \
  F(EnumerateDeviceExtensionProperties)                                                                        \
  F(EnumeratePhysicalDevices)                                                                                  \
  F(FreeCommandBuffers)                                                                                        \
  F(FreeMemory)                                                                                                \
  F(GetBufferDeviceAddress)                                                                                    \
  F(GetBufferMemoryRequirements)                                                                               \
  F(GetDeviceQueue)                                                                                            \
  F(GetPhysicalDeviceFeatures2)                                                                                \
  F(GetPhysicalDeviceMemoryProperties)                                                                         \
  F(GetPhysicalDeviceProperties2)                                                                              \
  F(GetPhysicalDeviceQueueFamilyProperties)                                                                    \
  F(GetPipelineCacheData)                                                                                      \
  F(MapMemory)                                                                                                 \
  F(QueueSubmit)                                                                                               \
  F(WaitSemaphores)
// Of extensions: null without them.
#define SPOTINFERENCE_VULKAN_EXTENSIONS(F) \
  F(CreateDebugUtilsMessengerEXT)          \
  F(DestroyDebugUtilsMessengerEXT)         \
  F(GetPhysicalDeviceCooperativeMatrixPropertiesNV)

struct Api {
#define SPOTINFERENCE_VULKAN_MEMBER(name) PFN_vk##name name = nullptr;
  SPOTINFERENCE_VULKAN_GLOBAL(SPOTINFERENCE_VULKAN_MEMBER)
  SPOTINFERENCE_VULKAN_INSTANCE(SPOTINFERENCE_VULKAN_MEMBER)
  SPOTINFERENCE_VULKAN_EXTENSIONS(SPOTINFERENCE_VULKAN_MEMBER)
#undef SPOTINFERENCE_VULKAN_MEMBER
  PFN_vkGetInstanceProcAddr GetInstanceProcAddr = nullptr;

  // Fills what belongs to an instance. UNAVAILABLE: the loader lacks one.
  absl::Status Load(VkInstance instance);
};

// The functions that need no instance. The loader stays open as long as the process. NOT_FOUND: there is none, and what
// to do about it. From any thread.
absl::StatusOr<Api> OpenLoader();

// OK for VK_SUCCESS; RESOURCE_EXHAUSTED where memory ran out; UNAVAILABLE for a lost device; else INTERNAL. `call` is
// what was called, for people.
absl::Status ToStatus(VkResult result, absl::string_view call);

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_API_H_
