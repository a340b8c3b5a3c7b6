// That the ledger has each second of each GPU once: from a machine's order until its cloud says that it ended, or else until
// the word of its end. A part of the watch.
//
// Held from rest to rest, where one controller lived and nothing ran that nobody had asked for: how long a machine was
// there while no controller lived is known by a clock that steps.
//
// Where nothing goes wrong also that it has each second under what the machine did: it wakes until its provider says that
// it serves, is busy while a client has its answer there, and else idle.
#ifndef FLEET_FAULTS_TIME_WATCH_H_
#define FLEET_FAULTS_TIME_WATCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "fleet/faults/sim.h"
#include "fleet/ledger/ledger.h"
#include "fleet/providers/provider.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {

class TimeWatch {
 public:
  using Times = std::map<std::string, absl::Duration>;  // of GPUs, by LedgerLine::use

  TimeWatch(Sim& sim, const MemoryStore& store) : sim_(sim), store_(store) {}

  void OnOrder(const std::string& id, int gpus) {
    begun_[id] = {.begun = sim_.now(), .gpus = gpus, .uses = {{sim_.now(), Use::kWaking}}};
  }
  void OnEvent(const MachineEvent& event);
  void OnDeath();
  // After each step, of a fleet in which nothing goes wrong. `answers`: a client has its answer on the machine.
  void NoteUses(absl::FunctionRef<bool(const std::string& id)> answers);
  // At rest: of all lines of the ledger.
  void CheckLedger(const Times& ledger);

  int64_t checked() const { return checked_; }  // rests at which it was held to something

 private:
  struct Life {
    absl::Duration begun;
    int gpus = 1;
    bool serves = false;
    std::vector<std::pair<absl::Duration, Use>> uses;  // from then on
  };

  absl::Duration TimeOf(const Life& life, const MachineEvent& gone) const;  // not once for each GPU
  void CheckUses(const Times& ledger);

  Sim& sim_;
  const MemoryStore& store_;
  std::map<std::string, Life> begun_;  // by the controller's name
  absl::Duration time_, checked_beyond_;
  Times checked_uses_;  // at the last rest: what the ledger had of each use beyond what it was
  int64_t lives_ = 0, checked_ = 0;  // that ended since the last rest
  bool is_known_ = true;             // since then
  bool notes_uses_ = false;
  Times used_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_TIME_WATCH_H_
