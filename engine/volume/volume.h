// The folder that outlives the machine, and what an engine keeps in it beside weights: objects (object.h) in
//
//   cache/<device>-<driver>-<build>-<content hash>/   what a compile costs
//   kv/<model hash>-<numerics id>/                    blocks of KV
//
// All of it may go at any time: what is not found or is damaged is computed again. There is no manifest; what lies
// there is found by listing the folders. A volume has one engine at a time.
//
// Space is bounded. What is worth least goes first: what other builds and models left, then KV, each by its last use.
// A disk that is full all the same is said once, and nothing more is written until the next opening.
#ifndef ENGINE_VOLUME_VOLUME_H_
#define ENGINE_VOLUME_VOLUME_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "engine/volume/file_system.h"
#include "engine/volume/object.h"

namespace spotinference {

// Thread-safe.
class Volume {
 public:
  struct Options {
    std::string root;  // made where it does not exist; its parent does
    uint64_t max_bytes = 0;  // of all objects together; 0: half of the file system
  };

  // Locks the volume and removes what a crash left half done. UNAVAILABLE: another engine has it. Otherwise the
  // system's own error: it cannot be read or written.
  static absl::StatusOr<std::unique_ptr<Volume>> Open(FileSystem& files, Options options, const Clock& clock);

  // Objects in `folder` ("cache/…", "kv/…") are of use to this engine, and go last.
  void Keep(absl::string_view folder);

  // Header and table are proved; the rest by Object::Verify. NOT_FOUND: there is none, or it was damaged, and is gone
  // now.
  absl::StatusOr<std::unique_ptr<Object>> Find(const std::string& folder, const std::string& name, ObjectKind kind);
  void MarkUsed(const std::string& folder, const std::string& name);  // now

  // Writes one object of about `size_bytes`, in place of any of that name. `fill` appends to it. RESOURCE_EXHAUSTED:
  // there is no room, or none was left earlier.
  absl::Status Write(const std::string& folder, const std::string& name, ObjectKind kind, uint64_t size_bytes,
                     absl::FunctionRef<absl::Status(ObjectWriter&)> fill);

  // Removes objects, the least valuable first, until the disk has so much room, or none is left.
  void MakeRoomOnDisk(uint64_t size_bytes);

  void Remove(const std::string& folder, const std::string& name);
  // It is gone, and stays gone when the power fails.
  absl::Status RemoveDurably(const std::string& folder, const std::string& name);
  // Told, under the volume's lock, of each object that goes, so that it closes what it has open of it: the disk frees nothing
  // before. It must not call back. nullptr: nobody is.
  void OnRemoved(std::function<void(const std::string& folder, const std::string& name)> listener);
  void RemoveFolder(const std::string& folder);

  struct Entry {
    std::string folder, name;
    uint64_t size_bytes;
    absl::Time used;
  };
  std::vector<Entry> List(absl::string_view folder) const;  // of that folder; "": of all
  uint64_t used_bytes() const;
  uint64_t max_bytes() const { return options_.max_bytes; }
  bool full() const { return full_; }  // the disk is, and nothing more is written; never waits

 private:
  Volume(FileSystem& files, Options options, const Clock& clock, std::unique_ptr<FileLock> lock);
  absl::Status Scan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ScanFolder(const std::string& folder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CreateFolder(const std::string& folder);
  absl::Status MakeRoom(const std::string& folder, const std::string& path, uint64_t size_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // 2: the cache in use, 1: the KV in use, 0: all else.
  int Worth(const std::string& folder) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Entry>::iterator LeastValuable(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveEntry(std::vector<Entry>::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const std::string& folder, const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Path(const std::string& folder, const std::string& name) const;

  FileSystem& files_;
  const Options options_;
  const Clock& clock_;
  const std::unique_ptr<FileLock> lock_;

  mutable absl::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> kept_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> full_{false};
  std::function<void(const std::string&, const std::string&)> on_removed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_VOLUME_H_
