#include "backends/vulkan/pipelines.h"

#include "engine/base/status.h"

namespace spotinference::vulkan {

absl::StatusOr<std::unique_ptr<Pipelines>> Pipelines::Create(Gpu& gpu) {
  std::unique_ptr<Pipelines> pipelines(new Pipelines(gpu));
  const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes};
  VkPipelineLayoutCreateInfo layout{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &push;
  RETURN_IF_ERROR(ToStatus(gpu.api().CreatePipelineLayout(gpu.device(), &layout, nullptr, &pipelines->layout_),
                           "vkCreatePipelineLayout"));
  VkPipelineCacheCreateInfo cache{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  RETURN_IF_ERROR(ToStatus(gpu.api().CreatePipelineCache(gpu.device(), &cache, nullptr, &pipelines->cache_),
                           "vkCreatePipelineCache"));
  return pipelines;
}

Pipelines::~Pipelines() {
  for (const auto& [key, pipeline] : pipelines_) gpu_.api().DestroyPipeline(gpu_.device(), pipeline, nullptr);
  if (cache_ != VK_NULL_HANDLE) gpu_.api().DestroyPipelineCache(gpu_.device(), cache_, nullptr);
  if (layout_ != VK_NULL_HANDLE) gpu_.api().DestroyPipelineLayout(gpu_.device(), layout_, nullptr);
}

absl::StatusOr<VkPipeline> Pipelines::Get(Shader shader, absl::Span<const uint32_t> constants) {
  const std::pair key(shader, std::vector<uint32_t>(constants.begin(), constants.end()));
  if (const auto found = pipelines_.find(key); found != pipelines_.end()) return found->second;
  ASSIGN_OR_RETURN(const VkPipeline pipeline, Make(shader, constants));
  pipelines_[key] = pipeline;
  return pipeline;
}

absl::StatusOr<VkPipeline> Pipelines::Make(Shader shader, absl::Span<const uint32_t> constants) {
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
  VkPipeline pipeline = VK_NULL_HANDLE;
  const VkResult result = gpu_.api().CreateComputePipelines(gpu_.device(), cache_, 1, &info, nullptr, &pipeline);
  gpu_.api().DestroyShaderModule(gpu_.device(), module, nullptr);
  RETURN_IF_ERROR(ToStatus(result, "vkCreateComputePipelines"));
  return pipeline;
}

}  // namespace spotinference::vulkan
