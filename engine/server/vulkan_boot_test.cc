// What a boot with --backend vulkan compiles stays on the volume. Arguments: a GGUF file.
#include <filesystem>
#include <set>
#include <string>

#include "backends/vulkan/vulkan_device.h"
#include "engine/server/boot.h"
#include "engine/volume/driver_cache.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

std::string model_path;

std::string VolumePath() { return testing::TempDir() + "/volume"; }

// Compiled shaders; the driver's index beside them is of a fixed size.
std::set<std::string> Compiled() {
  std::set<std::string> files;
  const std::filesystem::path folder = VolumePath() + "/driver";
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != "index") files.insert(entry.path());
  }
  return files;
}

// The driver writes on a thread of its own, until its device goes.
void BootAndEnd() {
  BootOptions options;
  options.model = model_path;
  options.volume = VolumePath();
  options.backend = "vulkan";
  options.kv_memory_bytes = 16 << 20;
  const Backend backend = VulkanBackend();
  const absl::StatusOr<BootedEngine> booted = Boot(options, {&backend, 1});
  ASSERT_TRUE(booted.ok()) << booted.status();
}

TEST(VulkanBootTest, ASecondBootCompilesNothing) {
  BootAndEnd();
  const std::set<std::string> first = Compiled();
  EXPECT_GE(first.size(), 10u);  // a shader an operation, and the matmul's for each count of rows
  BootAndEnd();
  EXPECT_EQ(Compiled(), first);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  spotinference::model_path = argv[1];
  spotinference::UseDriverCache(spotinference::VolumePath());
  return RUN_ALL_TESTS();
}
