// engine:devices — every backend and device: usable, or why not; and what --backend=auto makes of them.
#include <cstdio>

#include "engine/base/flags.h"
#include "engine/server/backends.h"
#include "engine/server/boot.h"

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "Lists every backend of this build: its device, or why it cannot be used.");
  const std::vector<spotinference::Backend> backends = spotinference::AllBackends();
  for (const spotinference::Backend& backend : backends) {
    absl::Status status = backend.probe();
    if (status.ok()) {
      const auto device = backend.create(0);
      status = device.status();
      if (status.ok()) {
        std::printf("%-10s usable: %s (%s)\n", backend.name.c_str(), (*device)->info().name.c_str(),
                    (*device)->info().arithmetic.c_str());
        continue;
      }
    }
    std::printf("%-10s not usable: %s\n", backend.name.c_str(), std::string(status.message()).c_str());
  }
  const auto chosen = spotinference::ChooseBackend(backends, "auto");
  std::printf("%-10s %s\n", "auto",
              chosen.ok() ? (*chosen)->name.c_str() : std::string(chosen.status().message()).c_str());
  for (const spotinference::Backend& backend : backends) {
    const absl::Status why = backend.passed_over != nullptr ? backend.passed_over() : absl::OkStatus();
    if (!why.ok()) std::printf("%-10s not %s: %s\n", "", backend.name.c_str(), std::string(why.message()).c_str());
  }
}
