// What a real model's device gives back of its output rows. Arguments: a GGUF file.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "backends/vulkan/api.h"
#include "backends/vulkan/vulkan_device.h"
#include "engine/server/boot.h"
#include "engine/server/model_engine_fixture.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

std::string model_path;

vulkan::Api real;
absl::Mutex mutex;
std::map<VkCommandBuffer, uint64_t> recorded ABSL_GUARDED_BY(mutex);  // bytes of its longest copy
uint64_t longest_copy ABSL_GUARDED_BY(mutex) = 0;                     // of what was submitted

VkResult VKAPI_CALL Begin(VkCommandBuffer commands, const VkCommandBufferBeginInfo* begin) {
  absl::MutexLock lock(&mutex);
  recorded[commands] = 0;
  return real.BeginCommandBuffer(commands, begin);
}
void VKAPI_CALL Copy(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count,
                     const VkBufferCopy* regions) {
  absl::MutexLock lock(&mutex);
  for (uint32_t i = 0; i < count; ++i) recorded[commands] = std::max<uint64_t>(recorded[commands], regions[i].size);
  real.CmdCopyBuffer(commands, from, to, count, regions);
}
VkResult VKAPI_CALL Submit(VkQueue queue, uint32_t count, const VkSubmitInfo* submits, VkFence fence) {
  absl::MutexLock lock(&mutex);
  for (const VkSubmitInfo& submit : absl::MakeConstSpan(submits, count)) {
    for (const VkCommandBuffer commands : absl::MakeConstSpan(submit.pCommandBuffers, submit.commandBufferCount)) {
      longest_copy = std::max(longest_copy, recorded[commands]);
    }
  }
  return real.QueueSubmit(queue, count, submits, fence);
}

// Since it was last asked for.
uint64_t LongestCopy() {
  absl::MutexLock lock(&mutex);
  return std::exchange(longest_copy, 0);
}

constexpr uint32_t kEnd = 2;  // <|im_end|>

struct Question {
  const char* name;
  SamplingParams params;
  bool constrained = false;
};

// What is said to each, all at once: from candidates, or, with logprobs, from whole rows.
std::vector<Ids> Answers(Engine& engine, const std::vector<Question>& questions, bool logprobs) {
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (const Question& question : questions) {
    EngineRequest request = Request({504, 282}, 6);
    request.sampling = question.params;
    request.sampling.logprobs = logprobs;
    request.stop_ids = {kEnd};
    if (question.constrained) request.constraint = ConstraintSpec{ConstraintSpec::Form::kJsonObject, ""};
    sinks.push_back(std::make_shared<FakeSink>());
    EXPECT_TRUE(engine.Submit(std::move(request), sinks.back()).ok());
  }
  std::vector<Ids> answers;
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->AwaitEnd().ok()) << sink->AwaitEnd();
    answers.push_back(sink->ids());
  }
  return answers;
}

TEST(VulkanSelectionTest, GivesNoRowBackUnlessAskedAndTheSameIds) {
  const Backend backend = VulkanBackend({.staged = true, .intercept = [](vulkan::Api& api) {
    real = api;
    api.BeginCommandBuffer = Begin;
    api.CmdCopyBuffer = Copy;
    api.QueueSubmit = Submit;
  }});
  BootOptions options;
  options.model = model_path;
  options.model_hash = "any";
  options.backend = "vulkan";
  options.context_tokens = 128;
  options.kv_memory_bytes = 16 << 20;
  const absl::StatusOr<BootedEngine> booted = Boot(options, {&backend, 1});
  ASSERT_TRUE(booted.ok()) << booted.status();
  Engine& engine = *booted->engine;
  const uint64_t row_bytes = sizeof(float) * engine.info().vocabulary_size;
  const std::vector<Question> questions = {
      {"greedy", {}},
      {"temperature 1", {.temperature = 1, .seed = 1}},
      {"temperature 2", {.temperature = 2, .top_p = 0.9f, .seed = 6}},
      {"top_k", {.temperature = 1, .top_k = 40, .seed = 2}},
      {"top_p", {.temperature = 0.6f, .top_p = 0.9f, .seed = 3}},
      {"min_p", {.temperature = 1, .min_p = 0.05f, .seed = 4}},
      {"penalties", {.presence_penalty = 0.5f, .frequency_penalty = 0.5f, .repetition_penalty = 1.2f}},
      {"a bias", {.logit_bias = {{30, 5.0f}, {28, -100.0f}}}},
      {"a constraint", {.temperature = 1, .frequency_penalty = 0.5f, .seed = 5}, /*constrained=*/true},
  };
  LongestCopy();
  const std::vector<Ids> selected = Answers(engine, questions, /*logprobs=*/false);
  EXPECT_LT(LongestCopy(), row_bytes);
  const std::vector<Ids> whole = Answers(engine, questions, /*logprobs=*/true);
  EXPECT_GE(LongestCopy(), row_bytes);
  uint64_t rows = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    EXPECT_EQ(selected[i], whole[i]) << questions[i].name;
    rows += selected[i].size();
  }
  EXPECT_EQ(engine.Stats().selected_rows, rows);
  EXPECT_GT(engine.Stats().looked_again_rows, 0);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  spotinference::model_path = argv[1];
  return RUN_ALL_TESTS();
}
