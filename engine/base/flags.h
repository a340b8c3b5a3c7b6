// What every main does first: flags, logging to stderr, the usage text.
#ifndef ENGINE_BASE_FLAGS_H_
#define ENGINE_BASE_FLAGS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace spotinference {

// Parses Abseil flags and starts glog on stderr. `usage` is the first text of --help. A wrong flag, or a positional
// argument where `positional` is false, ends the process with status 2. Returns the positional arguments.
std::vector<std::string> ParseFlags(int argc, char** argv, absl::string_view usage, bool positional = false);

// `path` as the user meant it: `bazel run` changes the working directory and leaves the user's own in
// BUILD_WORKING_DIRECTORY; a relative path is taken from there. "" stays "".
std::string UserPath(absl::string_view path);

}  // namespace spotinference

#endif  // ENGINE_BASE_FLAGS_H_
