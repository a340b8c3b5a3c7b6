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
  std::string hub_token;  // for hf:// weights alone, and secret; "": none
};

// By which a machine knows its fleet, and is known by it at first (fleet/identity).
struct Enrolment {
  std::string authority;  // PEM
  std::string token;
};

// A shell script, to be run as root at the first boot; it sees to it itself that it runs at later ones. `device`: the
// volume's. Nothing of `spec` is taken for a command.
//
// A disk becomes the volume, with a new file system, only when nothing has ever been written to it. A machine to which
// its fleet has not spoken for 15 minutes powers itself off: its engine sees to that, and for whatever keeps that from
// running, a watch that gives it 5 minutes more.
std::string BootScript(const BootOptions& options, const MachineSpec& spec, const Enrolment& enrolment,
                       const std::string& device);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_BOOT_SCRIPT_H_
