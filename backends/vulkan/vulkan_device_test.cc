// What only this backend has: tensors past maxStorageBufferRange, memory that runs out, a step that is refused.
#include "backends/vulkan/vulkan_device.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

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
  const auto program = device_->Compile(graph);
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
  const absl::Status status = device_->AllocateKv(shape, 1 << 24).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("1099511627776 bytes asked for"), std::string::npos) << status;
  EXPECT_TRUE(device_->AllocateKv(shape, 16).ok());
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

// KV leaves the device and comes back as it was, block by block.
TEST_F(VulkanDeviceTest, BlocksOfKvComeBack) {
  const AttentionAttributes shape{.heads = 2, .kv_heads = 2, .head_dim = 32};
  const auto kv = device_->AllocateKv(shape, 3);
  ASSERT_TRUE(kv.ok()) << kv.status();
  const size_t block = (*kv)->size_bytes() / 3;
  EXPECT_EQ(block, 2u * kBlockTokens * 2 * 32 * 2);
  for (int b = 0; b < 3; ++b) {
    ASSERT_TRUE(device_->WriteKv(**kv, b, std::vector<std::byte>(block, static_cast<std::byte>(b + 1))).ok());
  }
  for (int b = 0; b < 3; ++b) {
    std::vector<std::byte> back(block);
    ASSERT_TRUE(device_->ReadKv(**kv, b, absl::MakeSpan(back)).ok());
    EXPECT_EQ(back, std::vector<std::byte>(block, static_cast<std::byte>(b + 1)));
  }
}

TEST(VulkanBackendTest, SoftwareIsUsableButPassedOver) {
  const Backend backend = VulkanBackend();
  EXPECT_TRUE(backend.probe().ok()) << backend.probe();
  EXPECT_TRUE(absl::IsFailedPrecondition(backend.passed_over())) << backend.passed_over();
}

}  // namespace
}  // namespace spotinference
