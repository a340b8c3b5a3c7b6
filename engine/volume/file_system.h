// What a volume asks of a file system: a seam, so that tests can cut it anywhere and let it forget what was not synced.
#ifndef ENGINE_VOLUME_FILE_SYSTEM_H_
#define ENGINE_VOLUME_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace spotinference {

// A file being written; closed when it goes. Parts that do not overlap may be written at once by several threads.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // All of `bytes`, or an error. RESOURCE_EXHAUSTED: the disk is full.
  virtual absl::Status Write(uint64_t offset, absl::Span<const std::byte> bytes) = 0;
  // What was written outlives the machine.
  virtual absl::Status Sync() = 0;
};

// A file mapped read-only, as long as it was when it was mapped. Any thread.
class MappedBytes {
 public:
  virtual ~MappedBytes() = default;
  virtual absl::Span<const std::byte> bytes() const = 0;
  // Copies a part of the file without touching the mapping. DATA_LOSS: it cannot be read.
  virtual absl::Status Read(uint64_t offset, absl::Span<std::byte> to) const = 0;
  // Begins to read a part from the disk, without waiting.
  virtual void Prefetch(uint64_t offset, uint64_t size) const = 0;
  // Waits until a part is in memory. DATA_LOSS: the medium cannot be read, and touching those bytes would kill the
  // process.
  virtual absl::Status Populate(uint64_t offset, uint64_t size) const = 0;
};

// Held as long as it lives, also past a crash of its holder's own making: it ends with the process.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct FolderEntry {
  std::string name;
  bool is_folder = false;
  uint64_t size_bytes = 0;
  absl::Time modified;
};

// Thread-safe. Errors are the system's own, with the path. A change to a folder (Create, Rename, Remove, CreateFolder)
// outlives the machine once SyncFolder of that folder has returned.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;  // emptied where it exists
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Reopen(const std::string& path) = 0;  // to go on writing
  virtual absl::StatusOr<std::unique_ptr<MappedBytes>> Map(const std::string& path) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;  // replaces `to` in one step
  virtual absl::Status Remove(const std::string& path) = 0;        // a file or an empty folder
  virtual absl::Status CreateFolder(const std::string& path) = 0;  // OK where it exists
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  virtual absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) = 0;  // files and folders, by name
  virtual absl::Status SetModified(const std::string& path, absl::Time modified) = 0;
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> SizeBytes(const std::string& path) = 0;  // of the file system that holds it
  // Makes the file. UNAVAILABLE: somebody else holds it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// The machine's own; lives for ever.
FileSystem& RealFileSystem();

}  // namespace spotinference

#endif  // ENGINE_VOLUME_FILE_SYSTEM_H_
