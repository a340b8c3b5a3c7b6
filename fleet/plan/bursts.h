// Requests that come in bursts: what the last hour's would have needed, pure.
//
// Erlang's C (demand.h) knows the waits that chance makes where requests come at random. Where many come at once and
// then none, a mean of ten minutes says nothing of who waits: each burst is a queue, worked off at the machines' pace,
// and gone before another machine serves. So the last hour is told again, as a fluid: what c machines do not work off
// of one step waits with the next. A step's requests count as if they had come at its beginning, all at once. Of answers
// of s seconds P places begin the k-th after (k / P − 1) · s, rounded up: it waits longer than W where k · s > P · (W + s).
//
// A burst that came once is somebody's batch, which may never come again, and a queue that lasts is a load that rises.
// So bursts are believed in when two of the hour, ten minutes apart, the first worked off when the second came, kept
// somebody waiting too long.
#ifndef FLEET_PLAN_BURSTS_H_
#define FLEET_PLAN_BURSTS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

// What bursts would need, and what fewer machines than that would do to them.
struct BurstLoad {
  static constexpr int kParts = 16;

  int machines = 0;                          // 0: no bursts that are believed in
  std::array<double, kParts + 1> late = {};  // the share of requests that waits too long, with so many parts of them
  double busy = 0;                           // machines' worth that the hour kept busy, in the mean

  // With so many, between these.
  double LateWith(double count) const;
};

// Not thread-safe. Times never step back.
class Bursts {
 public:
  // `wait`: how long one request may wait, for one of `streams` places of a machine.
  Bursts(int streams, absl::Duration wait);

  void Arrived(absl::Duration now);

  // What an answer took in the mean, in seconds, of requests that came in a minute of the last hour (since zero).
  using Service = absl::FunctionRef<double(int64_t minute)>;

  // The fewest machines with which no more than `missed` of the last hour's requests would have waited too long; none
  // where `steady` ones do, or where bursts are not believed in.
  BurstLoad Needed(absl::Duration now, Service service, int steady, double missed);

 private:
  // What waits too long with so many machines, and of how many bursts.
  struct Late {
    double requests = 0;
    int bursts = 0;
  };
  struct Step {
    double came = 0, seconds = 0;  // of an answer
  };
  Late With(double machines, const std::vector<Step>& hour) const;
  void Turn(absl::Duration now);

  const int streams_;
  const absl::Duration wait_, step_;
  const int64_t steps_;            // an hour's
  std::vector<int64_t> arrivals_;  // ring of them; empty until one comes
  int64_t now_ = 0;                // the step that has begun
  int64_t total_ = 0;              // in the ring
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_BURSTS_H_
