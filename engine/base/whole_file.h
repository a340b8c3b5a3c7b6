// Small files that hold a secret or a state: read and written as a whole.
#ifndef ENGINE_BASE_WHOLE_FILE_H_
#define ENGINE_BASE_WHOLE_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference {

// NOT_FOUND: there is none. FAILED_PRECONDITION: it is longer than `max_bytes`. Else the system's own error.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes);

// Of mode 0600, in place of what is there; whole or not at all, also across a power cut. One writer of a path at a
// time. UNAVAILABLE: the system's error.
absl::Status WriteWholeFile(const std::string& path, absl::string_view bytes);

}  // namespace spotinference

#endif  // ENGINE_BASE_WHOLE_FILE_H_
