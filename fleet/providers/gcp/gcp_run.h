// When a machine's latest run began and ended, and whether it was preempted, out of the operations on it, which outlive
// the machine: for an hour at least and 14 days at most ("View Compute Engine operations").
//
// Uptime is from the start of a machine until it is TERMINATED ("VM instance pricing"); by which of an operation's
// times that is charged the documentation does not say. A run ends here when its stop or deletion was completed
// (endTime). It begins with lastStartTimestamp where a list had that, else when its insert or start was begun
// (startTime). A preemption ("List preemption history": compute.instances.preempted) says that the machine was taken,
// and none of its times when it had stopped.
#ifndef FLEET_PROVIDERS_GCP_GCP_RUN_H_
#define FLEET_PROVIDERS_GCP_GCP_RUN_H_

#include <vector>

#include "absl/status/statusor.h"
#include "fleet/providers/cloud/cloud_api.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

// `listed`: as a list last had it. `operations`: in any order, of all machines of its name. UNAVAILABLE: none has ended
// it yet. Nothing is told where the operations do not know of a run.
absl::StatusOr<CloudRun> GcpRunOf(const CloudRun& listed, const std::vector<Json>& operations);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_RUN_H_
