#include "engine/model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spotinference {

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  const auto system_error = [&path](absl::string_view what) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " model file '", path, "'"));
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not block
  if (fd < 0) return system_error("open");
  const absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat status;
  if (fstat(fd, &status) != 0) return system_error("stat");
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("model file '", path, "' is not a regular file"));
  }
  if (status.st_size == 0) return absl::InvalidArgumentError(absl::StrCat("model file '", path, "' is empty"));
  const size_t size = static_cast<size_t>(status.st_size);
  void* const map = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED) return system_error("map");
  std::unique_ptr<MappedFile> file(new MappedFile({static_cast<const std::byte*>(map), size}));
  // What a clone of a model's repository has in place of its large files until they are asked for.
  const absl::string_view text(static_cast<const char*>(map), std::min<size_t>(size, 64));
  if (absl::StartsWith(text, "version https://git-lfs.")) {
    return absl::InvalidArgumentError(
        absl::StrCat("model file '", path, "' is a pointer of Git LFS; 'git lfs pull' fetches the file itself"));
  }
  return file;
}

MappedFile::~MappedFile() { munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

void MappedFile::ReleasePages(absl::Span<const std::byte> data) const {
  const auto address = [](const std::byte* at) { return reinterpret_cast<uintptr_t>(at); };
  const uintptr_t first = address(data.data()), last = first + data.size();
  if (first < address(bytes_.data()) || last > address(bytes_.data() + bytes_.size())) return;
  const uintptr_t page = sysconf(_SC_PAGESIZE);
  const uintptr_t begin = first / page * page;
  madvise(reinterpret_cast<void*>(begin), last - begin, MADV_DONTNEED);
}

}  // namespace spotinference
