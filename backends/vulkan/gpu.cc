#include "backends/vulkan/gpu.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

// Of each half: a millisecond of a PCIe link, so that starting copies costs little.
constexpr size_t kStagingBytes = 8 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Gpu>> Gpu::Create(std::unique_ptr<Instance> instance, const PhysicalDevice& physical,
                                                 bool staged) {
  std::unique_ptr<Gpu> gpu(new Gpu(std::move(instance), physical));
  RETURN_IF_ERROR(gpu->CreateDevice(staged));
  return gpu;
}

absl::Status Gpu::CreateDevice(bool staged) {
  const float priority = 1;
  std::vector<uint32_t> families{physical_.compute_queue_family};
  if (physical_.transfer_queue_family) families.push_back(*physical_.transfer_queue_family);
  std::vector<VkDeviceQueueCreateInfo> queues;
  for (const uint32_t family : families) {
    queues.push_back({VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO});
    queues.back().queueFamilyIndex = family;
    queues.back().queueCount = 1;
    queues.back().pQueuePriorities = &priority;
  }
  VkPhysicalDeviceVulkan12Features features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  features.bufferDeviceAddress = VK_TRUE;
  features.timelineSemaphore = VK_TRUE;
  VkDeviceCreateInfo device{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features};
  device.queueCreateInfoCount = static_cast<uint32_t>(queues.size());
  device.pQueueCreateInfos = queues.data();
  features.shaderFloat16 = physical_.has_halves;
  VkPhysicalDeviceCooperativeMatrixFeaturesNV matrices{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
  matrices.cooperativeMatrix = VK_TRUE;
  if (physical_.has_matrices) features.pNext = &matrices;
  VkPhysicalDeviceShaderIntegerDotProductFeatures dots{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES, features.pNext};
  dots.shaderIntegerDotProduct = VK_TRUE;
  if (physical_.has_dots) features.pNext = &dots;
  std::vector<const char*> extensions;
  if (physical_.has_dots) extensions.push_back(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  if (physical_.tells_compiles) extensions.push_back(VK_EXT_PIPELINE_CREATION_FEEDBACK_EXTENSION_NAME);
  if (physical_.has_matrices) extensions.push_back(VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME);
  device.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  device.ppEnabledExtensionNames = extensions.data();
  RETURN_IF_ERROR(ToStatus(api().CreateDevice(physical_.handle, &device, nullptr, &device_), "vkCreateDevice"));
  ASSIGN_OR_RETURN(compute_, Queue::Create(api(), device_, state_, families[0]));
  if (families.size() > 1) {
    ASSIGN_OR_RETURN(transfer_, Queue::Create(api(), device_, state_, families[1]));
  }
  VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool.queueFamilyIndex = compute_->family();
  pool.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  RETURN_IF_ERROR(ToStatus(api().CreateCommandPool(device_, &pool, nullptr, &pool_), "vkCreateCommandPool"));
  memory_ = std::make_unique<Memory>(api(), physical_.handle, device_, state_, families, staged);

  absl::MutexLock lock(&staging_mutex_);
  pool.queueFamilyIndex = copies().family();
  RETURN_IF_ERROR(ToStatus(api().CreateCommandPool(device_, &pool, nullptr, &staging_pool_), "vkCreateCommandPool"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Region> sample, memory_->Allocate(1, MemoryUse::kDevice));
  if (sample->mapped() != nullptr) return absl::OkStatus();
  for (std::unique_ptr<Region>& half : staging_) {
    ASSIGN_OR_RETURN(half, memory_->Allocate(kStagingBytes, MemoryUse::kReadback));
  }
  return absl::OkStatus();
}

Gpu::~Gpu() {
  if (device_ == VK_NULL_HANDLE) return;
  if (state_.may_be_running()) {
    instance_.release();  // until the process ends
    return;
  }
  {
    absl::MutexLock lock(&staging_mutex_);
    for (std::unique_ptr<Region>& half : staging_) half = nullptr;
    if (staging_pool_ != VK_NULL_HANDLE) api().DestroyCommandPool(device_, staging_pool_, nullptr);
  }
  memory_ = nullptr;
  if (pool_ != VK_NULL_HANDLE) api().DestroyCommandPool(device_, pool_, nullptr);
  transfer_ = nullptr;
  compute_ = nullptr;
  api().DestroyDevice(device_, nullptr);
}

namespace {

absl::StatusOr<VkCommandBuffer> RecordIn(const Api& api, VkDevice device, VkCommandPool pool,
                                         const std::function<void(VkCommandBuffer)>& record) {
  VkCommandBufferAllocateInfo allocate{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  allocate.commandPool = pool;
  allocate.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  RETURN_IF_ERROR(ToStatus(api.AllocateCommandBuffers(device, &allocate, &commands), "vkAllocateCommandBuffers"));
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  absl::Status recorded = ToStatus(api.BeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
  if (recorded.ok()) {
    record(commands);
    recorded = ToStatus(api.EndCommandBuffer(commands), "vkEndCommandBuffer");
  }
  if (recorded.ok()) return commands;
  api.FreeCommandBuffers(device, pool, 1, &commands);
  return recorded;
}

// What a copy of the device wrote becomes visible to the host, and to whatever its queue does next. A queue that only copies
// knows no shaders: the semaphore that the other queue waits for makes its writes visible there.
void EndCopies(const Api& api, VkCommandBuffer commands, bool only_copies) {
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  VkPipelineStageFlags stages = VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  if (!only_copies) {
    barrier.dstAccessMask |= VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
    stages |= VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
  }
  api.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

}  // namespace

absl::StatusOr<VkCommandBuffer> Gpu::Record(const std::function<void(VkCommandBuffer)>& record) {
  RETURN_IF_ERROR(state_.status());
  return RecordIn(api(), device_, pool_, record);
}

void Gpu::Free(VkCommandPool pool, VkCommandBuffer commands) {
  if (commands == VK_NULL_HANDLE || state_.may_be_running()) return;
  api().FreeCommandBuffers(device_, pool, 1, &commands);
}

void Gpu::FreeCommands(VkCommandBuffer commands) { Free(pool_, commands); }

absl::Status Gpu::Run(absl::Span<const VkCommandBuffer> commands) {
  absl::Status status;
  std::vector<uint64_t> values;
  for (const VkCommandBuffer one : commands) {
    const absl::StatusOr<uint64_t> value = compute_->Submit(one, transfer_.get());
    status = value.status();
    if (!status.ok()) break;
    values.push_back(*value);
  }
  // What was submitted must have ended, whatever came of the rest.
  for (const uint64_t value : values) {
    if (const absl::Status waited = compute_->Wait(value); !waited.ok()) return waited;
  }
  return status;
}

absl::Status Gpu::Upload(Region& to, size_t piece_bytes, size_t pieces,
                         const std::function<void(size_t, size_t, std::byte*)>& fill) {
  RETURN_IF_ERROR(state_.status());
  if (to.mapped() != nullptr) {
    fill(0, pieces, to.mapped());
    return absl::OkStatus();
  }
  absl::MutexLock lock(&staging_mutex_);
  RETURN_IF_ERROR(state_.status());
  // Pieces longer than a half get a buffer of their own.
  std::unique_ptr<Region> long_pieces[2];
  Region* halves[2] = {staging_[0].get(), staging_[1].get()};
  for (int i = 0; i < 2 && piece_bytes > kStagingBytes; ++i) {
    ASSIGN_OR_RETURN(long_pieces[i], memory_->Allocate(piece_bytes, MemoryUse::kReadback));
    halves[i] = long_pieces[i].get();
  }
  const size_t at_once = std::max<size_t>(1, kStagingBytes / piece_bytes);
  uint64_t done[2] = {0, 0};
  VkCommandBuffer in_flight[2] = {VK_NULL_HANDLE, VK_NULL_HANDLE};
  absl::Status status;
  for (size_t first = 0, i = 0; status.ok() && first < pieces; first += at_once, i ^= 1) {
    const size_t count = std::min(at_once, pieces - first);
    if (done[i] > 0) status = copies().Wait(done[i]);
    if (!status.ok()) break;
    Free(staging_pool_, std::exchange(in_flight[i], VK_NULL_HANDLE));
    fill(first, count, halves[i]->mapped());
    const auto commands = RecordIn(api(), device_, staging_pool_, [&](VkCommandBuffer buffer) {
      const VkBufferCopy copy{halves[i]->offset(), to.offset() + first * piece_bytes, count * piece_bytes};
      api().CmdCopyBuffer(buffer, halves[i]->buffer(), to.buffer(), 1, &copy);
      EndCopies(api(), buffer, transfer_ != nullptr);
    });
    status = commands.status();
    if (!status.ok()) break;
    in_flight[i] = *commands;
    const auto value = SubmitCopies(in_flight[i]);
    status = value.status();
    if (value.ok()) done[i] = *value;
  }
  if (const uint64_t last = std::max(done[0], done[1]); last > 0) status.Update(copies().Wait(last));
  for (const VkCommandBuffer copy : in_flight) Free(staging_pool_, copy);
  return status;
}

absl::Status Gpu::CopyStaged(absl::Span<const Piece> pieces, bool to_device, std::byte* host) {
  absl::MutexLock lock(&staging_mutex_);
  RETURN_IF_ERROR(state_.status());  // a copy that hangs may have the staging buffer
  const Region& half = *staging_[0];
  std::vector<VkBufferCopy> regions;
  size_t bytes = 0;
  for (const Piece& piece : pieces) {
    regions.push_back({half.offset() + bytes, piece.region->offset() + piece.offset, piece.size});
    bytes += piece.size;
  }
  if (to_device) std::memcpy(half.mapped(), host, bytes);
  ASSIGN_OR_RETURN(VkCommandBuffer commands, RecordIn(api(), device_, staging_pool_, [&](VkCommandBuffer buffer) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      VkBufferCopy& copy = regions[i];
      if (!to_device) std::swap(copy.srcOffset, copy.dstOffset);
      const VkBuffer other = pieces[i].region->buffer();
      api().CmdCopyBuffer(buffer, to_device ? half.buffer() : other, to_device ? other : half.buffer(), 1, &copy);
    }
    EndCopies(api(), buffer, transfer_ != nullptr);
  }));
  const absl::StatusOr<uint64_t> value = SubmitCopies(commands);
  const absl::Status ran = value.ok() ? copies().Wait(*value) : value.status();
  Free(staging_pool_, commands);
  RETURN_IF_ERROR(ran);
  if (!to_device) std::memcpy(host, half.mapped(), bytes);
  return absl::OkStatus();
}

absl::Status Gpu::Copy(absl::Span<const Piece> pieces, bool to_device, std::byte* host) {
  RETURN_IF_ERROR(state_.status());
  if (pieces.empty()) return absl::OkStatus();
  if (pieces[0].region->mapped() != nullptr) {  // as all of the use is, or none
    for (const Piece& piece : pieces) {
      std::byte* const at = piece.region->mapped() + piece.offset;
      std::memcpy(to_device ? at : host, to_device ? host : at, piece.size);
      host += piece.size;
    }
    return absl::OkStatus();
  }
  std::vector<Piece> together;
  size_t bytes = 0;
  const auto flush = [&]() -> absl::Status {
    RETURN_IF_ERROR(CopyStaged(together, to_device, host));
    host += bytes;
    bytes = 0;
    together.clear();
    return absl::OkStatus();
  };
  for (Piece piece : pieces) {
    while (piece.size > 0) {
      const size_t count = std::min(piece.size, kStagingBytes - bytes);
      together.push_back({piece.region, piece.offset, count});
      bytes += count;
      piece.offset += count;
      piece.size -= count;
      if (bytes == kStagingBytes) RETURN_IF_ERROR(flush());
    }
  }
  return together.empty() ? absl::OkStatus() : flush();
}

absl::Status Gpu::Read(absl::Span<const Piece> from, std::byte* to) { return Copy(from, /*to_device=*/false, to); }

absl::Status Gpu::Write(absl::Span<const Piece> to, const std::byte* from) {
  return Copy(to, /*to_device=*/true, const_cast<std::byte*>(from));  // only read
}

}  // namespace spotinference::vulkan
