// What the fleet must not forget: which machines there are. One process has a store at a time.
#ifndef FLEET_STORE_STORE_H_
#define FLEET_STORE_STORE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/api/fleet.h"
#include "fleet/api/offer.h"
#include "fleet/ledger/ledger.h"
#include "fleet/plan/buyer.h"
#include "fleet/plan/machine_state.h"
#include "fleet/plan/plan.h"

namespace spotinference::fleet {

// The token of the machine is not among it: that stays with the provider.
struct MachineRecord {
  int64_t serial = 0;  // never given twice
  std::string id;      // made of model and serial
  std::string model;
  std::string provider;
  std::string volume;
  MachineState state = MachineState::kLaunching;
  std::string handle;   // the provider's
  std::string address;  // where it served
  std::string numerics_id;
  std::string reason;  // of the state, for people
  absl::Time since;    // in this state; where sleep costs (SleepOf) since its run was over, if its cloud says when
  bool public_address = false;  // its latest run has one, or had
  // What its cloud has of it was ordered then, and boots from a disk as large; InfinitePast(): it has nothing.
  absl::Time bought = absl::InfinitePast();
  double boot_gigabytes = 0;
  std::optional<Offer> offer = std::nullopt;  // where there was a choice
  // Of runs up to then, by its cloud's clock, the ledger has all that they cost.
  absl::Time billed_until = absl::InfinitePast();
  std::vector<PriceChange> prices = {};  // since the offer's, which it began to run at, in order

  void NoteUpkeep(bool has_address, double gigabytes) {
    public_address |= has_address;
    boot_gigabytes = std::max(boot_gigabytes, gigabytes);
  }
};

// What its disk has cost since it went to sleep, where it costs only then.
Ledger::StorageSums SleepOf(const MachineRecord& machine, absl::Time end);

// What that costs for as long as its cloud has it, whether it runs or not: of the disk that it boots from, and of an
// address that a stopped machine keeps. With SleepOf it.
Ledger::StorageSums UpkeepOf(const MachineRecord& machine, absl::Time end);

// A volume that outlives its machines.
struct VolumeRecord {
  std::string name;     // MachineRecord::volume
  std::string model;
  std::string machine;  // the id of the one that has it, or had it last
  Offer offer;          // as that one was bought: the volume is in its zone
  bool filled = false;  // a machine has served from it: the model's weights are on it
  bool ending = false;  // it is being deleted, with what is left of the machine
  absl::Time unused_since;  // while no machine has it
  absl::Time ending_since = absl::InfinitePast();  // the latest try to delete it
  // As VolumeNews has them. InfinitePast(): no list has had it yet, and it costs nothing.
  absl::Time made = absl::InfinitePast();
  double gigabytes = 0, per_hour = 0;
};

// A volume that is gone, and what it has cost. There may have been several of a name, one after the other.
struct EndedVolume {
  std::string name, model;
  absl::Time made, ended;
  double gigabytes = 0, dollars = 0;
};

// nullopt: no list has ever had it.
std::optional<EndedVolume> EndedAt(const VolumeRecord& volume, absl::Time end);

// What is remembered of a model's wakes (plan.h), by the wall clock.
struct WakeRecord {
  absl::Time ordered_until = absl::InfinitePast();  // an admin wants it awake
  int strikes = 0;
  absl::Time blocked_until = absl::InfinitePast();
  Refusal blocked_by = Refusal::kBackOff;
  std::string cause;
  absl::Time began = absl::InfinitePast();  // of the wake under way; InfinitePast(): there is none
  int failures_beside = 0;
  absl::Time none_beside_until = absl::InfinitePast();
};

// Called by one thread at a time.
class Store {
 public:
  // What machines cost on a day.
  struct Spending {
    int64_t day = 0;  // since 1970, UTC
    double dollars = 0;
    std::map<std::string, double> models = {};  // of these, by model
  };

  // What machines have cost.
  struct Book {
    std::vector<Ledger::Entry> entries;  // as in Ledger::EntriesByMachine
    absl::Time until = absl::InfinitePast();  // when they were made up: what bills goes on from there
    Ledger::StorageSums storage = {};
  };

  struct Contents {
    std::vector<MachineRecord> machines;  // by serial
    int64_t next_serial = 1;
    std::map<std::string, absl::Duration> wakes;  // measured, by model
    std::map<std::string, absl::Duration> fills;  // measured downloads of weights to an empty volume, by model
    std::map<std::string, std::vector<absl::Duration>> gaps;  // the latest times for which each model was idle
    std::map<std::string, WakeRecord> wake_records;           // by model
    Spending spending;
    Book book;
    Buyer::Memory market;               // times since 1970
    std::vector<VolumeRecord> volumes;  // by name
    std::map<int64_t, DecisionView> decisions;  // by number
    std::vector<EndedVolume> ended_volumes;
  };

  // What is to stand in place of what the store has; nullopt: nothing.
  struct Changes {
    std::map<int64_t, std::optional<MachineRecord>> machines = {};     // by serial
    std::map<std::string, std::optional<VolumeRecord>> volumes = {};   // by name
    std::map<std::string, absl::Duration> wakes = {};                  // the others as in Contents
    std::map<std::string, absl::Duration> fills = {};
    std::map<std::string, std::vector<absl::Duration>> gaps = {};
    std::map<std::string, WakeRecord> wake_records = {};
    std::optional<Spending> spending = {};
    std::optional<Book> book = {};
    std::optional<Buyer::Memory> market = {};
    std::map<int64_t, std::optional<DecisionView>> decisions = {};     // by number
    std::map<std::pair<std::string, absl::Time>, EndedVolume> ended_volumes = {};  // by name and `made`

    bool empty() const;
    void Add(Changes later);
  };

  // kDurable survives a crash of the computer: for a write that precedes a side effect which would
  // outlive that. kOrdered survives the end of the process, and a crash of the computer whenever a
  // later kDurable does.
  enum class Sync { kDurable, kOrdered };

  virtual ~Store() = default;

  virtual absl::StatusOr<Contents> Load() = 0;
  // All of it or, with an error, nothing.
  virtual absl::Status Write(const Changes& changes, Sync sync) = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_STORE_H_
