// What goes wrong around one fleet, drawn from its seed: most fleets have some kinds of trouble and few have all, so
// that no kind hides another.
#ifndef FLEET_FAULTS_FAULTS_H_
#define FLEET_FAULTS_FAULTS_H_

#include <string>

#include "absl/time/time.h"
#include "fleet/faults/sim.h"

namespace spotinference::fleet {

struct Faults {
  // Chances of a call to the cloud; never more than three in a row of one kind of call.
  double refused = 0;   // 503 or 429, nothing was done
  double lost = 0;      // it was done, and no answer came
  double repeated = 0;  // it was done twice
  double lies = 0;      // it was said to be done, and was not
  double late = 0;      // of a purchase: taken on, then not done
  double stale = 0;     // of a list: some seconds old, or with a word that nobody knows
  absl::Duration call = absl::ZeroDuration();      // how long one takes, mean
  absl::Duration list_lag = absl::ZeroDuration();  // until what was made is in a list

  // Chances of an engine's start.
  double never_serves = 0, dies = 0, hangs = 0;

  // Mean times from one to the next.
  absl::Duration outage = absl::InfiniteDuration();     // the API is down for some ten minutes
  absl::Duration dry = absl::InfiniteDuration();        // a zone has no machine for an hour or so
  absl::Duration price = absl::InfiniteDuration();      // a zone's spot price changes
  absl::Duration reclaim = absl::InfiniteDuration();    // a machine is taken away, with a notice or without
  absl::Duration at_risk = absl::InfiniteDuration();    // a machine is said to be that, and taken away later, or not
  absl::Duration stuck = absl::InfiniteDuration();      // stops and attachments never end, volumes stay with the dead
  absl::Duration kill = absl::InfiniteDuration();       // the controller's process dies, in the middle of something
  absl::Duration clock_step = absl::InfiniteDuration(); // the wall clock is set
  absl::Duration full_disk = absl::InfiniteDuration();  // the store cannot write
  absl::Duration stray = absl::InfiniteDuration();      // a machine runs that nobody asked for, or lists lack one for long

  friend bool operator==(const Faults&, const Faults&) = default;
};

Faults DrawFaults(Sim& sim);

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_FAULTS_H_
