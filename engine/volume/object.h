// A file that proves itself: whoever opens it gets the bytes that were committed, or an error.
//
//   header   4096 bytes: magic, kind, version, sizes, hash of the table; zeros; XXH3 of all that
//   payload  from 4096 on, so that what is mapped lies on pages
//   table    XXH3 of each chunk of the payload, 8 bytes each
//
// Numbers are little-endian. The file is as long as this and no longer. XXH3 (github.com/Cyan4973/xxHash, 64 bits)
// finds damage, as fast as memory is read; it does not find malice, for which content is named by SHA-256.
//
// Chunks are 256 KiB: the table is 1/32768 of the payload, so that opening 8 GB reads 256 KB; and proving one block of
// KV (360 KiB of SmolLM2-135M) reads twice its size at most.
#ifndef ENGINE_VOLUME_OBJECT_H_
#define ENGINE_VOLUME_OBJECT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/volume/file_system.h"

namespace spotinference {

inline constexpr uint64_t kObjectHeaderBytes = 4096;
inline constexpr uint64_t kObjectChunkBytes = uint64_t{256} << 10;

// How long the file of an object is.
constexpr uint64_t ObjectFileBytes(uint64_t payload_bytes) {
  const uint64_t chunks = (payload_bytes + kObjectChunkBytes - 1) / kObjectChunkBytes;
  return kObjectHeaderBytes + payload_bytes + chunks * sizeof(uint64_t);
}

// What lies in an object. A reader takes its own kind and version and no other.
struct ObjectKind {
  absl::string_view name;  // at most 16 bytes
  uint32_t version = 0;
};

// Of one thread. What is not committed leaves nothing behind but, after a crash, a file that ends in kTemporaryEnding.
class ObjectWriter {
 public:
  static constexpr absl::string_view kTemporaryEnding = ".tmp";

  static absl::StatusOr<std::unique_ptr<ObjectWriter>> Create(FileSystem& files, const std::string& path,
                                                              ObjectKind kind);
  ~ObjectWriter();
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  // RESOURCE_EXHAUSTED: the disk is full.
  absl::Status Append(absl::Span<const std::byte> bytes);
  uint64_t size() const { return size_; }  // of the payload so far

  // Once. When it returns OK, the object stands under its name, and outlives the machine.
  absl::Status Commit();

 private:
  ObjectWriter(FileSystem& files, std::string path, ObjectKind kind);
  absl::Status Flush();

  FileSystem& files_;
  const std::string path_, temporary_;
  const ObjectKind kind_;
  std::unique_ptr<WritableFile> file_;
  std::vector<std::byte> chunk_;  // not yet written
  std::vector<uint64_t> table_;
  uint64_t size_ = 0;
  bool committed_ = false;
};

// A small one at once.
absl::Status WriteObject(FileSystem& files, const std::string& path, ObjectKind kind, absl::string_view payload);
// "" where there is none, or none that is whole.
std::string ReadObject(FileSystem& files, const std::string& path, ObjectKind kind);

// Immutable and mapped; any thread.
class Object {
 public:
  // Proves header and table; the payload is proved by Verify. NOT_FOUND: there is none. DATA_LOSS: damaged, or of
  // another kind or version.
  static absl::StatusOr<std::unique_ptr<Object>> Open(FileSystem& files, const std::string& path, ObjectKind kind);

  // Not to be believed before Verify of that part.
  absl::Span<const std::byte> payload() const { return payload_; }

  // Reads and proves the chunks that hold this part, unless they were proved already. INVALID_ARGUMENT: past the end.
  // DATA_LOSS: damaged.
  absl::Status Verify(uint64_t offset, uint64_t size) const;

  // All of it, from the disk in one pass, on `threads` threads: some 10 GB/s each where it lies in memory already.
  absl::Status VerifyAll(int threads) const;

  // The same, into `to`, as long as the payload: what is in it then is proved.
  absl::Status ReadAll(absl::Span<std::byte> to, int threads) const;

 private:
  Object(std::string path, std::unique_ptr<MappedBytes> map, absl::Span<const std::byte> payload);
  absl::Status VerifyChunk(uint64_t chunk) const;
  absl::Status ReadChunk(uint64_t chunk, absl::Span<std::byte> to) const;  // `to`: of the whole payload
  absl::Status CheckHash(uint64_t chunk, absl::Span<const std::byte> bytes) const;
  absl::Status ForAllChunks(int threads, absl::FunctionRef<absl::Status(uint64_t)> work) const;
  // Where a chunk lies in the payload.
  uint64_t begin(uint64_t chunk) const { return chunk * kObjectChunkBytes; }
  uint64_t size(uint64_t chunk) const { return std::min<uint64_t>(kObjectChunkBytes, payload_.size() - begin(chunk)); }
  uint64_t chunks() const { return (payload_.size() + kObjectChunkBytes - 1) / kObjectChunkBytes; }

  const std::string path_;
  const std::unique_ptr<MappedBytes> map_;
  const absl::Span<const std::byte> payload_;
  const std::byte* const table_;
  const std::unique_ptr<std::atomic<bool>[]> verified_;  // [chunks]
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_OBJECT_H_
