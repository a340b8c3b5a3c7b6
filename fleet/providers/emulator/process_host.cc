#include "fleet/providers/emulator/process_host.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/providers/emulator/ec2_service.h"

namespace spotinference::fleet {
namespace {

namespace fs = std::filesystem;

}  // namespace

ProcessHost::ProcessHost(std::string folder, const Clock& clock)
    : folder_(std::move(folder)), clock_(clock), network_(256 + std::random_device()() % 0xfe00) {}

std::string ProcessHost::Folder(int64_t machine) const { return absl::StrCat(folder_, "/machines/", machine); }

// Another emulator on this computer is likely to have drawn another network.
std::string ProcessHost::Address(int64_t machine) {
  return absl::StrCat("127.", network_ / 256, ".", network_ % 256, ".", 1 + machine % 250);
}

void ProcessHost::Boot(const EmulatedMachine& machine) {
  const std::string folder = Folder(machine.number), script = folder + "/user-data";
  fs::create_directories(folder);
  std::ofstream(script) << machine.user_data;
  std::unique_ptr<MetadataEmulator>& metadata = metadata_[machine.number];
  metadata = std::make_unique<MetadataEmulator>(clock_);
  const std::string id = machine.cloud == "aws" ? Ec2MachineId(machine.number) : absl::StrCat(machine.number);
  const std::string what = absl::StrCat("machine ", id, " ", machine.name.empty() ? "-" : machine.name, " ",
                                        machine.zone, " ", machine.type, " ", machine.spot ? "spot" : "on_demand");
  CHECK(metadata->Command(what).ok()) << what;
  std::ofstream(folder + "/metadata") << metadata->url();
  const Fd log(open(absl::StrCat(folder, "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  absl::StatusOr<Process> process =
      Spawn({.arguments = {"/usr/bin/env", absl::StrCat("SPOTINFERENCE_ROOT=", folder),
                           absl::StrCat("SPOTINFERENCE_ADDRESS=", machine.address),
                           absl::StrCat("SPOTINFERENCE_METADATA=", metadata->url()), "/bin/sh", script},
             .output = log.get()});
  if (!process.ok()) {
    LOG(ERROR) << machine.name << ": " << process.status();
    return;
  }
  processes_.insert_or_assign(machine.number, *std::move(process));
}

void ProcessHost::Halt(const EmulatedMachine& machine) {
  const auto found = processes_.find(machine.number);
  if (found == processes_.end()) return;
  kill(-found->second.name.pid, SIGKILL);  // it has a session of its own, and is not reaped yet
  AwaitEnd(found->second, absl::Seconds(10));
  Reap(found->second);
  processes_.erase(found);
  metadata_.erase(machine.number);
}

void ProcessHost::Erase(const EmulatedMachine& machine) {
  std::error_code error;
  fs::rename(Folder(machine.number) + "/log", absl::StrCat(folder_, "/machines/", machine.number, ".log"), error);
  fs::remove_all(Folder(machine.number), error);
}

void ProcessHost::Attach(const EmulatedMachine& machine, const EmulatedVolume& volume) {
  const std::string place = Folder(machine.number) + volume.device;
  const std::string disk = absl::StrCat(folder_, "/volumes/", volume.number);
  std::error_code error;
  fs::create_directories(disk);
  fs::create_directories(fs::path(place).parent_path());
  fs::remove(place, error);
  fs::create_directory_symlink(disk, place);
}

void ProcessHost::Detach(const EmulatedMachine& machine, const EmulatedVolume& volume) {
  std::error_code error;
  fs::remove(Folder(machine.number) + volume.device, error);
}

absl::Status ProcessHost::Tell(const EmulatedMachine& machine, const std::string& command) {
  const auto found = metadata_.find(machine.number);
  return found == metadata_.end() ? absl::NotFoundError("it does not run") : found->second->Command(command);
}

void ProcessHost::Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) {
  const double seconds = absl::ToDoubleSeconds(left.value_or(absl::ZeroDuration()));
  std::string command;
  if (machine.cloud == "aws") {
    command = left.has_value() ? absl::StrCat("aws terminate ", seconds) : "aws none";
  } else if (machine.cloud == "gcp") {
    command = left.has_value() ? "gcp TRUE" : "gcp FALSE";
  } else if (machine.cloud == "azure") {
    command = left.has_value() ? absl::StrCat("azure Preempt Scheduled ", seconds, " ", machine.name) : "azure none";
  }
  if (command.empty()) return;  // Hyperstack says nothing
  const absl::Status status = Tell(machine, command);
  CHECK(status.ok() || absl::IsNotFound(status)) << command;
}

}  // namespace spotinference::fleet
