#include "backends/vulkan/gpu.h"

#include <algorithm>
#include <cstring>
#include <utility>

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
  VkDeviceQueueCreateInfo queue{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  queue.queueFamilyIndex = physical_.compute_queue_family;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkPhysicalDeviceVulkan12Features features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  features.bufferDeviceAddress = VK_TRUE;
  features.timelineSemaphore = VK_TRUE;
  VkDeviceCreateInfo device{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features};
  device.queueCreateInfoCount = 1;
  device.pQueueCreateInfos = &queue;
  RETURN_IF_ERROR(ToStatus(api().CreateDevice(physical_.handle, &device, nullptr, &device_), "vkCreateDevice"));
  api().GetDeviceQueue(device_, physical_.compute_queue_family, 0, &queue_);

  VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo semaphore{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type};
  RETURN_IF_ERROR(ToStatus(api().CreateSemaphore(device_, &semaphore, nullptr, &timeline_), "vkCreateSemaphore"));
  VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool.queueFamilyIndex = physical_.compute_queue_family;
  pool.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  RETURN_IF_ERROR(ToStatus(api().CreateCommandPool(device_, &pool, nullptr, &pool_), "vkCreateCommandPool"));
  memory_ = std::make_unique<Memory>(api(), physical_.handle, device_, staged);

  absl::MutexLock lock(&staging_mutex_);
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
  {
    absl::MutexLock lock(&staging_mutex_);
    for (std::unique_ptr<Region>& half : staging_) half = nullptr;
    if (staging_pool_ != VK_NULL_HANDLE) api().DestroyCommandPool(device_, staging_pool_, nullptr);
  }
  memory_ = nullptr;
  if (pool_ != VK_NULL_HANDLE) api().DestroyCommandPool(device_, pool_, nullptr);
  if (timeline_ != VK_NULL_HANDLE) api().DestroySemaphore(device_, timeline_, nullptr);
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
  RETURN_IF_ERROR(ToStatus(api.BeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer"));
  record(commands);
  RETURN_IF_ERROR(ToStatus(api.EndCommandBuffer(commands), "vkEndCommandBuffer"));
  return commands;
}

// What a copy of the device wrote becomes visible to the host, and to whatever the device does next.
void EndCopies(const Api& api, VkCommandBuffer commands) {
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                          VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  api.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                             VK_PIPELINE_STAGE_TRANSFER_BIT,
                         0, 1, &barrier, 0, nullptr, 0, nullptr);
}

}  // namespace

absl::StatusOr<VkCommandBuffer> Gpu::Record(const std::function<void(VkCommandBuffer)>& record) {
  return RecordIn(api(), device_, pool_, record);
}

void Gpu::FreeCommands(VkCommandBuffer commands) { api().FreeCommandBuffers(device_, pool_, 1, &commands); }

absl::StatusOr<uint64_t> Gpu::Submit(VkCommandBuffer commands) {
  const uint64_t value = submitted_ + 1;
  VkTimelineSemaphoreSubmitInfo timeline{VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO};
  timeline.signalSemaphoreValueCount = 1;
  timeline.pSignalSemaphoreValues = &value;
  VkSubmitInfo submit{VK_STRUCTURE_TYPE_SUBMIT_INFO, &timeline};
  submit.commandBufferCount = 1;
  submit.pCommandBuffers = &commands;
  submit.signalSemaphoreCount = 1;
  submit.pSignalSemaphores = &timeline_;
  RETURN_IF_ERROR(ToStatus(api().QueueSubmit(queue_, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit"));
  return submitted_ = value;
}

absl::Status Gpu::Wait(uint64_t value) {
  VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  wait.semaphoreCount = 1;
  wait.pSemaphores = &timeline_;
  wait.pValues = &value;
  return ToStatus(api().WaitSemaphores(device_, &wait, UINT64_MAX), "vkWaitSemaphores");
}

absl::Status Gpu::Run(VkCommandBuffer commands) {
  uint64_t value;
  {
    absl::MutexLock lock(&queue_mutex_);
    ASSIGN_OR_RETURN(value, Submit(commands));
  }
  return Wait(value);
}

absl::Status Gpu::Upload(Region& to, size_t piece_bytes, size_t pieces,
                         const std::function<void(size_t, size_t, std::byte*)>& fill) {
  if (to.mapped() != nullptr) {
    fill(0, pieces, to.mapped());
    return absl::OkStatus();
  }
  absl::MutexLock lock(&staging_mutex_);
  // Pieces longer than a half get a buffer of their own.
  std::unique_ptr<Region> long_pieces[2];
  Region* halves[2] = {staging_[0].get(), staging_[1].get()};
  for (int i = 0; i < 2 && piece_bytes > kStagingBytes; ++i) {
    ASSIGN_OR_RETURN(long_pieces[i], memory_->Allocate(piece_bytes, MemoryUse::kReadback));
    halves[i] = long_pieces[i].get();
  }
  const size_t at_once = std::max<size_t>(1, kStagingBytes / piece_bytes);
  uint64_t done[2] = {0, 0};
  VkCommandBuffer copies[2] = {VK_NULL_HANDLE, VK_NULL_HANDLE};
  absl::Status status;
  for (size_t first = 0, i = 0; status.ok() && first < pieces; first += at_once, i ^= 1) {
    const size_t count = std::min(at_once, pieces - first);
    status = Wait(done[i]);
    if (!status.ok()) break;
    if (copies[i] != VK_NULL_HANDLE) api().FreeCommandBuffers(device_, staging_pool_, 1, &copies[i]);
    fill(first, count, halves[i]->mapped());
    const auto commands = RecordIn(api(), device_, staging_pool_, [&](VkCommandBuffer buffer) {
      const VkBufferCopy copy{halves[i]->offset(), to.offset() + first * piece_bytes, count * piece_bytes};
      api().CmdCopyBuffer(buffer, halves[i]->buffer(), to.buffer(), 1, &copy);
      EndCopies(api(), buffer);
    });
    status = commands.status();
    if (!status.ok()) break;
    copies[i] = *commands;
    absl::MutexLock queue_lock(&queue_mutex_);
    const auto value = Submit(copies[i]);
    status = value.status();
    if (value.ok()) done[i] = *value;
  }
  if (const absl::Status waited = Wait(std::max(done[0], done[1])); status.ok()) status = waited;
  for (VkCommandBuffer& copy : copies) {
    if (copy != VK_NULL_HANDLE) api().FreeCommandBuffers(device_, staging_pool_, 1, &copy);
  }
  return status;
}

absl::Status Gpu::CopyStaged(const Region& region, size_t offset, size_t bytes, bool to_device, std::byte* host) {
  absl::MutexLock lock(&staging_mutex_);
  const Region& half = *staging_[0];
  for (size_t at = 0; at < bytes; at += kStagingBytes) {
    const size_t count = std::min(kStagingBytes, bytes - at);
    if (to_device) std::memcpy(half.mapped(), host + at, count);
    ASSIGN_OR_RETURN(VkCommandBuffer commands, RecordIn(api(), device_, staging_pool_, [&](VkCommandBuffer buffer) {
      VkBufferCopy copy{region.offset() + offset + at, half.offset(), count};
      if (to_device) std::swap(copy.srcOffset, copy.dstOffset);
      api().CmdCopyBuffer(buffer, to_device ? half.buffer() : region.buffer(),
                          to_device ? region.buffer() : half.buffer(), 1, &copy);
      EndCopies(api(), buffer);
    }));
    const absl::Status ran = Run(commands);
    api().FreeCommandBuffers(device_, staging_pool_, 1, &commands);
    RETURN_IF_ERROR(ran);
    if (!to_device) std::memcpy(host + at, half.mapped(), count);
  }
  return absl::OkStatus();
}

absl::Status Gpu::Read(const Region& from, size_t offset, absl::Span<std::byte> to) {
  if (from.mapped() == nullptr) return CopyStaged(from, offset, to.size(), false, to.data());
  std::memcpy(to.data(), from.mapped() + offset, to.size());
  return absl::OkStatus();
}

absl::Status Gpu::Write(Region& to, size_t offset, absl::Span<const std::byte> from) {
  if (to.mapped() == nullptr) {
    return CopyStaged(to, offset, from.size(), true, const_cast<std::byte*>(from.data()));  // only read
  }
  std::memcpy(to.mapped() + offset, from.data(), from.size());
  return absl::OkStatus();
}

}  // namespace spotinference::vulkan
