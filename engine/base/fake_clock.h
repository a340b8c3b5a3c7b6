// A clock that stands still until a test moves it.
#ifndef ENGINE_BASE_FAKE_CLOCK_H_
#define ENGINE_BASE_FAKE_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"

namespace spotinference {

// Thread-safe. Starts at 2026-01-01T00:00:00Z, elapsed zero.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1767225600) + Elapsed(); }
  absl::Duration Elapsed() const override {
    absl::MutexLock lock(&mutex_);
    return elapsed_;
  }
  void Advance(absl::Duration d) {
    absl::MutexLock lock(&mutex_);
    elapsed_ += d;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Duration elapsed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference

#endif  // ENGINE_BASE_FAKE_CLOCK_H_
