#include "fleet/providers/cloud/secret.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr int kSecretBytes = 32;

absl::Status Failed(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", what));
}

// The one that `path` is in: so that a name is there after a crash of the computer.
bool SyncFolder(const std::string& path) {
  const int fd = open(absl::StrCat(path.substr(0, path.rfind('/')), "/").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = fsync(fd) == 0;
  close(fd);
  return synced;
}

}  // namespace

std::string RandomHex(int bytes) {
  std::string random(bytes, '\0');
  CHECK_EQ(RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), bytes), 1);
  return absl::BytesToHexString(random);
}

std::string NewPurchaseToken() { return RandomHex(16); }

absl::StatusOr<std::string> OpenSecret(const std::string& path, bool is_new) {
  if (!is_new && access(path.c_str(), F_OK) != 0) {
    return Failed(path, "is gone, and by it alone the fleet's machines are known for its own. Put it back; or end them "
                        "with --delete_all, and then start once with --forget_machines");
  }
  // Whole or not there: it is written under another name first.
  const std::string draft = absl::StrCat(path, ".", RandomHex(4));
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed(path, std::strerror(errno));
  const std::string made = RandomHex(kSecretBytes);
  const bool written = write(fd, made.data(), made.size()) == static_cast<ssize_t>(made.size()) && fsync(fd) == 0;
  close(fd);
  const bool linked = written && (link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST);
  unlink(draft.c_str());
  if (linked && !SyncFolder(path)) return Failed(path, std::strerror(errno));
  if (!linked) return Failed(path, "cannot be written");
  std::ifstream file(path);
  std::string secret;
  if (!std::getline(file, secret) || secret.size() != 2 * kSecretBytes)
    return Failed(path, "holds no secret of a fleet");
  return secret;
}

}  // namespace spotinference::fleet
