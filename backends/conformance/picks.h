// Ids picked from output rows on a device: from what it selects of them, where it does, and from the whole rows where
// that does not tell.
#ifndef BACKENDS_CONFORMANCE_PICKS_H_
#define BACKENDS_CONFORMANCE_PICKS_H_

#include "absl/status/statusor.h"
#include "engine/device/device.h"

namespace spotinference::conformance {

struct Picks {
  int rows = 0;
  int wanted = 0;    // of these, of which the device was asked for candidates
  int selected = 0;  // of these, where candidates told
};

// Rows of odd vocabularies, with all that a sampler may be asked. INTERNAL: another id, or another row, than was fed.
absl::StatusOr<Picks> CheckPicks(Device& device);

}  // namespace spotinference::conformance

#endif  // BACKENDS_CONFORMANCE_PICKS_H_
