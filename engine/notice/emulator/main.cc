// metadata_emulator: serves what clouds tell their machines, and takes commands (metadata_emulator.h) on stdin, a line
// each. Its first line on stdout is its URL; each command is answered by "ok", or by what is wrong with it.
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "engine/notice/emulator/metadata_emulator.h"

ABSL_FLAG(int, port, 0, "on 127.0.0.1; 0: a free one");

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "The metadata services of AWS, Google Cloud and Azure, for tests.");
  spotinference::MetadataEmulator emulator(spotinference::RealClock(), absl::GetFlag(FLAGS_port));
  std::cout << emulator.url() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const absl::Status status = emulator.Command(line);
    std::cout << (status.ok() ? "ok" : std::string(status.message())) << std::endl;
  }
}
