#include "engine/volume/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14; older headers lack it
#endif

namespace spotinference {
namespace {

absl::Status SystemError(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " '", path, "'"));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class RealWritableFile : public WritableFile {
 public:
  RealWritableFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status Write(uint64_t offset, absl::Span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return SystemError("write", path_);
      bytes.remove_prefix(n);
      offset += n;
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override { return fsync(fd_.get()) == 0 ? absl::OkStatus() : SystemError("sync", path_); }

 private:
  const Fd fd_;
  const std::string path_;
};

class RealMappedBytes : public MappedBytes {
 public:
  RealMappedBytes(absl::Span<const std::byte> bytes, Fd fd, std::string path)
      : bytes_(bytes), fd_(std::move(fd)), path_(std::move(path)) {}
  ~RealMappedBytes() override {
    if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  absl::Span<const std::byte> bytes() const override { return bytes_; }

  absl::Status Read(uint64_t offset, absl::Span<std::byte> to) const override {
    while (!to.empty()) {
      const ssize_t n = pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return absl::DataLossError(absl::StrCat("'", path_, "' cannot be read at ", offset));
      to.remove_prefix(n);
      offset += n;
    }
    return absl::OkStatus();
  }

  void Prefetch(uint64_t offset, uint64_t size) const override { Advise(offset, size, MADV_WILLNEED); }

  absl::Status Populate(uint64_t offset, uint64_t size) const override {
    const bool asked = Advise(offset, size, MADV_POPULATE_READ) == 0;
    if (asked || errno == EINVAL) return absl::OkStatus();  // EINVAL: an older kernel
    return absl::DataLossError(absl::StrCat("'", path_, "' cannot be read from ", offset, " on"));
  }

 private:
  int Advise(uint64_t offset, uint64_t size, int advice) const {
    const uint64_t page = sysconf(_SC_PAGESIZE), begin = offset / page * page;
    const uint64_t end = std::min<uint64_t>(offset + size, bytes_.size());
    return begin < end ? madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, advice) : 0;
  }

  const absl::Span<const std::byte> bytes_;
  const Fd fd_;
  const std::string path_;
};

class RealFileLock : public FileLock {
 public:
  explicit RealFileLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  const Fd fd_;
};

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (fd.get() < 0) return SystemError("create", path);
    return std::make_unique<RealWritableFile>(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Reopen(const std::string& path) override {
    Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.get() < 0) return SystemError("open", path);
    return std::make_unique<RealWritableFile>(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<MappedBytes>> Map(const std::string& path) override {
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.get() < 0) return SystemError("open", path);
    struct stat status;
    if (fstat(fd.get(), &status) != 0) return SystemError("stat", path);
    if (!S_ISREG(status.st_mode)) return absl::InvalidArgumentError(absl::StrCat("'", path, "' is not a regular file"));
    const size_t size = static_cast<size_t>(status.st_size);
    if (size == 0) return std::make_unique<RealMappedBytes>(absl::Span<const std::byte>(), std::move(fd), path);
    void* const map = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (map == MAP_FAILED) return SystemError("map", path);
    const auto bytes = absl::MakeConstSpan(static_cast<const std::byte*>(map), size);
    return std::make_unique<RealMappedBytes>(bytes, std::move(fd), path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : SystemError("rename", from);
  }

  absl::Status Remove(const std::string& path) override {
    return remove(path.c_str()) == 0 ? absl::OkStatus() : SystemError("remove", path);
  }

  absl::Status CreateFolder(const std::string& path) override {
    return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST ? absl::OkStatus() : SystemError("create folder", path);
  }

  absl::Status SyncFolder(const std::string& path) override {
    const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return fd.get() >= 0 && fsync(fd.get()) == 0 ? absl::OkStatus() : SystemError("sync folder", path);
  }

  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override {
    DIR* const folder = opendir(path.c_str());
    if (folder == nullptr) return SystemError("list", path);
    const absl::Cleanup close_folder = [folder] { closedir(folder); };
    std::vector<FolderEntry> entries;
    while (const dirent* const entry = readdir(folder)) {
      const std::string name = entry->d_name;
      struct stat status;
      if (name == "." || name == "..") continue;
      if (fstatat(dirfd(folder), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
      if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
      entries.push_back({name, S_ISDIR(status.st_mode), static_cast<uint64_t>(status.st_size),
                         absl::TimeFromTimespec(status.st_mtim)});
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  absl::Status SetModified(const std::string& path, absl::Time modified) override {
    const timespec times[2] = {absl::ToTimespec(modified), absl::ToTimespec(modified)};
    return utimensat(AT_FDCWD, path.c_str(), times, 0) == 0 ? absl::OkStatus() : SystemError("set the time of", path);
  }

  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs status;
    if (statvfs(path.c_str(), &status) != 0) return SystemError("ask for the free space of", path);
    return uint64_t{status.f_bavail} * status.f_frsize;
  }

  absl::StatusOr<uint64_t> SizeBytes(const std::string& path) override {
    struct statvfs status;
    if (statvfs(path.c_str(), &status) != 0) return SystemError("ask for the size of", path);
    return uint64_t{status.f_blocks} * status.f_frsize;
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (fd.get() < 0) return SystemError("open", path);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return std::make_unique<RealFileLock>(std::move(fd));
    if (errno != EWOULDBLOCK) return SystemError("lock", path);
    return absl::UnavailableError(absl::StrCat("'", path, "' is locked by another process"));
  }
};

}  // namespace

FileSystem& RealFileSystem() {
  static PosixFileSystem* const file_system = new PosixFileSystem;
  return *file_system;
}

}  // namespace spotinference
