// That the ledger has of volumes what the cloud's bill has. A part of the watch.
//
// What the cloud does not say bounds what the ledger can know: it does not tell when a volume went, so the ledger has
// it until the word of its end, or, where the life of the controller that had it deleted heard no such word, until the
// decision. And it has nothing of one that came and went between two lists. The rest is to the cent.
#ifndef FLEET_FAULTS_STORAGE_WATCH_H_
#define FLEET_FAULTS_STORAGE_WATCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fleet/faults/sim.h"
#include "fleet/faults/sim_cloud.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/provider.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {

class StorageWatch {
 public:
  StorageWatch(Sim& sim, SimCloud& cloud, const MemoryStore& store, const CloudNames& names)
      : sim_(sim), cloud_(cloud), store_(store), names_(names) {}

  void OnDiscard(const MachineSpec& spec) { discards_[spec.id] = spec.volume; }
  void OnEvent(const MachineEvent& event);
  // After each step.
  void Check();
  // At rest: so the controller's ledger has it.
  void CheckLedger(double dollars);

  double Dollars() const;                          // of the cloud's bill
  double untold() const { return over_ + under_; }  // by which the ledger may be wrong

 private:
  // A volume of the cloud, which may have had one of its name before.
  struct Piece {
    absl::Duration made, deleted;
    double per_hour = 0;
  };
  // As the store last had it, by the controller's name.
  struct Row {
    VolumeRecord record;
    absl::Duration gone_at = absl::InfiniteDuration();  // the word of its end
    bool seen = false;                                  // the life that has that word had it in a list
  };

  void CheckRows();
  void Settle(const Row& row);

  Sim& sim_;
  SimCloud& cloud_;
  const MemoryStore& store_;
  const CloudNames& names_;
  std::map<std::string, std::string> discards_;  // volumes, by the id that their end is asked for as
  std::map<std::string, Row> rows_;
  int64_t rows_of_ = -1;  // the store's writes that rows_ has; -1: something else has changed there
  std::map<int64_t, std::pair<std::string, Piece>> there_;  // by number, with the cloud's name
  std::map<std::string, std::vector<Piece>> deleted_;       // by the cloud's name, not settled yet
  absl::Duration longest_skew_;
  double over_ = 0, under_ = 0;  // the ledger may have so much more than the bill, and less
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_STORAGE_WATCH_H_
