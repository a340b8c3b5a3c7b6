#include "gateway/session/timers.h"

#include "absl/time/clock.h"

namespace spotinference {

Timers::Timers() : thread_([this] { Loop(); }) {}

Timers::~Timers() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    changed_.Signal();
  }
  thread_.join();
}

void Timers::After(absl::Duration delay, std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  due_.emplace(absl::Now() + delay, std::move(callback));
  changed_.Signal();
}

void Timers::Loop() {
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    if (due_.empty()) {
      changed_.Wait(&mutex_);
    } else if (due_.begin()->first > absl::Now()) {
      changed_.WaitWithDeadline(&mutex_, due_.begin()->first);
    } else {
      auto node = due_.extract(due_.begin());
      mutex_.Unlock();
      node.mapped()();
      node.mapped() = nullptr;
      mutex_.Lock();
    }
  }
}

}  // namespace spotinference
