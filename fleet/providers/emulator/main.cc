// cloud_emulator: serves the clouds' APIs, with machines that are processes of this computer, and takes commands
// (cloud_emulator.h) on stdin, a line each, until its end. Its first line on stdout is its URL; each command is
// answered by "ok", or by what is wrong with it.
#include <glog/logging.h>
#include <stdlib.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "fleet/providers/emulator/cloud_emulator.h"
#include "fleet/providers/emulator/process_host.h"

ABSL_FLAG(int, port, 0, "on 127.0.0.1; 0: a free one");
ABSL_FLAG(std::string, dir, "", "folder of machines and volumes; \"\": a new one under /tmp");

namespace {

// So that machines boot and go also while nobody asks.
constexpr absl::Duration kTick = absl::Milliseconds(50);

constexpr const char* kCatalogue[] = {
    "sell hyperstack CANADA-1 default-CANADA-1 n3-L40x1 L40 1 1.00 - 4",
    "sell hyperstack NORWAY-1 default-NORWAY-1 n3-L40x1 L40 1 1.10 - 4",
    "sell aws us-east-1 us-east-1a g6.xlarge L4 1 0.8048 0.31 4",
    "sell aws us-east-1 us-east-1b g6.xlarge L4 1 0.8048 0.28 4",
    "sell gcp us-central1 us-central1-a g2-standard-4 nvidia-l4 1 0.7068 0.28 4",
    "sell gcp us-central1 us-central1-b g2-standard-4 nvidia-l4 1 0.7068 0.28 4",
    "sell azure eastus eastus-1 Standard_NC4as_T4_v3 T4 1 0.526 0.16 4",
    "sell azure eastus eastus-2 Standard_NC4as_T4_v3 T4 1 0.526 0.16 4",
};

}  // namespace

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "The APIs of Hyperstack, AWS EC2, Google Compute Engine and Azure, for tests.");
  std::string dir = spotinference::UserPath(absl::GetFlag(FLAGS_dir));
  char made[] = "/tmp/clouds.XXXXXX";
  if (dir.empty()) {
    PCHECK(mkdtemp(made) != nullptr);
    dir = made;
  }
  spotinference::fleet::ProcessHost host(dir, spotinference::RealClock());
  spotinference::fleet::CloudEmulator emulator(spotinference::RealClock(), host, absl::GetFlag(FLAGS_port));
  for (const char* const line : kCatalogue) CHECK(emulator.Command(line).ok()) << line;
  std::cout << emulator.url() << std::endl;
  std::atomic<bool> stop = false;
  std::thread ticks([&] {
    for (; !stop; absl::SleepFor(kTick)) emulator.Advance();
  });
  for (std::string line; std::getline(std::cin, line);) {
    const absl::Status status = emulator.Command(line);
    std::cout << (status.ok() ? "ok" : std::string(status.message())) << std::endl;
  }
  stop = true;
  ticks.join();
}
