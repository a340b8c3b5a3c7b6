// The machine profile: profile.proto's message, read from a text file and checked.
#ifndef FLEET_SIM_PROFILE_H_
#define FLEET_SIM_PROFILE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/plan/demand.h"
#include "fleet/sim/market.h"
#include "fleet/sim/profile.pb.h"
#include "fleet/sim/requests.h"

namespace spotinference::fleet::sim {

// INVALID_ARGUMENT, with line and column: no text of the message, or a value that means nothing.
absl::StatusOr<Profile> ParseProfile(absl::string_view text, absl::string_view name);

// INVALID_ARGUMENT: a value that means nothing.
absl::Status CheckProfile(const Profile& profile);

Nanos ToNanos(double seconds);

// Of one answer that has a stream for itself.
Nanos PrefillTime(const Profile& profile, int64_t prompt_tokens);
Nanos DecodeTime(const Profile& profile, int64_t generated_tokens);

// From when a machine's system runs, with the weights on its volume, until it serves.
double BootSeconds(const Profile& profile);

// From the call until it serves.
absl::Duration StartTime(const Profile& profile);

ServiceTarget TargetOf(const Profile& profile);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_PROFILE_H_
