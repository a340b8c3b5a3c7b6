// What only this backend has: tensors past maxStorageBufferRange, memory that runs out, a step that is refused.
#include "backends/vulkan/vulkan_device.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "backends/vulkan/api.h"

namespace spotinference {
namespace {

class VulkanDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = CreateVulkanDevice({});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
  }

  std::unique_ptr<Device> device_;
};

// 151 MB of Q8_0, where lavapipe lets a bound buffer be 128 MiB: rows at the beginning, before and after that border, and
// at the end.
TEST_F(VulkanDeviceTest, MultipliesAWeightLongerThanAStorageBufferMayBe) {
  constexpr int kRows = 131072, kColumns = 1088;
  const int64_t row_bytes = RowBytes(DType::kQ8_0, kColumns);
  std::vector<std::byte> data(kRows * row_bytes);
  ASSERT_GT(data.size(), size_t{128} << 20);
  std::mt19937 random(1);
  const uint16_t d = FloatToHalf(0.01f);
  for (size_t at = 0; at < data.size(); at += 34) {
    std::memcpy(&data[at], &d, 2);
    for (int i = 2; i < 34; ++i) data[at + i] = static_cast<std::byte>(random() % 255 - 127);
  }
  const TensorView view{"large", DType::kQ8_0, kRows, kColumns, data};
  const auto weight = device_->LoadWeight(view, {.matmul = true}, nullptr);
  ASSERT_TRUE(weight.ok()) << weight.status();
  EXPECT_LE((*weight)->size_bytes(), data.size() * 1.001);

  std::normal_distribution<float> normal;
  std::vector<float> x(kColumns), out(kRows), row(kColumns);
  for (float& v : x) v = normal(random);
  const Graph graph{.tensors = {{kColumns}, {kRows}},
                    .ops = {{.kind = OpKind::kMatmul, .out = 1, .a = 0, .weight = weight->get()}},
                    .inputs = {0},
                    .output = 1,
                    .max_tokens = 1,
                    .max_outputs = 1};
  const auto program = device_->Compile(graph, nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  const int32_t zero = 0;
  const absl::Span<const float> inputs[] = {x};
  ASSERT_TRUE((*program)
                  ->Run({.positions = {&zero, 1}, .sequences = {&zero, 1}, .inputs = inputs}, absl::MakeSpan(out))
                  .ok());
  const int border = static_cast<int>((int64_t{128} << 20) / row_bytes);
  for (const int r : {0, 1, 31, 32, border - 1, border, border + 1, kRows - 33, kRows - 1}) {
    DequantizeRow(view, r, absl::MakeSpan(row));
    double sum = 0, magnitude = 0;
    for (int i = 0; i < kColumns; ++i) {
      sum += double{row[i]} * x[i];
      magnitude += std::abs(double{row[i]} * x[i]);
    }
    // Each of n products and sums is off by at most half a unit of what has been summed so far.
    EXPECT_NEAR(out[r], sum, kColumns * 0x1p-24 * magnitude) << "row " << r;
  }
}

TEST_F(VulkanDeviceTest, SaysWhenMemoryRunsOutAndGoesOn) {
  const AttentionAttributes shape{.heads = 8, .kv_heads = 8, .head_dim = 128};
  const absl::Status status = device_->AllocateKv(shape, 1 << 16).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("4294967296 bytes asked for; of "), std::string::npos) << status;
  EXPECT_TRUE(device_->AllocateKv(shape, 16).ok());
}

// What boots leave to later ones.
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
    ++kept;
  }

  std::map<std::string, std::string> parts;
  int kept = 0;
};

TEST(VulkanTilesTest, AreMeasuredOnceAndChangeNoBit) {
  constexpr int kRows = 67, kColumns = 64, kTokens = 4;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(kRows * kColumns), x(kTokens * kColumns);
  for (float& v : values) v = normal(random);
  for (float& v : x) v = normal(random);
  const std::vector<int32_t> zeros(kTokens);
  // The product with what is kept in `cache`, in steps of 1 and of 4 rows.
  const auto multiply = [&](CompileCache* cache) {
    const auto device = CreateVulkanDevice({.measures_tiles = true});
    EXPECT_TRUE(device.ok()) << device.status();
    const TensorView view{"w", DType::kF32, kRows, kColumns,
                          {reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float)}};
    const auto weight = (*device)->LoadWeight(view, {.matmul = true}, nullptr);
    const Graph graph{.tensors = {{kColumns}, {kRows}},
                      .ops = {{.kind = OpKind::kMatmul, .out = 1, .a = 0, .weight = weight->get()}},
                      .inputs = {0},
                      .output = 1,
                      .max_tokens = kTokens,
                      .max_outputs = kTokens};
    const auto program = (*device)->Compile(graph, cache);
    EXPECT_TRUE(program.ok()) << program.status();
    std::vector<float> out;
    for (const size_t tokens : {1, 4}) {
      const absl::Span<const float> inputs[] = {absl::MakeSpan(x).first(tokens * kColumns)};
      const absl::Span<const int32_t> some = absl::MakeSpan(zeros).first(tokens);
      const size_t at = out.size();
      out.resize(at + tokens * kRows);
      EXPECT_TRUE((*program)
                      ->Run({.positions = some, .sequences = some, .inputs = inputs}, absl::MakeSpan(out).subspan(at))
                      .ok());
    }
    return out;
  };
  const std::vector<float> usual = multiply(nullptr);
  MapCache cache;
  EXPECT_EQ(multiply(&cache), usual);
  ASSERT_EQ(cache.parts.size(), 1u);
  auto& [name, tiles] = *cache.parts.begin();
  EXPECT_TRUE(absl::StartsWith(name, "tiles ")) << name;
  EXPECT_EQ(tiles.size(), 6u) << "a choice for each count of rows";
  for (const char outputs : {1, 4}) {
    for (int i = 2; i < 6; i += 3) tiles[i] = outputs;
    EXPECT_EQ(multiply(&cache), usual) << int{outputs} << " outputs";
    EXPECT_EQ(tiles[2], outputs);
  }
  EXPECT_EQ(cache.kept, 1);
}

// What a shader's 32 bits could not count is refused before any memory is asked for.
TEST_F(VulkanDeviceTest, RefusesByNameWhatItCannotAddress) {
  const AttentionAttributes shape{.heads = 8, .kv_heads = 8, .head_dim = 128};
  const absl::Status kv = device_->AllocateKv(shape, 1 << 17).status();
  EXPECT_TRUE(absl::IsUnimplemented(kv)) << kv;
  EXPECT_EQ(kv.message(), "a layer's KV cache: 8589934592 bytes; the Vulkan backend reaches 2^31 words of a tensor");
  // 8 GiB of addresses, of which no byte is touched.
  const size_t bytes = size_t{8} << 30;
  void* const nothing = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(nothing, MAP_FAILED);
  const TensorView view{"blk.0.huge", DType::kF32, 1 << 16, 1 << 15, {static_cast<const std::byte*>(nothing), bytes}};
  const absl::Status weight = device_->LoadWeight(view, {.matmul = true}, nullptr).status();
  EXPECT_TRUE(absl::IsUnimplemented(weight)) << weight;
  EXPECT_TRUE(absl::StartsWith(weight.message(), "tensor blk.0.huge: packed: 8589934592 bytes;")) << weight;
  munmap(nothing, bytes);
}

TEST_F(VulkanDeviceTest, NamesWhatItLacks) {
  const std::vector<float> values(3 * 40);
  const TensorView view{"odd", DType::kF32, 3, 40,
                        {reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float)}};
  const absl::Status columns = device_->LoadWeight(view, {.matmul = true}, nullptr).status();
  EXPECT_TRUE(absl::IsUnimplemented(columns)) << columns;
  EXPECT_EQ(columns.message(), "tensor odd: the Vulkan backend wants a multiple of 32 columns, not 40");
  TensorView cut = view;
  cut.data.remove_suffix(1);
  EXPECT_TRUE(absl::IsInvalidArgument(device_->LoadWeight(cut, {.vector = true}, nullptr).status()));
}

// KV leaves the device and comes back as it was, block by block, all layers at once; also where it has to be staged, in
// blocks that the staging buffer does not hold together.
TEST(VulkanKvTest, BlocksOfAllLayersComeBack) {
  for (const bool staged : {false, true}) {
    const auto device = CreateVulkanDevice({.staged = staged});
    ASSERT_TRUE(device.ok()) << device.status();
    const AttentionAttributes shape{.heads = 128, .kv_heads = 128, .head_dim = 512};
    std::vector<std::unique_ptr<Buffer>> kv;
    std::vector<Buffer*> layers;
    for (int layer = 0; layer < 3; ++layer) {
      auto made = (*device)->AllocateKv(shape, 2);
      ASSERT_TRUE(made.ok()) << made.status();
      layers.push_back(kv.emplace_back(*std::move(made)).get());
    }
    const size_t bytes = 3 * kv[0]->size_bytes() / 2;
    EXPECT_EQ(bytes, 3u * 2 * kBlockTokens * 128 * 512 * 2);
    std::vector<std::byte> in(bytes), back(bytes);
    for (const int block : {0, 1}) {
      for (size_t i = 0; i < bytes; ++i) in[i] = static_cast<std::byte>((i + block) * 2654435761u >> 13);
      ASSERT_TRUE((*device)->WriteKv(layers, block, in).ok());
    }
    for (const int block : {1, 0}) {
      for (size_t i = 0; i < bytes; ++i) in[i] = static_cast<std::byte>((i + block) * 2654435761u >> 13);
      ASSERT_TRUE((*device)->ReadKv({layers.data(), layers.size()}, block, absl::MakeSpan(back)).ok());
      EXPECT_TRUE(back == in) << "block " << block << ", staged " << staged;
    }
  }
}

PFN_vkGetPhysicalDeviceProperties2 real_properties = nullptr;
void (*change_properties)(VkPhysicalDeviceProperties& properties) = nullptr;

void VKAPI_CALL ChangedProperties(VkPhysicalDevice device, VkPhysicalDeviceProperties2* properties) {
  real_properties(device, properties);
  change_properties(properties->properties);
}

TEST(VulkanArithmeticTest, SaysThatItRoundsToIntegers) {
  const auto usual = CreateVulkanDevice({}), integers = CreateVulkanDevice({.integers = true});
  ASSERT_TRUE(usual.ok() && integers.ok()) << usual.status() << integers.status();
  EXPECT_EQ((*integers)->info().arithmetic, "int8x32-" + (*usual)->info().arithmetic);
  EXPECT_TRUE((*integers)->info().batch_invariant);
}

TEST(VulkanArithmeticTest, SaysThatItVaries) {
  const auto usual = CreateVulkanDevice({}), varying = CreateVulkanDevice({.batch_invariant = false});
  ASSERT_TRUE(usual.ok() && varying.ok()) << usual.status() << varying.status();
  EXPECT_TRUE((*usual)->info().batch_invariant);
  EXPECT_FALSE((*varying)->info().batch_invariant);
  EXPECT_EQ((*varying)->info().arithmetic, "varying-" + (*usual)->info().arithmetic);
}

// What DeviceInfo::driver says is what names a CompileCache: what another driver or device compiled is not found.
TEST(VulkanDriverTest, NamesVendorDeviceVersionAndCacheUuid) {
  using Properties = VkPhysicalDeviceProperties;
  std::set<std::string> drivers;
  for (void (*change)(Properties&) : std::initializer_list<void (*)(Properties&)>{
           [](Properties&) {}, [](Properties& p) { ++p.driverVersion; }, [](Properties& p) { ++p.deviceID; },
           [](Properties& p) { ++p.vendorID; }, [](Properties& p) { ++p.pipelineCacheUUID[VK_UUID_SIZE - 1]; }}) {
    change_properties = change;
    const auto device = CreateVulkanDevice({.intercept = [](vulkan::Api& api) {
      real_properties = api.GetPhysicalDeviceProperties2;
      api.GetPhysicalDeviceProperties2 = ChangedProperties;
    }});
    ASSERT_TRUE(device.ok()) << device.status();
    drivers.insert((*device)->info().driver);
  }
  EXPECT_EQ(drivers.size(), 5u);
}

absl::StatusOr<std::unique_ptr<Device>> DeviceWith(void (*change)(VkPhysicalDeviceProperties&), uint32_t splits = 0) {
  change_properties = change;
  return CreateVulkanDevice({.intercept = [](vulkan::Api& api) {
    real_properties = api.GetPhysicalDeviceProperties2;
    api.GetPhysicalDeviceProperties2 = ChangedProperties;
  }, .splits = splits});
}

// A card with no more than what Vulkan promises of every device: it has fewer ranges of a sum, by which its results are named.
TEST(VulkanLimitsTest, ASmallDeviceGetsFewerRangesOrIsRefused) {
  const auto small = [](VkPhysicalDeviceProperties& p) {
    p.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    p.limits.maxComputeWorkGroupInvocations = 128;
    p.limits.maxComputeWorkGroupSize[0] = p.limits.maxComputeWorkGroupSize[1] = 128;
    p.limits.maxComputeSharedMemorySize = 16384;
  };
  const auto device = DeviceWith(small);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_TRUE(absl::StartsWith((*device)->info().arithmetic, "f32-splits4-")) << (*device)->info().arithmetic;
  const absl::Status eight = DeviceWith(small, 8).status();
  EXPECT_TRUE(absl::IsUnimplemented(eight)) << eight;
  EXPECT_EQ(eight.message(), "groups of 256 invocations and 16384 shared bytes; the device has groups of 128 and 16384");
  const auto large = DeviceWith([](VkPhysicalDeviceProperties& p) {
    p.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    p.limits.maxComputeWorkGroupInvocations = 1024;
    p.limits.maxComputeSharedMemorySize = 32768;
  });
  ASSERT_TRUE(large.ok()) << large.status();
  EXPECT_TRUE(absl::StartsWith((*large)->info().arithmetic, "f32-splits8-")) << (*large)->info().arithmetic;
}

// out = x · weight, or a kMatmul without a weight.
Graph MatmulGraph(const Buffer* weight, int columns, int rows, int max_tokens = 1) {
  return {.tensors = {{columns}, {rows}},
          .ops = {{.kind = OpKind::kMatmul, .out = 1, .a = 0, .weight = weight}},
          .inputs = {0},
          .output = 1,
          .max_tokens = max_tokens,
          .max_outputs = max_tokens};
}

TEST(VulkanLimitsTest, RefusesMoreGroupsThanTheDeviceTakes) {
  const auto device = DeviceWith([](VkPhysicalDeviceProperties& p) {
    p.limits.maxComputeWorkGroupCount[0] = 2;
    p.limits.maxComputeWorkGroupCount[1] = 4;
    p.limits.maxComputeWorkGroupCount[2] = 6;
  });
  ASSERT_TRUE(device.ok()) << device.status();
  const std::vector<float> values(129 * 32);
  const auto* const bytes = reinterpret_cast<const std::byte*>(values.data());
  const auto compile = [&](int rows, int max_tokens) {
    const TensorView view{"w", DType::kF32, rows, 32, {bytes, rows * 32 * sizeof(float)}};
    const auto weight = (*device)->LoadWeight(view, {.matmul = true}, nullptr);
    EXPECT_TRUE(weight.ok()) << weight.status();
    return (*device)->Compile(MatmulGraph(weight->get(), 32, rows, max_tokens), nullptr).status();
  };
  EXPECT_TRUE(compile(128, 32).ok()) << compile(128, 32);
  const absl::Status wide = compile(129, 1), long_step = compile(32, 33);
  EXPECT_TRUE(absl::IsUnimplemented(wide)) << wide;
  EXPECT_EQ(wide.message(), "graph: operation 0: 3 x 1 x 1 groups; the device takes 2 x 4 x 6");
  EXPECT_TRUE(absl::IsUnimplemented(long_step)) << long_step;
}

TEST_F(VulkanDeviceTest, RefusesAGraphThatLacksWhatItNames) {
  const absl::Status weight = device_->Compile(MatmulGraph(nullptr, 32, 32), nullptr).status();
  EXPECT_TRUE(absl::IsInvalidArgument(weight)) << weight;
  EXPECT_EQ(weight.message(), "graph: operation 0: its weight is missing");
  Graph graph = MatmulGraph(nullptr, 32, 32);
  graph.ops = {{.kind = OpKind::kAttention, .out = 1, .a = 0}};
  EXPECT_TRUE(absl::IsInvalidArgument(device_->Compile(graph, nullptr).status()));
}

PFN_vkQueueSubmit real_submit = nullptr;
int submissions = 0;

// Work that is too much for one submission is dealt out, a group at least to each.
TEST(VulkanWorkTest, IsDealtOutByNoMoreThanItsGroups) {
  const auto device = CreateVulkanDevice({.intercept = [](vulkan::Api& api) {
    real_submit = api.QueueSubmit;
    api.QueueSubmit = [](VkQueue queue, uint32_t count, const VkSubmitInfo* submits, VkFence fence) {
      ++submissions;
      return real_submit(queue, count, submits, fence);
    };
  }, .submission_work = 1});
  ASSERT_TRUE(device.ok()) << device.status();
  constexpr int kRows = 3 * 64, kColumns = 32;  // three groups
  const std::vector<float> values(kRows * kColumns, 1.0f);
  const TensorView view{"w", DType::kF32, kRows, kColumns,
                        {reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float)}};
  const auto weight = (*device)->LoadWeight(view, {.matmul = true}, nullptr);
  ASSERT_TRUE(weight.ok()) << weight.status();
  const auto program = (*device)->Compile(MatmulGraph(weight->get(), kColumns, kRows), nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  submissions = 0;
  const int32_t zero = 0;
  const std::vector<float> x(kColumns, 2.0f);
  std::vector<float> out(kRows);
  const absl::Span<const float> inputs[] = {x};
  ASSERT_TRUE((*program)
                  ->Run({.positions = {&zero, 1}, .sequences = {&zero, 1}, .inputs = inputs}, absl::MakeSpan(out))
                  .ok());
  EXPECT_EQ(submissions, 3);
  EXPECT_EQ(out, std::vector<float>(kRows, 64.0f));
}

PFN_vkCmdDispatch real_dispatch = nullptr;
int dispatches = 0;

// A token far into its sequence has a group for each range of positions, when there are few of them; it changes no bit. On a
// device that takes no more groups along x than there are groups of heads.
TEST(VulkanAttentionTest, IsSplitByRangesForFewTokensToTheSameBits) {
  change_properties = [](VkPhysicalDeviceProperties& p) {
    p.limits.maxComputeWorkGroupCount[0] = 2;
    p.limits.maxComputeWorkGroupCount[2] = 3;
  };
  const auto device = CreateVulkanDevice({.intercept = [](vulkan::Api& api) {
    real_properties = api.GetPhysicalDeviceProperties2;
    api.GetPhysicalDeviceProperties2 = ChangedProperties;
    real_dispatch = api.CmdDispatch;
    api.CmdDispatch = [](VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
      ++dispatches;
      real_dispatch(commands, x, y, z);
    };
  }});
  ASSERT_TRUE(device.ok()) << device.status();
  constexpr int kTokens = 700, kHeads = 4, kHeadDim = 48, kWidth = kHeads * kHeadDim, kKvWidth = 2 * kHeadDim;
  for (const int window : {0, 300}) {
    const AttentionAttributes shape{.heads = kHeads, .kv_heads = 2, .head_dim = kHeadDim, .scale = 0.2f, .window = window};
    const auto kv = (*device)->AllocateKv(shape, (kTokens + kBlockTokens - 1) / kBlockTokens);
    ASSERT_TRUE(kv.ok()) << kv.status();
    const Graph graph{
        .tensors = {{kWidth}, {kKvWidth}, {kKvWidth}, {kWidth}},
        .ops = {{.kind = OpKind::kStoreKv, .a = 1, .b = 2, .kv = kv->get(), .attention = shape},
                {.kind = OpKind::kAttention, .out = 3, .a = 0, .kv = kv->get(), .attention = shape}},
        .inputs = {0, 1, 2},
        .output = 3,
        .max_tokens = kTokens,
        .max_outputs = kTokens};
    const auto program = (*device)->Compile(graph, nullptr);
    ASSERT_TRUE(program.ok()) << program.status();
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> inputs[] = {std::vector<float>(kTokens * kWidth), std::vector<float>(kTokens * kKvWidth),
                                   std::vector<float>(kTokens * kKvWidth)};
    for (std::vector<float>& input : inputs) {
      for (float& v : input) v = normal(random);
    }
    std::vector<int32_t> positions(kTokens), table((kTokens + kBlockTokens - 1) / kBlockTokens);
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(table.rbegin(), table.rend(), 0);
    const std::vector<int32_t> zeros(kTokens);
    const auto run = [&](size_t first, size_t count) {
      std::vector<float> out(count * kWidth);
      const absl::Span<const float> fed[] = {absl::MakeSpan(inputs[0]).subspan(first * kWidth, count * kWidth),
                                             absl::MakeSpan(inputs[1]).subspan(first * kKvWidth, count * kKvWidth),
                                             absl::MakeSpan(inputs[2]).subspan(first * kKvWidth, count * kKvWidth)};
      const absl::Status ran = (*program)->Run({.positions = absl::MakeSpan(positions).subspan(first, count),
                                                .sequences = absl::MakeSpan(zeros).first(count),
                                                .block_tables = table,
                                                .blocks_per_sequence = static_cast<int>(table.size()),
                                                .inputs = fed},
                                               absl::MakeSpan(out));
      EXPECT_TRUE(ran.ok()) << ran;
      return out;
    };
    const std::vector<float> all = run(0, kTokens);
    for (const auto& [first, count, recorded] : {std::tuple{size_t{699}, size_t{1}, 3}, {size_t{500}, size_t{5}, 3},
                                                 {size_t{255}, size_t{1}, 2}, {size_t{690}, size_t{9}, 2}}) {
      dispatches = 0;
      const std::vector<float> some = run(first, count);
      EXPECT_EQ(dispatches, recorded) << "of " << count << " tokens from position " << first;
      EXPECT_EQ(std::memcmp(some.data(), &all[first * kWidth], some.size() * sizeof(float)), 0)
          << count << " tokens from position " << first << ", window " << window;
    }
  }
}

PFN_vkCmdCopyBuffer real_copy = nullptr;
int copies = 0;

// What every dispatch reads lies on the device's side of the bus; tables that grow are found in their new place.
TEST(VulkanStepTest, IsCopiedWhereTheHostCannotReachTheDevicesMemory) {
  constexpr int kTokens = 16, kHeadDim = 32, kMostBlocks = 40;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> input(kTokens * kHeadDim);
  for (float& v : input) v = normal(random);
  const absl::Span<const float> inputs[] = {input, input, input};
  std::vector<std::vector<float>> results[2];
  for (const bool staged : {false, true}) {
    const auto device = CreateVulkanDevice({.staged = staged, .intercept = [](vulkan::Api& api) {
      real_copy = api.CmdCopyBuffer;
      api.CmdCopyBuffer = [](VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count,
                             const VkBufferCopy* regions) {
        ++copies;
        real_copy(commands, from, to, count, regions);
      };
    }});
    ASSERT_TRUE(device.ok()) << device.status();
    const AttentionAttributes shape{.heads = 1, .kv_heads = 1, .head_dim = kHeadDim, .scale = 0.2f};
    const auto kv = (*device)->AllocateKv(shape, kTokens * kMostBlocks);
    ASSERT_TRUE(kv.ok()) << kv.status();
    const Graph graph{
        .tensors = {{kHeadDim}, {kHeadDim}, {kHeadDim}, {kHeadDim}},
        .ops = {{.kind = OpKind::kStoreKv, .a = 1, .b = 2, .kv = kv->get(), .attention = shape},
                {.kind = OpKind::kAttention, .out = 3, .a = 0, .kv = kv->get(), .attention = shape}},
        .inputs = {0, 1, 2},
        .output = 3,
        .max_tokens = kTokens,
        .max_outputs = kTokens};
    const auto program = (*device)->Compile(graph, nullptr);
    ASSERT_TRUE(program.ok()) << program.status();
    std::vector<int32_t> sequences(kTokens), tables(kTokens * kMostBlocks);
    std::iota(sequences.begin(), sequences.end(), 0);
    std::iota(tables.rbegin(), tables.rend(), 0);
    int recorded = 0;
    for (const int blocks : {1, kMostBlocks, 2}) {
      const std::vector<int32_t> positions(kTokens);
      std::vector<float>& out = results[staged].emplace_back(input.size());
      copies = 0;
      const absl::Status ran =
          (*program)->Run({.positions = positions,
                           .sequences = sequences,
                           .block_tables = absl::MakeSpan(tables).first(kTokens * blocks),
                           .blocks_per_sequence = blocks,
                           .inputs = inputs},
                          absl::MakeSpan(out));
      ASSERT_TRUE(ran.ok()) << ran;
      recorded = std::max(recorded, copies);
      if (blocks == 2) {
        EXPECT_EQ(copies, 0) << "the tables have room, and nothing is recorded again";
      }
    }
    EXPECT_EQ(recorded, staged ? 6 : 4) << "three inputs, the output; the step and its block tables";
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(VulkanDeviceTest, RefusesSelectionsThatFitNoRow) {
  constexpr int kWidth = 33;
  const Graph graph{.tensors = {{kWidth}, {kWidth, Rows::kOutputs}},
                    .ops = {{.kind = OpKind::kGatherRows, .out = 1, .a = 0}},
                    .inputs = {0},
                    .output = 1,
                    .max_tokens = 1,
                    .max_outputs = 1};
  const auto program = device_->Compile(graph, nullptr);
  ASSERT_TRUE(program.ok()) << program.status();
  std::vector<float> row(kWidth);
  row[32] = 1;
  const int32_t zero = 0;
  const absl::Span<const float> inputs[] = {row};
  const StepInput input{.positions = {&zero, 1}, .sequences = {&zero, 1}, .output_rows = {&zero, 1}, .inputs = inputs};
  Selected selected;
  const auto select = [&](absl::Span<const Selection> selections) {
    return (*program)->selector()->RunSelecting(input, selections, {&selected, 1});
  };
  const auto refused = [&](const Selection& selection) { return absl::IsInvalidArgument(select({&selection, 1})); };
  using Kind = Selection::Kind;
  const uint32_t last = kWidth - 1, past = kWidth, mask[] = {0, 1, 0};
  const std::vector<uint32_t> many(Selection::kMaxAsked + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(select({})));
  EXPECT_TRUE(refused({.kind = Kind::kLargest, .allowed = {mask, 1}}));
  EXPECT_TRUE(refused({.kind = Kind::kLargest, .allowed = {mask, 3}}));
  EXPECT_TRUE(refused({.kind = Kind::kLargest, .asked = {&past, 1}}));
  EXPECT_TRUE(refused({.kind = Kind::kLargest, .asked = many}));
  EXPECT_TRUE(refused({.kind = Kind::kTop, .temperature = 0}));
  const Selection good{.kind = Kind::kLargest, .allowed = {mask, 2}, .asked = {&last, 1}};
  ASSERT_TRUE(select({&good, 1}).ok());
  ASSERT_EQ(selected.candidates.size(), 1u);
  EXPECT_EQ(selected.candidates[0].id, last);
  EXPECT_EQ(selected.candidates[0].logit, 1);
  EXPECT_EQ(selected.asked, std::vector<float>{1});
}

TEST(VulkanBackendTest, SoftwareIsUsableButPassedOver) {
  const Backend backend = VulkanBackend();
  EXPECT_TRUE(backend.probe().ok()) << backend.probe();
  EXPECT_TRUE(absl::IsFailedPrecondition(backend.passed_over())) << backend.passed_over();
}

}  // namespace
}  // namespace spotinference
