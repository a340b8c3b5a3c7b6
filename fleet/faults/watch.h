// What must hold after every step of a simulated fleet. It stands between the controller and its provider and hears
// what one asks of the other; what is true it reads from the cloud's own model.
//
// What is to end is given the time that a cloud in order needs for it: time in which the API is down or no controller
// lives does not count.
#ifndef FLEET_FAULTS_WATCH_H_
#define FLEET_FAULTS_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/faults/budget_watch.h"
#include "fleet/faults/sim.h"
#include "fleet/faults/sim_cloud.h"
#include "fleet/faults/storage_watch.h"
#include "fleet/faults/stray_watch.h"
#include "fleet/faults/time_watch.h"
#include "fleet/faults/upkeep_watch.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/provider.h"
#include "fleet/store/mortal_store.h"

namespace spotinference::fleet {

// Breaks an invariant on purpose, to see that it is found.
enum class Sabotage {
  kNone,
  kLeak,          // the provider says that a machine is gone, and it is not
  kDeaf,          // the provider does not hear that a machine is to end
  kBuyTwice,      // the cloud forgets what it has sold
  kLosesAnswers,  // requests are forgotten
  kLongWakes,     // the controller has another cap
  kOverspends,    // and no budgets
  kPaysAnyPrice,  // and no highest price
  kMisbooks,      // the provider says that runs were shorter
  kHidesStrays,   // the provider does not tell of machines that nobody asked for
  kHidesSleepers, // nor what those cost, stopped
  kFewGpus,       // the provider says that machines have one
  kSmallDisks,    // the provider says that machines boot from less
  kForgetsDisks,  // the provider says that a machine that sleeps is not kept
  kYoungVolumes,  // the provider says that volumes were made later
  kKeepsVolumes,  // the provider says that a volume is gone, and it is not
  kMixesVolumes,  // the provider attaches another volume
  kOversleeps,    // the controller is woken by news alone
  kHidesAnswers,  // the controller hears that answers end as they begin
  kLateWord,      // the provider says later that a machine serves
};

class Watch : public Provider {
 public:
  struct Limits {
    absl::Duration wake_cap;
    double max_dollars_per_day = 0;
    struct Model {
      double max_dollars_per_day, max_price;  // infinite: no limit
    };
    std::map<std::string, Model> models;
    // From the decision to the end of a machine, and until a machine is stopped that nobody knows.
    absl::Duration end, leak;
  };

  Watch(Sim& sim, SimCloud& cloud, const Death& death, const MemoryStore& store, const CloudNames& names,
        Limits limits, Sabotage sabotage);

  // For the next life of the controller; nullptr: there is none.
  void Use(Provider* provider);

  // After each step. `healthy`: the cloud's API answers.
  void Check(bool healthy);
  void NoteUses(absl::FunctionRef<bool(const std::string& id)> answers) { times_.NoteUses(answers); }
  // After everything has had time to end: nothing bills, and nothing is there that nobody knows, volumes included.
  void CheckAtRest();

  // No machine bills, and none is asked for.
  bool Rests() const;
  // Then every run is over: the controller's ledger is the cloud's bill to the cent, but for what the cloud does not say;
  // and it has grown as the bill has since the last rest where the cloud has said all. `dollars` of machines and of
  // addresses that they lose when they stop.
  void CheckLedger(double dollars);
  void CheckTimeLedger(const TimeWatch::Times& times) { times_.CheckLedger(times); }
  void CheckVolumesLedger(double dollars) { storage_.CheckLedger(dollars); }
  void CheckUpkeepLedger(double dollars) { upkeep_.CheckLedger(dollars); }

  // Something was said since the last call.
  bool TakeActivity() { return std::exchange(active_, false); }
  double Dollars() const;  // of the cloud's bill for machines
  const StorageWatch& storage() const { return storage_; }
  const UpkeepWatch& upkeep() const { return upkeep_; }
  const TimeWatch& times() const { return times_; }
  double untold() const { return over() + under(); }  // dollars by which the ledger may be wrong
  int64_t orphans() const { return static_cast<int64_t>(orphans_.size()); }
  int64_t launches = 0, restores = 0, discards = 0;

  // Provider
  const Caps& caps() const override { return provider_->caps(); }
  std::string NameOf(const MachineSpec& spec) const override { return names_.Machine(spec.id); }
  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override;
  void Launch(const MachineSpec& spec) override;
  void Restore(const MachineSpec& spec) override;
  void Adopt(const MachineSpec& spec, absl::string_view handle, absl::string_view address) override;
  void Hibernate(absl::string_view machine_id) override;
  void Terminate(absl::string_view machine_id) override;
  void TerminateLost(absl::string_view machine_id) override;
  void Discard(const MachineSpec& spec) override;

 private:
  struct Asked {
    std::string id, volume, model;
    std::string volume_name;  // the cloud's
    absl::Duration began;
    bool adopted = false;
    bool wakes = false;                   // asked for in this life, and neither serving nor to end yet
    std::optional<absl::Duration> ended;  // decided, in healthy time
  };

  // What was asked for last under a name, by whichever life of the controller.
  struct Run {
    absl::Duration asked;
    Offer offer;
    absl::Time asked_after = absl::InfinitePast();  // by the cloud's clock, as its provider knows it
    double billed = 0;  // of machines of its name, before
    bool over = false;
    bool started = false;  // as its provider told
    absl::Duration stepped;  // by so much times in it may be wrong that no controller saw pass
  };

  void Begin(const MachineSpec& spec, bool wakes);
  void NoteRun(const MachineEvent& gone);
  double BillOf(const std::string& name) const;
  const EmulatedType& TypeOf(const Offer& offer) const;
  absl::Duration SteppedSince(absl::Duration time) const;
  double AddressBill(const EmulatedMachine& machine) const;  // of one that it loses when it stops
  bool IsKnown(const EmulatedMachine& machine) const;
  bool End(absl::string_view machine_id);
  double over() const { return over_ + strays_.over(); }
  double under() const { return under_ + strays_.under(); }
  void OnEvent(const MachineEvent& event);
  void CheckMachine(const EmulatedMachine& machine);
  void CheckVolumes();
  void CheckAttached() const;
  bool IsWritten(const EmulatedMachine& machine) const;
  void CheckBudgets();
  BudgetWatch::Now SpentOf(absl::string_view model) const;
  void CheckPurchase(const Asked& asked, const Offer& place);
  void ForgetGone();

  Sim& sim_;
  SimCloud& cloud_;
  const Death& death_;  // what a dead controller asks for is not heard
  const MemoryStore& store_;
  const CloudNames& names_;
  const Limits limits_;
  BudgetWatch budget_;
  std::map<std::string, BudgetWatch> budgets_;  // of models
  const Sabotage sabotage_;
  StorageWatch storage_;
  UpkeepWatch upkeep_;
  StrayWatch strays_;
  TimeWatch times_;
  Provider* provider_ = nullptr;
  absl::AnyInvocable<void(MachineEvent)> listener_;
  bool active_ = false;
  std::map<std::string, Asked> asked_;              // by the cloud's name
  absl::Duration checked_at_, healthy_;             // healthy time up to then
  std::map<int64_t, absl::Duration> unknown_since_; // by machine, in healthy time
  std::set<std::string> served_from_;               // volumes, by the controller's name: these have weights
  std::set<int64_t> orphans_;                       // ran and nobody knew them: these are stopped, not deleted
  double closed_dollars_ = 0, closed_addresses_ = 0;  // of machines that are forgotten
  std::map<std::string, double, std::less<>> closed_by_model_;
  std::map<std::string, std::string> models_;       // by the cloud's name
  std::vector<OfferNow> offers_;                    // as the controller was told last
  std::map<std::string, Run> runs_;                 // by the cloud's name
  absl::Duration died_at_;                          // the last life of the controller
  std::vector<std::pair<absl::Duration, absl::Duration>> skews_;  // of the controller's clock, and from when on
  double over_ = 0, under_ = 0;                     // the ledger may have so much more than the bill, and less
  double checked_beyond_ = 0, checked_untold_ = 0;  // at the last rest: what the ledger had beyond the bill, and untold()
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_WATCH_H_
