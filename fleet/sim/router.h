// Which simulated machine answers which request, by the controller's rules (fleet/plan/dispatch.h): a request goes to the
// machine that has fewest, whose engine runs so many and lets the others wait in the order of their coming. Where none
// serves, or all are full while another one starts, it is parked (fleet/plan/parking_queue.h). A machine that goes hands
// its answers over: they are given out anew, with prompt and text so far to be computed again. One that will be taken
// serves on until others have room for what it has.
#ifndef FLEET_SIM_ROUTER_H_
#define FLEET_SIM_ROUTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fleet/plan/demand.h"
#include "fleet/plan/dispatch.h"
#include "fleet/plan/parking_queue.h"
#include "fleet/sim/market.h"
#include "fleet/sim/policy.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"
#include "fleet/sim/result.h"

namespace spotinference::fleet::sim {

// Machines are known by their slots. Tells the policy and the result what becomes of requests.
class Router {
 public:
  // A machine is about to have so many answers.
  using OnAnswers = std::function<void(int slot, int answers)>;

  // All outlive it.
  Router(const RecordedMarket& market, const Profile& profile, Policy& policy, Result& result, OnAnswers on_answers);

  void Arrive(const Request& request, Nanos now);

  // What was planned: whether a machine starts.
  void Planned(bool another_starts, Nanos now);
  void Open(int slot, Nanos now);    // it serves
  void Notice(int slot, Nanos now);  // it will be taken; it may not have served
  void Drain(int slot);              // it gets no more
  // It is gone. One that never served is ignored.
  void Close(int slot, bool taken, Nanos now);

  // When the next answer ends. It does, on this slot; negative: it had gone elsewhere.
  Nanos next() const { return completions_.empty() ? INT64_MAX : completions_.top().at; }
  int Complete();

  void Expire(Nanos now);        // those who are parked and whose time is up
  void RefuseParked(Nanos now);  // those who wait for their first machine, where none serves
  void EndAll(Nanos now);        // nothing comes any more, for those who are parked

  bool serves() const { return !open_.empty() || !leaving_.empty(); }
  bool another_starts() const { return another_starts_; }
  bool idle() const { return parked_.empty() && answers_ == 0; }
  Nanos idle_since() const { return idle_since_; }
  int parked() const { return static_cast<int>(parked_.size()); }
  int resuming() const { return parked_.resuming(); }
  int waiting() const { return parked() + queued_; }  // also within engines
  int Needed(Nanos now);  // machines, by the forecast

 private:
  struct Task {
    Request request;
    Nanos parked_at = 0;
    Nanos queued = 0;      // until it had this machine
    bool awake = true;     // the model was, when it asked for it
    bool resumes = false;  // it had another one before
    bool begun = false;    // its first token is out
  };
  struct Running {
    Task task;
    Nanos start = 0, first = 0;  // of this attempt: when it got the stream, its next token
    uint64_t serial = 0;         // 0: the stream is free
  };
  struct Engine {
    std::vector<Running> streams;
    std::vector<int> free;
    std::deque<Task> queue;
    int answers() const { return static_cast<int>(streams.size() - free.size() + queue.size()); }
  };
  struct Completion {
    Nanos at;
    uint64_t serial;
    int slot, stream;
    bool operator>(const Completion& other) const {
      return std::pair(at, serial) > std::pair(other.at, other.serial);
    }
  };

  bool Counts(const Request& request) const;
  bool IsAwake(Nanos now) const;
  void Acquire(Task task, Nanos now);
  int FindAdmitting(IntoFull into_full) const;  // negative: there is none
  void GrantParked(Nanos now, IntoFull into_full);
  bool GrantFirstParked(Nanos now);
  void GiveParked(ParkingQueue::Id id, int slot, Nanos now);
  void Give(int slot, Task task, Nanos now);
  void Start(int slot, const Task& task, Nanos now);
  void StartQueued(int slot, Nanos now);
  void NoteFirstToken(const Running& running, Nanos now);
  void NoteAnswers(int slot, int more, Nanos now);
  void NoteIdle(Nanos now) {
    if (idle()) idle_since_ = now;
  }
  void MoveAnswers(int slot, Nanos now);
  void HandOverWhereThereIsRoom(Nanos now);
  Task Unpark(ParkingQueue::Id id);
  void TurnAway(const Task& task, int64_t& count, Nanos now);

  const RecordedMarket& market_;
  const Profile& profile_;
  Policy& policy_;
  Result& result_;
  const OnAnswers on_answers_;
  const Nanos target_wait_, max_wait_;
  const ParkingQueue::Limits limits_;
  const Claim::Cut cut_ = {.life = std::make_shared<MachineLife>()};  // of whoever lost a machine

  LoadForecast load_;
  ParkingQueue parked_;
  std::unordered_map<ParkingQueue::Id, Task> tasks_;  // of those
  ParkingQueue::Id last_id_ = 0;
  uint64_t serial_ = 0;
  std::vector<Engine> engines_;     // by slot; one that is not there has no streams
  std::vector<int> open_, leaving_;  // slots: that get new ones; that will be taken and serve on
  int present_ = 0;                  // engines
  bool another_starts_ = false;
  Nanos lost_at_ = -1;               // a machine was taken, and none has come to serve since
  int64_t answers_ = 0;
  int queued_ = 0;  // of those
  Nanos idle_since_ = 0;
  std::priority_queue<Completion, std::vector<Completion>, std::greater<Completion>> completions_;
};

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_ROUTER_H_
