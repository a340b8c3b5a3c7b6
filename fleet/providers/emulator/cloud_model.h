// What the emulated clouds have and what becomes of it: machines, volumes, stock, prices and bills, in the time of a
// clock that the caller owns. No cloud's words: those are the services' (hyperstack_service.h …).
#ifndef FLEET_PROVIDERS_EMULATOR_CLOUD_MODEL_H_
#define FLEET_PROVIDERS_EMULATOR_CLOUD_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {

struct EmulatedMachine {
  enum class State { kStarting, kRunning, kStopping, kStopped, kRestoring, kDeleting, kGone, kFailed, kOff };
  int64_t number = 0;  // of all machines and volumes, beginning with 1; a cloud's id is made of it
  std::string cloud, name, zone, type, token, user_data;
  std::map<std::string, std::string> tags;
  bool spot = false;
  double price_per_hour = 0;
  std::string address;      // at which it listens; where it has a public one, that
  bool is_public = false;
  bool public_address = false;  // it is not dialled, but there, and is charged for while the machine runs
  bool keeps_address = false;  // its network interface does not go with it, nor does its public address
  bool left_address = false;   // gone, and its public address is there still
  State state = State::kStarting;
  absl::Duration since;                             // all times are Clock::Elapsed()
  absl::Duration until = absl::InfiniteDuration();  // when it leaves a state that passes by itself
  absl::Duration listed_at = absl::ZeroDuration();  // before that no list has it
  std::optional<absl::Duration> taken_at;           // the cloud takes it away, and has said so or not
  State taken_to = State::kGone;                    // kGone or kStopped
  absl::Duration launched;                          // bought or started again, the last time
  absl::Duration bought;                            // the first time
  double boot_gigabytes = 0;                        // of its own disk: BillingRules::boot_disk_asleep
  absl::Duration stopped;                           // how long it was kStopped, up to `since`
  std::map<std::string, std::string> boot_tags;     // that disk's
  std::optional<absl::Duration> began, ended;       // the latest run that is charged for; `ended`: it is over
  bool reclaimed = false;                           // by the cloud, at its end
  double dollars = 0, address_dollars = 0;          // of runs that are over
  int account = 1;
  std::string why;                                  // of its end
  std::string word;                                 // what lists call its state; "": the cloud's word for it
};

// What was asked for, or befell a machine. Kept for an hour after it was done, as the least that a cloud does.
struct EmulatedOperation {
  enum class Kind { kCreate, kStart, kStop, kDelete, kTake };
  int64_t number = 0;  // of all operations, beginning with 1
  Kind kind = Kind::kCreate;
  std::string cloud, zone, name;  // of the machine
  int64_t machine = 0;            // 0: it never came to be
  bool refused = false;           // for want of stock
  absl::Duration begun;
  std::optional<absl::Duration> done;
  absl::Duration listed_at;
};

struct EmulatedVolume {
  enum class State { kCreating, kFree, kAttaching, kAttached, kDetaching };
  int64_t number = 0;
  std::string cloud, name, zone, type, token;
  std::map<std::string, std::string> tags;
  int64_t gigabytes = 0;
  State state = State::kCreating;
  absl::Duration made;                              // it is charged for from then on
  absl::Duration until = absl::InfiniteDuration();
  absl::Duration listed_at = absl::ZeroDuration();
  int account = 1;
  int64_t machine = 0;  // that has it; 0: none
  std::string device;   // its path there
};

// A type of machine in a zone.
struct EmulatedType {
  std::string cloud, region, zone, type, accelerator;
  int accelerators = 1;
  double on_demand_price = 0;
  std::optional<double> spot_price;  // nullopt: not sold so
  int stock = 4;                     // left
  // As they were, for as long as a bill needs them: the last are those above. The model keeps them.
  std::vector<PriceSpan> on_demand_prices = {}, spot_prices = {};
};

// Where the machines are: processes of this computer, or nowhere.
class MachineHost {
 public:
  virtual ~MachineHost() = default;
  virtual std::string Address(int64_t machine) = 0;
  virtual void Boot(const EmulatedMachine& machine) = 0;
  virtual void Halt(const EmulatedMachine& machine) = 0;   // at once
  virtual void Erase(const EmulatedMachine& machine) = 0;  // its own disk
  virtual void Attach(const EmulatedMachine& machine, const EmulatedVolume& volume) = 0;
  virtual void Detach(const EmulatedMachine& machine, const EmulatedVolume& volume) = 0;
  // Its metadata service says that it goes; nullopt: that it stays after all.
  virtual void Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) = 0;
  // It has told its metadata service that what was noticed may begin.
  virtual bool MayGo(const EmulatedMachine&) { return false; }
  // A command of engine/notice/emulator/metadata_emulator.h to it. NOT_FOUND: it has no metadata service.
  virtual absl::Status Tell(const EmulatedMachine& machine, const std::string& command) = 0;
};

// Not thread-safe. Errors: NOT_FOUND, FAILED_PRECONDITION (not in this state), RESOURCE_EXHAUSTED ("stock" or "quota"),
// INVALID_ARGUMENT (there is no such zone, type or market).
class CloudModel {
 public:
  // How long things take, and what goes wrong.
  struct Habits {
    absl::Duration boot = absl::Milliseconds(500), stop = absl::Milliseconds(500), remove = absl::Milliseconds(200);
    absl::Duration volume = absl::Milliseconds(200), attach = absl::Milliseconds(200);
    absl::Duration list_lag = absl::ZeroDuration();  // what was made is not in a list before, nor an operation
    bool stop_never_ends = false;
    bool attach_never_ends = false;
    bool dead_keep_volumes = false;  // a machine that is gone still has its volume
    bool ephemeral = false;          // Hyperstack's machines have a disk of their own before any volume
    bool no_hibernation = false;     // no flavor of Hyperstack's supports it
    bool keeps_addresses = false;    // Azure's machines leave theirs behind, whatever was said
    bool late_failure = false;       // Azure says in the end that what it made could not be made
    bool new_fields = false;         // every object of an answer has members that nobody knows: new_fields.h
    bool odd_operations = false;     // one that is under way is in a state that nobody knows
    int quota = 1000;                // machines of a cloud, in a region and of a market
    std::string unreachable;         // what is in zones that begin so cannot be asked for; "": none are
    int account = 1;                 // whose the credentials are: what was made with another one is in no list
  };

  CloudModel(const Clock& clock, MachineHost& host) : clock_(clock), host_(host) {}

  Habits& habits() { return habits_; }
  const Habits& habits() const { return habits_; }

  // Brings everything up to now. Every other call does so first.
  void Advance();
  // When it would change something by itself.
  absl::Duration NextChange() const;

  void Sell(EmulatedType type);  // new, or in place of the same one, whose machines cost its prices from now on
  const std::vector<EmulatedType>& types() const { return types_; }
  EmulatedType* FindType(const std::string& cloud, const std::string& zone, const std::string& type);
  const EmulatedType* FindType(const std::string& cloud, const std::string& zone, const std::string& type) const;

  // Of the quota that a machine of this type counts against.
  int QuotaUsed(const EmulatedType& type, bool spot) const;

  // `wanted` has cloud, name, zone, type, spot, token, user_data and tags.
  absl::StatusOr<EmulatedMachine*> Buy(EmulatedMachine wanted);
  // One that never ran, for want of stock, and is there until it is deleted.
  void AddFailed(EmulatedMachine wanted);
  absl::Status Stop(EmulatedMachine& machine);
  absl::Status Start(EmulatedMachine& machine);
  absl::Status Delete(EmulatedMachine& machine);
  // From within: AWS's is terminated, as its launch says; Google's is stopped; the others' is kOff, which bills on.
  absl::Status PowerOff(EmulatedMachine& machine);
  // One that is kOff, by its owner, at once; and one that runs, which keeps running.
  absl::Status SwitchOn(EmulatedMachine& machine);
  absl::Status Reboot(EmulatedMachine& machine);
  // After `notice`, or once the machine may go, told by its metadata service unless `silent`.
  void TakeAway(EmulatedMachine& machine, absl::Duration notice, EmulatedMachine::State to, bool silent);
  void Withdraw(EmulatedMachine& machine);
  void Hide(EmulatedMachine& machine, absl::Duration time) { machine.listed_at = clock_.Elapsed() + time; }

  EmulatedVolume& CreateVolume(EmulatedVolume wanted);  // cloud, name, zone, type, tags, gigabytes
  absl::Status Attach(EmulatedVolume& volume, EmulatedMachine& machine, std::string device);
  absl::Status Detach(EmulatedVolume& volume);
  absl::Status DeleteVolume(EmulatedVolume& volume);

  // Everything, also what is gone, by number. Pointers into them stay good.
  std::map<int64_t, EmulatedMachine>& machines() { return machines_; }
  const std::map<int64_t, EmulatedMachine>& machines() const { return machines_; }
  std::map<int64_t, EmulatedVolume>& volumes() { return volumes_; }
  const std::vector<EmulatedOperation>& operations() const { return operations_; }  // in order
  EmulatedMachine* FindMachine(const std::string& cloud, int64_t number);
  EmulatedVolume* FindVolume(const std::string& cloud, int64_t number);
  bool IsReachable(absl::string_view zone) const {
    return habits_.unreachable.empty() || !absl::StartsWith(zone, habits_.unreachable);
  }
  bool IsListed(const EmulatedMachine& machine) const {
    return machine.listed_at <= clock_.Elapsed() && machine.account == habits_.account;
  }
  bool IsListed(const EmulatedVolume& volume) const {
    return volume.listed_at <= clock_.Elapsed() && volume.account == habits_.account;
  }

  // What callers show in place of a secret: it begins as the cloud's do.
  std::string NewToken(absl::string_view begin, absl::Duration good_for = absl::Seconds(3599));
  bool IsGood(const std::string& token) const;
  void ExpireTokens() { tokens_.clear(); }  // all that were given out so far

  // Inside of the cloud: of one with a public address nobody outside can reach it.
  static std::string PrivateAddress(const EmulatedMachine& machine);

  // Dollars for the machine up to now, at the prices of its type and by its cloud's rules (fleet/ledger/billing.h).
  double Bill(const EmulatedMachine& machine) const;
  double AddressBill(const EmulatedMachine& machine) const;
  double BootDiskBill(const EmulatedMachine& machine) const;
  // The same for the volume, whatever machine has it.
  double Bill(const EmulatedVolume& volume) const;
  double deleted_volumes_dollars() const { return deleted_volumes_dollars_; }

  absl::Duration Elapsed() const { return clock_.Elapsed(); }
  absl::Time Now() const { return clock_.Now() + skew_; }
  absl::Time TimeOf(absl::Duration at) const { return Now() + (at - clock_.Elapsed()); }
  void set_skew(absl::Duration skew) { skew_ = skew; }

 private:
  void Enter(EmulatedMachine& machine, EmulatedMachine::State state, absl::Duration at);
  void Note(EmulatedOperation::Kind kind, const EmulatedMachine& machine, absl::Duration at, bool refused = false);
  double BillOfRun(const EmulatedMachine& machine, absl::Duration until) const;
  void NotePrice(const EmulatedType& type, double price, std::vector<PriceSpan>& prices) const;
  void Settle(EmulatedMachine& machine, absl::Duration now);
  void Settle(EmulatedVolume& volume, absl::Duration now);
  void FreeStock(const EmulatedMachine& machine);

  const Clock& clock_;
  MachineHost& host_;
  Habits habits_;
  absl::Duration skew_;
  int64_t last_number_ = 0;
  int64_t last_token_ = 0;
  std::map<std::string, absl::Duration> tokens_;  // good until then
  std::vector<EmulatedType> types_;
  std::map<int64_t, EmulatedMachine> machines_;
  std::map<int64_t, EmulatedVolume> volumes_;
  double deleted_volumes_dollars_ = 0;
  std::vector<EmulatedOperation> operations_;
  int64_t last_operation_ = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_CLOUD_MODEL_H_
