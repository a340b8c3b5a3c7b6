// What a machine does when it boots: mounts its volume, has the engine that is asked for, and runs it.
#ifndef FLEET_PROVIDERS_CLOUD_BOOT_SCRIPT_H_
#define FLEET_PROVIDERS_CLOUD_BOOT_SCRIPT_H_

#include <string>

#include "fleet/providers/provider.h"

namespace spotinference::fleet {

// Of every machine of a provider.
struct BootOptions {
  std::string engine_url;     // https://…, or file:///… on an emulated machine
  std::string engine_sha256;  // lower-case hex; another binary is not run
  std::string notice;         // the engine's --notice
  int engine_port = 8500;
};

// A shell script, to be run as root at the first boot; it sees to it itself that it runs at later ones. `device`: the
// volume's. Nothing of `spec` is taken for a command.
std::string BootScript(const BootOptions& options, const MachineSpec& spec, const std::string& token,
                       const std::string& device);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_BOOT_SCRIPT_H_
