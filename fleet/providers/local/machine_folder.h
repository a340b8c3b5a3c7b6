// The files of a local machine: its volume with the lock, its token and another secret, its log.
#ifndef FLEET_PROVIDERS_LOCAL_MACHINE_FOLDER_H_
#define FLEET_PROVIDERS_LOCAL_MACHINE_FOLDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fleet/providers/local/process.h"

namespace spotinference::fleet {

class MachineFolder {
 public:
  // Where they lie; touches nothing.
  MachineFolder(absl::string_view data_dir, absl::string_view volume);

  const std::string& volume() const { return volume_; }
  std::string token_file() const { return folder_ + "/token"; }
  std::string query_file() const { return folder_ + "/query"; }

  absl::Status Create() const;
  bool Exists() const;  // its volume does

  // Deletes all of it, and the volume.
  absl::Status Remove() const;

  // Held by every process that has the descriptor, until the last one ends. UNAVAILABLE: another
  // machine has it.
  absl::StatusOr<Fd> LockVolume() const;

  absl::StatusOr<std::string> NewToken() const;
  // Of the weights' address. Mode 0600, as the token; there is none where it is empty.
  absl::Status WriteQuery(absl::string_view query) const;
  absl::StatusOr<std::string> ReadToken() const;

  absl::StatusOr<Fd> NewLog() const;

  // The log's last lines, for an error message: printable ASCII, at most 2 KiB.
  std::string LogTail() const;

 private:
  std::string volume_;
  std::string folder_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_LOCAL_MACHINE_FOLDER_H_
