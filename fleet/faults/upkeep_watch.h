// That the ledger has of machines' own disks, and of addresses that stay with stopped ones, what the cloud's bill has. A
// part of the watch.
//
// What the cloud does not say bounds what the ledger can know: it has a machine from its order until the word of its
// end or, where the cloud says that, until its latest run's end, both by a clock that steps; and nothing of one that no
// list ever had. The rest is to the cent.
//
// Of a disk that costs only while its machine sleeps it has each sleep, as the store has it: from the word of it until a
// restore's order or the word of its end. In each moment in which the store has a machine asleep, and in the cloud it is
// not, it may have more; in each one where it is the other way round, less. Beyond that a sleep may begin with the run's
// end, as its cloud tells it, or with the order of a restore that came to nothing.
//
// Of a machine that nobody knows it has what its provider has told of, but of the last half hour before a death, where that
// may not have been heard, or written down.
#ifndef FLEET_FAULTS_UPKEEP_WATCH_H_
#define FLEET_FAULTS_UPKEEP_WATCH_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/faults/sim.h"
#include "fleet/faults/sim_cloud.h"
#include "fleet/ledger/billing.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/provider.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {

class UpkeepWatch {
 public:
  UpkeepWatch(Sim& sim, SimCloud& cloud, const MemoryStore& store, const CloudNames& names)
      : sim_(sim), cloud_(cloud), store_(store), names_(names),
        rules_(BillingRulesOf(cloud.kind().traits.name)) {}

  void OnDeath();  // of the controller
  void OnDiscard(const MachineSpec& spec);
  void OnEvent(const MachineEvent& event);
  // After each step, before what is gone is forgotten.
  void Check();
  // At rest: so the controller's ledger has it.
  void CheckLedger(double dollars);

  double Dollars() const;                           // of the cloud's bill
  double untold() const { return over_ + under_; }  // by which the ledger may be wrong

 private:
  using Key = std::pair<std::string, absl::Time>;  // the controller's name and MachineRecord::bought

  // As the store has it, of which there may be several machines.
  struct Row {
    std::string name;      // the cloud's
    absl::Duration since;  // it was not ordered before
    double disk_told = 0, address_told = 0;  // an hour; 0: the controller was not told of it
    double per_hour = 0;                     // of the dearest
    double dollars = 0;                      // of all of them
    absl::Duration word = absl::InfiniteDuration();     // of its end
    absl::Duration ended = absl::InfiniteDuration();    // as the controller may have it, at the least
    absl::Duration asleep_at = absl::ZeroDuration();    // the last time
    absl::Duration discard_at = absl::InfiniteDuration();  // its end was decided
    // Where disks cost only asleep `dollars` and `per_hour` are without them.
    bool sleeps = false;   // so the store had it at the last look
    bool started = false;  // since it slept
    absl::Duration slept_until;  // or it was ordered then
    double slept = 0;            // dollars of the disks of all of them, since the last look
    int64_t look = 0;            // the last one at which the store had it
  };
  struct Piece {  // a machine of the cloud
    Key row;      // "": nobody's
    Row* found = nullptr;  // it, by FindRowOf; null: it is over
    int64_t found_at = -1;
    double dollars = 0, slept = 0;
  };

  const std::string& NameOf(const std::string& id);  // the cloud's
  Row* FindRow(const std::string& id);
  Row* FindRowOf(Piece& piece);  // looks again only when one came or went
  double CostOf(const EmulatedMachine& machine) const;
  double PerHourOf(const EmulatedMachine& machine) const;
  // By how much the ledger may have more than `row`'s bill, and less.
  std::pair<double, double> DoubtOf(const Row& row) const;
  void Count(const EmulatedMachine& machine);
  void CountSleep(Row& row);
  void NoteSleep(const MachineEvent& gone, Row& row);
  void NoteNobodys(const MachineEvent& told);
  bool OnlyAsleep() const { return rules_.boot_disk_asleep; }  // disks cost

  Sim& sim_;
  SimCloud& cloud_;
  const MemoryStore& store_;
  const CloudNames& names_;
  const BillingRules& rules_;
  std::unordered_map<std::string, std::string> names_by_id_;
  std::map<Key, Row> rows_;
  int64_t row_changes_ = 0;  // what was found in `rows_` holds until the next one
  int64_t looks_ = 0;
  std::map<std::string, Key> rows_by_name_;  // the newest
  std::map<int64_t, Piece> pieces_;
  std::set<absl::string_view> asleep_;  // by the cloud's name, as the store has it
  double closed_ = 0;  // dollars of machines that the model has forgotten
  absl::Duration longest_skew_, skew_;
  absl::Duration checked_at_;
  std::deque<std::pair<absl::Duration, double>> told_;  // of the last half hour, and when: dollars of what nobody knows
  double over_ = 0, under_ = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_UPKEEP_WATCH_H_
