// What the controller's thread has still to do. Shared, so that whoever posts may outlive the
// controller.
#ifndef FLEET_INBOX_H_
#define FLEET_INBOX_H_

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

// Thread-safe.
class Inbox {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Dropped, not run, once the inbox is closed.
  void Post(Task task) {
    absl::MutexLock lock(&mutex_);
    if (!closed_) tasks_.push_back(std::move(task));
  }

  std::vector<Task> TakeAll() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(tasks_, {});
  }

  void Close() {
    std::vector<Task> dropped;  // destroyed without the lock
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    dropped.swap(tasks_);
  }

  bool HasTasks() const {
    absl::MutexLock lock(&mutex_);
    return !tasks_.empty();
  }

  // Until there is a task or `timeout` passed. False once the inbox is closed.
  bool Await(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &Inbox::HasNews), timeout);
    return !closed_;
  }

 private:
  bool HasNews() const { return closed_ || !tasks_.empty(); }

  mutable absl::Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace spotinference::fleet

#endif  // FLEET_INBOX_H_
