// XXH3 of each 256 KiB of a file that is read as it lies, such as weights: an object, FILE.hashes, beside it or where
// who asks for it says, written when the file was known to be whole. So a later boot proves what it is going to read,
// and no more, at the speed of memory.
#ifndef ENGINE_VOLUME_FILE_PROOF_H_
#define ENGINE_VOLUME_FILE_PROOF_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/volume/file_system.h"
#include "engine/volume/object.h"

namespace spotinference {

inline constexpr absl::string_view kProofEnding = ".hashes";

// What one reading of a file gives, so that what is proved by one of them is what the other speaks of.
struct FileHashes {
  std::string sha256;
  uint64_t size_bytes = 0;
  std::vector<uint64_t> chunks;
};
// CANCELLED: `stop`, where given, became true.
absl::StatusOr<FileHashes> HashFile(FileSystem& files, const std::string& path,
                                    const std::atomic<bool>* stop = nullptr);

// Writes the hashes of the file at `path` to `hashes_path`; "": beside it.
absl::Status WriteFileProof(FileSystem& files, const std::string& path, const FileHashes& hashes,
                            const std::string& hashes_path = "");

class FileProof {
 public:
  // NOT_FOUND: the file has no hashes, or they are damaged. DATA_LOSS: the file has another length than they say.
  static absl::StatusOr<FileProof> Open(FileSystem& files, const std::string& path,
                                        const std::string& hashes_path = "");

  // Proves the chunks that hold these parts, on `threads` threads. DATA_LOSS: damaged. INVALID_ARGUMENT: past the end.
  struct Part {
    uint64_t offset, size;
  };
  absl::Status Verify(absl::Span<const Part> parts, int threads) const;

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return map_->bytes().size(); }

 private:
  FileProof(std::string path, std::unique_ptr<MappedBytes> map, std::vector<uint64_t> hashes)
      : path_(std::move(path)), map_(std::move(map)), hashes_(std::move(hashes)) {}
  absl::Status VerifyChunk(uint64_t chunk) const;

  std::string path_;
  std::unique_ptr<MappedBytes> map_;
  std::vector<uint64_t> hashes_;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_FILE_PROOF_H_
