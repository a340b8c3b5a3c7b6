#include "engine/base/flags.h"

#include <glog/logging.h>

#include <cstdio>
#include <cstdlib>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/str_cat.h"

namespace spotinference {

std::vector<std::string> ParseFlags(int argc, char** argv, absl::string_view usage, bool positional) {
  absl::SetProgramUsageMessage(usage);
  absl::FlagsUsageConfig config;
  // --help lists the flags that the program itself and its own folders define, not the libraries'.
  config.contains_help_flags = [](absl::string_view file) {
    return file.find("external/") == absl::string_view::npos && file.find("absl/") == absl::string_view::npos;
  };
  config.contains_helpshort_flags = config.contains_help_flags;
  absl::SetFlagsUsageConfig(config);
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(argv[0]);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  std::vector<std::string> arguments(rest.begin() + 1, rest.end());
  if (!positional && !arguments.empty()) {
    std::fprintf(stderr, "%s: unexpected argument '%s'; see --help\n", argv[0], arguments[0].c_str());
    std::exit(2);
  }
  return arguments;
}

std::string UserPath(absl::string_view path) {
  const char* const stands = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.empty() || path[0] == '/' || stands == nullptr) return std::string(path);
  return absl::StrCat(stands, "/", path);
}

}  // namespace spotinference
