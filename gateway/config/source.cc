#include "gateway/config/source.h"

#include "absl/strings/str_cat.h"

namespace spotinference::config {

absl::Status Source::Error(absl::string_view path, absl::string_view what) const {
  int line = 1;
  absl::string_view prefix = path;
  while (!prefix.empty()) {
    if (const auto found = lines.find(prefix); found != lines.end()) {
      line = found->second;
      break;
    }
    const size_t end = prefix.find_last_of(".[");
    prefix = end == prefix.npos ? "" : prefix.substr(0, end);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", line, ": ", path, path.empty() ? "" : ": ", what));
}

}  // namespace spotinference::config
