#include "engine/server/backends.h"

#include "absl/flags/flag.h"
#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"
#include "backends/vulkan/vulkan_device.h"

ABSL_FLAG(bool, batch_invariant, true,
          "a sequence's result does not depend on its company, to the bit, so that an answer that is cut goes on as if it "
          "had not been. false: faster arithmetic where the device has any (vulkan: sums by subgroups, and the matrix "
          "instructions of NVIDIA's cards); an answer that is cut goes on inexactly");

namespace spotinference {

std::vector<Backend> AllBackends() {
  return {VulkanBackend({.batch_invariant = absl::GetFlag(FLAGS_batch_invariant)}), CpuBackend(), ReferenceBackend()};
}

}  // namespace spotinference
