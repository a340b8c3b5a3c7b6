// The fleet in one process: carries out what the planner says, keeps the queue of parked requests,
// and remembers its machines in a store.
//
// One thread takes events (from providers, probes, callers and timers) out of an inbox, changes the state under a
// lock, and then, without the lock, does what follows from it, in order: writes to the store, calls to the provider,
// answers. What precedes a side effect is in the store before the side effect is tried. Acquire of a model that has room
// takes the lock and nothing else.
#ifndef FLEET_CONTROLLER_H_
#define FLEET_CONTROLLER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/api/fleet.h"
#include "fleet/controller_state.h"
#include "fleet/decision_log.h"
#include "fleet/inbox.h"
#include "fleet/ledger/ledger.h"
#include "fleet/plan/buyer.h"
#include "fleet/plan/dispatch.h"
#include "fleet/plan/plan.h"
#include "fleet/plan/volumes.h"
#include "fleet/probe/probe.h"
#include "fleet/providers/provider.h"
#include "fleet/store/store.h"

namespace spotinference::fleet {

// Thread-safe, but for Start and Run.
class Controller : public Fleet, private ControllerState {
 public:
  struct Options {
    std::vector<ModelSpec> models;
    std::optional<double> max_dollars_per_day;  // nullopt: no limit
    std::optional<absl::Duration> keep_volumes;  // VolumeRules::keep
    // Each finished wake: how long `stage` ("launching", "downloading", "booting", "total") took. On fleet's thread.
    std::function<void(absl::string_view model, absl::string_view stage, absl::Duration took)> on_wake;
    // It only looks, and says what it would do, in the log and as decisions, once; also where the day's limit is 0
    // dollars. Of orders it takes WakeModel's alone.
    bool dry_run = false;
  };

  // Reads the store and asks `provider` about the machines that it names. Clock, store, provider and probe outlive the
  // controller. Fails as the store does.
  static absl::StatusOr<std::unique_ptr<Controller>> Create(Options options, const Clock& clock, Store& store,
                                                            Provider& provider, Probe& probe);

  // Machines run on, for the next controller on the store. Leases may outlive it; who still waits is never answered.
  ~Controller() override;

  // Starts the thread. Without it, Run does its work.
  void Start();

  // For tests and the simulation: does all there is to do now, on this thread. Returns when it must run again if
  // nothing else happens, as Clock::Elapsed().
  absl::Duration Run();
  bool HasNews() const { return inbox_->HasTasks(); }  // since Run

  // From now on nothing is acquired (kShutdown, also to those who wait). Every machine is drained and hibernated; one
  // whose leases do not end within `drain_limit` is stopped under them.
  void BeginShutdown(absl::Duration drain_limit);

  // After BeginShutdown: waits until no machine runs. False: `timeout` passed, and some still do.
  bool AwaitStopped(absl::Duration timeout);

  WaitId Acquire(absl::string_view model, const Claim& claim, absl::AnyInvocable<void(AcquireResult)> done) override;
  void Cancel(WaitId id) override;
  void ReportBroken(absl::string_view machine_id, absl::string_view why) override;
  void ReportNotice(absl::string_view machine_id) override;
  std::optional<WakeProgress> Progress(absl::string_view model) const override;
  std::vector<MachineView> Machines() const override;
  std::vector<ModelView> Models() const override;
  std::vector<LedgerLine> LedgerLines() const override;
  std::vector<StorageLine> StorageLines() const override;
  std::vector<InterruptionCount> Interruptions() const override;
  std::vector<DecisionView> Decisions() const override;
  void Interrupt(absl::string_view machine_id, absl::Duration notice, OrderDone done) override;
  void Kill(absl::string_view machine_id, OrderDone done) override;
  void Hibernate(absl::string_view machine_id, OrderDone done) override;
  void WakeModel(absl::string_view model, OrderDone done) override;

 private:
  Controller(Options options, const Clock& clock, Store& store, Provider& provider, Probe& probe);

  // All that follows runs under mutex_, on the controller's thread unless it says otherwise.
  void Restore(const Store::Contents& contents) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnEvent(MachineEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStarted(Machine& machine, MachineEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnDownload(Machine& machine, uint64_t done, uint64_t total) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnReady(Machine& machine, Endpoint endpoint) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnAdopted(Machine& machine, MachineEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnEnded(Machine& machine, bool crashed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnGone(Machine& machine, const MachineEvent& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStray(const MachineEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnAsleep(const MachineEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AskIdentity(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnIdentity(const std::string& id, const absl::StatusOr<EngineIdentity>&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnChecked(const std::string& id, uint64_t life, const absl::StatusOr<EngineIdentity>& health,
                 absl::Duration asked_at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnReleased(const std::string& id, uint64_t life, const std::string& key, absl::Duration)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // controller_heartbeat.cc
  void Beat(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeatAtOnce(const std::string& id, uint64_t life) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitNotice(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnNoticeAwaited(const std::string&, uint64_t life, uint64_t known, bool) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnFigures(const std::string& id, uint64_t life, const absl::StatusOr<EngineFigures>&)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Compare(Machine&, const EngineFigures&, absl::Duration asked_at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndHeartbeat(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EngineFigures FiguresOf(const Model& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // controller_interruptions.cc
  Interruption& BeginInterruption(Machine&, MachineLife::End, absl::string_view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnNotice(Machine&, absl::Duration left, bool heard, absl::string_view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HearNotice(Machine&, const EngineNotice&, absl::Duration asked_at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandOverWhereThereIsRoom(Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnNoNotice(Machine& machine, absl::Duration asked_at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static std::string Heading(const Machine& machine);
  void Lose(Machine& machine, MachineLife::End end, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteDeath(Machine& machine, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginReplacement(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteReplacement(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Machine*> FindAnswering(absl::string_view machine_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Order(absl::string_view machine_id, OrderDone, absl::FunctionRef<absl::Status(Machine&)> carry_out)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // controller_suspects.cc
  void GrantParked(Model& model, IntoFull into_full) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool GrantFirstParked(Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Buyer::Answer SoFar(const ParkingQueue::Waiter& waiter) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Machine* FindFor(const Model& model, const Claim& claim) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Machine* Reserve(const Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // controller_volumes.cc, controller_storage.cc
  void RecallVolumes(const Store::Contents& contents) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string VolumeFor(const Model&, const std::optional<Offer>&) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Holders FindHolders() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Machine* HolderOf(absl::string_view volume) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeVolume(const Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteFilled(const Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FreeVolume(const Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndVolumes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Discard(Volume& volume, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoOnDiscarding(Volume& volume) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnDiscarded(const MachineEvent& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Offer> FilledVolumes(const Model& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnVolume(const VolumeNews& news) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // controller_dry_run.cc
  bool Withholds(const Machine&, absl::string_view what, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Withholds(const Volume& volume, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string WithholdPurchase(const Model&, const Machine* hibernated, const std::optional<Offer>&,
                               absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // controller_market.cc
  void OnOffers(std::vector<OfferNow> offers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Chooses() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Wish WishOf(const Model& model) const;
  absl::Duration ChooseOffers(Model&, const Demand&, double dollars, Desired&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Buy(Model& model, absl::string_view hibernated_id, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool NoneToBuy(Model& model, std::string why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TriesElsewhere(Model& model, const Machine& failed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Offer SoldAs(const Machine& machine) const;
  double PriceOf(const Machine& machine) const;
  std::string MarketOf(const Machine& machine) const;
  double SpentToday() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double Left(const std::optional<double>& limit, double spent) const;
  double OwnDollarsLeft(const Model& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double DollarsLeft(const Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool PaysFor(absl::Duration time, double dollars) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // of all that run
  bool CostsMoney(const Model& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RefuseForMoney(Model& model, Desired& desired) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecallMarket(Buyer::Memory memory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RememberMarket() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteStockOut(const Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteBegan(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteLost(Machine& machine, absl::Duration serves_until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WasRefused(const Machine& machine, const absl::Status& gone) const;
  void NoteEnded(Machine& machine, const absl::Status& gone, bool crashed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteAnswer(const Model& model, const Buyer::Answer& answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteUse(const std::string& model, Buyer::Answer answer, const Lease::Use&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireWaiters(Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool PlanAndAct(Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // whether it did something
  Demand DemandFor(Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Act(Model& model, const Action& action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Launch(Model& model, std::optional<Offer> offer, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginLife(Machine&, MachineState, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginServing(Machine& machine, Endpoint endpoint) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stop(Machine&, MachineState, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refuse(Model& model, const AcquireError& error, bool also_who_resumes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Any thread.
  Model* FindModel(absl::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAwake(const Model& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // or has just lost its machine
  bool MakePlace(Model& model, const Claim& claim) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  AcquireError QueueFull(const Model& model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWait(Model&, WaitId, AcquireResult, bool refused) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Machine* FindServing(absl::string_view model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Machine* FindAdmitting(const Model& model, IntoFull into_full) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Machine* FindIdlest(absl::string_view, absl::FunctionRef<bool(const Machine&)>) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Lease Grant(Machine&, const std::string& key, const Buyer::Answer& so_far = {}, bool alone = false)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckHealth(Machine& machine, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteArrival(Model&, const Claim&) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // before it is parked or granted
  void NoteDemand(Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int Leases(absl::string_view model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration ExpectedWake(const Model& model) const;
  bool Stopped() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetState(Machine&, MachineState, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `machine`: nullptr, of a refusal or of what is in `place`.
  void NoteDecision(absl::string_view model, const Machine* machine, absl::string_view action, absl::string_view why,
                    const Offer* place = nullptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // controller_ledger.cc
  void RecallBook(const Store::Contents& contents) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Use UseOf(const Machine& machine);
  void Account(const Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Ledger::Item ItemOf(const Machine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BookAbsence(const Machine&, absl::Duration until, Ledger&) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndBilling(Machine& machine, const MachineEvent& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NotePrices(const std::vector<OfferNow>& offers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndUpkeep(MachineRecord& machine, absl::Time end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Store::Changes MakeBook() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepBookIfDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // controller_store.cc
  Store::Changes ChangesOf(const Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write(const Machine& machine, OrderDone written = nullptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(Store::Changes changes, OrderDone written = nullptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RememberDecisions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // If something of it has changed; for an order always, which `written` answers.
  void RememberWake(Model& model, OrderDone written = nullptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecallWake(const WakeRecord& record, Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ResumeWake(absl::Time began, Model& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerWith(WaitId, Done, AcquireResult) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteWake(const std::string&, absl::string_view stage, absl::Duration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MachineSpec SpecOf(const Machine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Without the lock, on the controller's thread.
  void Deliver(WaitId id) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Persist(Store::Changes changes);
  absl::Status PersistFirst(const Store::Changes& changes, Store::Sync sync);  // nothing of it is kept if it fails
  absl::Duration PersistAgain();  // if it is due. When it will be

  const Options options_;
  const Clock& clock_;
  Store& store_;
  Provider& provider_;
  Probe& probe_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();  // shared with whoever may still post
  std::thread thread_;
  Store::Changes unwritten_;  // these two on the controller's thread
  absl::Duration persist_again_at_ = absl::InfiniteDuration();

  mutable absl::Mutex mutex_;
  std::map<std::string, Model, std::less<>> models_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Machine, std::less<>> machines_ ABSL_GUARDED_BY(mutex_), strays_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Volume, std::less<>> volumes_ ABSL_GUARDED_BY(mutex_);
  std::vector<EndedVolume> ended_volumes_ ABSL_GUARDED_BY(mutex_);
  std::map<WaitId, Answer> answers_ ABSL_GUARDED_BY(mutex_);  // decided, about to be delivered
  std::vector<absl::AnyInvocable<void()>> effects_ ABSL_GUARDED_BY(mutex_);
  Ledger ledger_ ABSL_GUARDED_BY(mutex_);
  const absl::Duration began_ = clock_.Elapsed();            // this life of the fleet
  absl::Time former_until_ ABSL_GUARDED_BY(mutex_);           // has the ledger of a former one; InfinitePast(): none
  absl::Duration book_due_ ABSL_GUARDED_BY(mutex_) = began_;  // the ledger is written down again
  absl::Duration volumes_due_ ABSL_GUARDED_BY(mutex_) = began_;  // which are to go is asked again
  Buyer buyer_ ABSL_GUARDED_BY(mutex_);
  bool market_news_ ABSL_GUARDED_BY(mutex_) = false;  // the store does not have yet
  std::string offers_refused_ ABSL_GUARDED_BY(mutex_);  // why nobody says what is sold, where that is for good
  Day day_ ABSL_GUARDED_BY(mutex_) = {.began = began_};
  std::map<std::pair<std::string, bool>, int64_t> interruptions_ ABSL_GUARDED_BY(mutex_);  // by provider and notice
  DecisionLog decisions_ ABSL_GUARDED_BY(mutex_);
  absl::Duration decisions_due_ ABSL_GUARDED_BY(mutex_) = began_;  // not written down before, but at the end
  WaitId last_wait_id_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_life_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_serial_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::Duration next_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  std::optional<absl::Duration> shutdown_drain_limit_ ABSL_GUARDED_BY(mutex_);
  bool shutdown_planned_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string, std::less<>> said_ ABSL_GUARDED_BY(mutex_);  // of each thing, by a dry run
};

}  // namespace spotinference::fleet

#endif  // FLEET_CONTROLLER_H_
