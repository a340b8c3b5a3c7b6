#include "backends/vulkan/pipelines.h"

#include <algorithm>
#include <iterator>

#include "engine/base/processors.h"
#include "engine/base/status.h"
#include "engine/base/thread_pool.h"

namespace spotinference::vulkan {
namespace {

bool CanBeShared(Shader shader) {
  switch (shader) {
    case Shader::kAttention:
    case Shader::kAttentionSubgroups:
    case Shader::kMatmul:
    case Shader::kMatmulIntegers:
    case Shader::kMatmulMatrix:
    case Shader::kMatmulMatrixEmulated:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Pipelines>> Pipelines::Create(Gpu& gpu) {
  std::unique_ptr<Pipelines> pipelines(new Pipelines(gpu));
  const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes};
  VkPipelineLayoutCreateInfo layout{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &push;
  RETURN_IF_ERROR(ToStatus(gpu.api().CreatePipelineLayout(gpu.device(), &layout, nullptr, &pipelines->layout_),
                           "vkCreatePipelineLayout"));
  ASSIGN_OR_RETURN(pipelines->cache_, PipelineCache::Create(gpu));
  return pipelines;
}

Pipelines::~Pipelines() {
  if (gpu_.state().may_be_running()) return;
  for (const auto& [key, pipeline] : pipelines_) gpu_.api().DestroyPipeline(gpu_.device(), pipeline, nullptr);
  if (layout_ != VK_NULL_HANDLE) gpu_.api().DestroyPipelineLayout(gpu_.device(), layout_, nullptr);
}

absl::Status Pipelines::Prepare(const std::set<Key>& keys) {
  std::vector<Key> missing;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(missing),
               [&](const Key& key) { return pipelines_.count(key) == 0; });
  std::vector<absl::StatusOr<VkPipeline>> made(missing.size(), absl::UnknownError(""));
  const auto count = static_cast<int>(missing.size());
  ThreadPool pool(std::clamp(count, 1, UsableThreads()));
  pool.ParallelFor(count, 1, [&](int64_t i, int64_t) { made[i] = Make(missing[i]); });
  absl::Status status;
  for (size_t i = 0; i < missing.size(); ++i) {
    if (made[i].ok()) pipelines_[missing[i]] = *made[i];
    status.Update(made[i].status());
  }
  return status;
}

absl::StatusOr<VkPipeline> Pipelines::Get(const Key& key) {
  if (const auto found = pipelines_.find(key); found != pipelines_.end()) return found->second;
  ASSIGN_OR_RETURN(const VkPipeline pipeline, Make(key));
  return pipelines_[key] = pipeline;
}

absl::StatusOr<VkPipeline> Pipelines::Make(const Key& key) {
  RETURN_IF_ERROR(gpu_.state().status());
  const auto& [shader, constants] = key;
  const absl::Span<const uint32_t> code = SpirV(shader);
  VkShaderModuleCreateInfo module_info{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  module_info.codeSize = code.size() * sizeof(uint32_t);
  module_info.pCode = code.data();
  VkShaderModule module = VK_NULL_HANDLE;
  RETURN_IF_ERROR(
      ToStatus(gpu_.api().CreateShaderModule(gpu_.device(), &module_info, nullptr, &module), "vkCreateShaderModule"));
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < constants.size(); ++i) entries.push_back({i, i * 4, 4});
  const VkSpecializationInfo specialization{static_cast<uint32_t>(entries.size()), entries.data(), constants.size() * 4,
                                            constants.data()};
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &specialization;
  info.layout = layout_;
  // What may be more than one submission ought to take is dealt out by groups.
  if (CanBeShared(shader)) info.flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT;
  VkPipelineCreationFeedback said{}, stage_said{};
  VkPipelineCreationFeedbackCreateInfo feedback{VK_STRUCTURE_TYPE_PIPELINE_CREATION_FEEDBACK_CREATE_INFO};
  feedback.pPipelineCreationFeedback = &said;
  feedback.pipelineStageCreationFeedbackCount = 1;
  feedback.pPipelineStageCreationFeedbacks = &stage_said;
  if (gpu_.physical().tells_compiles) info.pNext = &feedback;
  VkPipeline pipeline = VK_NULL_HANDLE;
  const VkResult result =
      gpu_.api().CreateComputePipelines(gpu_.device(), cache_->handle(), 1, &info, nullptr, &pipeline);
  gpu_.api().DestroyShaderModule(gpu_.device(), module, nullptr);
  RETURN_IF_ERROR(ToStatus(result, "vkCreateComputePipelines"));
  cache_->Count(said);
  return pipeline;
}

}  // namespace spotinference::vulkan
