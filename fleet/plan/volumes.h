// Which volumes of a model are deleted, with what is left of hibernated machines that have them: those that cost more
// than they spare. A pure function.
//
// A volume costs by the hour for as long as it exists. What it spares is a download when a machine is wanted in its
// zone again, and nobody knows when that will be. So one that nobody wants is kept until keeping it has cost as much as
// filling another one: the ski-rental rule, by which the two together cost at most twice what they would cost one who
// knew (idle_timeout.h has its source, and why a wait costs 20 times the machine). That is no less than a day, since
// demand has the day's rhythm, and no more than 30. One without weights, which spares nothing, is kept for an hour.
//
// Kept in any case are a volume that a machine has, the model's last one with weights (the one that was used last), and
// all while requests of the model are parked, for the KV of their earlier machines may lie on them.
#ifndef FLEET_PLAN_VOLUMES_H_
#define FLEET_PLAN_VOLUMES_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace spotinference::fleet {

struct VolumeRules {
  std::optional<absl::Duration> keep;  // one that nobody wants; nullopt: as above
  absl::Duration fill = absl::Minutes(3);  // what a download takes
  bool configured = true;  // the model may be asked for; else its last volume is of no use either
  bool parked = false;     // requests wait
};

// All times are Clock::Elapsed().
struct VolumeCopy {
  std::string name;
  bool filled = false;  // has the weights
  bool in_use = false;  // by a machine that is not hibernated
  absl::Duration unused_since;
  absl::Duration not_before = -absl::InfiniteDuration();  // it is left alone until then
  double per_hour = 0;          // dollars that it costs; 0: nothing, or nobody knows
  double machine_per_hour = 0;  // dollars, of a machine that fills another one
};

struct VolumePlan {
  std::vector<std::pair<std::string, std::string>> ends;  // name, why
  absl::Duration next = absl::InfiniteDuration();         // when the next is due, if nothing changes
};

// For how long one that nobody wants is kept.
absl::Duration KeptFor(const VolumeRules& rules, const VolumeCopy& volume);

VolumePlan PlanVolumes(const VolumeRules& rules, absl::Span<const VolumeCopy> volumes, absl::Duration now);

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_VOLUMES_H_
