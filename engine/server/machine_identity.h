// Who this machine is: a key that is made here and never leaves it, and the certificate that the fleet gave for it.
//
//   FOLDER/authority.pem    the fleet's authority; must be there
//   FOLDER/token            good for the first certificate; removed when that has come
//   FOLDER/key.pem          made at the first start
//   FOLDER/certificate.pem  until the first has come, one that the machine has given itself, which nobody believes
#ifndef ENGINE_SERVER_MACHINE_IDENTITY_H_
#define ENGINE_SERVER_MACHINE_IDENTITY_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/api/mutual_tls.h"

namespace spotinference {

// One thread at a time.
class MachineIdentity {
 public:
  // FAILED_PRECONDITION: the folder lacks what must be there, or its key is damaged.
  static absl::StatusOr<MachineIdentity> Open(const std::string& folder, absl::Time now);

  const MachineFiles& files() const { return files_; }

  struct Proof {
    std::string request;  // as in certificate.h
    std::string token;    // "": it has had a certificate
  };
  absl::StatusOr<Proof> Prove() const;

  // INVALID_ARGUMENT: it is not for this key, or another authority's. UNAVAILABLE: it cannot be written.
  absl::Status Install(const std::string& certificate);

 private:
  MachineIdentity(MachineFiles files, std::string token_file, std::string key, std::string authority)
      : files_(std::move(files)),
        token_file_(std::move(token_file)),
        key_(std::move(key)),
        authority_(std::move(authority)) {}

  MachineFiles files_;
  std::string token_file_;
  std::string key_, authority_;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_MACHINE_IDENTITY_H_
