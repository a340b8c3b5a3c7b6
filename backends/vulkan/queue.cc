#include "backends/vulkan/queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

// A submission takes a tenth of a second or, on a busy processor, some seconds (program.cc).
constexpr int kWaits = 60;
constexpr uint64_t kWaitNanoseconds = 1'000'000'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Queue>> Queue::Create(const Api& api, VkDevice device, uint32_t family) {
  std::unique_ptr<Queue> queue(new Queue(api, device, family));
  api.GetDeviceQueue(device, family, 0, &queue->queue_);
  VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo semaphore{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type};
  RETURN_IF_ERROR(ToStatus(api.CreateSemaphore(device, &semaphore, nullptr, &queue->timeline_), "vkCreateSemaphore"));
  return queue;
}

Queue::~Queue() { api_.DestroySemaphore(device_, timeline_, nullptr); }

absl::StatusOr<uint64_t> Queue::Submit(VkCommandBuffer commands, const Queue* other) {
  const uint64_t other_done = other != nullptr ? other->done_.load() : 0;
  constexpr VkPipelineStageFlags kAll = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
  absl::MutexLock lock(&mutex_);
  const uint64_t value = submitted_ + 1;
  VkTimelineSemaphoreSubmitInfo timeline{VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO};
  timeline.signalSemaphoreValueCount = 1;
  timeline.pSignalSemaphoreValues = &value;
  VkSubmitInfo submit{VK_STRUCTURE_TYPE_SUBMIT_INFO, &timeline};
  submit.commandBufferCount = 1;
  submit.pCommandBuffers = &commands;
  submit.signalSemaphoreCount = 1;
  submit.pSignalSemaphores = &timeline_;
  if (other_done > 0) {  // it waits for nothing, but what the other queue wrote is seen
    timeline.waitSemaphoreValueCount = submit.waitSemaphoreCount = 1;
    timeline.pWaitSemaphoreValues = &other_done;
    submit.pWaitSemaphores = &other->timeline_;
    submit.pWaitDstStageMask = &kAll;
  }
  RETURN_IF_ERROR(ToStatus(api_.QueueSubmit(queue_, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit"));
  return submitted_ = value;
}

absl::Status Queue::Wait(uint64_t value) {
  VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  wait.semaphoreCount = 1;
  wait.pSemaphores = &timeline_;
  wait.pValues = &value;
  for (int i = 0; i < kWaits; ++i) {
    const VkResult result = api_.WaitSemaphores(device_, &wait, kWaitNanoseconds);
    // While it runs, nothing that it uses may go: no memory for waiting is no end.
    const absl::Status waited = ToStatus(result, "vkWaitSemaphores");
    if (result == VK_TIMEOUT || absl::IsResourceExhausted(waited)) continue;
    RETURN_IF_ERROR(waited);
    for (uint64_t done = done_; done < value && !done_.compare_exchange_weak(done, value);) continue;
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      absl::StrCat("the device has been at one submission for ", kWaits, " s, and is taken for lost"));
}

}  // namespace spotinference::vulkan
