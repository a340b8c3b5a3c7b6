#include "fleet/faults/budget_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {

double BudgetWatch::SpentToday(const Now& now) {
  const double dollars = now.dollars - now.untold;
  const int64_t today = absl::ToUnixSeconds(sim_.clock.Now()) / (24 * 3600);
  if (today > day_ && sim_.now() - day_began_ >= absl::Hours(24) - 2 * limits_.longest_skew) {
    day_ = today;
    day_began_ = sim_.now();
    before_ = now.dollars - now.untold_for_good;
    spent_since_.reset();
    lives_ = 0;
  }
  if (!now.lives) before_ += std::max(0.0, dollars - checked_);  // less: forgotten by a death
  checked_ = dollars;
  return dollars - before_;
}

void BudgetWatch::OnPurchase(const std::string& id, const Now& now) {
  const double spent = SpentToday(now);
  if (spent <= Most()) return;
  sim_.Break(absl::StrCat(id, " is bought, and the day has cost ", spent, " of ", limits_.whose, " ", limits_.dollars,
                          " dollars"));
}

void BudgetWatch::Check(const Now& now, absl::FunctionRef<bool()> bills) {
  const double spent = SpentToday(now);
  if (spent <= Most()) return;
  if (!spent_since_.has_value()) spent_since_ = now.healthy;
  if (now.healthy - *spent_since_ > limits_.end && bills()) {
    sim_.Break(absl::StrCat("the day has cost ", spent, " of ", limits_.whose, " ", limits_.dollars,
                            " dollars, and machines run on"));
  }
}

}  // namespace spotinference::fleet
