// Messages of any number of threads for one: leaving and taking them waits for nobody (a stack of Treiber's, taken whole
// and turned round). Only a receiver that has nothing to do sleeps, and is then woken.
#ifndef ENGINE_BASE_INBOX_H_
#define ENGINE_BASE_INBOX_H_

#include <atomic>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace spotinference {

template <typename Message>
class Inbox {
 public:
  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox() {
    TakeAll([](Message&&) {});
  }

  // Any thread. Allocates; the receiver frees.
  void Put(Message message) {
    Node* const node = new Node{std::move(message), newest_.load(std::memory_order_relaxed)};
    while (!newest_.compare_exchange_weak(node->older, node)) {
    }
    if (!asleep_.load()) return;
    absl::MutexLock lock(&mutex_);
    woken_.Signal();
  }

  // The receiver's thread: take(Message&&) in the order of Put. What is put meanwhile stays for the next call.
  template <typename Take>
  void TakeAll(Take take) {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return;
    Node* oldest = nullptr;
    for (Node* node = newest_.exchange(nullptr); node != nullptr;) {
      Node* const older = std::exchange(node->older, oldest);
      oldest = std::exchange(node, older);
    }
    while (oldest != nullptr) {
      Node* const node = std::exchange(oldest, oldest->older);
      take(std::move(node->message));
      delete node;
    }
  }

  // The receiver's thread: until there is a message, at most `timeout`.
  void Wait(absl::Duration timeout) {
    const absl::Time until = absl::Now() + timeout;
    absl::MutexLock lock(&mutex_);
    asleep_ = true;  // before the look: who puts after it sees the flag
    while (newest_.load() == nullptr && !woken_.WaitWithDeadline(&mutex_, until)) {
    }
    asleep_ = false;
  }

 private:
  struct Node {
    Message message;
    Node* older;
  };

  std::atomic<Node*> newest_{nullptr};
  std::atomic<bool> asleep_{false};
  absl::Mutex mutex_;
  absl::CondVar woken_;
};

}  // namespace spotinference

#endif  // ENGINE_BASE_INBOX_H_
