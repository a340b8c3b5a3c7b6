// Which machine a request goes to: the controller's rule and the simulator's. Pure.
#ifndef FLEET_PLAN_DISPATCH_H_
#define FLEET_PLAN_DISPATCH_H_

#include <algorithm>
#include <tuple>

#include "absl/time/time.h"

namespace spotinference::fleet {

// A machine that may be sent another request.
struct Destination {
  bool full = false;    // one more would wait within its engine
  bool leaves = false;  // it will be taken away, and serves on until then
  int answers = 0;      // on it
};

// The one to be sent to comes first: one that will be taken away is better than one that is full.
inline bool operator<(const Destination& a, const Destination& b) {
  return std::tie(a.full, a.leaves, a.answers) < std::tie(b.full, b.leaves, b.answers);
}

// What was planned so long ago would be planned again; and who was parked for less went to the controller's thread and
// back, and waited for no machine.
constexpr absl::Duration kPlanHolds = absl::Seconds(1);

// What waits before full machines goes to the one that starts as well, and by turns of the keys; what waits within them
// does not.
enum class IntoFull {
  kNo,           // it is not planned yet whether a machine is to start
  kIfNoneComes,  // else it waits for that one
  kYes,          // there is no room to wait, or nothing to wait for
};

inline bool MaySend(const Destination& best, IntoFull into_full, bool another_comes) {
  return !best.full || into_full == IntoFull::kYes || (into_full == IntoFull::kIfNoneComes && !another_comes);
}

// Whether what a machine that will be taken away has finds streams in the `room` of the others.
inline bool FindsRoom(int answers, int streams, int room) { return std::min(answers, streams) <= room; }

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_DISPATCH_H_
