// A driver as most are, made of lavapipe, which keeps nothing itself: its VkPipelineCache holds what was compiled,
// and it says of a pipeline whether it was there.
#include "backends/vulkan/pipeline_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "backends/vulkan/pipelines.h"

namespace spotinference::vulkan {
namespace {

// The driver's state; its functions have no place for a pointer of ours.
struct Driver {
  Api real;
  absl::Mutex mutex;
  std::map<VkPipelineCache, std::set<uint32_t>> caches ABSL_GUARDED_BY(mutex);  // sums of code and constants
  VkPhysicalDeviceProperties device;
  bool takes_kept = true, gives_kept = true;  // else it fails
};

Driver& driver() {
  static Driver* const driver = new Driver;
  return *driver;
}

VKAPI_ATTR VkResult VKAPI_CALL CreateCache(VkDevice device, const VkPipelineCacheCreateInfo* info,
                                           const VkAllocationCallbacks* callbacks, VkPipelineCache* cache) {
  if (!driver().takes_kept && info->initialDataSize > 0) return VK_ERROR_UNKNOWN;
  VkPipelineCacheCreateInfo empty = *info;
  empty.initialDataSize = 0;
  const VkResult made = driver().real.CreatePipelineCache(device, &empty, callbacks, cache);
  absl::MutexLock lock(&driver().mutex);
  std::set<uint32_t>& sums = driver().caches[*cache];
  sums.clear();
  // As a driver that trusts what it is given: it would read past the end of what is not its own.
  for (size_t at = sizeof(VkPipelineCacheHeaderVersionOne); at < info->initialDataSize; at += 4) {
    uint32_t sum;
    std::memcpy(&sum, static_cast<const std::byte*>(info->pInitialData) + at, 4);
    sums.insert(sum);
  }
  return made;
}

VKAPI_ATTR VkResult VKAPI_CALL CacheData(VkDevice, VkPipelineCache cache, size_t* size, void* data) {
  if (!driver().gives_kept) return VK_ERROR_OUT_OF_HOST_MEMORY;
  absl::MutexLock lock(&driver().mutex);
  const std::set<uint32_t>& sums = driver().caches[cache];
  VkPipelineCacheHeaderVersionOne header{sizeof(header), VK_PIPELINE_CACHE_HEADER_VERSION_ONE, driver().device.vendorID,
                                         driver().device.deviceID};
  std::memcpy(header.pipelineCacheUUID, driver().device.pipelineCacheUUID, VK_UUID_SIZE);
  *size = sizeof(header) + 4 * sums.size();
  if (data == nullptr) return VK_SUCCESS;
  auto* to = static_cast<std::byte*>(data);
  std::memcpy(to, &header, sizeof(header));
  to += sizeof(header);
  for (const uint32_t sum : sums) {
    std::memcpy(to, &sum, 4);
    to += 4;
  }
  return VK_SUCCESS;
}

VKAPI_ATTR VkResult VKAPI_CALL CreatePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                               const VkComputePipelineCreateInfo* info,
                                               const VkAllocationCallbacks* callbacks, VkPipeline* pipelines) {
  const VkResult made = driver().real.CreateComputePipelines(device, cache, count, info, callbacks, pipelines);
  const VkSpecializationInfo& constants = *info->stage.pSpecializationInfo;
  uint32_t sum = static_cast<uint32_t>(constants.dataSize);
  for (size_t i = 0; i < constants.dataSize; ++i) sum = sum * 31 + static_cast<const uint8_t*>(constants.pData)[i];
  const auto* const said = static_cast<const VkPipelineCreationFeedbackCreateInfo*>(info->pNext);
  absl::MutexLock lock(&driver().mutex);
  const bool hit = !driver().caches[cache].insert(sum).second;
  said->pPipelineCreationFeedback->flags =
      VK_PIPELINE_CREATION_FEEDBACK_VALID_BIT |
      (hit ? VK_PIPELINE_CREATION_FEEDBACK_APPLICATION_PIPELINE_CACHE_HIT_BIT : 0);
  return made;
}

void Intercept(Api& api) {
  driver().real = api;
  api.CreatePipelineCache = CreateCache;
  api.GetPipelineCacheData = CacheData;
  api.CreateComputePipelines = CreatePipelines;
}

class MapCache : public CompileCache {
 public:
  CachedBytes Find(absl::string_view name) override {
    const auto found = parts.find(std::string(name));
    if (found == parts.end()) return {};
    const auto owner = std::make_shared<const std::string>(found->second);
    return {{reinterpret_cast<const std::byte*>(owner->data()), owner->size()}, owner};
  }
  void Keep(absl::string_view name, CachedBytes bytes) override {
    parts[std::string(name)].assign(reinterpret_cast<const char*>(bytes.bytes.data()), bytes.bytes.size());
  }

  std::map<std::string, std::string> parts;
};

// What a boot with three shaders compiles.
int64_t Boot(CompileCache* cache) {
  auto instance = Instance::Create(false, Intercept);
  if (!instance.ok()) ADD_FAILURE() << instance.status();
  const auto best = (*instance)->BestDevice();
  if (!best.ok()) ADD_FAILURE() << best.status();
  driver().device = best->properties;
  const auto gpu = Gpu::Create(*std::move(instance), *best, false);
  if (!gpu.ok()) ADD_FAILURE() << gpu.status();
  const auto pipelines = Pipelines::Create(**gpu);
  if (!pipelines.ok()) ADD_FAILURE() << pipelines.status();
  PipelineCache& kept = (*pipelines)->cache();
  if (cache != nullptr) kept.Load(*cache);
  const std::set<Pipelines::Key> keys{{Shader::kGate, {0}}, {Shader::kGate, {1}}, {Shader::kRmsNorm, {32}}};
  const absl::Status prepared = (*pipelines)->Prepare(keys);
  EXPECT_TRUE(prepared.ok()) << prepared;
  EXPECT_TRUE((*pipelines)->Prepare(keys).ok()) << "they are there";
  kept.Keep(cache);
  return kept.compiled();
}

TEST(PipelineCacheTest, ASecondBootCompilesNothingAndKeepsNothingNew) {
  MapCache cache;
  EXPECT_EQ(Boot(&cache), 3);
  ASSERT_EQ(cache.parts.size(), 1u);
  auto& [name, blob] = *cache.parts.begin();
  EXPECT_EQ(name, "pipelines " + ShadersHash());
  EXPECT_EQ(blob.size(), sizeof(VkPipelineCacheHeaderVersionOne) + 3 * 4);
  blob += std::string(4, 'x');  // would be lost, if it were written again
  EXPECT_EQ(Boot(&cache), 0);
  EXPECT_EQ(blob.substr(blob.size() - 4), "xxxx");
}

TEST(PipelineCacheTest, WithoutACacheEveryBootCompiles) {
  EXPECT_EQ(Boot(nullptr), 3);
  EXPECT_EQ(Boot(nullptr), 3);
}

TEST(PipelineCacheTest, OtherShadersAreAMiss) {
  MapCache cache;
  Boot(&cache);
  cache.parts = {{"pipelines of an older build", cache.parts.begin()->second}};
  EXPECT_EQ(Boot(&cache), 3);
  EXPECT_EQ(cache.parts.size(), 2u);
}

// Each byte of the header says whose it is; what is no header must not reach the driver.
TEST(PipelineCacheTest, AnotherDevicesOrNoCacheIsAMissAndIsReplaced) {
  MapCache cache;
  Boot(&cache);
  const std::string whole = cache.parts.begin()->second;
  for (const size_t at : {0, 4, 8, 12, 16, 31}) {
    std::string& blob = cache.parts.begin()->second;
    blob[at] ^= 0x40;
    EXPECT_EQ(Boot(&cache), 3) << "byte " << at;
    EXPECT_EQ(blob, whole);
  }
  for (const size_t size : {size_t{0}, size_t{31}}) {
    cache.parts.begin()->second.resize(size);
    EXPECT_EQ(Boot(&cache), 3) << "cut to " << size;
  }
}

// Compiling again is what it costs, and no boot.
TEST(PipelineCacheTest, ADriverThatTakesOrGivesNothingCompiles) {
  MapCache cache;
  driver().gives_kept = false;
  EXPECT_EQ(Boot(&cache), 3);
  EXPECT_TRUE(cache.parts.empty());
  driver().gives_kept = true;
  EXPECT_EQ(Boot(&cache), 3);
  driver().takes_kept = false;
  EXPECT_EQ(Boot(&cache), 3);
  driver().takes_kept = true;
  EXPECT_EQ(Boot(&cache), 0) << "what was kept is of use again";
}

TEST(PipelineCacheTest, AHeaderMustLieWithinItsBytes) {
  VkPhysicalDeviceProperties device{};
  VkPipelineCacheHeaderVersionOne header{sizeof(header), VK_PIPELINE_CACHE_HEADER_VERSION_ONE};
  const auto bytes = [&] { return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(&header), sizeof(header)); };
  EXPECT_TRUE(IsPipelineCacheOf(device, bytes()));
  EXPECT_FALSE(IsPipelineCacheOf(device, bytes().first(31)));
  header.headerSize = 33;
  EXPECT_FALSE(IsPipelineCacheOf(device, bytes()));
  header.headerSize = 31;
  EXPECT_FALSE(IsPipelineCacheOf(device, bytes()));
}

}  // namespace
}  // namespace spotinference::vulkan
