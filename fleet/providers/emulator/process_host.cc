#include "fleet/providers/emulator/process_host.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/emulator/ec2_service.h"

namespace spotinference::fleet {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kNetworks = 0xff00, kOfANetwork = 250;  // 127.1.0.1 … 127.255.255.250

MetadataEmulator::Machine Told(const EmulatedMachine& machine) {
  return {.id = machine.cloud == "aws" ? Ec2MachineId(machine.number) : absl::StrCat(machine.number),
          .name = machine.name,
          .zone = machine.zone,
          .type = machine.type,
          .market = machine.spot ? "spot" : "on_demand"};
}

// A device's path is the client's: "": it is none under the machine's folder.
std::string PlaceOf(const std::string& folder, const std::string& device) {
  const fs::path path = fs::path(device).lexically_normal();
  return absl::StartsWith(device, "/dev/") && absl::StartsWith(path.string(), "/dev/") ? folder + path.string() : "";
}

}  // namespace

// Another emulator on this computer is likely to have drawn another network.
ProcessHost::ProcessHost(std::string folder, const Clock& clock)
    : folder_(std::move(folder)), clock_(clock), last_address_(std::random_device()() % kNetworks * kOfANetwork) {}

std::string ProcessHost::Folder(int64_t machine) const { return absl::StrCat(folder_, "/machines/", machine); }

std::string ProcessHost::Address(int64_t) {
  std::string address;
  do {
    last_address_ = (last_address_ + 1) % (kNetworks * kOfANetwork);
    const uint32_t network = 0x100 + last_address_ / kOfANetwork;
    address = absl::StrCat("127.", network / 256, ".", network % 256, ".", 1 + last_address_ % kOfANetwork);
  } while (!addresses_.insert(address).second);
  return address;
}

void ProcessHost::Boot(const EmulatedMachine& machine) {
  const std::string folder = Folder(machine.number), script = folder + "/user-data";
  std::error_code error;
  fs::create_directories(folder, error);
  std::ofstream(script) << machine.user_data;
  std::unique_ptr<MetadataEmulator>& metadata = metadata_[machine.number];
  metadata = std::make_unique<MetadataEmulator>(clock_);
  metadata->SetMachine(Told(machine));
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
  addresses_.erase(machine.address);
}

void ProcessHost::Attach(const EmulatedMachine& machine, const EmulatedVolume& volume) {
  const std::string place = PlaceOf(Folder(machine.number), volume.device);
  const std::string disk = absl::StrCat(folder_, "/volumes/", volume.number);
  std::error_code error;
  if (place.empty()) {
    LOG(ERROR) << machine.name << ": '" << volume.device << "' is no device";
    return;
  }
  fs::create_directories(disk, error);
  fs::create_directories(fs::path(place).parent_path(), error);
  fs::remove(place, error);
  fs::create_directory_symlink(disk, place, error);
  LOG_IF(ERROR, error) << place << ": " << error.message();
}

void ProcessHost::Detach(const EmulatedMachine& machine, const EmulatedVolume& volume) {
  std::error_code error;
  fs::remove(PlaceOf(Folder(machine.number), volume.device), error);
}

bool ProcessHost::MayGo(const EmulatedMachine& machine) {
  const auto found = metadata_.find(machine.number);
  return found != metadata_.end() && found->second->has_started();
}

absl::Status ProcessHost::Tell(const EmulatedMachine& machine, const std::string& command) {
  const auto found = metadata_.find(machine.number);
  return found == metadata_.end() ? absl::NotFoundError("it does not run") : found->second->Command(command);
}

void ProcessHost::Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) {
  const auto found = metadata_.find(machine.number);
  if (found == metadata_.end()) return;
  MetadataEmulator& metadata = *found->second;
  absl::Status status;
  if (machine.cloud == "aws") {
    status = metadata.Command(left.has_value() ? absl::StrCat("aws terminate ", absl::ToDoubleSeconds(*left))
                                               : "aws none");
  } else if (machine.cloud == "gcp") {
    status = metadata.Command(left.has_value() ? "gcp TRUE" : "gcp FALSE");
  } else if (machine.cloud == "azure" && left.has_value()) {
    metadata.AddAzureEvent("Preempt", "Scheduled", left, {machine.name});
  } else if (machine.cloud == "azure") {
    status = metadata.Command("azure none");
  }  // Hyperstack says nothing
  LOG_IF(ERROR, !status.ok()) << machine.name << ": " << status;
}

}  // namespace spotinference::fleet
