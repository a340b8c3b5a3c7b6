// What a whole model takes of a device's memory. Arguments: a GGUF file.
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "backends/vulkan/api.h"
#include "backends/vulkan/vulkan_device.h"
#include "engine/model/gguf.h"
#include "engine/model/model.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

const char* model_path;

vulkan::Api real;
std::map<VkDeviceMemory, uint64_t> allocations;

VkResult VKAPI_CALL Allocate(VkDevice device, const VkMemoryAllocateInfo* info, const VkAllocationCallbacks* callbacks,
                             VkDeviceMemory* memory) {
  const VkResult result = real.AllocateMemory(device, info, callbacks, memory);
  if (result == VK_SUCCESS) allocations[*memory] = info->allocationSize;
  return result;
}
void VKAPI_CALL Free(VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks* callbacks) {
  allocations.erase(memory);
  real.FreeMemory(device, memory, callbacks);
}

uint64_t Allocated() {
  uint64_t bytes = 0;
  for (const auto& [memory, size] : allocations) bytes += size;
  return bytes;
}

// Weights as long as in the file, KV, and what a step's tensors hold: no copy of anything, and little cut off.
TEST(VulkanMemoryTest, IsWeightsKvAndOneArenaOfActivations) {
  constexpr int kTokens = 128, kOutputs = 64, kBlocks = 128;  // a step of an engine; KV of 2,048 tokens
  const auto device = CreateVulkanDevice({.intercept = [](vulkan::Api& api) {
    real = api;
    api.AllocateMemory = Allocate;
    api.FreeMemory = Free;
  }});
  ASSERT_TRUE(device.ok()) << device.status();
  const auto file = GgufFile::Open(model_path);
  ASSERT_TRUE(file.ok()) << file.status();
  uint64_t weights = 0;
  for (const TensorView& tensor : (*file)->tensors()) weights += tensor.data.size();
  const auto model = Model::Load(**file, **device);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE((*model)->AllocateKv(kBlocks).ok());
  const ModelConfig& config = (*model)->config();
  const uint64_t kv = uint64_t{2} * config.layers * kBlocks * kBlockTokens * config.attention.kv_heads *
                      config.attention.head_dim * sizeof(uint16_t);
  const Graph graph = (*model)->ForwardGraph(kTokens, kOutputs);
  uint64_t arena = 0;
  for (const TensorSpec& tensor : graph.tensors) {
    arena += sizeof(float) * tensor.width * (tensor.rows == Rows::kTokens ? kTokens : kOutputs);
  }
  arena += sizeof(float) * graph.tensors[graph.output].width * kOutputs;  // and once more where the host reads it
  const auto program = (*device)->Compile(graph, nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  const uint64_t wanted = weights + kv + arena;
  RecordProperty("allocated", std::to_string(Allocated()));
  RecordProperty("wanted", std::to_string(wanted));
  EXPECT_LE(Allocated(), wanted + wanted * 3 / 100)
      << weights << " of weights, " << kv << " of KV, " << arena << " of activations";
  EXPECT_GE(Allocated(), wanted);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  spotinference::model_path = argv[1];
  return RUN_ALL_TESTS();
}
