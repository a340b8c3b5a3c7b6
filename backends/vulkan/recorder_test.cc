// Where barriers stand between recorded copies and dispatches. Nothing is submitted.
#include "backends/vulkan/recorder.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/vulkan/gpu.h"

namespace spotinference::vulkan {
namespace {

// What reached the command buffer, one letter each.
std::string calls;

void VKAPI_CALL BindPipeline(VkCommandBuffer, VkPipelineBindPoint, VkPipeline) { calls += 'p'; }
void VKAPI_CALL PushConstants(VkCommandBuffer, VkPipelineLayout, VkShaderStageFlags, uint32_t, uint32_t size,
                              const void*) {
  calls += size == 4 ? 'c' : '?';
}
void VKAPI_CALL Dispatch(VkCommandBuffer, uint32_t, uint32_t, uint32_t) { calls += 'd'; }
void VKAPI_CALL DispatchBase(VkCommandBuffer, uint32_t base, uint32_t, uint32_t, uint32_t groups, uint32_t, uint32_t) {
  calls += "(" + std::to_string(base) + "+" + std::to_string(groups) + ")";
}
void VKAPI_CALL CopyBuffer(VkCommandBuffer, VkBuffer, VkBuffer, uint32_t, const VkBufferCopy*) { calls += 'y'; }
void VKAPI_CALL Barrier(VkCommandBuffer, VkPipelineStageFlags, VkPipelineStageFlags to, VkDependencyFlags, uint32_t,
                        const VkMemoryBarrier*, uint32_t, const VkBufferMemoryBarrier*, uint32_t,
                        const VkImageMemoryBarrier*) {
  calls += (to & VK_PIPELINE_STAGE_HOST_BIT) != 0 ? 'H' : '|';
}

void Intercept(Api& api) {
  api.CmdBindPipeline = BindPipeline;
  api.CmdPushConstants = PushConstants;
  api.CmdDispatch = Dispatch;
  api.CmdDispatchBase = DispatchBase;
  api.CmdCopyBuffer = CopyBuffer;
  api.CmdPipelineBarrier = Barrier;
}

class RecorderTest : public testing::Test {
 protected:
  void SetUp() override {
    auto instance = Instance::Create(false, Intercept);
    ASSERT_TRUE(instance.ok()) << instance.status();
    const auto best = (*instance)->BestDevice();
    ASSERT_TRUE(best.ok()) << best.status();
    auto gpu = Gpu::Create(*std::move(instance), *best, false);
    ASSERT_TRUE(gpu.ok()) << gpu.status();
    gpu_ = *std::move(gpu);
    for (auto* region : {&a_, &b_, &c_}) {
      auto made = gpu_->memory().Allocate(100, MemoryUse::kDevice);
      ASSERT_TRUE(made.ok()) << made.status();
      *region = *std::move(made);
    }
  }

  std::string Record(const std::function<void(Recorder&)>& record) {
    calls.clear();
    const auto commands = gpu_->Record([&](VkCommandBuffer buffer) {
      Recorder recorder(gpu_->api(), buffer, VK_NULL_HANDLE);
      record(recorder);
    });
    EXPECT_TRUE(commands.ok()) << commands.status();
    if (commands.ok()) gpu_->FreeCommands(*commands);
    return calls;
  }
  static void Run(Recorder& recorder, Recorder::Regions reads, Recorder::Regions writes, uint32_t groups = 1) {
    recorder.Dispatch(VK_NULL_HANDLE, uint32_t{7}, {groups, 1}, reads, writes);
  }

  std::unique_ptr<Gpu> gpu_;
  std::unique_ptr<Region> a_, b_, c_;
};

TEST_F(RecorderTest, WhatMeetsNothingNeedsNoBarrier) {
  EXPECT_EQ(Record([&](Recorder& recorder) {
              Run(recorder, {a_.get()}, {b_.get()});
              Run(recorder, {a_.get()}, {c_.get()});  // two may read the same
              EXPECT_EQ(recorder.barriers(), 0);
            }),
            "cdcd");
}

TEST_F(RecorderTest, ReadAfterWriteWriteAfterReadAndWriteAfterWriteWait) {
  for (const auto& [reads, writes] : std::vector<std::pair<const Region*, const Region*>>{
           {b_.get(), c_.get()}, {c_.get(), a_.get()}, {c_.get(), b_.get()}}) {
    EXPECT_EQ(Record([&](Recorder& recorder) {
                Run(recorder, {a_.get()}, {b_.get()});
                Run(recorder, {reads}, {writes});
                EXPECT_EQ(recorder.barriers(), 1);
              }),
              "cd|cd");
  }
}

TEST_F(RecorderTest, ABarrierSettlesAllThatCameBeforeIt) {
  EXPECT_EQ(Record([&](Recorder& recorder) {
              Run(recorder, {}, {a_.get()});
              Run(recorder, {}, {b_.get()});
              Run(recorder, {a_.get()}, {c_.get()});  // waits for both
              Run(recorder, {b_.get()}, {});          // and so this need not
              Run(recorder, {c_.get()}, {});          // this must
            }),
            "cdcd|cdcd|cd");
}

TEST_F(RecorderTest, InPlaceWaitsForItself) {
  EXPECT_EQ(Record([&](Recorder& recorder) {
              Run(recorder, {}, {a_.get()});
              Run(recorder, {}, {a_.get()});
            }),
            "cd|cd");
}

TEST_F(RecorderTest, CopiesAreOrderedAsDispatchesAre) {
  EXPECT_EQ(Record([&](Recorder& recorder) {
              recorder.Copy(*a_, *b_, 100);
              Run(recorder, {b_.get()}, {c_.get()});
              recorder.Copy(*c_, *a_, 100);
              recorder.End();
            }),
            "y|cd|yH");
}

TEST_F(RecorderTest, WhatHasNoGroupsOrBytesIsNotRecorded) {
  EXPECT_EQ(Record([&](Recorder& recorder) {
              Run(recorder, {}, {a_.get()}, 0);
              recorder.Copy(*a_, *b_, 0);
              Run(recorder, {a_.get()}, {b_.get()});
            }),
            "cd");
}

// Of five groups, shares have two and three; what needs all of them comes once, after the last.
TEST_F(RecorderTest, WhatIsDealtOutIsFollowedByWhatNeedsAllOfIt) {
  for (const uint32_t index : {0u, 1u}) {
    calls.clear();
    const auto commands = gpu_->Record([&](VkCommandBuffer buffer) {
      Recorder recorder(gpu_->api(), buffer, VK_NULL_HANDLE, {index, 2});
      recorder.Dispatch(VK_NULL_HANDLE, uint32_t{7}, {5, 1}, {a_.get()}, {b_.get()});
      recorder.DispatchWhole(VK_NULL_HANDLE, uint32_t{7}, {5, 1}, {b_.get()}, {c_.get()});
    });
    ASSERT_TRUE(commands.ok()) << commands.status();
    gpu_->FreeCommands(*commands);
    EXPECT_EQ(calls, index == 0 ? "c(0+2)" : "c(2+3)|cd");
  }
}

TEST_F(RecorderTest, APipelineIsBoundOnce) {
  const auto pipeline = reinterpret_cast<VkPipeline>(8);
  EXPECT_EQ(Record([&](Recorder& recorder) {
              for (const Region* to : {a_.get(), b_.get()}) recorder.Dispatch(pipeline, uint32_t{7}, {1, 1}, {}, {to});
              Run(recorder, {}, {c_.get()});
            }),
            "pcdcdpcd");
}

}  // namespace
}  // namespace spotinference::vulkan
