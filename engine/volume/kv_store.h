// Blocks of KV on a volume: the prefix cache on disk. Saved when an engine drains, found again by their chain hash
// (engine/kv/block_hash.h), so that a sequence that goes on at a restored machine computes only what was not saved.
//
// They lie in segments of 16 MiB (the last of a drain may be smaller), each an object of its own under
// kv/<model hash>-<numerics id>/:
//
//   u64 time of writing in Unix seconds, u64 block_bytes, u64 count; the hashes, 32 bytes each; from the next multiple
//   of 4096 on the blocks, in that order
//
// The index is made of these heads at opening. A name tells nothing of the text: it is a SHA-256 with a salt for each
// key.
#ifndef ENGINE_VOLUME_KV_STORE_H_
#define ENGINE_VOLUME_KV_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/clock.h"
#include "engine/kv/block_hash.h"
#include "engine/volume/volume.h"

namespace spotinference {

struct KvSegmentHead {
  absl::Time written;
  uint64_t block_bytes = 0;
  uint64_t count = 0;
  uint64_t blocks_at = 0;            // in the payload
  absl::Span<const std::byte> hashes;  // [count, 32], within the payload
};
// DATA_LOSS: it is no segment, or not as long as it says. Reads the head alone.
absl::StatusOr<KvSegmentHead> ReadKvSegmentHead(absl::Span<const std::byte> payload);

// Thread-safe.
class KvStore {
 public:
  static constexpr uint64_t kSegmentBytes = uint64_t{16} << 20;
  static constexpr uint64_t kMaxBytes = uint64_t{4} << 30;
  // As many full ones as kMaxBytes holds; each is mapped and has a descriptor, of which a process often has 1,024.
  static constexpr size_t kMaxSegments = kMaxBytes / kSegmentBytes;
  static constexpr absl::Duration kTimeToLive = absl::Hours(24);

  struct Options {
    std::string model_hash, numerics_id;
    uint64_t block_bytes = 0;
    uint64_t max_bytes = kMaxBytes;  // of this model's segments; the volume's own bound holds too
    size_t max_segments = kMaxSegments;
    absl::Duration time_to_live = kTimeToLive;
    uint64_t segment_bytes = kSegmentBytes;
  };

  // Reads the heads of what is there, after DropOutlived(). The volume and the clock outlive the store.
  KvStore(Volume& volume, Options options, const Clock& clock);
  ~KvStore();

  // Removes what has outlived its time, of other models too. The store does it every ten minutes by itself.
  void DropOutlived();

  size_t blocks() const;
  bool Contains(const BlockHash& hash) const;

  // Copies the block to `to`, block_bytes long, proved. NOT_FOUND: it is not there, or was damaged and is gone now.
  absl::Status Read(const BlockHash& hash, absl::Span<std::byte> to);

  // Writes those of `blocks` that are not there yet, in this order, segment after segment, as long as another segment
  // ends before `budget` is used up by what the last ones took. `read(i, to)` copies block i; where it fails, the
  // saving ends before that segment. Returns how many were written.
  size_t Save(absl::Span<const BlockHash> blocks, absl::Duration budget,
              absl::FunctionRef<absl::Status(size_t, absl::Span<std::byte>)> read);

 private:
  bool Outlived(const KvSegmentHead& head) const;

  struct Segment {
    std::string name;
    std::unique_ptr<const Object> object;
    KvSegmentHead head;
  };
  struct Place {
    std::shared_ptr<const Segment> segment;
    uint64_t at;  // in the payload
  };

  void Open(const std::string& name);
  void Drop(const Segment& segment);
  void MakeRoom(uint64_t bytes, size_t segments);
  absl::Status WriteSegment(absl::Span<const BlockHash> blocks,
                            absl::FunctionRef<absl::Status(size_t, absl::Span<std::byte>)> read);

  Volume& volume_;
  const Options options_;
  const Clock& clock_;
  const std::string folder_;
  uint64_t next_segment_ = 0;  // of Save

  absl::Notification ends_;
  std::thread sweeper_;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<BlockHash, Place> index_ ABSL_GUARDED_BY(mutex_);
};

// Removes all KV of all models.
absl::Status EraseKv(Volume& volume);

}  // namespace spotinference

#endif  // ENGINE_VOLUME_KV_STORE_H_
