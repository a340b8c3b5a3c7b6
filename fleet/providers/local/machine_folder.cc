#include "fleet/providers/local/machine_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kTokenBytes = 32;
constexpr size_t kTailBytes = 2048;
constexpr size_t kTailLines = 5;

// A file name out of any text, and no two texts to one name.
std::string FileName(absl::string_view text) {
  std::string name;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '_' || (c == '.' && !name.empty())) {
      name += c;
    } else {
      absl::StrAppend(&name, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return name;
}

absl::Status Error(absl::string_view what, const std::string& path) {
  const int error = errno;
  const std::string message = absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error));
  return error == EACCES || error == EROFS ? absl::FailedPreconditionError(message)
                                           : absl::InternalError(message);
}

absl::Status WriteSecret(const std::string& path, absl::string_view secret) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.ok() || fchmod(file.get(), 0600) != 0) return Error("open", path);
  const auto size = static_cast<ssize_t>(secret.size());
  if (write(file.get(), secret.data(), secret.size()) != size) return Error("write", path);
  return absl::OkStatus();
}

}  // namespace

MachineFolder::MachineFolder(absl::string_view data_dir, absl::string_view volume)
    : volume_(absl::StrCat(data_dir, "/volumes/", FileName(volume))),
      folder_(absl::StrCat(data_dir, "/machines/", FileName(volume))) {}

absl::Status MachineFolder::Create() const {
  for (const std::string& folder : {volume_, folder_}) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      errno = error.value();
      return Error("create", folder);
    }
  }
  if (chmod(folder_.c_str(), 0700) != 0) return Error("protect", folder_);
  return absl::OkStatus();
}

bool MachineFolder::Exists() const {
  std::error_code error;
  return std::filesystem::exists(volume_, error);
}

absl::Status MachineFolder::Remove() const {
  for (const std::string& folder : {folder_, volume_}) {
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (!error) continue;
    errno = error.value();
    return Error("remove", folder);
  }
  return absl::OkStatus();
}

absl::StatusOr<Fd> MachineFolder::LockVolume() const {
  const std::string path = volume_ + "/lock";
  Fd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.ok()) return Error("open", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return Error("lock", path);
  return absl::UnavailableError(absl::StrCat("another machine has the volume ", volume_));
}

absl::StatusOr<std::string> MachineFolder::NewToken() const {
  char bytes[kTokenBytes];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return Error("draw", "a token");
  const std::string token = absl::BytesToHexString(absl::string_view(bytes, sizeof bytes));
  RETURN_IF_ERROR(WriteSecret(token_file(), token));
  return token;
}

absl::Status MachineFolder::WriteQuery(absl::string_view query) const {
  if (!query.empty()) return WriteSecret(query_file(), query);
  if (unlink(query_file().c_str()) != 0 && errno != ENOENT) return Error("remove", query_file());
  return absl::OkStatus();
}

absl::StatusOr<std::string> MachineFolder::ReadToken() const {
  const std::string path = token_file();
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string token(2 * kTokenBytes, '\0');
  if (!file.ok() ||
      read(file.get(), token.data(), token.size()) != static_cast<ssize_t>(token.size())) {
    return Error("read", path);
  }
  return token;
}

absl::StatusOr<Fd> MachineFolder::NewLog() const {
  const std::string path = folder_ + "/log";
  Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!file.ok()) return Error("open", path);
  return file;
}

std::string MachineFolder::LogTail() const {
  const Fd file(open((folder_ + "/log").c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!file.ok() || fstat(file.get(), &status) != 0) return "";
  std::string tail(kTailBytes, '\0');
  const off_t from = std::max<off_t>(0, status.st_size - static_cast<off_t>(kTailBytes));
  tail.resize(std::max<ssize_t>(0, pread(file.get(), tail.data(), tail.size(), from)));
  for (char& c : tail) {
    if (c != '\n' && !absl::ascii_isprint(c)) c = '?';
  }
  std::vector<absl::string_view> lines = absl::StrSplit(tail, '\n', absl::SkipWhitespace());
  if (lines.size() > kTailLines) lines.erase(lines.begin(), lines.end() - kTailLines);
  return absl::StrJoin(lines, " | ");
}

}  // namespace spotinference::fleet
