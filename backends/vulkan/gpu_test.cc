// A device on the pinned lavapipe: memory, copies, one shader. With --validated under the validation layer.
#include "backends/vulkan/gpu.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "backends/vulkan/pipelines.h"

namespace spotinference::vulkan {
namespace {

bool validated = false;

// A card with a queue that only copies, made of lavapipe's one queue.
namespace two_queues {

Api real;
int seen_across = 0;  // submissions that wait for what the other queue has done
VkCommandPool copying_pool = VK_NULL_HANDLE;
std::set<VkCommandBuffer> copying;  // command buffers of the queue that copies
int barriers_seen = 0;              // in them

void VKAPI_CALL Families(VkPhysicalDevice device, uint32_t* count, VkQueueFamilyProperties* families) {
  uint32_t one = 1;
  if (families != nullptr) {
    real.GetPhysicalDeviceQueueFamilyProperties(device, &one, families);
    families[1] = {VK_QUEUE_TRANSFER_BIT | VK_QUEUE_SPARSE_BINDING_BIT, 1};
    families[2] = {VK_QUEUE_TRANSFER_BIT | VK_QUEUE_VIDEO_DECODE_BIT_KHR, 1};
  }
  *count = 3;
}
VkResult VKAPI_CALL NewDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                              const VkAllocationCallbacks* callbacks, VkDevice* device) {
  VkDeviceCreateInfo one = *info;
  EXPECT_EQ(one.queueCreateInfoCount, 2u);
  EXPECT_EQ(one.pQueueCreateInfos[1].queueFamilyIndex, 1u);
  one.queueCreateInfoCount = 1;
  return real.CreateDevice(physical, &one, callbacks, device);
}
void VKAPI_CALL DeviceQueue(VkDevice device, uint32_t, uint32_t index, VkQueue* queue) {
  real.GetDeviceQueue(device, 0, index, queue);
}
VkResult VKAPI_CALL NewPool(VkDevice device, const VkCommandPoolCreateInfo* info,
                            const VkAllocationCallbacks* callbacks, VkCommandPool* pool) {
  VkCommandPoolCreateInfo first = *info;
  first.queueFamilyIndex = 0;
  const VkResult made = real.CreateCommandPool(device, &first, callbacks, pool);
  if (info->queueFamilyIndex == 1) copying_pool = *pool;
  return made;
}
VkResult VKAPI_CALL NewCommands(VkDevice device, const VkCommandBufferAllocateInfo* info, VkCommandBuffer* commands) {
  const VkResult made = real.AllocateCommandBuffers(device, info, commands);
  if (info->commandPool == copying_pool) copying.insert(*commands);
  else copying.erase(*commands);
  return made;
}
// A queue that only copies has no other stages.
void VKAPI_CALL Barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to,
                        VkDependencyFlags flags, uint32_t count, const VkMemoryBarrier* barriers, uint32_t buffer_count,
                        const VkBufferMemoryBarrier* buffers, uint32_t image_count, const VkImageMemoryBarrier* images) {
  if (copying.count(commands) > 0) {
    EXPECT_EQ((from | to) & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0u);
    ++barriers_seen;
  }
  real.CmdPipelineBarrier(commands, from, to, flags, count, barriers, buffer_count, buffers, image_count, images);
}
VkResult VKAPI_CALL NewBuffer(VkDevice device, const VkBufferCreateInfo* info, const VkAllocationCallbacks* callbacks,
                              VkBuffer* buffer) {
  VkBufferCreateInfo exclusive = *info;
  EXPECT_EQ(exclusive.sharingMode, VK_SHARING_MODE_CONCURRENT);
  EXPECT_EQ(exclusive.queueFamilyIndexCount, 2u);
  exclusive.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  exclusive.queueFamilyIndexCount = 0;
  return real.CreateBuffer(device, &exclusive, callbacks, buffer);
}
VkResult VKAPI_CALL Submit(VkQueue queue, uint32_t count, const VkSubmitInfo* submits, VkFence fence) {
  if (submits->waitSemaphoreCount > 0) ++seen_across;
  return real.QueueSubmit(queue, count, submits, fence);
}

void Intercept(Api& api) {
  real = api;
  api.GetPhysicalDeviceQueueFamilyProperties = Families;
  api.CreateDevice = NewDevice;
  api.GetDeviceQueue = DeviceQueue;
  api.CreateCommandPool = NewPool;
  api.CreateBuffer = NewBuffer;
  api.QueueSubmit = Submit;
  api.AllocateCommandBuffers = NewCommands;
  api.CmdPipelineBarrier = Barrier;
}

}  // namespace two_queues

enum class Card { kMapped, kStaged, kTwoQueues };

std::unique_ptr<Gpu> NewGpu(Card card) {
  auto instance = card == Card::kTwoQueues ? Instance::Create(validated, two_queues::Intercept)
                                           : Instance::Create(validated);
  if (!instance.ok()) ADD_FAILURE() << instance.status();
  if (!instance.ok()) return nullptr;
  const auto best = (*instance)->BestDevice();
  if (!best.ok()) ADD_FAILURE() << best.status();
  if (!best.ok()) return nullptr;
  auto gpu = Gpu::Create(*std::move(instance), *best, card != Card::kMapped);
  if (!gpu.ok()) ADD_FAILURE() << gpu.status();
  return gpu.ok() ? *std::move(gpu) : nullptr;
}

class GpuTest : public testing::TestWithParam<Card> {
 protected:
  void SetUp() override {
    gpu_ = NewGpu(GetParam());
    ASSERT_NE(gpu_, nullptr);
  }

  std::unique_ptr<Region> NewRegion(size_t bytes, MemoryUse use = MemoryUse::kDevice) {
    auto region = gpu_->memory().Allocate(bytes, use);
    if (!region.ok()) ADD_FAILURE() << region.status();
    return region.ok() ? *std::move(region) : nullptr;
  }

  absl::Status Read(const Region& region, void* to, size_t bytes) {
    const Gpu::Piece piece{&region, 0, bytes};
    return gpu_->Read({&piece, 1}, static_cast<std::byte*>(to));
  }
  absl::Status Write(const Region& region, size_t offset, const void* from, size_t bytes) {
    const Gpu::Piece piece{&region, offset, bytes};
    return gpu_->Write({&piece, 1}, static_cast<const std::byte*>(from));
  }

  std::unique_ptr<Gpu> gpu_;
};

TEST_P(GpuTest, DeviceMemoryIsMappedUnlessStaged) {
  EXPECT_EQ(NewRegion(100)->mapped() == nullptr, GetParam() != Card::kMapped);
  EXPECT_NE(NewRegion(100, MemoryUse::kUpload)->mapped(), nullptr);
  EXPECT_NE(NewRegion(100, MemoryUse::kReadback)->mapped(), nullptr);
}

TEST_P(GpuTest, UploadsPiecesAndReadsThemBack) {
  // Pieces of a few bytes, and ones that are longer than half the staging buffer.
  for (const auto& [piece, pieces] : std::vector<std::pair<size_t, size_t>>{{12, 1}, {4096, 5000}, {9 << 20, 3}}) {
    const auto region = NewRegion(piece * pieces);
    ASSERT_NE(region, nullptr);
    const auto byte_at = [](size_t i) { return static_cast<std::byte>(i * 2654435761u >> 13); };
    size_t next = 0;
    ASSERT_TRUE(gpu_->Upload(*region, piece, pieces, [&](size_t first, size_t count, std::byte* to) {
                      EXPECT_EQ(first, next);
                      next = first + count;
                      for (size_t i = 0; i < count * piece; ++i) to[i] = byte_at(first * piece + i);
                    }).ok());
    EXPECT_EQ(next, pieces);
    std::vector<std::byte> back(piece * pieces);
    ASSERT_TRUE(Read(*region, back.data(), back.size()).ok());
    for (size_t i = 0; i < back.size(); ++i) ASSERT_EQ(back[i], byte_at(i)) << i;
  }
}

TEST_P(GpuTest, WritesInTheMiddle) {
  const auto region = NewRegion(1000);
  const std::vector<std::byte> zeros(1000), some(10, std::byte{7});
  ASSERT_TRUE(Write(*region, 0, zeros.data(), zeros.size()).ok());
  ASSERT_TRUE(Write(*region, 500, some.data(), some.size()).ok());
  std::vector<std::byte> back(1000);
  ASSERT_TRUE(Read(*region, back.data(), back.size()).ok());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(back[i], i >= 500 && i < 510 ? std::byte{7} : std::byte{0});
}

TEST_P(GpuTest, SaysWhatDoesNotFit) {
  const auto huge = gpu_->memory().Allocate(size_t{1} << 50, MemoryUse::kDevice);
  EXPECT_TRUE(absl::IsResourceExhausted(huge.status())) << huge.status();
  EXPECT_NE(huge.status().message().find("1125899906842624 bytes asked for"), std::string::npos) << huge.status();
  EXPECT_NE(NewRegion(1 << 20), nullptr);  // and goes on
}

TEST_P(GpuTest, RegionsDoNotOverlapAndMemoryIsUsedAgain) {
  const auto first = NewRegion(300);
  const VkDeviceAddress second = NewRegion(300)->address();
  EXPECT_GE(second, first->address() + 300);
  EXPECT_EQ(NewRegion(300)->address(), second);
  EXPECT_EQ(first->address() % 256, 0u);
}

// add.comp on three rows of 40, of which the step has two, whose inputs were uploaded.
TEST_P(GpuTest, RunsAShader) {
  auto pipelines = Pipelines::Create(*gpu_);
  ASSERT_TRUE(pipelines.ok()) << pipelines.status();
  const auto pipeline = (*pipelines)->Get({Shader::kAdd, {}});
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  EXPECT_EQ(*(*pipelines)->Get({Shader::kAdd, {}}), *pipeline);

  constexpr uint32_t kWidth = 40;
  std::vector<float> a(3 * kWidth), b(3 * kWidth), out(3 * kWidth, -1);
  std::iota(a.begin(), a.end(), 0.0f);
  std::iota(b.begin(), b.end(), 0.5f);
  std::vector<std::unique_ptr<Region>> regions;
  for (const auto* values : {&a, &b, &out}) {
    regions.push_back(NewRegion(values->size() * sizeof(float)));
    ASSERT_TRUE(Write(*regions.back(), 0, values->data(), values->size() * sizeof(float)).ok());
  }
  const auto step = NewRegion(64, MemoryUse::kUpload);
  const uint32_t rows[2] = {2, 0};
  std::memcpy(step->mapped(), rows, sizeof(rows));
  const struct {
    VkDeviceAddress step, a, b, out;
    uint32_t domain, width;
  } push{step->address(), regions[0]->address(), regions[1]->address(), regions[2]->address(), 0, kWidth};
  const auto commands = gpu_->Record([&](VkCommandBuffer buffer) {
    gpu_->api().CmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, *pipeline);
    gpu_->api().CmdPushConstants(buffer, (*pipelines)->layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(push), &push);
    gpu_->api().CmdDispatch(buffer, 2, 3, 1);
    VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
    barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
    gpu_->api().CmdPipelineBarrier(buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                   VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0,
                                   nullptr, 0, nullptr);
  });
  ASSERT_TRUE(commands.ok()) << commands.status();
  for (int run = 0; run < 2; ++run) ASSERT_TRUE(gpu_->Run({&*commands, 1}).ok());
  gpu_->FreeCommands(*commands);
  ASSERT_TRUE(Read(*regions[2], out.data(), out.size() * sizeof(float)).ok());
  for (uint32_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], i < 2 * kWidth ? 2.0f * i + 0.5f : -1) << i;
  // The shader saw what was uploaded, the copies what it wrote.
  if (GetParam() == Card::kTwoQueues) {
    EXPECT_GE(two_queues::seen_across, 2 + 1);
    EXPECT_GT(two_queues::barriers_seen, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Memory, GpuTest, testing::Values(Card::kMapped, Card::kStaged, Card::kTwoQueues),
                         [](const auto& info) {
                           return info.param == Card::kMapped ? "Mapped"
                                  : info.param == Card::kStaged ? "Staged" : "TwoQueues";
                         });

TEST(InstanceTest, FindsTheSoftwareDevice) {
  const auto instance = Instance::Create(validated);
  ASSERT_TRUE(instance.ok()) << instance.status();
  const auto best = (*instance)->BestDevice();
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_TRUE(best->is_software());
  EXPECT_NE(std::string(best->properties.deviceName).find("llvmpipe"), std::string::npos);
}

// A card that has matrices, of which it tells `told_matrices`.
Api with_matrices;
VkCooperativeMatrixPropertiesNV told_matrices;

VkResult VKAPI_CALL ExtensionsWithMatrices(VkPhysicalDevice device, const char* layer, uint32_t* count,
                                           VkExtensionProperties* extensions) {
  const uint32_t room = *count;
  const VkResult result = with_matrices.EnumerateDeviceExtensionProperties(device, layer, count, extensions);
  if (extensions == nullptr) {
    ++*count;
  } else if (*count < room) {
    extensions[(*count)++] = {VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME, 1};
  }
  return result;
}

void VKAPI_CALL FeaturesWithMatrices(VkPhysicalDevice device, VkPhysicalDeviceFeatures2* features) {
  with_matrices.GetPhysicalDeviceFeatures2(device, features);
  for (auto* next = static_cast<VkBaseOutStructure*>(features->pNext); next != nullptr; next = next->pNext) {
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV) {
      reinterpret_cast<VkPhysicalDeviceCooperativeMatrixFeaturesNV*>(next)->cooperativeMatrix = VK_TRUE;
    }
  }
}

uint32_t subgroup = 32;
void VKAPI_CALL PropertiesOfACard(VkPhysicalDevice device, VkPhysicalDeviceProperties2* properties) {
  with_matrices.GetPhysicalDeviceProperties2(device, properties);
  auto* const next = static_cast<VkBaseOutStructure*>(properties->pNext);
  if (next == nullptr || next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES) return;
  reinterpret_cast<VkPhysicalDeviceSubgroupProperties*>(next)->subgroupSize = subgroup;
}

VkResult VKAPI_CALL ToldMatrices(VkPhysicalDevice, uint32_t* count, VkCooperativeMatrixPropertiesNV* kinds) {
  *count = 1;
  if (kinds != nullptr) *kinds = told_matrices;
  return VK_SUCCESS;
}

TEST(InstanceTest, TakesTheMatricesThatTheShadersWantAndNoOthers) {
  const VkCooperativeMatrixPropertiesNV wanted{.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV,
                                               .MSize = 16,
                                               .NSize = 16,
                                               .KSize = 16,
                                               .AType = VK_COMPONENT_TYPE_FLOAT16_NV,
                                               .BType = VK_COMPONENT_TYPE_FLOAT16_NV,
                                               .CType = VK_COMPONENT_TYPE_FLOAT32_NV,
                                               .DType = VK_COMPONENT_TYPE_FLOAT32_NV,
                                               .scope = VK_SCOPE_SUBGROUP_NV};
  const auto has = [](const VkCooperativeMatrixPropertiesNV& kind, uint32_t of_subgroup) {
    told_matrices = kind;
    subgroup = of_subgroup;
    const auto instance = Instance::Create(/*validated=*/false, [](Api& api) {
      with_matrices = api;
      api.EnumerateDeviceExtensionProperties = ExtensionsWithMatrices;
      api.GetPhysicalDeviceFeatures2 = FeaturesWithMatrices;
      api.GetPhysicalDeviceProperties2 = PropertiesOfACard;
      api.GetPhysicalDeviceCooperativeMatrixPropertiesNV = ToldMatrices;
    });
    return (*instance)->BestDevice()->has_matrices;
  };
  EXPECT_TRUE(has(wanted, 32));
  EXPECT_FALSE(has(wanted, 64));
  VkCooperativeMatrixPropertiesNV other = wanted;
  other.NSize = 8;
  EXPECT_FALSE(has(other, 32));
  other = wanted;
  other.DType = VK_COMPONENT_TYPE_FLOAT16_NV;
  EXPECT_FALSE(has(other, 32));
  const auto plain = Instance::Create(/*validated=*/false);
  EXPECT_FALSE((*plain)->BestDevice()->has_matrices) << "lavapipe";
  EXPECT_TRUE((*plain)->BestDevice()->sums_subgroups);
  EXPECT_TRUE((*plain)->BestDevice()->has_dots);
  EXPECT_FALSE((*plain)->BestDevice()->has_fast_dots) << "it takes them apart";
}

// What would not be there on another machine.
TEST(InstanceTest, NothingButTheCLibraryComesFromTheHost) {
  const auto gpu = NewGpu(Card::kMapped);
  std::ifstream maps("/proc/self/maps");
  bool driver = false;
  for (std::string line; std::getline(maps, line);) {
    driver |= line.find("/lavapipe/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so") != std::string::npos;
    const size_t path = line.find(" /usr/lib");
    if (path == std::string::npos || line.find(".so") == std::string::npos) continue;
    const std::string name = line.substr(line.rfind('/') + 1);
    bool known = false;
    for (const char* base : {"ld-linux", "libasan.so", "libc.so", "libdl.so", "libgcc_s.so", "libm.so", "libpthread.so",
                             "librt.so", "libstdc++.so", "libubsan.so"}) {
      known |= name.starts_with(base);
    }
    EXPECT_TRUE(known) << line;
  }
  EXPECT_TRUE(driver);
}

TEST(ValidationDeathTest, AMessageEndsTheProcess) {
  if (!validated) GTEST_SKIP() << "gpu_validated_test runs it: there is no layer to hear from without --validated";
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto gpu = NewGpu(Card::kMapped);
  ASSERT_NE(gpu, nullptr);
  EXPECT_DEATH(
      {
        VkBufferCreateInfo empty{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
        empty.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
        VkBuffer buffer = VK_NULL_HANDLE;
        gpu->api().CreateBuffer(gpu->device(), &empty, nullptr, &buffer);
      },
      "validation: ");
}

}  // namespace
}  // namespace spotinference::vulkan

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) spotinference::vulkan::validated |= std::string(argv[i]) == "--validated";
  return RUN_ALL_TESTS();
}
