// One fleet for some months of simulated time: the controller and the CloudProvider that a gateway runs, against the
// clouds' model, with what goes wrong drawn from a seed (as FoundationDB tests itself).
//
// A call to the cloud takes time, in which everything else goes on, other calls of the provider included: the loop runs
// anew inside the call. So the calls of several threads interleave, on one thread and by the seed alone.
#ifndef FLEET_FAULTS_FLEET_LIFE_H_
#define FLEET_FAULTS_FLEET_LIFE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fleet/controller.h"
#include "fleet/faults/clients.h"
#include "fleet/faults/engines.h"
#include "fleet/faults/faults.h"
#include "fleet/faults/sim.h"
#include "fleet/faults/sim_cloud.h"
#include "fleet/faults/watch.h"
#include "fleet/identity/authority.h"
#include "fleet/providers/cloud/cloud_provider.h"
#include "fleet/store/mortal_store.h"

namespace spotinference::fleet {

class FleetLife {
 public:
  struct Options {
    uint64_t seed = 1;
    absl::Duration length = absl::Hours(24 * 73);
    std::optional<Faults> faults;  // nullopt: the seed's
    std::optional<double> max_dollars_per_day;  // nullopt: the seed's
    std::optional<ModelSpec> model;             // the only one; nullopt: the seed's
    Sabotage sabotage = Sabotage::kNone;
    size_t events = 60;  // the last that are kept
  };
  struct Counts {
    int64_t served = 0, refused = 0, resumed = 0, cut_off = 0;  // requests
    int64_t launches = 0, restores = 0, deaths = 0, reclaims = 0;
    int64_t discards = 0;  // of volumes
    int64_t orphans = 0;  // machines that ran and that nobody knew, and were stopped
    double dollars = 0, storage_dollars = 0, upkeep_dollars = 0;  // of the cloud's bill
    // By which the ledger may be wrong, since the cloud does not say when runs began and ended, and volumes ended.
    double untold = 0, storage_untold = 0, upkeep_untold = 0;
  };

  explicit FleetLife(const Options& options);
  ~FleetLife();

  // Until its end, or until an invariant breaks.
  void Run();

  const std::optional<std::string>& broken() const { return sim_.broken(); }
  const std::deque<std::string>& events() const { return sim_.events(); }
  Counts counts() const;

 private:
  void RunToEnd();
  void Sell();
  void ScheduleClients();
  void ScheduleTrouble();
  void EndTrouble();
  void WantNone();
  void CheckAtRest();
  void CheckLedger();
  void CheckStorage();
  bool AddressStays() const;
  void Reclaim();
  void Stray();
  void PutAtRisk();
  EmulatedMachine* DrawRunning();  // of those that may be taken away
  bool IsPoor() const;
  bool CanBeServed(const ModelSpec& model) const;
  void Begin();
  void Rise();
  // Until then, or until the controller dies.
  void Pass(absl::Duration until);
  void Turn();  // all that there is to do now, by whom has something to do, as in a gateway
  void DoubtRest(bool at_once);
  void Live(absl::Duration until);  // with another controller after each death

  Sim sim_;
  const Sabotage sabotage_;
  const absl::Duration length_;
  Faults faults_;
  const bool nothing_goes_wrong_;
  const CloudNames names_{"sim"};
  Engines engines_;
  const std::unique_ptr<Authority> authority_ = *Authority::Open("", sim_.clock, /*is_new=*/true);
  SimCloud cloud_;
  Death death_;
  MortalStore store_;
  std::vector<ModelSpec> models_;
  double max_dollars_per_day_;
  int quota_;  // of machines, of each market
  Watch watch_;
  Clients clients_;
  bool trouble_ = true;  // begins anew by itself
  bool reclaims_next_ = false;

  std::unique_ptr<CloudProvider> provider_;
  std::unique_ptr<Controller> fleet_;
  int calls_under_way_ = 0;
  absl::Duration fleet_due_, provider_due_;
  int64_t checked_runs_ = 0;  // of machines, up to when the ledger was last held to the bill
  int64_t deaths_ = 0, reclaims_ = 0, strays_ = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_FLEET_LIFE_H_
