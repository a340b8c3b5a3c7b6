#include "backends/vulkan/fuse.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/vulkan/buffers.h"

namespace spotinference::vulkan {
namespace {

constexpr int kWidth = 64;

WeightBuffer Weight(DType type, int64_t columns) {
  WeightBuffer weight;
  weight.type = type;
  weight.columns = columns;
  return weight;
}

class FuseTest : public testing::Test {
 protected:
  FuseTest() {
    for (int i = 0; i < 8; ++i) graph_.Add({kWidth});
    graph_.output = 7;
  }

  void Matmul(TensorId out, TensorId a, const Buffer& weight) {
    graph_.ops.push_back({.kind = OpKind::kMatmul, .out = out, .a = a, .weight = &weight});
  }
  void Other(OpKind kind, TensorId out, TensorId a, TensorId b = kNoTensor, int rope = 0) {
    graph_.ops.push_back({.kind = kind, .out = out, .a = a, .b = b, .rope = rope});
  }

  // Stages as "3" operations or "2+1" with the one that follows.
  std::string Stages(bool gates = true) const {
    std::string text;
    for (const Stage& stage : Fuse(graph_, gates)) {
      absl::StrAppend(&text, text.empty() ? "" : " ", stage.ops.size(), stage.then != nullptr ? "+1" : "");
    }
    return text;
  }

  Graph graph_;
  const WeightBuffer weight_ = Weight(DType::kQ4_0, kWidth), same_ = Weight(DType::kQ4_0, kWidth),
                     other_ = Weight(DType::kQ6_K, kWidth);
};

TEST_F(FuseTest, ALayer) {
  Other(OpKind::kRmsNorm, 1, 0);
  Matmul(2, 1, weight_);
  Matmul(3, 1, same_);
  Matmul(4, 1, weight_);
  Other(OpKind::kRope, 2, 2);
  Other(OpKind::kRope, 3, 3);
  Other(OpKind::kStoreKv, kNoTensor, 3, 4);
  Other(OpKind::kAttention, 5, 2);
  Matmul(1, 5, weight_);
  Other(OpKind::kAdd, 0, 0, 1);
  Other(OpKind::kRmsNorm, 1, 0);
  Matmul(2, 1, weight_);
  Matmul(3, 1, same_);
  Other(OpKind::kGate, 2, 2, 3);
  Matmul(1, 2, weight_);
  Other(OpKind::kAdd, 0, 0, 1);
  Matmul(7, 0, weight_);
  EXPECT_EQ(Stages(), "1 3 2 1 1 1+1 1 2+1 1+1 1");
  EXPECT_EQ(Stages(/*gates=*/false), "1 3 2 1 1 1+1 1 2 1 1+1 1");
}

TEST_F(FuseTest, AnotherTypeOrInputStaysApart) {
  Matmul(2, 1, weight_);
  Matmul(3, 1, same_);
  Matmul(4, 1, other_);
  Matmul(5, 0, other_);
  EXPECT_EQ(Stages(), "2 1 1");
}

TEST_F(FuseTest, NoMoreThanThree) {
  for (const TensorId out : {2, 3, 4, 5}) Matmul(out, 1, weight_);
  EXPECT_EQ(Stages(), "3 1");
}

TEST_F(FuseTest, WhatWritesTheirInputStaysApart) {
  Matmul(1, 1, weight_);
  Matmul(2, 1, weight_);
  EXPECT_EQ(Stages(), "1 1");
}

// The sums themselves are wanted: later, or as the result.
TEST_F(FuseTest, SumsThatAreReadAgainAreWritten) {
  Matmul(2, 1, weight_);
  Other(OpKind::kAdd, 0, 0, 2);
  Other(OpKind::kRmsNorm, 7, 2);
  EXPECT_EQ(Stages(), "1 1 1");
  graph_.ops.resize(2);
  EXPECT_EQ(Stages(), "1+1");
  graph_.output = 2;
  EXPECT_EQ(Stages(), "1 1");
}

TEST_F(FuseTest, AnAddOfItselfOrOverItsInputStaysApart) {
  Matmul(2, 1, weight_);
  Other(OpKind::kAdd, 0, 2, 2);
  EXPECT_EQ(Stages(), "1 1");
  graph_.ops.clear();
  Matmul(2, 1, weight_);
  Other(OpKind::kAdd, 1, 1, 2);
  EXPECT_EQ(Stages(), "1 1");
}

TEST_F(FuseTest, AGateOfSumsInTheOtherOrderStaysApart) {
  Matmul(2, 1, weight_);
  Matmul(3, 1, weight_);
  Other(OpKind::kGate, 4, 3, 2);
  EXPECT_EQ(Stages(), "2 1");
}

TEST_F(FuseTest, RopesThatTurnOtherwiseStayApart) {
  Other(OpKind::kRope, 2, 2, kNoTensor, 0);
  Other(OpKind::kRope, 3, 3, kNoTensor, 1);
  EXPECT_EQ(Stages(), "1 1");
}

}  // namespace
}  // namespace spotinference::vulkan
