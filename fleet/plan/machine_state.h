// The life of a machine: Absent → Launching → Booting → Serving → Draining → Hibernating →
// Hibernated → Restoring → Booting …, → Terminating → Absent, and from anywhere Lost. A machine that
// is Absent has no record and no state here.
#ifndef FLEET_PLAN_MACHINE_STATE_H_
#define FLEET_PLAN_MACHINE_STATE_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

enum class MachineState {
  kLaunching,  // asked for; the provider has not said that it exists
  kRestoring,  // the same, of a hibernated machine
  kBooting,    // exists, does not serve yet
  kServing,
  kDraining,     // takes nothing new, its leases run on
  kHibernating,  // being stopped; its volume stays
  kHibernated,   // costs no machine time
  kTerminating,  // being stopped for good
  kLost,         // does not answer; the provider has not confirmed that it is gone
};

// Lower case, as in the store and in /admin/v1/machines.
absl::string_view MachineStateName(MachineState state);
std::optional<MachineState> ParseMachineState(absl::string_view name);

// Launching, restoring or booting.
bool IsWaking(MachineState state);

// Serving or draining: its engine answers.
bool IsAnswering(MachineState state);

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_MACHINE_STATE_H_
