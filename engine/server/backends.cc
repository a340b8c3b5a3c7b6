#include "engine/server/backends.h"

#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"
#include "backends/vulkan/vulkan_device.h"

namespace spotinference {

std::vector<Backend> AllBackends() { return {VulkanBackend(), CpuBackend(), ReferenceBackend()}; }

}  // namespace spotinference
