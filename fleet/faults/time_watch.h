// That the ledger has each second of each GPU once: from a machine's order until its cloud says that it ended, or else until
// the word of its end. A part of the watch.
//
// Held from rest to rest, where one controller lived and nothing ran that nobody had asked for: how long a machine was
// there while no controller lived is known by a clock that steps.
#ifndef FLEET_FAULTS_TIME_WATCH_H_
#define FLEET_FAULTS_TIME_WATCH_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "fleet/faults/sim.h"
#include "fleet/providers/provider.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {

class TimeWatch {
 public:
  TimeWatch(Sim& sim, const MemoryStore& store) : sim_(sim), store_(store) {}

  void OnOrder(const std::string& id, int gpus) { begun_[id] = {sim_.now(), gpus}; }
  void OnEvent(const MachineEvent& event);
  void OnDeath();
  // At rest: of all lines of the ledger.
  void CheckLedger(absl::Duration time);

  int64_t checked() const { return checked_; }  // rests at which it was held to something

 private:
  struct Life {
    absl::Duration begun;
    int gpus = 1;
  };

  absl::Duration TimeOf(const Life& life, const MachineEvent& gone) const;

  Sim& sim_;
  const MemoryStore& store_;
  std::map<std::string, Life> begun_;  // by the controller's name
  absl::Duration time_, checked_beyond_;
  int64_t lives_ = 0, checked_ = 0;  // that ended since the last rest
  bool is_known_ = true;             // since then
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_TIME_WATCH_H_
