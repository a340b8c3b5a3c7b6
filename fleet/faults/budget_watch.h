// That a day costs no more than it may: all machines, or those of one model. A part of the watch.
//
// Nothing is bought once the money is spent, and what runs then ends. A clock that steps to and fro over midnight
// begins one day. What machines cost while no controller lives nobody counts.
#ifndef FLEET_FAULTS_BUDGET_WATCH_H_
#define FLEET_FAULTS_BUDGET_WATCH_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "fleet/faults/sim.h"

namespace spotinference::fleet {

class BudgetWatch {
 public:
  struct Limits {
    std::string whose;  // "m0's"; "": all models'
    double dollars = 0; // a day
    absl::Duration end; // from when they are spent until nothing bills, in healthy time
    absl::Duration longest_skew;
  };
  struct Now {
    double dollars = 0;  // that its machines have ever cost
    // Of these, what was not told of machines that nobody asked for: nobody can have known it, and when it is told it
    // may be yesterday's. And what of that is never told.
    double untold = 0, untold_for_good = 0;
    absl::Duration healthy;
    bool lives = false;  // the controller
  };

  BudgetWatch(Sim& sim, Limits limits) : sim_(sim), limits_(std::move(limits)) {}

  void OnLife() { ++lives_; }  // of a controller, or its death
  void OnPurchase(const std::string& id, const Now& now);
  // After each step. `bills`: a machine of it does that is somebody's.
  void Check(const Now& now, absl::FunctionRef<bool()> bills);

 private:
  double SpentToday(const Now& now);
  double Most() const { return limits_.dollars + 0.01 * (1 + lives_); }  // what was spent is written down cent by cent

  Sim& sim_;
  const Limits limits_;
  int64_t day_ = -1;  // by the controller's clock, and when it began by the true one
  absl::Duration day_began_ = -absl::InfiniteDuration();
  int lives_ = 0;                               // today
  double before_ = 0, checked_ = 0;             // today, and at the last check
  std::optional<absl::Duration> spent_since_;   // in healthy time
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_BUDGET_WATCH_H_
