// Time, chance and memory of one simulated fleet. Nothing in it waits, and nothing but the seed decides.
#ifndef FLEET_FAULTS_SIM_H_
#define FLEET_FAULTS_SIM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"

namespace spotinference::fleet {

class SimClock : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1767225600) + elapsed + skew; }
  absl::Duration Elapsed() const override { return elapsed; }

  absl::Duration elapsed, skew;
};

// Not thread-safe.
class Sim {
 public:
  // The last `kept` events can be told.
  Sim(uint64_t seed, size_t kept) : kept_(kept), random_(seed) {}

  SimClock clock;

  absl::Duration now() const { return clock.elapsed; }
  bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  absl::Duration Around(absl::Duration mean) { return std::exponential_distribution<double>(1)(random_) * mean; }

  void After(absl::Duration delay, std::function<void()> what) { agenda_.emplace(now() + delay, std::move(what)); }
  // Now and then, for ever; `mean` infinite: never.
  void Often(absl::Duration mean, std::function<void()> what) {
    if (mean == absl::InfiniteDuration()) return;
    After(Around(mean), [this, mean, what = std::move(what)]() mutable {
      what();
      Often(mean, std::move(what));
    });
  }
  absl::Duration next() const { return agenda_.empty() ? absl::InfiniteDuration() : agenda_.begin()->first; }
  void RunDue() {
    while (next() <= now()) {
      auto due = agenda_.extract(agenda_.begin());
      due.mapped()();
    }
  }

  // For people, told with what broke.
  void Note(std::string event) {
    events_.push_back(absl::StrCat(absl::FormatDuration(now()), "  ", event));
    if (events_.size() > kept_) events_.pop_front();
  }
  const std::deque<std::string>& events() const { return events_; }

  // Something goes wrong until `left` from now, so that refusals are no lies.
  void Trouble(absl::Duration left = absl::ZeroDuration()) {
    troubled_until_ = std::max(troubled_until_, now() + left);
  }
  absl::Duration troubled_until() const { return troubled_until_; }

  // An invariant does not hold; the first word counts.
  void Break(std::string how) {
    if (broken_.has_value()) return;
    Note(absl::StrCat("BROKEN: ", how));
    broken_ = std::move(how);
  }
  const std::optional<std::string>& broken() const { return broken_; }

 private:
  const size_t kept_;
  std::mt19937_64 random_;
  std::multimap<absl::Duration, std::function<void()>> agenda_;
  std::deque<std::string> events_;
  absl::Duration troubled_until_ = -absl::InfiniteDuration();
  std::optional<std::string> broken_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_SIM_H_
