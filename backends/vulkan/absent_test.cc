// A machine with a loader and no driver: the manifest that the environment names is not there.
#include <gtest/gtest.h>

#include "backends/vulkan/vulkan_device.h"

namespace spotinference {
namespace {

TEST(AbsentTest, NoDriverIsSaidWithWhereItWasLookedFor) {
  const Backend backend = VulkanBackend();
  for (const absl::Status& status : {backend.probe(), backend.passed_over(), backend.create(0).status()}) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_NE(status.message().find("the Vulkan loader found no driver: no manifest"), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace spotinference
