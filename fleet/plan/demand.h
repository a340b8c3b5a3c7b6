// How many machines a model's requests need: from what arrived lately to a number, pure.
//
// Arrivals, and what answers took, are counted by the minute. The load that is planned for is the busiest ten minutes
// of the last hour, arrivals times the answers' mean of those same ten: it rises with the load and falls an hour after
// it, so that machines do not come and go with every lull. What chance adds to that is queueing theory's part: an M/M/c
// queue (Erlang C) with as many servers as the machines have streams; what bursts add, bursts.h's.
#ifndef FLEET_PLAN_DEMAND_H_
#define FLEET_PLAN_DEMAND_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "fleet/plan/bursts.h"

namespace spotinference::fleet {

// The chance that an arrival waits longer than `wait` for one of `servers`: Erlang's C times exp(−(servers −
// load)·wait/service). `load` in Erlangs (arrivals a second times seconds of service); 1 where the load is not below
// `servers`. Source: Cooper, "Introduction to Queueing Theory", 1981, section 3.3.
double WaitLongerThan(double load, int servers, absl::Duration service, absl::Duration wait);

struct ServiceTarget {
  absl::Duration wait = absl::Seconds(30);  // for a first token
  double missed = 0.001;                    // the share of requests that may wait longer
};

// The fewest machines of `streams` answers each with which chance alone makes a quarter of target.missed wait too long;
// the rest is for what the market does. 0 for no load.
int MachinesNeeded(double load, absl::Duration service, int streams, const ServiceTarget& target);

// Not thread-safe. Times never step back.
class LoadForecast {
 public:
  // Of machines with `streams` answers each.
  LoadForecast(int streams, const ServiceTarget& target)
      : streams_(streams), target_(target), bursts_(streams, target.wait) {}

  void Arrived(absl::Duration now);
  void Served(absl::Duration now, absl::Duration service);  // what an answer took, once it ran

  // Machines' worth of streams that arrivals keep busy, in the busiest ten minutes of the last hour; 0 where nothing
  // arrived.
  double Busy(absl::Duration now);
  // The same of the last ten minutes.
  double BusyNow(absl::Duration now);

  // Of the minute in which Needed was last called.
  const BurstLoad& bursts() const { return burst_load_; }
  absl::Duration service() const { return service_; }
  // When the load may be another one though nothing comes; infinite where nothing ever came.
  absl::Duration NextMinute(absl::Duration now) const;

  // Machines for the arrivals, by MachinesNeeded, and for their bursts: the most of the last quarter of an hour, so
  // that a guess that goes up and down moves none. And for a queue that `serving` machines would need longer to work off
  // than half the target's wait: what waits, and will wait until more machines serve, `start` after they are asked for,
  // within a minute. `ahead`: by how much longer the queue is known to get before they serve.
  int Needed(absl::Duration now, int waiting, int serving, absl::Duration start,
             absl::Duration ahead = absl::ZeroDuration());

 private:
  static constexpr int kMinutes = 60, kWindow = 10, kHold = 15;
  void Turn(int64_t minute);

  const int streams_;
  const ServiceTarget target_;
  // What a minute has seen, and sums of such.
  struct Minute {
    int64_t arrivals = 0, served = 0;
    double seconds = 0;  // of those served
    void Add(const Minute& other, int sign);
  };
  double ServiceOf(const Minute& sum) const;  // seconds, in the mean
  double Erlangs(const Minute& sum, double seconds) const { return sum.arrivals / seconds * ServiceOf(sum); }

  std::array<Minute, kMinutes> minutes_{};   // ring
  std::array<double, kMinutes> services_{};  // the same: ServiceOf the window up to it
  std::array<int, kHold> needed_{};          // the same
  int64_t minute_ = 0;                       // the one being counted
  Bursts bursts_;
  BurstLoad burst_load_;
  int64_t looked_ = -1;  // the minute in which they were looked at
  std::optional<absl::Duration> first_;
  double busiest_ = 0, latest_ = 0;             // Erlangs, over the whole minutes in the ring
  absl::Duration service_ = absl::Seconds(10);  // mean of the latest some hundred
  bool served_ = false;
};

// How much of the requests that may wait too long has been used up: 1 is all, over the last some days (half of it
// forgotten each three, a younger model's as if they had come in a day). Requests that came while the model slept or
// woke are not to be counted: no place of machines helps them.
class ErrorBudget {
 public:
  struct Kept {
    double total = 0, missed = 0;  // requests, decayed
    absl::Duration hour;           // up to when
    absl::Duration first = -absl::InfiniteDuration(), last;
  };

  void Answered(absl::Duration now, bool in_time);
  double Used(const ServiceTarget& target) const;

  const Kept& kept() const { return kept_; }
  // Of a former life of the process, its times moved to this one's clock.
  void Recall(Kept kept, absl::Duration now);

 private:
  Kept kept_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_DEMAND_H_
