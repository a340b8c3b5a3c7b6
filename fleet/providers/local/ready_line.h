// The lines that an engine writes to --ready_fd: "ready ADDRESS NUMERICS_ID MODEL_HASH\n" once it
// serves, which is the last one; before that, while its weights come, "download BYTES OF_BYTES\n".
#ifndef FLEET_PROVIDERS_LOCAL_READY_LINE_H_
#define FLEET_PROVIDERS_LOCAL_READY_LINE_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

constexpr size_t kMaxReadyLineBytes = 4096;

struct ReadyLine {
  std::string address;
  std::string numerics_id;
  std::string model_hash;
};

struct DownloadLine {
  uint64_t done_bytes = 0, total_bytes = 0;  // done <= total, and 0 < total
};

// `line` is without its newline.
absl::StatusOr<std::variant<ReadyLine, DownloadLine>> ParseReadyLine(absl::string_view line);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_LOCAL_READY_LINE_H_
