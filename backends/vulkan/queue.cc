#include "backends/vulkan/queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

// A submission takes a tenth of a second or, on a busy processor, some seconds (program.cc).
constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr absl::Duration kWait = absl::Seconds(1);
// Where there is no memory to wait with: the driver says so at once.
constexpr absl::Duration kPause = absl::Milliseconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<Queue>> Queue::Create(const Api& api, VkDevice device, DeviceState& state,
                                                     uint32_t family) {
  std::unique_ptr<Queue> queue(new Queue(api, device, state, family));
  api.GetDeviceQueue(device, family, 0, &queue->queue_);
  VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo semaphore{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type};
  RETURN_IF_ERROR(ToStatus(api.CreateSemaphore(device, &semaphore, nullptr, &queue->timeline_), "vkCreateSemaphore"));
  return queue;
}

Queue::~Queue() {
  if (!state_.may_be_running()) api_.DestroySemaphore(device_, timeline_, nullptr);
}

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
  RETURN_IF_ERROR(state_.status());
  const absl::Status submitted = ToStatus(api_.QueueSubmit(queue_, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
  if (absl::IsUnavailable(submitted)) return state_.Lose(submitted, /*may_be_running=*/false);
  RETURN_IF_ERROR(submitted);
  return submitted_ = value;
}

absl::Status Queue::Wait(uint64_t value) {
  VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  wait.semaphoreCount = 1;
  wait.pSemaphores = &timeline_;
  wait.pValues = &value;
  for (absl::Duration waited; waited < kPatience;) {
    if (state_.may_be_running()) return state_.status();
    const VkResult result = api_.WaitSemaphores(device_, &wait, absl::ToInt64Nanoseconds(kWait));
    if (result == VK_SUCCESS) {
      for (uint64_t done = done_; done < value && !done_.compare_exchange_weak(done, value);) continue;
      return absl::OkStatus();
    }
    if (result == VK_TIMEOUT) {
      waited += kWait;
      continue;
    }
    const absl::Status failed = ToStatus(result, "vkWaitSemaphores");
    if (absl::IsUnavailable(failed)) return state_.Lose(failed, /*may_be_running=*/false);
    if (!absl::IsResourceExhausted(failed)) {
      return state_.Lose(absl::UnavailableError(failed.message()), /*may_be_running=*/true);
    }
    absl::SleepFor(kPause);
    waited += kPause;
  }
  return state_.Lose(absl::UnavailableError(absl::StrCat("the device has been at one submission for ",
                                                         absl::FormatDuration(kPatience), ", and is taken for lost")),
                     /*may_be_running=*/true);
}

}  // namespace spotinference::vulkan
