// Machines of the emulated clouds as processes of this computer: each runs its user-data, on a loopback address and in
// a folder of its own, beside a metadata service of its own. Volumes are folders.
//
//   DIR/machines/NUMBER/   SPOTINFERENCE_ROOT of the script; `log` is its output,
//                          and `metadata` the address of its metadata service
//   DIR/volumes/NUMBER/    a link to it stands in the place of the device on the machine that has it
#ifndef FLEET_PROVIDERS_EMULATOR_PROCESS_HOST_H_
#define FLEET_PROVIDERS_EMULATOR_PROCESS_HOST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "engine/base/clock.h"
#include "engine/notice/emulator/metadata_emulator.h"
#include "fleet/providers/emulator/cloud_model.h"
#include "fleet/providers/local/process.h"

namespace spotinference::fleet {

// One thread at a time.
class ProcessHost : public MachineHost {
 public:
  // `clock` outlives it. `folder` is there.
  ProcessHost(std::string folder, const Clock& clock);

  std::string Address(int64_t machine) override;
  void Boot(const EmulatedMachine& machine) override;
  void Halt(const EmulatedMachine& machine) override;
  void Erase(const EmulatedMachine& machine) override;
  void Attach(const EmulatedMachine& machine, const EmulatedVolume& volume) override;
  void Detach(const EmulatedMachine& machine, const EmulatedVolume& volume) override;
  void Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) override;
  bool MayGo(const EmulatedMachine& machine) override;
  absl::Status Tell(const EmulatedMachine& machine, const std::string& command) override;

 private:
  std::string Folder(int64_t machine) const;

  const std::string folder_;
  const Clock& clock_;
  uint32_t last_address_;            // the last one given, counted from 127.1.0.1
  std::set<std::string> addresses_;  // of machines that are there
  std::map<int64_t, Process> processes_;
  std::map<int64_t, std::unique_ptr<MetadataEmulator>> metadata_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_PROCESS_HOST_H_
