// A file system in memory that can be cut at any write and then forgets, as disks do, what was not synced.
//
// It keeps what POSIX promises and no more: a file's bytes are durable once the file was synced, its name once its
// folder was. What was not synced may be on the disk or not, each write and each change of a name for itself, whole or
// (a write) in part, in any order.
#ifndef ENGINE_VOLUME_SIMULATED_FILE_SYSTEM_H_
#define ENGINE_VOLUME_SIMULATED_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/volume/file_system.h"

namespace spotinference {

// Thread-safe.
class SimulatedFileSystem : public FileSystem {
 public:
  enum class Cut {
    kKill,   // the process dies: what it wrote stays
    kPower,  // the machine dies: what was not synced stays or not
  };

  // From the `operations`-th change on (a write may happen in part) everything fails ABORTED, as if the process had
  // died.
  void CutAfter(int64_t operations, uint32_t seed);
  // The next life: what a reopened disk has.
  void Restart(Cut cut, uint32_t seed);
  int64_t operations() const;  // changes so far, since the last start

  void set_free_bytes(uint64_t bytes);  // writes past it fail RESOURCE_EXHAUSTED
  // The bytes of a file, to be damaged.
  std::string& Contents(const std::string& path);
  std::vector<std::string> Paths() const;  // of all files

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> Reopen(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<MappedBytes>> Map(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status CreateFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override;
  absl::Status SetModified(const std::string& path, absl::Time modified) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<uint64_t> SizeBytes(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  friend class SimulatedFile;
  friend class SimulatedLock;

  struct Write {
    uint64_t offset;
    std::string bytes;
  };
  struct Node {  // a file, or a folder
    bool is_folder = false;
    std::string bytes, durable;
    std::vector<Write> unsynced;
    absl::Time modified;
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  struct Renaming {  // any change of names in one folder: `from` goes, `to` becomes `node`; either may be empty
    std::string from, to;
    std::shared_ptr<Node> node;
  };

  // Counts a change; false: the process is dead. `last`: this is the one that the cut falls into.
  bool Change(bool* last = nullptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Rename(const Renaming& renaming) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Apply(const Renaming& renaming, Names& names);
  static void Apply(const Write& write, std::string& bytes);
  uint64_t UsedBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Names names_ ABSL_GUARDED_BY(mutex_), durable_names_ ABSL_GUARDED_BY(mutex_);
  std::vector<Renaming> unsynced_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locked_ ABSL_GUARDED_BY(mutex_);
  int64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t cut_after_ ABSL_GUARDED_BY(mutex_) = -1;
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_);
  uint64_t capacity_ ABSL_GUARDED_BY(mutex_) = uint64_t{1} << 40;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_SIMULATED_FILE_SYSTEM_H_
