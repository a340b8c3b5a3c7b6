// Whole files, with errors that name them.
#ifndef FLEET_SIM_FILES_H_
#define FLEET_SIM_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

absl::StatusOr<std::string> ReadFile(const std::string& path);
absl::Status WriteFile(const std::string& path, absl::string_view text);

}  // namespace spotinference::fleet

#endif  // FLEET_SIM_FILES_H_
