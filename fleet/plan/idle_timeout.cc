#include "fleet/plan/idle_timeout.h"

#include <algorithm>

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kFloor = absl::Minutes(1);
constexpr absl::Duration kCeiling = absl::Minutes(15);
// A few days of a model that is asked for now and then, or the last hours of a busy one: what it was like at noon
// should not decide at night. Twenty gaps put the standard error of a share of them at a tenth.
constexpr size_t kGapsKept = 100, kGapsNeeded = 20;
constexpr double kWorthAChange = 0.9;

}  // namespace

absl::Duration BreakEvenIdleTimeout(absl::Duration wake) { return std::clamp(20 * wake, kFloor, kCeiling); }

IdleTimeout::IdleTimeout(absl::Span<const absl::Duration> gaps) {
  for (const absl::Duration gap : gaps) AddGap(gap);
}

void IdleTimeout::AddGap(absl::Duration gap) {
  gaps_.push_back(gap);
  if (gaps_.size() > kGapsKept) gaps_.pop_front();
  changed_ = true;
}

// In seconds of a machine: it idles up to the time-out, and a wake costs as much as idling for `break_even`.
double IdleTimeout::Cost(absl::Duration timeout, absl::Duration break_even) const {
  double cost = 0;
  for (const absl::Duration gap : gaps_) {
    cost += absl::ToDoubleSeconds(gap <= timeout ? gap : timeout + break_even);
  }
  return cost;
}

absl::Duration IdleTimeout::Choose(absl::Duration wake) {
  const absl::Duration break_even = BreakEvenIdleTimeout(wake);
  if (gaps_.size() < kGapsNeeded) return break_even;
  const absl::Duration lowest = std::max(kFloor, break_even / 2), highest = 2 * break_even;
  if (chosen_for_ != break_even) {
    chosen_ = chosen_ == chosen_for_ ? break_even : std::clamp(chosen_, lowest, highest);
    chosen_for_ = break_even;
    changed_ = true;
  }
  if (!changed_) return chosen_;
  changed_ = false;
  absl::Duration best = lowest;
  double least = Cost(lowest, break_even);
  for (const absl::Duration gap : gaps_) {  // between two gaps a longer time-out only costs
    if (gap <= lowest || gap > highest) continue;
    if (const double cost = Cost(gap, break_even); cost < least) {
      least = cost;
      best = gap;
    }
  }
  if (least < kWorthAChange * Cost(chosen_, break_even)) chosen_ = best;
  return chosen_;
}

}  // namespace spotinference::fleet
