#include "gateway/session/timers.h"

#include "engine/base/clock.h"

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
  due_.emplace(RealClock().Elapsed() + delay, std::move(callback));
  changed_.Signal();
}

void Timers::Loop() {
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    if (due_.empty()) {
      changed_.Wait(&mutex_);
    } else if (const absl::Duration left = due_.begin()->first - RealClock().Elapsed(); left > absl::ZeroDuration()) {
      changed_.WaitWithTimeout(&mutex_, left);
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
