#include <string_view>

#include "absl/strings/match.h"
#include "backends/conformance/conformance.h"
#include "backends/reference/reference_device.h"
#include "backends/vulkan/vulkan_device.h"

// Beside the suite's own arguments: --validated, --card, --varying, --integers (see VulkanOptions).
int main(int argc, char** argv) {
  spotinference::VulkanOptions options;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--validated") {
      options.validated = true;
    } else if (argument == "--integers") {
      options.integers = true;
    } else if (argument == "--varying") {
      options.batch_invariant = false;
      options.emulates_matrices = true;
    } else if (argument == "--card") {
      options.staged = true;
      options.splits = 8;
      options.gates_together = true;
      options.submission_work = 0x1p16;  // many submissions, and matmuls dealt out over several
    } else {
      argv[kept++] = argv[i];
    }
  }
  // A card that is fast at them takes integers by itself.
  const auto device = spotinference::CreateVulkanDevice(options);
  const bool integers = device.ok() && absl::StrContains((*device)->info().arithmetic, "int8x32-");
  return spotinference::conformance::RunConformance({.backend = spotinference::VulkanBackend(options),
                                                     .oracle = integers ? spotinference::ReferenceInt8Backend()
                                                                        : spotinference::ReferenceBackend(),
                                                     .rounding = {.kv = 0x1p-11,
                                                                  .activations = integers,
                                                                  .factors = options.batch_invariant ? 0 : 0x1p-11},
                                                     .batch_invariant = options.batch_invariant,
                                                     .has_threads = false},
                                                    kept, argv);
}
