// What the shaders' SPIR-V says of its arithmetic: without NoContraction a driver may join a product and a sum, or take Fma
// apart, in one pipeline and not in another.
#include "backends/vulkan/shaders.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace spotinference::vulkan {
namespace {

constexpr uint32_t kHeaderWords = 5;
constexpr uint32_t kExtInst = 12, kDecorate = 71, kFNegate = 127, kFAdd = 129, kFSub = 131, kFMul = 133, kFDiv = 136,
                   kVectorTimesScalar = 142;
constexpr uint32_t kFma = 50, kNoContraction = 42;

TEST(ShadersTest, EveryProductSumAndFmaIsComputedAsItIsWritten) {
  int fmas = 0;
  for (int shader = 0; shader < kShaders; ++shader) {
    const absl::Span<const uint32_t> words = SpirV(static_cast<Shader>(shader));
    std::set<uint32_t> arithmetic, exact;
    for (size_t at = kHeaderWords; at < words.size(); at += words[at] >> 16) {
      const uint32_t opcode = words[at] & 0xffff;
      if (opcode == kDecorate && words[at + 2] == kNoContraction) exact.insert(words[at + 1]);
      const bool fma = opcode == kExtInst && words[at + 4] == kFma;
      fmas += fma;
      for (const uint32_t one : {kFNegate, kFAdd, kFSub, kFMul, kFDiv, kVectorTimesScalar}) {
        if (opcode == one || fma) arithmetic.insert(words[at + 2]);
      }
    }
    // Of integers it says nothing.
    EXPECT_TRUE(std::includes(exact.begin(), exact.end(), arithmetic.begin(), arithmetic.end())) << "shader " << shader;
  }
  EXPECT_GT(fmas, 50);
}

}  // namespace
}  // namespace spotinference::vulkan
