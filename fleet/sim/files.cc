#include "fleet/sim/files.h"

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  return std::move(text).str();
}

absl::Status WriteFile(const std::string& path, absl::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be written"));
  return absl::OkStatus();
}

}  // namespace spotinference::fleet
