// The requests of one model that wait for a machine: who gets one first, who makes place for whom, who has waited too
// long. Pure: times are passed in, and whose ids these are is the caller's knowledge.
//
// A key alone may fill the queue. When it is full and another key comes, the newest request of the key that holds most
// of it makes place: "longest queue drop", as a router's buffer is shared among flows (Suter, Lakshman, Stiliadis,
// Choudhury, Design Considerations for Supporting TCP with Per-flow Queueing, INFOCOM 1998). Machines are granted by
// turns of the keys (Nagle, On Packet Switches with Infinite Storage, RFC 970). Who had a machine before is turned away
// for nobody.
#ifndef FLEET_PLAN_PARKING_QUEUE_H_
#define FLEET_PLAN_PARKING_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "fleet/api/fleet.h"

namespace spotinference::fleet {

class ParkingQueue {
 public:
  using Id = Fleet::WaitId;  // ascending: first come, first served

  struct Limits {
    size_t requests = 256;
    size_t bytes = 64 << 20;
    absl::Duration longest = absl::Seconds(585);  // that one waits
  };

  struct Waiter {
    Claim claim;
    absl::Duration since, deadline;
    bool awake = false;  // the model had a machine when it came, or had just lost it
  };
  using Waiters = std::map<Id, Waiter>;

  const Waiters& waiters() const { return waiters_; }
  size_t size() const { return waiters_.size(); }
  bool empty() const { return waiters_.empty(); }
  int resuming() const;

  // Who has to leave before the claim finds place, in this order, since its key holds less of the queue than theirs.
  // nullopt: it finds none.
  std::optional<std::vector<Id>> WhoMakesPlace(const Claim& claim, const Limits& limits) const;

  // Whether there is place is the caller's question.
  void Park(Id id, Claim claim, bool awake, const Limits& limits, absl::Duration now);

  // nullopt: it does not wait.
  std::optional<Waiter> Remove(Id id);

  // Those who had a machine before, then the first of each key, then the second of each, and so on.
  std::vector<Id> ByTurns() const;

  // Whose time is up. All are given equally long, so they are the first.
  std::vector<Id> Expired(absl::Duration now) const;
  absl::Duration next_deadline() const;  // infinite: nobody waits

  // Whom a refusal reaches.
  std::vector<Id> ToRefuse(bool also_who_resumes) const;

 private:
  Waiters waiters_;
  size_t bytes_ = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_PARKING_QUEUE_H_
