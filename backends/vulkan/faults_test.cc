// A driver that fails at its n-th call, for every n: in the middle of creating, loading, compiling, running. Memory
// that runs out is said and the same is done again with success; a device that is lost is said; and one that never
// ends its work is not waited for for ever.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/vulkan/api.h"
#include "backends/vulkan/vulkan_device.h"
#include "engine/base/status.h"
#include "engine/device/device.h"

namespace spotinference {
namespace {

using vulkan::Api;

Api real;
std::atomic<int64_t> calls_left{0};  // before one fails
std::atomic<VkResult> failure{VK_SUCCESS};

template <auto kFunction, typename... Args>
VkResult VKAPI_CALL FailOnce(Args... args) {
  if (failure != VK_SUCCESS && calls_left-- == 0) return failure;
  return (real.*kFunction)(args...);
}

// What a lost device was at is over.
VkResult VKAPI_CALL FailAfterWaiting(VkDevice device, const VkSemaphoreWaitInfo* wait, uint64_t) {
  const VkResult waited = real.WaitSemaphores(device, wait, UINT64_MAX);
  return failure != VK_SUCCESS && calls_left-- == 0 ? failure.load() : waited;
}

template <auto kFunction, typename... Args>
void Replace(Api& api, VkResult(VKAPI_PTR*)(Args...)) {
  api.*kFunction = FailOnce<kFunction, Args...>;
}

void Intercept(Api& api) {
  real = api;
  Replace<&Api::AllocateCommandBuffers>(api, api.AllocateCommandBuffers);
  Replace<&Api::AllocateMemory>(api, api.AllocateMemory);
  Replace<&Api::BeginCommandBuffer>(api, api.BeginCommandBuffer);
  Replace<&Api::BindBufferMemory>(api, api.BindBufferMemory);
  Replace<&Api::CreateBuffer>(api, api.CreateBuffer);
  Replace<&Api::CreateCommandPool>(api, api.CreateCommandPool);
  Replace<&Api::CreateComputePipelines>(api, api.CreateComputePipelines);
  Replace<&Api::CreateDevice>(api, api.CreateDevice);
  Replace<&Api::CreatePipelineCache>(api, api.CreatePipelineCache);
  Replace<&Api::CreatePipelineLayout>(api, api.CreatePipelineLayout);
  Replace<&Api::CreateSemaphore>(api, api.CreateSemaphore);
  Replace<&Api::CreateShaderModule>(api, api.CreateShaderModule);
  Replace<&Api::EndCommandBuffer>(api, api.EndCommandBuffer);
  Replace<&Api::GetPipelineCacheData>(api, api.GetPipelineCacheData);
  Replace<&Api::MapMemory>(api, api.MapMemory);
  Replace<&Api::QueueSubmit>(api, api.QueueSubmit);
  api.WaitSemaphores = FailAfterWaiting;
}

// All that an engine does to a device, with one small shader. Each part may be called again.
class Life {
 public:
  explicit Life(bool staged) : options_{.staged = staged, .intercept = Intercept} {}

  std::vector<std::function<absl::Status()>> Parts() {
    return {[this] { return Set(CreateVulkanDevice(options_), device_); },
            [this] { return Set(device_->LoadWeight(View(), {.matmul = true, .vector = true}, nullptr), weight_); },
            [this] { return Set(device_->AllocateKv(kShape, 2), kv_); },
            [this] { return Set(device_->Compile(graph_, nullptr), program_); },
            [this] { return Step(/*blocks_per_sequence=*/1); },
            [this] { return Step(/*blocks_per_sequence=*/1000); },  // its block tables need more memory
            [this] { return Kv(); }};
  }

 private:
  static constexpr AttentionAttributes kShape{.heads = 2, .kv_heads = 2, .head_dim = 32};
  static constexpr int kWidth = 32;

  template <typename T>
  static absl::Status Set(absl::StatusOr<std::unique_ptr<T>> made, std::unique_ptr<T>& to) {
    if (made.ok()) to = *std::move(made);
    return made.status();
  }

  TensorView View() const {
    const auto* const bytes = reinterpret_cast<const std::byte*>(values_);
    return {"weight", DType::kF32, 1, kWidth, {bytes, sizeof(values_)}};
  }

  absl::Status Step(int blocks_per_sequence) {
    const std::vector<int32_t> tables(blocks_per_sequence);
    const int32_t zero = 0;
    const absl::Span<const float> inputs[] = {values_};
    float out[kWidth] = {};
    RETURN_IF_ERROR(program_->Run({.positions = {&zero, 1},
                                   .sequences = {&zero, 1},
                                   .block_tables = tables,
                                   .blocks_per_sequence = blocks_per_sequence,
                                   .inputs = inputs},
                                  absl::MakeSpan(out)));
    for (int i = 0; i < kWidth; ++i) {
      if (out[i] != 2 * values_[i]) return absl::InternalError("a wrong sum");
    }
    return absl::OkStatus();
  }

  absl::Status Kv() {
    Buffer* const layers[] = {kv_.get()};
    const std::vector<std::byte> in(kv_->size_bytes() / 2, std::byte{7});
    std::vector<std::byte> back(in.size());
    RETURN_IF_ERROR(device_->WriteKv(layers, 1, in));
    RETURN_IF_ERROR(device_->ReadKv({layers, 1}, 1, absl::MakeSpan(back)));
    return back == in ? absl::OkStatus() : absl::InternalError("other KV");
  }

  const VulkanOptions options_;
  float values_[kWidth] = {1, 2, 3};
  const Graph graph_{.tensors = {{kWidth}, {kWidth}},
                     .ops = {{.kind = OpKind::kAdd, .out = 1, .a = 0, .b = 0}},
                     .inputs = {0},
                     .output = 1,
                     .max_tokens = 1,
                     .max_outputs = 1};
  std::unique_ptr<Device> device_;
  std::unique_ptr<Buffer> weight_, kv_;
  std::unique_ptr<Program> program_;
};

// Fails the n-th call with `result`. Calls `failed` with the status of the part in which it did, which says whether
// to try that part again. False: there were fewer calls.
bool FailAt(int n, VkResult result, bool staged, const std::function<bool(const absl::Status&)>& failed) {
  Life life(staged);
  calls_left = n;
  failure = result;
  for (const auto& part : life.Parts()) {
    absl::Status status = part();
    const bool hit = calls_left < 0;
    if (hit) failure = VK_SUCCESS;
    if (!status.ok() && hit && !failed(status)) return true;
    if (!status.ok()) status = part();
    EXPECT_TRUE(status.ok()) << "after call " << n << ": " << status;
  }
  return calls_left < 0;
}

class FaultsTest : public testing::TestWithParam<bool> {
 protected:
  void TearDown() override { failure = VK_SUCCESS; }
};

TEST_P(FaultsTest, MemoryThatRunsOutAnywhereIsSaidAndWorkGoesOn) {
  int n = 0, said = 0;
  while (FailAt(n, VK_ERROR_OUT_OF_DEVICE_MEMORY, GetParam(), [&](const absl::Status& status) {
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << "call " << n << ": " << status;
    ++said;
    return true;
  })) {
    ++n;
  }
  EXPECT_GT(n, 30);
  EXPECT_GT(said, n / 3);  // else a smaller allocation did, or a wait was tried again
}

TEST_P(FaultsTest, ADeviceLostAnywhereIsSaid) {
  int n = 0;
  while (FailAt(n, VK_ERROR_DEVICE_LOST, GetParam(), [&](const absl::Status& status) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << "call " << n << ": " << status;
    EXPECT_NE(status.message().find("the device is lost"), std::string::npos) << status;
    return false;
  })) {
    ++n;
  }
  EXPECT_GT(n, 30);
}

INSTANTIATE_TEST_SUITE_P(Memory, FaultsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Staged" : "Mapped"; });

VkResult VKAPI_CALL NeverDone(VkDevice device, const VkSemaphoreWaitInfo* wait, uint64_t timeout) {
  EXPECT_LE(timeout, 1'000'000'000u);  // as long as a real one takes to say so
  real.WaitSemaphores(device, wait, UINT64_MAX);
  return VK_TIMEOUT;
}

TEST(HangTest, ADeviceThatNeverEndsItsWorkIsTakenForLost) {
  const Backend backend = VulkanBackend({.intercept = [](Api& api) {
    real = api;
    api.WaitSemaphores = NeverDone;
  }});
  const absl::Status status = backend.probe();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("taken for lost"), std::string::npos) << status;
}

}  // namespace
}  // namespace spotinference
