#include "fleet/providers/cloud/secret.h"

#include <glog/logging.h>
#include <openssl/rand.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/whole_file.h"

namespace spotinference::fleet {
namespace {

constexpr int kSecretBytes = 32;
constexpr size_t kLongest = 1024;  // of a file that people may have put back

absl::Status Failed(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", what));
}

}  // namespace

std::string RandomHex(int bytes) {
  std::string random(bytes, '\0');
  CHECK_EQ(RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), bytes), 1);
  return absl::BytesToHexString(random);
}

std::string NewPurchaseToken() { return RandomHex(16); }

absl::StatusOr<std::string> ReadSecret(const std::string& path) {
  absl::StatusOr<std::string> secret = ReadWholeFile(path, kLongest);
  if (absl::IsNotFound(secret.status())) return secret;
  if (!secret.ok()) return absl::FailedPreconditionError(secret.status().message());
  absl::StripTrailingAsciiWhitespace(&*secret);
  if (secret->size() != 2 * kSecretBytes) return Failed(path, "holds no secret of a fleet");
  return secret;
}

absl::StatusOr<std::string> OpenSecret(const std::string& path, bool is_new) {
  absl::StatusOr<std::string> secret = ReadSecret(path);
  if (!absl::IsNotFound(secret.status())) return secret;
  if (!is_new) {
    return Failed(path, "is gone, and by it alone the fleet's machines are known for its own. Put it back; or end them "
                        "with --delete_all --every_fleet, which ends those of all other fleets in the same accounts "
                        "too, and then start once with --forget_machines");
  }
  secret = RandomHex(kSecretBytes);
  if (const absl::Status written = WriteWholeFile(path, *secret); !written.ok()) {
    return absl::FailedPreconditionError(written.message());
  }
  return secret;
}

}  // namespace spotinference::fleet
