// The planner: what to do about one model, as a pure function of what is desired, what is observed
// and the time.
//
// The caller applies the actions, plans again until none is left, and then asks again after the
// next event or at Plan::next, whichever comes first. Nothing here waits, reads a clock or
// remembers: what must be remembered between two plans is in Wake, which goes in and comes out.
//
// All times are Clock::Elapsed().
#ifndef FLEET_PLAN_PLAN_H_
#define FLEET_PLAN_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fleet/plan/machine_state.h"

namespace spotinference::fleet {

struct Desired {
  int min_machines = 0;
  int max_machines = 1;  // 0: none may run; the planner drains and stops what does
  absl::Duration wake_cap = absl::Minutes(10);
  absl::Duration idle_timeout = absl::Minutes(1);
  absl::Duration linger = absl::Minutes(2);  // of a wake that nobody waits for any more
  absl::Duration drain_limit =
      absl::Seconds(30);  // then a draining machine is stopped under its leases
  absl::Duration unwanted_since = -absl::InfiniteDuration();  // when max_machines became 0: no drain began earlier
};

struct Demand {
  int waiting = 0;
  int resuming = 0;  // of these, those that had an engine and lost it: they outwait every refusal
  // When the last waiter or lease left; meaningful while there is none.
  absl::Duration idle_since = absl::ZeroDuration();
};

struct Observation {
  std::string id;
  MachineState state = MachineState::kHibernated;
  absl::Duration since = absl::ZeroDuration();
  int leases = 0;
  absl::Duration idle_since = absl::ZeroDuration();  // when its last lease ended
  std::optional<absl::Duration> taken_at = std::nullopt;  // when its notice runs out
  std::optional<absl::Duration> asked_for = std::nullopt;  // of one that wakes: this life's start; nullopt: `since`
};

enum class Refusal { kWakeTimeout, kNoCapacity, kBackOff };

// What is remembered of a model's wakes.
struct Wake {
  std::optional<absl::Duration> began;  // of the wake under way: all its attempts together
  int strikes = 0;
  // Starts that failed, or did not end, beside a machine that served, in a row, and until when there is no other such.
  // What is needed while nothing serves or starts is not blocked by them.
  int failures_beside = 0;
  absl::Duration none_beside_until = -absl::InfiniteDuration();
  absl::Duration blocked_until = -absl::InfiniteDuration();  // no attempt before that
  Refusal blocked_by = Refusal::kBackOff;
  std::string cause;  // of the last failure, for the client's message
};

enum class Failure {
  kCrash,       // a machine died soon after it began to serve
  kStart,       // a start failed and may succeed when tried again
  kStartThere,  // the same, and there is another place to try it in
  kPermanent,   // a start failed and will fail again: wrong usage, wrong hash, unknown type, too
                // little memory
  kCapped,      // a wake reached its cap
  kNoCapacity,  // the provider has no machine
};

// A start that fails is tried again at once, elsewhere for as long as there is another place (kStartThere); the second
// failure in a row with none left, the second capped wake in
// a row, the fourth quick crash in a row or one permanent failure begins a back-off of 5 s, which
// doubles with each further failure up to 10 min. Where the failure took longer (`took`: of the
// machine's start, or of the capped wake), that is the first back-off, and six times as long the
// longest: a broken model is paid for a seventh of the time at most. No capacity blocks for 5 s and
// is no fault of the model.
void RecordFailure(Failure failure, std::string cause, absl::Duration took, absl::Duration now,
                   Wake& wake);

// The same of a start beside a machine that served meanwhile, and so showed that the model can be served. The next
// comes after as long a pause as this took (a second at least), each further one after twice as long, up to the
// longest.
void RecordFailureBeside(absl::Duration took, absl::Duration now, Wake& wake);

// The longest back-off after a failure that took so long.
absl::Duration LongestBackOff(absl::Duration took);

// A start ended well: what failed beside other machines is forgiven.
void RecordStarted(Wake& wake);

// A machine that served for `served` was stopped as asked. From 10 s on the model counts as sound; a machine's first
// answer is worth as much.
void RecordServed(absl::Duration served, Wake& wake);

// The same of a machine that died: a crash within the 10 s is a failure, a later one is replaced
// with no word.
void RecordCrash(absl::Duration served, std::string cause, absl::Duration now, Wake& wake);

struct Action {
  enum class Kind {
    kLaunch,     // a new machine
    kRestore,    // a hibernated one
    kDrain,      // serving → draining
    kStop,       // → hibernating
    kTerminate,  // → terminating; a notice has run out, or to be sure that a lost machine is gone
    kRefuse,     // every waiter that does not resume, with `refusal` and `why`
  };
  Kind kind = Kind::kLaunch;
  std::string machine_id;  // of kRestore, kDrain, kStop, kTerminate
  std::string why;
  Refusal refusal = Refusal::kBackOff;
};

struct Plan {
  std::vector<Action> actions;
  Wake wake;
  absl::Duration next = absl::InfiniteDuration();
};

// Machines are those of the one model. Keeps at most max_machines that are not hibernated, lost
// ones included, since they may still bill; but not those with a notice, whose end is known and
// which are replaced at once.
Plan PlanModel(const Desired& desired, const Demand& demand,
               const std::vector<Observation>& machines, const Wake& wake, absl::Duration now);

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_PLAN_H_
