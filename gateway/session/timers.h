// Calls things back later, on one thread.
#ifndef GATEWAY_SESSION_TIMERS_H_
#define GATEWAY_SESSION_TIMERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace spotinference {

// Thread-safe.
class Timers {
 public:
  Timers();
  ~Timers();  // callbacks that are not due yet never run
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Runs `callback` after `delay`, once, on the thread of this object. It must not block.
  void After(absl::Duration delay, std::function<void()> callback);

 private:
  void Loop();

  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::multimap<absl::Duration, std::function<void()>> due_ ABSL_GUARDED_BY(mutex_);  // by RealClock().Elapsed()
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace spotinference

#endif  // GATEWAY_SESSION_TIMERS_H_
