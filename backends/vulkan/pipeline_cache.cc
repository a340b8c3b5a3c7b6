#include "backends/vulkan/pipeline_cache.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/vulkan/shaders.h"
#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

std::string CacheName() { return absl::StrCat("pipelines ", ShadersHash()); }

// Where Mesa keeps what it compiled in this process; "": nowhere.
std::string MesaFolder() {
  const char* const disabled = std::getenv("MESA_SHADER_CACHE_DISABLE");
  const char* const folder = std::getenv("MESA_SHADER_CACHE_DIR");
  const bool off = disabled != nullptr && (std::strcmp(disabled, "true") == 0 || std::strcmp(disabled, "1") == 0);
  return folder == nullptr || off ? "" : folder;
}

// Of compiled shaders: one each, beside an index of a fixed size and what is half written.
int64_t CountFiles(const std::string& folder) {
  int64_t files = 0;
  std::error_code error;
  if (folder.empty()) return 0;
  for (std::filesystem::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::filesystem::path& path = entry->path();
    if (entry->is_regular_file(error) && path.filename() != "index" && path.extension() != ".tmp") ++files;
  }
  return files;
}

}  // namespace

bool IsPipelineCacheOf(const VkPhysicalDeviceProperties& device, absl::Span<const std::byte> blob) {
  VkPipelineCacheHeaderVersionOne header;
  if (blob.size() < sizeof(header)) return false;
  std::memcpy(&header, blob.data(), sizeof(header));
  return header.headerSize >= sizeof(header) && header.headerSize <= blob.size() &&
         header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE && header.vendorID == device.vendorID &&
         header.deviceID == device.deviceID &&
         std::equal(std::begin(header.pipelineCacheUUID), std::end(header.pipelineCacheUUID), device.pipelineCacheUUID);
}

PipelineCache::PipelineCache(Gpu& gpu) : gpu_(gpu), mesa_folder_(MesaFolder()), mesa_files_(CountFiles(mesa_folder_)) {}

absl::StatusOr<std::unique_ptr<PipelineCache>> PipelineCache::Create(Gpu& gpu) {
  std::unique_ptr<PipelineCache> cache(new PipelineCache(gpu));
  RETURN_IF_ERROR(cache->Begin({}));
  return cache;
}

PipelineCache::~PipelineCache() {
  if (!gpu_.state().may_be_running()) gpu_.api().DestroyPipelineCache(gpu_.device(), handle_, nullptr);
}

absl::Status PipelineCache::Begin(absl::Span<const std::byte> blob) {
  VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  info.initialDataSize = blob.size();
  info.pInitialData = blob.data();
  VkPipelineCache made = VK_NULL_HANDLE;
  RETURN_IF_ERROR(
      ToStatus(gpu_.api().CreatePipelineCache(gpu_.device(), &info, nullptr, &made), "vkCreatePipelineCache"));
  gpu_.api().DestroyPipelineCache(gpu_.device(), std::exchange(handle_, made), nullptr);
  return absl::OkStatus();
}

void PipelineCache::Load(CompileCache& cache) {
  const CachedBytes found = cache.Find(CacheName());
  if (!IsPipelineCacheOf(gpu_.physical().properties, found.bytes)) return;
  const absl::Status begun = Begin(found.bytes);
  LOG_IF(WARNING, !begun.ok()) << "vulkan: all is compiled anew, since what was kept cannot be used: " << begun.message();
}

absl::StatusOr<std::string> PipelineCache::Blob() const {
  std::string blob;
  size_t size = 0;
  RETURN_IF_ERROR(
      ToStatus(gpu_.api().GetPipelineCacheData(gpu_.device(), handle_, &size, nullptr), "vkGetPipelineCacheData"));
  blob.resize(size);
  RETURN_IF_ERROR(
      ToStatus(gpu_.api().GetPipelineCacheData(gpu_.device(), handle_, &size, blob.data()), "vkGetPipelineCacheData"));
  blob.resize(size);
  return blob;
}

void PipelineCache::Keep(CompileCache* cache) {
  const int64_t compiled = compiled_;
  if (compiled == kept_) return;
  absl::StatusOr<std::string> blob = Blob();
  if (!blob.ok()) {
    LOG(WARNING) << "vulkan: the next boot compiles again, since what was compiled cannot be kept: "
                 << blob.status().message();
    return;
  }
  kept_ = compiled;
  keeps_nothing_ = blob->size() <= sizeof(VkPipelineCacheHeaderVersionOne);
  if (keeps_nothing_ || cache == nullptr) return;
  const auto owner = std::make_shared<const std::string>(*std::move(blob));
  cache->Keep(CacheName(), {{reinterpret_cast<const std::byte*>(owner->data()), owner->size()}, owner});
}

void PipelineCache::Count(const VkPipelineCreationFeedback& feedback) {
  constexpr VkPipelineCreationFeedbackFlags kHit = VK_PIPELINE_CREATION_FEEDBACK_VALID_BIT |
                                                   VK_PIPELINE_CREATION_FEEDBACK_APPLICATION_PIPELINE_CACHE_HIT_BIT;
  if ((feedback.flags & kHit) != kHit) ++compiled_;
}

int64_t PipelineCache::compiled() const {
  if (!keeps_nothing_ || mesa_folder_.empty()) return compiled_;
  return std::max<int64_t>(CountFiles(mesa_folder_) - mesa_files_, 0);
}

}  // namespace spotinference::vulkan
