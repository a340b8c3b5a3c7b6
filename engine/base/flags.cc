#include "engine/base/flags.h"

#include <glog/logging.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

bool parsing = false;
bool asks_for_help = false;

// Abseil ends a program with status 1 both for a wrong flag and after --help. Here a wrong use is 2, and help is no error.
void CorrectStatus(int status, void*) {
  if (!parsing || status != 1) return;
  std::fflush(nullptr);
  _exit(asks_for_help ? 0 : 2);
}

}  // namespace

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
  for (int i = 1; i < argc; ++i) asks_for_help |= absl::StartsWith(argv[i], "--help");
  parsing = true;
  on_exit(CorrectStatus, nullptr);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  parsing = false;
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
