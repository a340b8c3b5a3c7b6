// What to do next about one machine of a cloud: a pure function of what is wanted, what was done and what the cloud
// says.
//
// It looks at what is there and not at what an answer promised: an answer may be lost, and a list may be older than it.
// So a call is made again when its effect has not shown for a while, which is harmless by MachineOrder::token and
// names.
#ifndef FLEET_PROVIDERS_CLOUD_LIFE_H_
#define FLEET_PROVIDERS_CLOUD_LIFE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

// Lists in a row that lacked something. A list is no more than eventually consistent: one that lacks it says little.
struct Absence {
  int lists = 0;
  absl::Duration first, last;  // when these were asked for

  void Note(bool listed, absl::Duration at);
};

// From a call of Provider to its kGone. All times are Clock::Elapsed().
struct Life {
  enum class Goal {
    kRun,
    kStop,  // keep what the cloud keeps
    kDelete,
  };
  Goal goal = Goal::kRun;
  bool discards = false;  // kDelete is its volume's end, too
  absl::Status status;    // of the kGone that kDelete ends with
  bool adopting = false;  // of a former life of the fleet; nothing is known of it yet
  bool kept = false;      // hibernated: the cloud has it, whatever one list says

  std::string machine_id;  // once it is known
  std::optional<absl::Duration> heard_at;  // when the list that is decided from was asked for; nullopt: now
  bool seen = false;    // in a list of this life
  bool not_there = false;  // the answer to its deletion: the cloud has no such machine
  Absence absence;
  bool ran = false;     // has booted in this life
  bool serves = false;  // kReady or kAdopted was told

  // When each was last asked for; nullopt: never, or it was refused.
  std::optional<absl::Duration> volume_at, create_at, start_at, stop_at, delete_at, attach_at, detach_at;
  std::optional<absl::Duration> volume_delete_at;
  std::optional<absl::Duration> first_attach_at;  // or it ran first then, where the cloud attaches at creation
  std::optional<absl::Duration> may_start_at;  // as start_at, also of a call that broke
  std::optional<absl::Duration> stop_since;    // kStop is wanted, or both ends are
  std::optional<absl::Duration> remains_at;    // a create failed whose machine the cloud keeps, and no list had it yet
  Absence holder;                              // of the machine that its volume is attached to
  Absence volume;                              // of the volume
  bool create_broke = false;                 // the last try has no answer; its token makes another one harmless
  std::optional<absl::Duration> drained_at;  // before that the engine is left to end by itself
};

struct LifeLimits {
  absl::Duration settle = absl::Seconds(60);  // what was made is in a list by then, if it was made
  absl::Duration attach = absl::Minutes(2);   // a volume that is not attached by then never will be
  absl::Duration stop = absl::Minutes(15);    // a machine that has not stopped then, for whatever reason, is deleted;
                                              // a volume that is not deleted then is given up
  absl::Duration stop_unserved = absl::Minutes(1);  // the same of one that has not served: it has nothing to save
  int absent_lists = 3;                       // what so many lists in a row lack …
  absl::Duration absent = absl::Seconds(60);  // … over so long is gone
};

bool IsGone(const LifeLimits& limits, const Absence& absence);

struct Next {
  enum class Do {
    kWait,
    kCreateVolume,
    kCreateMachine,
    kStartMachine,
    kStopMachine,
    kDeleteMachine,
    kAttach,
    kDetach,
    kDeleteVolume,
    kProbe,  // it runs with its volume: does its engine serve?
    kTellAdopted,
    kFail,      // goal becomes kDelete, with `status`
    kTellGone,  // with `status`
  };
  Do what = Do::kWait;
  absl::Status status;
};

// `machine` and `volume` are what the newest list has of it, nullptr: nothing. `holder`: the machine that the volume is
// attached to.
Next Decide(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine* machine,
            const CloudVolume* volume, const CloudMachine* holder, absl::Duration now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_LIFE_H_
