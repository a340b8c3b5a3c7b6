// SpotHedge, as its paper has it: Mao, Xia, Wu, Chiang, Griggs, Bhardwaj, Yang, Shenker and Stoica, "SkyServe: Serving
// AI Models across Regions and Clouds with Spot Instances", EuroSys 2025, section 3.
//
//   - Zones are available (Z_A) or preempting (Z_P). A loss or a failed launch moves a zone to Z_P, a machine that came
//   up
//     moves it to Z_A; with fewer than two left in Z_A all zones go back to it.
//   - The next spot machine goes to the cheapest zone of Z_A without one; where all have one, to the cheapest of Z_A.
//   - N_Tar + N_Extra spot machines are kept; O(t) = min(N_Tar, N_Tar + N_Extra − S_r(t)) on demand, S_r being those
//   ready.
//
// N_Tar comes from the same forecast as every policy's. Where all have one, the published code counts machines and
// takes the zone with the fewest; the cheapest of those is what is done here.
#ifndef FLEET_SIM_SPOTHEDGE_H_
#define FLEET_SIM_SPOTHEDGE_H_

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "fleet/sim/policy.h"

namespace spotinference::fleet::sim {

// The placement alone. Zones are numbered.
class HedgePlacer {
 public:
  explicit HedgePlacer(int zones) : available_(zones, true) {}

  void Preempted(int zone);  // or failed to launch
  void Launched(int zone) { available_[zone] = true; }
  // `machines` and `prices` by zone.
  int Next(absl::Span<const int> machines, absl::Span<const double> prices) const;
  bool available(int zone) const { return available_[zone]; }

 private:
  std::vector<bool> available_;
};

// On-demand machines for `target` with `extra` spot ones beyond it, of which `ready` serve.
int HedgeOnDemand(int target, int extra, int ready);

std::unique_ptr<Policy> SpotHedgePolicy(int zones, int extra);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_SPOTHEDGE_H_
