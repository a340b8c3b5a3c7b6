// Time as a parameter. Everything that waits or measures takes a Clock, so that tests and the simulator own the time.
#ifndef ENGINE_BASE_CLOCK_H_
#define ENGINE_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace spotinference {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time, for people and for the ledger; may step.
  virtual absl::Time Now() const = 0;

  // Time since an arbitrary start; never steps back. For durations and deadlines.
  virtual absl::Duration Elapsed() const = 0;
};

// The machine's clock; lives for ever.
const Clock& RealClock();

}  // namespace spotinference

#endif  // ENGINE_BASE_CLOCK_H_
