// When an idle machine should go: `idle_timeout: auto`.
//
// Hibernate when idle_seconds · price ≥ wake_seconds · price + wait_cost: the ski-rental rule, which pays at most twice
// what one would who knew when the next request comes (Karlin, Manasse, Rudolph and Sleator, "Competitive snoopy
// caching", 1988). A wake of w seconds bills w and makes a client wait as long; wait_cost says that a client's second
// is worth 19 of the machine's, so that the break-even point is 20 · w whatever the price is, none included.
//
// Where enough idle gaps are known, the time-out that would have cost least over them is better (Irani, Shukla and
// Gupta, "Online strategies for dynamic power management", 2003, section 4); within half and twice the break-even point
// B. A gap that ends just past a time-out t costs t + B where min(t, B) would have done, so that a wrong guess costs at
// most three times the optimum.
//
// Times of wakes and gaps only; no clock, no thread of its own.
#ifndef FLEET_PLAN_IDLE_TIMEOUT_H_
#define FLEET_PLAN_IDLE_TIMEOUT_H_

#include <deque>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace spotinference::fleet {

// 20 · wake, within [1 min, 15 min], since one measured wake says little.
absl::Duration BreakEvenIdleTimeout(absl::Duration wake);

class IdleTimeout {
 public:
  IdleTimeout() = default;
  // As if each of them had been added.
  explicit IdleTimeout(absl::Span<const absl::Duration> gaps);

  // A model was without request for `gap`, whether or not a machine was kept for it.
  void AddGap(absl::Duration gap);

  // All that is known, for a later life: the latest, the oldest of them first.
  std::vector<absl::Duration> gaps() const { return {gaps_.begin(), gaps_.end()}; }

  // `wake`: as it is expected. Stays where it was unless another time-out would have cost a tenth less over the gaps
  // known: a machine that goes and comes with every guess helps nobody.
  absl::Duration Choose(absl::Duration wake);

 private:
  double Cost(absl::Duration timeout, absl::Duration break_even) const;

  std::deque<absl::Duration> gaps_;  // the latest
  bool changed_ = false;             // since `chosen_` was
  absl::Duration chosen_;
  absl::Duration chosen_for_;        // the break-even point that it was chosen for
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_IDLE_TIMEOUT_H_
