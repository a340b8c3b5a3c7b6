// What a provider remembers of this fleet's machines that no life knows. Times are Clock::Elapsed() or, as absl::Time, by
// the cloud's clock.
#ifndef FLEET_PROVIDERS_CLOUD_STRAYS_H_
#define FLEET_PROVIDERS_CLOUD_STRAYS_H_

#include <optional>

#include "absl/time/time.h"
#include "fleet/providers/cloud/cloud_api.h"
#include "fleet/providers/cloud/life.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {

// One that is not asleep, and is to be ended.
struct Orphan {
  absl::Duration since;
  absl::Time seen;                                        // the answer that first had it
  absl::Duration not_before = -absl::InfiniteDuration();  // its end is asked for again
  absl::Duration unknown_until = -absl::InfiniteDuration();  // where its state says nothing, not before
  int failures = 0;                                       // in a row
};

// One that was told of, and has not ended yet.
struct Stray {
  CloudMachine last;  // as a list last had it
  absl::Time began;   // where its cloud does not say, when a list first had it
  Offer offer;
  bool ran = false;   // some list had it running
  bool public_address = false;
  double boot_gigabytes = 0;
  Absence absence;
  absl::Time missed_at;                        // the answer that first lacked it
  std::optional<absl::Time> over_at;           // an answer first had it ended then, or lacked it
  std::optional<absl::Duration> run_asked_at;  // first
  bool asking = false;                         // on some thread
};

// One that its cloud keeps, stopped.
struct Sleeper {
  CloudMachine last;      // as a list first had it
  absl::Duration since;   // some list had it so
  absl::Time told_until;  // what it costs
  bool woke = false;      // it runs, and since when its cloud will say, or nobody
  Offer offer;
  bool public_address = false;
  double boot_gigabytes = 0;
  Absence absence;
  absl::Time missed_at;  // the answer that first lacked it
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_STRAYS_H_
