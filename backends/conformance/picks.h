// Ids picked from output rows on a device: from what it selects of them, where it does, else from the whole rows.
#ifndef BACKENDS_CONFORMANCE_PICKS_H_
#define BACKENDS_CONFORMANCE_PICKS_H_

#include "absl/status/statusor.h"
#include "engine/device/device.h"

namespace spotinference::conformance {

struct Picks {
  int rows = 0;
  int wanted = 0;        // of these, of which the device was asked for candidates
  int looked_again = 0;  // of these, that it had to look at again
  int looks = 0;         // so often in all
};

// Rows of odd vocabularies, with all that a sampler may be asked. INTERNAL: another id, or another row, than was fed.
absl::StatusOr<Picks> CheckPicks(Device& device);

}  // namespace spotinference::conformance

#endif  // BACKENDS_CONFORMANCE_PICKS_H_
