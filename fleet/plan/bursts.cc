#include "fleet/plan/bursts.h"

#include <algorithm>
#include <utility>

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kHour = absl::Hours(1), kApart = absl::Minutes(10);
constexpr int kBelieved = 2;
constexpr int kMostMachines = 1'000'000;

}  // namespace

// A step counts as one moment, and so makes too many machines: of a third of the wait, by a third at most; for waits of
// less than three seconds by more. Ten seconds, 360 in the hour, are fine enough for longer ones.
Bursts::Bursts(int streams, absl::Duration wait)
    : streams_(streams),
      wait_(wait),
      step_(absl::Seconds(std::clamp<int64_t>(absl::ToInt64Seconds(wait / 3), 1, 10))),
      steps_(kHour / step_) {}

void Bursts::Turn(absl::Duration now) {
  const int64_t step = now / step_;
  for (int64_t next = std::max(now_ + 1, step - steps_ + 1); next <= step && !arrivals_.empty(); ++next) {
    total_ -= std::exchange(arrivals_[next % steps_], 0);
  }
  now_ = std::max(now_, step);
}

void Bursts::Arrived(absl::Duration now) {
  Turn(now);
  arrivals_.resize(steps_);
  ++arrivals_[now_ % steps_];
  ++total_;
}

// The queue is what is to be done, in seconds of places.
Bursts::Late Bursts::With(double machines, const std::vector<Step>& hour) const {
  const double places = machines * streams_;
  const double wait = absl::ToDoubleSeconds(wait_), worked_off = places * absl::ToDoubleSeconds(step_);
  const int64_t apart = kApart / step_;
  Late late;
  double queue = 0;
  bool worked_off_since = true;
  int64_t last = -apart;
  for (int64_t step = 0; step < static_cast<int64_t>(hour.size()); ++step) {
    const auto& [came, seconds] = hour[step];
    queue += came * seconds;
    const double too_late = queue - places * (wait + seconds);
    if (came > 0 && too_late > 0) {
      late.requests += std::min(came, too_late / seconds);
      if (std::exchange(worked_off_since, false) && step - last >= apart) {
        ++late.bursts;
        last = step;
      }
    }
    queue = std::max(0.0, queue - worked_off);
    worked_off_since |= queue == 0;
  }
  return late;
}

BurstLoad Bursts::Needed(absl::Duration now, Service service, int steady, double missed) {
  Turn(now);
  if (total_ == 0 || steady <= 0) return {};
  std::vector<Step> hour;
  double seconds = 0;
  for (int64_t step = std::max<int64_t>(0, now_ - steps_ + 1); step <= now_; ++step) {
    const double came = static_cast<double>(arrivals_[step % steps_]);
    hour.push_back({came, came > 0 ? service(step * step_ / absl::Minutes(1)) : 0});
    seconds += came * hour.back().seconds;
  }
  const double may_wait = missed * static_cast<double>(total_);
  if (const Late late = With(steady, hour); late.requests <= may_wait || late.bursts < kBelieved) return {};
  int few = steady, enough = steady;
  while (enough < kMostMachines && With(enough, hour).requests > may_wait) {
    few = enough;
    enough *= 2;
  }
  while (enough - few > 1) {
    const int between = few + (enough - few) / 2;
    (With(between, hour).requests > may_wait ? few : enough) = between;
  }
  BurstLoad load = {.machines = enough, .busy = seconds / absl::ToDoubleSeconds(kHour) / streams_};
  for (int part = 0; part <= BurstLoad::kParts; ++part) {
    const double machines = static_cast<double>(enough) * part / BurstLoad::kParts;
    load.late[part] = With(machines, hour).requests / static_cast<double>(total_);
  }
  return load;
}

double BurstLoad::LateWith(double count) const {
  if (count >= machines) return 0;
  const double part = std::max(0.0, count / machines * kParts);
  const int below = static_cast<int>(part);
  return late[below] + (part - below) * (late[below + 1] - late[below]);
}

}  // namespace spotinference::fleet
