#include "fleet/faults/faults.h"

namespace spotinference::fleet {

Faults DrawFaults(Sim& sim) {
  Faults faults;
  const auto chance = [&](double most) { return sim.Chance(0.5) ? most * (1 + sim.Below(10)) / 10 : 0.0; };
  const auto every = [&](absl::Duration mean) {
    return sim.Chance(0.5) ? mean * (1 + sim.Below(10)) / 4 : absl::InfiniteDuration();
  };
  faults.refused = chance(0.2);
  faults.lost = chance(0.2);
  faults.repeated = chance(0.2);
  faults.lies = chance(0.1);
  faults.late = chance(0.2);
  faults.stale = chance(0.2);
  if (sim.Chance(0.5)) faults.call = absl::Milliseconds(100) * (1 + sim.Below(20));
  if (sim.Chance(0.5)) faults.list_lag = absl::Seconds(sim.Below(25));
  faults.never_serves = chance(0.2);
  faults.dies = chance(0.2);
  faults.hangs = chance(0.2);
  faults.outage = every(absl::Hours(12));
  faults.dry = every(absl::Hours(6));
  faults.price = every(absl::Hours(2));
  faults.reclaim = every(absl::Hours(1));
  faults.stuck = every(absl::Hours(12));
  faults.kill = every(absl::Hours(6));
  faults.clock_step = every(absl::Hours(48));
  faults.full_disk = every(absl::Hours(24));
  faults.stray = every(absl::Hours(12));
  faults.at_risk = every(absl::Hours(4));
  return faults;
}

}  // namespace spotinference::fleet
