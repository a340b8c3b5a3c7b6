#include "engine/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace spotinference {
namespace {

class MachineClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Elapsed() const override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace

const Clock& RealClock() {
  static const MachineClock& clock = *new MachineClock;
  return clock;
}

}  // namespace spotinference
