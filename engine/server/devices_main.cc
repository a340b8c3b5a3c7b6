// engine:devices — every backend and device: usable, or why not.
#include <cstdio>

#include "engine/base/flags.h"
#include "engine/server/backends.h"

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "Lists every backend of this build: its device, or why it cannot be used.");
  for (const spotinference::Backend& backend : spotinference::AllBackends()) {
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
}
