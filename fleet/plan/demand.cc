#include "fleet/plan/demand.h"

#include <algorithm>
#include <cmath>

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kWorkedOff = absl::Minutes(1);
constexpr absl::Duration kForgotten = absl::Hours(72);
constexpr double kNewest = 1 / 256.0;  // weight of one answer in the mean
constexpr double kCrowd = 1e5;         // Erlangs in which chance makes no difference
constexpr double kMostMachines = 1e6;

}  // namespace

double WaitLongerThan(double load, int servers, absl::Duration service, absl::Duration wait) {
  if (load <= 0) return 0;
  if (load >= servers) return 1;
  double blocked = 1;  // Erlang's B, by its recursion
  for (int n = 1; n <= servers; ++n) blocked = load * blocked / (n + load * blocked);
  const double queued = blocked / (1 - load / servers * (1 - blocked));
  return queued * std::exp(-(servers - load) * absl::FDivDuration(wait, service));
}

int MachinesNeeded(double load, absl::Duration service, int streams, const ServiceTarget& target) {
  if (load <= 0) return 0;
  if (load >= kCrowd) return static_cast<int>(std::min(load / streams, kMostMachines)) + 1;
  int machines = std::max(1, static_cast<int>(std::floor(load / streams)));
  while (WaitLongerThan(load, machines * streams, service, target.wait) > target.missed / 4) ++machines;
  return machines;
}

void LoadForecast::Minute::Add(const Minute& other, int sign) {
  arrivals += sign * other.arrivals;
  served += sign * other.served;
  seconds += sign * other.seconds;
}

double LoadForecast::ServiceOf(const Minute& sum) const {
  return sum.served > 0 ? sum.seconds / sum.served : absl::ToDoubleSeconds(service_);
}

void LoadForecast::Turn(int64_t minute) {
  if (minute == minute_) return;
  for (int64_t next = std::max(minute_ + 1, minute - kMinutes + 1); next <= minute; ++next) {
    minutes_[next % kMinutes] = {};
    needed_[next % kHold] = 0;
  }
  minute_ = minute;
  // A model that is younger than the window.
  const double window = 60 * std::clamp<double>(minute - absl::ToInt64Minutes(*first_), 1, kWindow);
  Minute sum;  // of the window
  busiest_ = latest_ = 0;
  for (int64_t back = kMinutes - 1; back >= 1; --back) {  // whole minutes: without the one that has begun
    const int64_t at = minute - back;
    if (at < 0) continue;
    sum.Add(minutes_[at % kMinutes], 1);
    if (at >= kWindow && back + kWindow <= kMinutes - 1) sum.Add(minutes_[(at - kWindow) % kMinutes], -1);
    services_[at % kMinutes] = ServiceOf(sum);
    latest_ = Erlangs(sum, window);
    busiest_ = std::max(busiest_, latest_);
  }
}

void LoadForecast::Arrived(absl::Duration now) {
  if (!first_.has_value()) first_ = now;
  Turn(absl::ToInt64Minutes(now));
  ++minutes_[minute_ % kMinutes].arrivals;
  bursts_.Arrived(now);
}

void LoadForecast::Served(absl::Duration now, absl::Duration service) {
  if (first_.has_value()) Turn(absl::ToInt64Minutes(now));
  minutes_[minute_ % kMinutes].Add({.served = 1, .seconds = absl::ToDoubleSeconds(service)}, 1);
  service_ = served_ ? service_ + kNewest * (service - service_) : service;
  served_ = true;
}

double LoadForecast::Busy(absl::Duration now) {
  if (!first_.has_value()) return 0;
  Turn(absl::ToInt64Minutes(now));
  // The minute that has begun counts where it alone says more: the first requests after a silence.
  const double since = now - *first_ < absl::Minutes(1) ? std::max(10.0, absl::ToDoubleSeconds(now - *first_)) : 60;
  const Minute begun = {.arrivals = minutes_[minute_ % kMinutes].arrivals};
  return std::max(busiest_, Erlangs(begun, since)) / streams_;
}

double LoadForecast::BusyNow(absl::Duration now) {
  const double busiest = Busy(now);
  return latest_ > 0 ? std::min(busiest, latest_ / streams_) : busiest;
}

absl::Duration LoadForecast::NextMinute(absl::Duration now) const {
  if (!first_.has_value()) return absl::InfiniteDuration();
  return absl::Floor(now, absl::Minutes(1)) + absl::Minutes(1);
}

int LoadForecast::Needed(absl::Duration now, int waiting, int serving, absl::Duration start, absl::Duration ahead) {
  const double busy = Busy(now);
  int& minutes = needed_[minute_ % kHold];
  minutes = std::max(minutes, MachinesNeeded(busy * streams_, service_, streams_, target_));
  if (looked_ != minute_) {
    const auto service = [&](int64_t minute) {  // of what ended in the ten minutes from then on
      const int64_t whole = std::min(minute + kWindow - 1, minute_ - 1);
      return whole < 0 ? absl::ToDoubleSeconds(service_) : services_[whole % kMinutes];
    };
    // Where machines that are asked for once a burst is there serve in time, none has to be there before.
    const bool is_too_late = start + kWorkedOff > target_.wait;
    burst_load_ = is_too_late ? bursts_.Needed(now, service, minutes, target_.missed / 4) : BurstLoad();
    minutes = std::max(minutes, burst_load_.machines);
    looked_ = minute_;
  }
  const int steady = *std::max_element(needed_.begin(), needed_.end());
  const absl::Duration queue = waiting * service_ / (streams_ * std::max(1, serving)) + ahead;
  if (queue <= target_.wait / 2) return steady;
  const double machine_time = absl::FDivDuration(waiting * service_, kWorkedOff) / streams_ +
                              std::max(0.0, busy - serving) * absl::FDivDuration(start, kWorkedOff);
  return std::max(steady, static_cast<int>(std::ceil(std::min(busy + machine_time, kMostMachines))));
}

void ErrorBudget::Answered(absl::Duration now, bool in_time) {
  Kept& kept = kept_;
  if (kept.total == 0) kept.first = kept.hour = now;
  kept.last = now;
  if (now - kept.hour >= absl::Hours(1)) {
    const double share = std::exp2(-absl::FDivDuration(now - kept.hour, kForgotten));
    kept.total *= share;
    kept.missed *= share;
    kept.hour = now;
  }
  kept.total += 1;
  kept.missed += !in_time;
}

void ErrorBudget::Recall(Kept kept, absl::Duration now) {
  for (absl::Duration* const time : {&kept.hour, &kept.first, &kept.last}) *time = std::min(*time, now);
  kept_ = kept;
}

double ErrorBudget::Used(const ServiceTarget& target) const {
  const Kept& kept = kept_;
  if (kept.total <= 0) return 0;
  const absl::Duration age = std::max(absl::Minutes(1), kept.last - kept.first);
  const double young = std::max(1.0, absl::FDivDuration(absl::Hours(24), age));
  return kept.missed / (kept.total * young * target.missed);
}

}  // namespace spotinference::fleet
