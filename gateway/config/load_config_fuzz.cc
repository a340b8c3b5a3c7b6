// Any bytes as a configuration: a checked message, or an error that names a line.
#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "gateway/config/load_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference::config;
  setenv("HOME", "/home/fuzz", 0);
  const auto config = ParseConfig({reinterpret_cast<const char*>(data), size}, "f.yaml");
  if (config.ok()) {
    if (config->models().empty() || config->providers().empty()) std::abort();
  } else if (!absl::StartsWith(config.status().message(), "f.yaml:")) {
    std::abort();
  }
  return 0;
}
