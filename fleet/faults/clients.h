// The requests of one simulated fleet: they come in bursts, hold a lease while they are answered, go on elsewhere when
// the machine under them ends, and each has to end served or with a true error, in time.
#ifndef FLEET_FAULTS_CLIENTS_H_
#define FLEET_FAULTS_CLIENTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fleet/api/fleet.h"
#include "fleet/faults/engines.h"
#include "fleet/faults/sim.h"

namespace spotinference::fleet {

class Clients {
 public:
  struct Limits {
    absl::Duration longest_wait;    // for a lease or an error
    absl::Duration longest_refusal; // after trouble is over
    size_t park_requests = 0;
    std::vector<std::string> causes;  // that are one whenever a refusal names them, as a day's money that can run out
  };

  Clients(Sim& sim, Engines& engines, const Limits& limits) : sim_(sim), engines_(engines), limits_(limits) {}

  // Nothing else is asked from now on; nullptr: there is no fleet, and those who come are turned away at its door.
  void Use(Fleet* fleet);
  void Come(const std::string& model);
  void OnBroken(int64_t machine, bool hangs);

  int AnswersOn(int64_t machine) const;
  bool HasAnswerOn(const std::string& machine_id) const;

  bool idle() const { return clients_.empty(); }
  int64_t served = 0, refused = 0, left = 0, resumed = 0, cut_off = 0;
  bool loses_answers = false;  // sabotage
  bool hides_answers = false;  // also: leases are given back at once

 private:
  struct Client {
    std::string model;
    absl::Duration came;
    bool begun = false;       // its first token came
    absl::Duration left;      // of its answer
    absl::Duration answering; // since
    std::vector<Claim::Cut> cuts;
    std::optional<Lease> lease;
    Fleet::WaitId wait = 0;
    uint64_t attempt = 0;
  };

  void Ask(int64_t id);
  void OnAnswer(int64_t id, uint64_t attempt, AcquireResult result);
  void OnLease(int64_t id);
  void GoOnElsewhere(int64_t id);
  void CheckError(const Client& client, const AcquireError& error);
  // Runs `what` then if the client is still at this attempt.
  void Later(int64_t id, absl::Duration delay, std::function<void(Client&)> what);

  Sim& sim_;
  Engines& engines_;
  const Limits limits_;
  Fleet* fleet_ = nullptr;
  std::map<int64_t, Client> clients_;
  int64_t last_id_ = 0;
  uint64_t last_attempt_ = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_CLIENTS_H_
