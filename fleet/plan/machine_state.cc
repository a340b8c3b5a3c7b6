#include "fleet/plan/machine_state.h"

#include <iterator>

namespace spotinference::fleet {
namespace {

constexpr absl::string_view kNames[] = {"launching",  "restoring",   "booting",
                                        "serving",    "draining",    "hibernating",
                                        "hibernated", "terminating", "lost"};

}  // namespace

absl::string_view MachineStateName(MachineState state) { return kNames[static_cast<int>(state)]; }

std::optional<MachineState> ParseMachineState(absl::string_view name) {
  for (int i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<MachineState>(i);
  }
  return std::nullopt;
}

bool IsWaking(MachineState state) {
  return state == MachineState::kLaunching || state == MachineState::kRestoring ||
         state == MachineState::kBooting;
}

bool IsAnswering(MachineState state) {
  return state == MachineState::kServing || state == MachineState::kDraining;
}

}  // namespace spotinference::fleet
