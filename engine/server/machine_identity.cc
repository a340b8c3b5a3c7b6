#include "engine/server/machine_identity.h"

#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/certificate.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"

namespace spotinference {
namespace {

constexpr size_t kMaxKeyBytes = 4096;
constexpr size_t kMaxTokenBytes = 256;
constexpr absl::Duration kDay = absl::Hours(24);  // nobody believes it, so its time is of no account

absl::Status Unusable(const absl::Status& status) { return absl::FailedPreconditionError(status.message()); }

}  // namespace

absl::StatusOr<MachineIdentity> MachineIdentity::Open(const std::string& folder, absl::Time now) {
  const MachineFiles files = {folder + "/authority.pem", folder + "/key.pem", folder + "/certificate.pem"};
  const absl::StatusOr<std::string> authority = ReadWholeFile(files.authority, kMaxCertificateBytes);
  if (!authority.ok()) return Unusable(authority.status());
  absl::StatusOr<std::string> key = ReadWholeFile(files.key, kMaxKeyBytes);
  if (absl::IsNotFound(key.status())) {
    key = NewPrivateKey();
    RETURN_IF_ERROR(WriteWholeFile(files.key, *key));
  }
  if (!key.ok()) return Unusable(key.status());
  const absl::StatusOr<std::string> certificate = ReadWholeFile(files.certificate, kMaxCertificateBytes);
  if (!certificate.ok() || !CheckIssued(*certificate, *key, *authority).ok()) {
    const absl::StatusOr<std::string> own =
        SelfSigned(*key, {CertificateTerms::Role::kServer, MachineName(""), now - kDay, now + kDay, kMachineHost});
    if (!own.ok()) return absl::FailedPreconditionError(absl::StrCat(files.key, ": ", own.status().message()));
    RETURN_IF_ERROR(WriteWholeFile(files.certificate, *own));
  }
  return MachineIdentity(files, folder + "/token", *key, *authority);
}

absl::StatusOr<MachineIdentity::Proof> MachineIdentity::Prove() const {
  Proof proof;
  ASSIGN_OR_RETURN(proof.request, CertificateRequest(key_));
  absl::StatusOr<std::string> token = ReadWholeFile(token_file_, kMaxTokenBytes);
  if (token.ok()) {
    absl::StripAsciiWhitespace(&*token);
    proof.token = *std::move(token);
  } else if (!absl::IsNotFound(token.status())) {
    return token.status();
  }
  return proof;
}

absl::Status MachineIdentity::Install(const std::string& certificate) {
  RETURN_IF_ERROR(CheckIssued(certificate, key_, authority_));
  RETURN_IF_ERROR(WriteWholeFile(files_.certificate, certificate));
  unlink(token_file_.c_str());  // it is used up
  return absl::OkStatus();
}

}  // namespace spotinference
