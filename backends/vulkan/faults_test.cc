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
  Life(bool staged, const std::function<void(Api&)>& intercept) : options_{.staged = staged, .intercept = intercept} {}

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
  Life life(staged, Intercept);
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

// A driver whose waits end without an answer from some time on.
namespace hang {

std::atomic<bool> hangs{false};
std::atomic<VkResult> says{VK_TIMEOUT};
std::atomic<int> waits_left{0};  // that go well
std::atomic<int> waits{0}, destroyed{0};

VkResult VKAPI_CALL Wait(VkDevice device, const VkSemaphoreWaitInfo* wait, uint64_t timeout) {
  EXPECT_LE(timeout, 1'000'000'000u);  // as long as a real one takes to say so
  const VkResult waited = real.WaitSemaphores(device, wait, UINT64_MAX);
  if (waits_left-- > 0) return waited;
  hangs = true;
  ++waits;
  return says;
}

template <auto kFunction, typename... Args>
void Destroy(Args... args) {
  if (hangs) {
    ++destroyed;
  } else {
    (real.*kFunction)(args...);
  }
}
template <auto kFunction, typename... Args>
void Watch(Api& api, void(VKAPI_PTR*)(Args...)) {
  api.*kFunction = Destroy<kFunction, Args...>;
}

void Intercept(Api& api) {
  real = api;
  api.WaitSemaphores = Wait;
  Watch<&Api::DestroyBuffer>(api, api.DestroyBuffer);
  Watch<&Api::DestroyCommandPool>(api, api.DestroyCommandPool);
  Watch<&Api::DestroyDevice>(api, api.DestroyDevice);
  Watch<&Api::DestroyInstance>(api, api.DestroyInstance);
  Watch<&Api::DestroyPipeline>(api, api.DestroyPipeline);
  Watch<&Api::DestroyPipelineCache>(api, api.DestroyPipelineCache);
  Watch<&Api::DestroyPipelineLayout>(api, api.DestroyPipelineLayout);
  Watch<&Api::DestroySemaphore>(api, api.DestroySemaphore);
  Watch<&Api::FreeCommandBuffers>(api, api.FreeCommandBuffers);
  Watch<&Api::FreeMemory>(api, api.FreeMemory);
}

}  // namespace hang

class HangTest : public testing::Test {
 protected:
  void SetUp() override {
    hang::hangs = false;
    hang::says = VK_TIMEOUT;
    hang::waits_left = hang::waits = hang::destroyed = 0;
  }
};

TEST_F(HangTest, ADeviceThatNeverEndsItsWorkIsTakenForLost) {
  const absl::Status status = VulkanBackend({.intercept = hang::Intercept}).probe();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("taken for lost"), std::string::npos) << status;
  EXPECT_EQ(hang::waits, 60);
  EXPECT_EQ(hang::destroyed, 0);
}

// Wherever it begins to hang: whatever is called then says so at once, and nothing that the device may be reading or writing
// goes, not even with the device's owner.
TEST_F(HangTest, NothingIsDestroyedOrUsedAgain) {
  for (const bool staged : {false, true}) {
    int hung = 0;
    for (int n = 0;; ++n) {
      SetUp();
      hang::waits_left = n;
      {
        Life life(staged, hang::Intercept);
        for (const auto& part : life.Parts()) {
          const absl::Status status = part();
          EXPECT_EQ(status.ok(), !hang::hangs) << "wait " << n << ", staged " << staged << ": " << status;
          if (status.ok()) continue;
          EXPECT_NE(status.message().find("taken for lost"), std::string::npos) << status;
          EXPECT_EQ(part(), status);
          break;
        }
      }
      if (!hang::hangs) break;
      EXPECT_EQ(hang::waits, 60) << "another call waited, too";
      EXPECT_EQ(hang::destroyed, 0) << "wait " << n << ", staged " << staged;
      ++hung;
    }
    EXPECT_GE(hung, staged ? 7 : 4);
  }
}

// No memory to wait with is no hang: the driver says so at once, as often as it is asked.
TEST_F(HangTest, AWaitWithoutMemoryIsTriedForAsLong) {
  const absl::Status status = VulkanBackend({.intercept = [](Api& api) {
    real = api;
    api.WaitSemaphores = [](VkDevice device, const VkSemaphoreWaitInfo* wait, uint64_t timeout) {
      return ++hang::waits <= 100 ? VK_ERROR_OUT_OF_HOST_MEMORY : real.WaitSemaphores(device, wait, timeout);
    };
  }}).probe();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_GT(hang::waits, 100);
}

TEST_F(HangTest, AWaitThatFailsUnheardOfIsAHangToo) {
  hang::says = VK_ERROR_UNKNOWN;
  const absl::Status status = VulkanBackend({.intercept = hang::Intercept}).probe();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(hang::waits, 1);
  EXPECT_EQ(hang::destroyed, 0);
}

}  // namespace
}  // namespace spotinference
