// A boot with --backend vulkan: what it compiles stays on the volume; a device that fails ends the engine. Arguments: a
// GGUF file.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "backends/vulkan/api.h"
#include "backends/vulkan/vulkan_device.h"
#include "engine/server/boot.h"
#include "engine/server/model_engine_fixture.h"
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

absl::StatusOr<BootedEngine> BootOnVolume() {
  BootOptions options;
  options.model = model_path;
  options.volume = VolumePath();
  options.backend = "vulkan";
  options.kv_memory_bytes = 16 << 20;
  const Backend backend = VulkanBackend();
  return Boot(options, {&backend, 1});
}

// What an engine says, every pipeline having taken part.
Ids Answer(Engine& engine) {
  Ids ids;
  // Of the likeliest ids, found on the device; then the host looks at all logits, and finds the same.
  for (const bool logprobs : {false, true}) {
    EngineRequest request = Request(Ids(20, 5), 8);
    request.sampling.logprobs = logprobs;
    const auto sink = std::make_shared<FakeSink>();
    EXPECT_TRUE(engine.Submit(std::move(request), sink).ok());
    EXPECT_TRUE(sink->AwaitEnd().ok());
    EXPECT_EQ(sink->ids().size(), 8u);
    if (logprobs) {
      EXPECT_EQ(sink->ids(), ids);
    }
    ids = sink->ids();
  }
  return ids;
}

// The driver writes on a thread of its own, until its device goes. Returns an answer.
Ids BootAndEnd(bool compiles) {
  const absl::StatusOr<BootedEngine> booted = BootOnVolume();
  if (!booted.ok()) ADD_FAILURE() << booted.status();
  if (!booted.ok()) return {};
  if (compiles) {
    while (booted->engine->Stats().programs_compiled < 10) std::this_thread::yield();  // for that thread
  } else {
    EXPECT_EQ(booted->engine->Stats().programs_compiled, 0);
  }
  EXPECT_EQ(BootOnVolume().status().code(), absl::StatusCode::kUnavailable) << "the volume has an engine";
  return Answer(*booted->engine);
}

TEST(VulkanBootTest, ASecondBootCompilesNothing) {
  BootAndEnd(true);
  const std::set<std::string> first = Compiled();
  EXPECT_GE(first.size(), 10u);  // a shader an operation, and the matmul's for each count of rows
  BootAndEnd(false);
  EXPECT_EQ(Compiled(), first);
}

// What the driver says from now on.
std::atomic<VkResult> submitting{VK_SUCCESS}, waiting{VK_SUCCESS}, allocating{VK_SUCCESS};
vulkan::Api real;

VkResult VKAPI_CALL Submit(VkQueue queue, uint32_t count, const VkSubmitInfo* submits, VkFence fence) {
  return submitting != VK_SUCCESS ? submitting.load() : real.QueueSubmit(queue, count, submits, fence);
}
VkResult VKAPI_CALL Wait(VkDevice device, const VkSemaphoreWaitInfo* wait, uint64_t timeout) {
  const VkResult done = real.WaitSemaphores(device, wait, timeout);  // nothing of ours may run when the device goes
  return waiting != VK_SUCCESS ? waiting.load() : done;
}
VkResult VKAPI_CALL Allocate(VkDevice device, const VkCommandBufferAllocateInfo* info, VkCommandBuffer* commands) {
  return allocating != VK_SUCCESS ? allocating.load() : real.AllocateCommandBuffers(device, info, commands);
}

// Nothing that was served is lost: sequences end UNAVAILABLE, and so go on at another engine; this one's process ends.
TEST(VulkanServeTest, ADeviceThatFailsEndsTheEngine) {
  struct {
    std::atomic<VkResult>& call;
    VkResult result;
    const char* says;
  } const cases[] = {{submitting, VK_ERROR_DEVICE_LOST, "the device is lost"},
                     {waiting, VK_ERROR_DEVICE_LOST, "the device is lost"},
                     {waiting, VK_TIMEOUT, "taken for lost"},
                     {allocating, VK_ERROR_OUT_OF_DEVICE_MEMORY, "out of the device's memory"}};
  const Backend backend = VulkanBackend({.intercept = [](vulkan::Api& api) {
    real = api;
    api.QueueSubmit = Submit;
    api.WaitSemaphores = Wait;
    api.AllocateCommandBuffers = Allocate;
  }});
  for (const auto& [call, result, says] : cases) {
    BootOptions options;
    options.model = model_path;
    options.backend = "vulkan";
    options.kv_memory_bytes = 16 << 20;
    absl::Notification ended;
    absl::Status fatal;
    options.on_fatal = [&](const absl::Status& status) {
      fatal = status;
      ended.Notify();
    };
    const absl::StatusOr<BootedEngine> booted = Boot(options, {&backend, 1});
    ASSERT_TRUE(booted.ok()) << booted.status();
    const auto served = std::make_shared<FakeSink>();
    ASSERT_TRUE(booted->engine->Submit(Request({1, 2, 3}, 4), served).ok());
    EXPECT_TRUE(served->AwaitEnd().ok());
    call = result;
    const auto sink = std::make_shared<FakeSink>();
    ASSERT_TRUE(booted->engine->Submit(Request(Ids(20, 5), 4), sink).ok());  // rows enough for new command buffers
    const absl::Status end = sink->AwaitEnd();
    call = VK_SUCCESS;
    ended.WaitForNotification();
    EXPECT_TRUE(absl::IsUnavailable(end)) << end;
    EXPECT_NE(end.message().find(says), std::string::npos) << end;
    EXPECT_EQ(fatal, end);
  }
}

// The driver proves what it reads: an answer is the same, whatever came of the files. The last test: what is damaged stays so.
TEST(VulkanDamageTest, ADamagedOrTruncatedShaderIsCompiledAgain) {
  const Ids answer = BootAndEnd(Compiled().empty());
  const std::set<std::string> files = Compiled();
  ASSERT_FALSE(files.empty());
  bool cut = false;
  for (const std::string& path : files) {
    const auto size = std::filesystem::file_size(path);
    if (cut = !cut; cut) {
      std::filesystem::resize_file(path, size / 2);
      continue;
    }
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(size / 2));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(size / 2));
    file.put(static_cast<char>(byte ^ 1));
  }
  EXPECT_EQ(BootAndEnd(false), answer);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  spotinference::model_path = argv[1];
  spotinference::UseDriverCache(spotinference::VolumePath());
  return RUN_ALL_TESTS();
}
