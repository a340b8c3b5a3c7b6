// The line that an engine writes to --ready_fd once it serves: "ready ADDRESS NUMERICS_ID
// MODEL_HASH\n".
#ifndef FLEET_PROVIDERS_LOCAL_READY_LINE_H_
#define FLEET_PROVIDERS_LOCAL_READY_LINE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

constexpr size_t kMaxReadyLineBytes = 4096;

struct ReadyLine {
  std::string address;
  std::string numerics_id;
  std::string model_hash;
};

// `line` is without its newline.
absl::StatusOr<ReadyLine> ParseReadyLine(absl::string_view line);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_LOCAL_READY_LINE_H_
