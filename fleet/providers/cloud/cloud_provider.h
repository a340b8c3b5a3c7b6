// The Provider of any cloud: lives of machines, carried out over a CloudApi.
//
// What the cloud has is asked as one list, often while a machine comes or goes and seldom else; each life is decided
// from the newest list that was begun after the life's last call had ended. A machine of this fleet that no life knows
// is told as a stray, and stopped, since nobody would ever end it.
//
// Its engine is reached at the machine's address, by mutual TLS (fleet/identity). The gateway dials; nothing on a
// machine dials the gateway. A machine is known from its purchase on until its end is decided.
#ifndef FLEET_PROVIDERS_CLOUD_CLOUD_PROVIDER_H_
#define FLEET_PROVIDERS_CLOUD_CLOUD_PROVIDER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/identity/authority.h"
#include "fleet/probe/probe.h"
#include "fleet/providers/cloud/boot_script.h"
#include "fleet/providers/cloud/cloud_api.h"
#include "fleet/providers/cloud/life.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/cloud/strays.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {

struct CloudProviderOptions {
  CloudNames names{"test"};
  BootOptions boot;
  LifeLimits limits;
  absl::Duration drain = absl::Seconds(5);      // for the engine to save its KV, before its machine is stopped
  absl::Duration busy_poll = absl::Seconds(1);  // of the list, while a machine comes or goes
  absl::Duration volume_poll = absl::Milliseconds(500);  // while a machine is not bought before its volume is there
  absl::Duration idle_poll = absl::Seconds(15);
  absl::Duration offers_poll = absl::Seconds(60);
  absl::Duration probe_interval = absl::Milliseconds(500);
  std::string buys_nothing;                  // why it must not; "": it may
  // For a dry run, with buys_nothing: it calls nothing that changes anything in the cloud, and says in the log what it
  // would call, once. What it is asked to end then has no kGone until it is gone by itself.
  bool changes_nothing = false;
  // Before anything is listed: whether the account (CloudApi::Account) is the one that the fleet's machines are in. May
  // block. What it says instead is what becomes of everything that is asked of this provider. nullptr: it is.
  std::function<absl::Status(const std::string& account)> check_account;
  absl::Duration orphan = absl::Minutes(2);  // a machine that nobody has known for so long is nobody's
};

class CloudProvider : public Provider {
 public:
  // Probe, authority and clock outlive it.
  CloudProvider(std::unique_ptr<CloudApi> api, Probe& probe, Authority& authority, const Clock& clock,
                CloudProviderOptions options);
  ~CloudProvider() override;  // ends calls that are under way; machines stay

  // Starts threads: so many calls can be under way at a time. Without them, Run does their work.
  void Start(int threads);

  // For tests: does all there is to do now, on this thread. Returns when there is more, as Clock::Elapsed().
  absl::Duration Run();

  const Caps& caps() const override { return caps_; }
  std::string NameOf(const MachineSpec& spec) const override { return options_.names.Machine(spec.id); }
  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override;
  void Launch(const MachineSpec& spec) override;
  void Restore(const MachineSpec& spec) override;
  void Adopt(const MachineSpec& spec, absl::string_view handle, absl::string_view address) override;
  void Hibernate(absl::string_view machine_id) override;
  void Terminate(absl::string_view machine_id) override;
  void TerminateLost(absl::string_view machine_id) override;
  void Discard(const MachineSpec& spec) override;

 private:
  static constexpr absl::Duration kProbeDeadline = absl::Seconds(2);
  static constexpr absl::Duration kUnheard = absl::Minutes(1);  // until the others are to go on without a place
  static constexpr absl::Duration kVerdict = absl::Seconds(10);  // a list has told by then, or nobody will
  static constexpr absl::Duration kVolume = absl::Seconds(10);  // one that is not there by then is asked for less often
  static constexpr absl::Duration kRunTold = absl::Seconds(30);  // what is not told of a run by then never is
  static constexpr absl::Duration kOverQuota = absl::Minutes(10);  // until what a quota refused is tried again
  static constexpr absl::Duration kSpeak = absl::Seconds(30);  // a machine bears 15 minutes of silence

  struct Machine {
    MachineSpec spec;
    Life life;
    std::string name, volume_name;  // in the cloud
    std::string token;              // of its purchase
    std::string enrolment_token;    // of its first boot, the same for each try; "": it was not tried
    std::optional<Offer> offer;     // chosen
    std::vector<Offer> refused;     // in this life, for want of stock
    std::string address;            // as Adopt was told it
    absl::Duration begun;           // this life
    absl::Time asked_after = absl::InfinitePast();  // by the cloud's clock; of what is adopted nobody knows it
    CloudMachine last;              // as a list last had it
    bool launched = false;          // by Launch: before its first call there is nothing of it in the cloud
    bool adopted = false;           // by Adopt: it may have run before this life
    bool started = false;           // kStarted was told
    bool volume_told = false;       // kVolume
    bool boots = false;             // some list had it so, or running: perhaps a start of somebody else's
    bool public_address = false;    // some list had it with one
    double boot_gigabytes = 0;      // as a list last had it with a disk of its own
    bool stepping = false;          // on some thread
    absl::Duration due;
    absl::Duration not_before = -absl::InfiniteDuration();  // after a failure
    absl::Duration acted_at = -absl::InfiniteDuration();    // lists begun before are too old
    int failures = 0;                                       // in a row, of calls
    std::optional<absl::Duration> lost_at;                  // its engine was gone then; whether its machine too is asked
    bool crashed = false;                                   // its machine outlived it
    std::optional<CloudInventory::Failure> failure;         // of a create or start that the cloud had taken on
    absl::Time ran_by = absl::InfiniteFuture();             // by the cloud's clock, of whole seconds
    bool ran_before = false;                                // in this life, and was started again
    bool has_not_run = false;                               // its cloud's latest run is one of before
    std::optional<absl::Duration> run_asked_at;             // its run, first
    std::optional<CloudRun> run;                            // what was told of it, or that nothing will be
    Endpoint endpoint;     // of its engine, being asked or serving
    bool probing = false;
    absl::Duration next_probe = -absl::InfiniteDuration();
    std::optional<absl::StatusOr<EngineIdentity>> identity;  // the probe's answer
  };
  using MachinePtr = std::shared_ptr<Machine>;

  // Of a volume that is to be made, or is there.
  struct VolumeOrder {
    std::string token;
    absl::Duration at = -absl::InfiniteDuration();  // when it was last asked for, or seen
    bool seen = false;                              // since
  };

  // A thing that is asked of the cloud as a whole, over and over.
  struct Poll {
    absl::Duration due;
    bool busy = false;
    int failures = 0;
    std::map<std::string, absl::Duration> unheard;  // places, and since when
  };

  MachinePtr Begin(const MachineSpec& spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // nullptr: it has a life
  void Aim(absl::string_view machine_id, Life::Goal goal);
  // One thing that is due, without the lock in between. False: there was nothing.
  bool Work() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Duration NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void PollList() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteListError(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why the cloud refuses for good to say which machines there are; "": it does not.
  std::string WhyUnlisted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<CloudInventory> List(bool knows_account) const;
  void PollOffers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnList(CloudInventory inventory, absl::Duration begun) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Hear(const std::vector<UnheardPlace>& unheard, Poll& poll) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepUnheard(CloudInventory& inventory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration HeardAt(absl::string_view zone) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration HeardAt(const Machine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Of this fleet's machines that no life knows.
  void SweepOrphans() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Machine* WhoKnows(const CloudMachine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndOrphan(const CloudMachine& machine, bool keep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellStray(const CloudMachine& machine, absl::Time seen) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time CloudTimeOf(absl::Duration at) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Without what was told of before.
  absl::Time Untold(const std::string& name, absl::Time began) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteTold(const std::string& name, absl::Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Offer OfferOf(const CloudMachine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::string> EndedStrays() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // their ids
  void EndStray(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FindSleepers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellSleepers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellSleep(Sleeper& sleeper, absl::Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<absl::Time> OverAt(Sleeper& sleeper) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Judge(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Step(const MachinePtr& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(const MachinePtr& machine, const Next& next, const CloudMachine& found, const CloudVolume& volume)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refuse(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True: it must not, and has said so.
  bool Withholds(const std::string& name, absl::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnFailure(Machine& machine, const CloudInventory::Failure& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A create or a start was refused. `doubt`: when an earlier try was made that may have bought it.
  void OnCreateRefused(Machine& machine, const absl::Status& status, std::optional<absl::Duration> doubt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStartRefused(Machine& machine, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartAgain(Machine& machine, const CloudMachine& found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnBusy(Machine& machine, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Delete(Machine& machine, const CloudMachine& found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeleteVolume(Machine& machine, const CloudVolume& volume) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Before that. False: it is to be asked again, or what became of the machine meanwhile is to be seen.
  bool HearOfRun(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  CloudMachine LastOf(const Machine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Machine& machine, absl::Status status, bool kept = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // kGone of what has no life: where the cloud keeps it, it does so still.
  MachineEvent Absent(absl::string_view machine_id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellStarted(Machine& machine, const std::string& handle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellVolume(Machine& machine, const CloudVolume& volume) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CreateVolume(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Create(Machine& machine, const CloudVolume& volume) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SpeakTo(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ProbeEngine(const MachinePtr& machine, const CloudMachine& found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnIdentity(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A call to the cloud, without the lock, and what its failure means to every kind of call.
  absl::Status Call(Machine& machine, absl::string_view what, absl::FunctionRef<absl::Status()> call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: there is no offer to be had now; the life goes on to its end, or waits for offers.
  bool ChooseOffer(Machine& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(Machine& machine, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A hibernated one is there still.
  bool Keeps(const Machine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // And counts against quotas, so that to start it needs no room.
  bool KeepsRoom(const Offer& offer) const;
  // Why the account may not have another machine there, by the last poll or a purchase since; "": it may.
  std::string WhyBarred(const Offer& offer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What a quota refused is told to be barred before anybody can ask for it again.
  void NoteBar(const Machine& machine, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyBars(std::vector<OfferNow>& offers) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CloudMachine* Find(const Machine& machine) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const CloudVolume* FindVolume(const Machine& machine, const CloudMachine* found) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const CloudMachine* FindHolder(const CloudVolume* volume) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Endpoint EndpointOf(const Machine& machine, const std::string& address) const;
  void Tell(MachineEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<CloudApi> api_;
  Probe& probe_;
  Authority& authority_;
  const Clock& clock_;
  const CloudProviderOptions options_;
  const Caps caps_;

  mutable absl::Mutex mutex_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, MachinePtr, std::less<>> machines_ ABSL_GUARDED_BY(mutex_);
  CloudInventory inventory_ ABSL_GUARDED_BY(mutex_);
  absl::Duration listed_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();  // when inventory_ was begun
  // Places that the last list could not ask, and when one last could: what inventory_ has of them is as old.
  std::map<std::string, absl::Duration> unheard_ ABSL_GUARDED_BY(mutex_);
  bool knows_account_ ABSL_GUARDED_BY(mutex_) = false;  // since its credentials were last refused
  Poll list_ ABSL_GUARDED_BY(mutex_), offers_poll_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::vector<OfferNow>> offers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Offer> priced_ ABSL_GUARDED_BY(mutex_);  // the same, and what has no stock
  struct Bar {
    Offer offer;  // quotas hold in its region, for its type and market
    std::string why;
    bool restores = false;
    absl::Duration until;
  };
  std::vector<Bar> bars_ ABSL_GUARDED_BY(mutex_);  // of purchases
  std::string quotas_error_ ABSL_GUARDED_BY(mutex_);  // of the last poll
  std::map<std::string, VolumeOrder> volume_orders_ ABSL_GUARDED_BY(mutex_);     // by zone and name
  absl::Status list_error_ ABSL_GUARDED_BY(mutex_);                              // of the last poll
  absl::Status offers_error_ ABSL_GUARDED_BY(mutex_);                            // of the last poll
  std::map<std::string, Orphan> orphans_ ABSL_GUARDED_BY(mutex_);                // by the cloud's id
  std::map<std::string, Stray> strays_ ABSL_GUARDED_BY(mutex_);                  // by the cloud's id
  std::map<std::string, Sleeper> sleepers_ ABSL_GUARDED_BY(mutex_);              // by the cloud's id
  // By its name: until when events have told of a machine, by the cloud's clock; not of what is long over.
  std::map<std::string, absl::Time> told_until_ ABSL_GUARDED_BY(mutex_);
  absl::Time date_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // by the cloud's clock, at date_at_
  absl::Duration date_at_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> said_ ABSL_GUARDED_BY(mutex_);  // what would be done, by the name of with what

  // Answers of the probe may come when the provider has gone.
  struct Mailbox {
    absl::Mutex mutex;
    CloudProvider* provider ABSL_GUARDED_BY(mutex);
  };
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();

  absl::Mutex listener_mutex_;
  absl::AnyInvocable<void(MachineEvent)> listener_ ABSL_GUARDED_BY(listener_mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_CLOUD_PROVIDER_H_
