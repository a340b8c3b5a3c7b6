// What the controller knows of its models and machines. Its own, under its lock.
#ifndef FLEET_CONTROLLER_STATE_H_
#define FLEET_CONTROLLER_STATE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/api/fleet.h"
#include "fleet/ledger/ledger.h"
#include "fleet/plan/demand.h"
#include "fleet/plan/idle_timeout.h"
#include "fleet/plan/parking_queue.h"
#include "fleet/plan/plan.h"
#include "fleet/store/store.h"

namespace spotinference::fleet {

struct ModelSpec {
  std::string name;
  std::string weights;     // as in MachineSpec
  std::string model_hash;  // SHA-256 of the file, hex; "": any, and an engine of a former life is
                           // never adopted
  std::string head_hash;   // as in MachineSpec
  std::string backend = "auto";
  uint32_t context_tokens = 0;  // 0: the model's own
  int min_machines = 0;
  int max_machines = 1;
  // Which machines may be bought, where there is a choice; see Wish.
  int streams = 16;
  ServiceTarget target;
  double max_price = std::numeric_limits<double>::infinity();
  std::optional<double> max_dollars_per_day;
  std::vector<std::string> accelerators, regions;
  std::vector<Market> markets;
  std::optional<absl::Duration> idle_timeout;  // nullopt: IdleTimeout
  absl::Duration wake_cap = absl::Minutes(10);
  ParkingQueue::Limits park;  // no longer than the wake's cap
};

struct ControllerState {
  static constexpr absl::Duration kClocksDiffer = absl::Minutes(5);  // a cloud's and this one, at most
  static constexpr absl::Duration kBeyondBelief = absl::Hours(1);    // nothing runs for so much longer than was asked for
  static constexpr char kStray[] = "stray ";                         // so begin their names in the ledger

  using Done = absl::AnyInvocable<void(AcquireResult)>;

  struct Answer {
    Done done;
    AcquireResult result;
  };

  // A machine that is taken away, or died: from the first word to the machine that serves in its
  // place, all that is logged of it begins with its id.
  struct Interruption {
    std::string id;
    absl::Duration began;
    std::optional<absl::Duration> taken_at;  // with a notice: the sooner of the next two
    std::optional<absl::Duration> ordered_end, heard_end;  // by an admin; by the engine's latest word
    std::optional<absl::Duration> heard_at;  // the engine itself told of it; a later answer without it withdraws it
    bool serves_on = false;  // answers stay on it, and new ones come, until another machine has room for them
    std::optional<absl::Duration> left_at;  // it was asked to hand over then
  };

  struct Model {
    ModelSpec spec;
    Wake wake;
    absl::Duration ordered_until = -absl::InfiniteDuration();  // an admin wants it awake
    // What is written down of these two: the order, when the wake began, strikes, the end of the block and its cause,
    // the failures beside a machine and what they block.
    using Remembered = std::tuple<absl::Duration, std::optional<absl::Duration>, int, absl::Duration, std::string, int,
                                  absl::Duration>;
    Remembered ToRemember() const {
      return {ordered_until, wake.began,           wake.strikes,           wake.blocked_until,
              wake.cause,    wake.failures_beside, wake.none_beside_until};
    }
    Remembered remembered = ToRemember();
    std::optional<Interruption> unreplaced;       // the last, until a start makes up for it
    std::optional<absl::Duration> measured_wake, measured_fill;
    ParkingQueue parked;
    std::map<Fleet::WaitId, Done> callers;  // of those
    bool held = false;           // some of those only want room
    int64_t seats = 0;           // in an engine, as the last full one had them
    absl::Duration planned_at = -absl::InfiniteDuration();
    absl::Duration idle_since;  // when its last waiter or lease left
    std::optional<absl::Duration> unwanted_since;  // none of its machines may run
    bool asked = false;         // in this process's life
    IdleTimeout idle;
    EngineTotals ended;         // counted by engines that are gone
    std::deque<std::pair<Offer, std::string>> to_buy;  // by the latest plan: what, and why
    std::string last_refusal;  // of a provider, in its words
    double before_day = 0;  // dollars of the ledger
    std::vector<Offer> failed_at;  // starts of the wake under way
  };

  struct Heartbeat {
    EngineFigures figures;  // as last heard in this life
    absl::Duration due;     // the next question
    std::optional<absl::Duration> asked_at;  // and not yet answered
    int failures = 0;       // in a row
    int64_t seats = 0;      // in its engine, which it had filled when it last let others wait; 0: it never did
    int64_t granted = 0;    // leases since `figures`, less those given back
    int64_t granted_before = 0;  // of these, before the question under way; before the first, none has reached the engine
    bool answered = false;
    std::optional<absl::Duration> stalled_since;  // it has sequences and takes no step
    bool awaits_notice = false;
    std::optional<uint64_t> changed_from;  // the latest EngineFigures::notices that it said is true no more
  };

  // Of an engine's weights, within one start.
  struct Download {
    absl::Duration began;
    uint64_t before_bytes = 0;  // were there when it began
    uint64_t done_bytes = 0, total_bytes = 0;
    absl::Duration took;  // up to now

    bool done() const { return done_bytes == total_bytes; }
  };

  // A time in which no fleet was there.
  struct Absence {
    absl::Duration from;  // when the ledger was last written down
    Use use;
  };

  struct Machine {
    MachineRecord record;
    uint64_t life = 0;          // a restored machine is not the one that it was
    absl::Duration since;       // in this state
    absl::Duration asked_for;   // the start of this life
    absl::Duration idle_since;  // when its last lease ended
    int leases = 0;
    std::map<std::string, int> answers;  // leases by key
    Endpoint endpoint;      // while it serves
    bool adopting = false;  // of a former life, not yet known to serve
    bool restored = false;  // this life began with one that was hibernated
    std::optional<absl::Duration> ask_again_at;  // who it is, while it is adopted
    bool suspect = false;   // reported broken, being asked
    bool reserved = false;  // for one request alone, see controller_suspects.cc
    bool alone = false;     // which runs
    bool proved = false;    // an answer came from it, and failed starts before it are forgiven
    std::shared_ptr<MachineLife> fate = std::make_shared<MachineLife>();  // of this life
    std::optional<Interruption> interruption;
    std::optional<Interruption> replaces;
    Heartbeat heartbeat;
    std::optional<Download> download;
    bool at_risk = false;    // its provider recommends to replace it
    std::optional<Absence> absence;  // of this fleet's, and not known yet whether the machine was there all the time
    bool whole_run = true;   // the ledger has all of it
    bool in_market = false;  // its provider has said that it exists, and not yet that it goes

    // Whether one more would wait within its engine. `seats`: in others of the model; 0: not known, and an engine that
    // lets nobody wait is given `streams` more at a time. Clients that read slowly have leases and no seats.
    bool IsFull(int64_t seats, int streams) const {
      const EngineFigures& figures = heartbeat.figures;
      if (heartbeat.seats > 0) seats = heartbeat.seats;
      if (seats == 0) seats = figures.running_sequences + streams;
      return figures.running_sequences + figures.waiting_sequences + heartbeat.granted >= seats;
    }
  };

  // UTC's. What it has cost is the ledger's dollars beyond `before`; the store has `written` of it.
  struct Day {
    int64_t number = 0;
    double before = 0, written = 0;
    absl::Duration began;  // or this life did
  };

  using Holders = std::map<absl::string_view, const Machine*>;  // by volume

  // Where machines are bought: one that outlives them.
  struct Volume {
    VolumeRecord record;
    absl::Duration unused_since;  // while no machine has it
    absl::Duration not_before = -absl::InfiniteDuration();  // after it could not be deleted
    std::optional<Machine> deleted;  // the hibernated one that goes with it
  };
};

}  // namespace spotinference::fleet

#endif  // FLEET_CONTROLLER_STATE_H_
