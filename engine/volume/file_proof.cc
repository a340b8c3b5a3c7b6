#include "engine/volume/file_proof.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/base/thread_pool.h"
#include "xxhash.h"

namespace spotinference {
namespace {

constexpr ObjectKind kKind{"file hashes", 1};
constexpr int64_t kPieceChunks = 16;  // 4 MiB, of which there are enough for all threads

uint64_t ChunksOf(uint64_t bytes) { return (bytes + kObjectChunkBytes - 1) / kObjectChunkBytes; }

uint64_t HashChunk(absl::Span<const std::byte> bytes, uint64_t chunk) {
  const absl::Span<const std::byte> part = bytes.subspan(chunk * kObjectChunkBytes, kObjectChunkBytes);
  return XXH3_64bits(part.data(), part.size());
}

std::string PathOf(const std::string& path, const std::string& hashes_path) {
  return hashes_path.empty() ? absl::StrCat(path, kProofEnding) : hashes_path;
}

}  // namespace

absl::StatusOr<FileHashes> HashFile(FileSystem& files, const std::string& path, const std::atomic<bool>* stop) {
  ASSIGN_OR_RETURN(const std::unique_ptr<MappedBytes> map, files.Map(path));
  FileHashes hashes{.size_bytes = map->bytes().size()};
  Sha256 sha256;
  std::vector<std::byte> chunk;  // what is mapped and touched would be resident, as large as it is
  for (uint64_t at = 0; at < hashes.size_bytes; at += chunk.size()) {
    if (stop != nullptr && *stop) return absl::CancelledError("stopped");
    chunk.resize(std::min(kObjectChunkBytes, hashes.size_bytes - at));
    RETURN_IF_ERROR(map->Read(at, absl::MakeSpan(chunk)));
    sha256.Update(chunk.data(), chunk.size());
    hashes.chunks.push_back(XXH3_64bits(chunk.data(), chunk.size()));
  }
  hashes.sha256 = sha256.Hex();
  return hashes;
}

absl::Status WriteFileProof(FileSystem& files, const std::string& path, const FileHashes& hashes,
                            const std::string& hashes_path) {
  const auto bytes = [](const uint64_t* from, size_t count) {
    return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(from), count * sizeof(*from));
  };
  ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer,
                   ObjectWriter::Create(files, PathOf(path, hashes_path), kKind));
  RETURN_IF_ERROR(writer->Append(bytes(&hashes.size_bytes, 1)));
  RETURN_IF_ERROR(writer->Append(bytes(hashes.chunks.data(), hashes.chunks.size())));
  return writer->Commit();
}

absl::StatusOr<FileProof> FileProof::Open(FileSystem& files, const std::string& path, const std::string& hashes_path) {
  const absl::StatusOr<std::unique_ptr<Object>> object = Object::Open(files, PathOf(path, hashes_path), kKind);
  if (!object.ok() || !(*object)->VerifyAll(1).ok()) {
    return absl::NotFoundError(absl::StrCat("'", path, "' has no hashes"));
  }
  std::vector<uint64_t> hashes((*object)->payload().size() / sizeof(uint64_t));
  std::memcpy(hashes.data(), (*object)->payload().data(), hashes.size() * sizeof(uint64_t));
  ASSIGN_OR_RETURN(std::unique_ptr<MappedBytes> map, files.Map(path));
  const uint64_t size = map->bytes().size();
  if (hashes.empty() || hashes[0] != size || hashes.size() != 1 + ChunksOf(size)) {
    return absl::DataLossError(absl::StrCat("'", path, "' has another length than when it was proved"));
  }
  hashes.erase(hashes.begin());
  return FileProof(path, std::move(map), std::move(hashes));
}

absl::Status FileProof::VerifyChunk(uint64_t chunk) const {
  RETURN_IF_ERROR(map_->Populate(chunk * kObjectChunkBytes, kObjectChunkBytes));
  if (HashChunk(map_->bytes(), chunk) == hashes_[chunk]) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("'", path_, "': damaged within ", kObjectChunkBytes, " bytes from ",
                                          chunk * kObjectChunkBytes, " on"));
}

absl::Status FileProof::Verify(absl::Span<const Part> parts, int threads) const {
  std::vector<uint64_t> chunks;
  for (const Part& part : parts) {
    if (part.offset > size_bytes() || part.size > size_bytes() - part.offset) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path_, "': ", part.size, " bytes from ", part.offset, " on of ", size_bytes()));
    }
    if (part.size == 0) continue;
    for (uint64_t chunk = part.offset / kObjectChunkBytes; chunk < ChunksOf(part.offset + part.size); ++chunk) {
      chunks.push_back(chunk);
    }
  }
  std::sort(chunks.begin(), chunks.end());
  chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
  absl::Mutex mutex;
  absl::Status first;
  ThreadPool pool(threads);
  pool.ParallelFor(static_cast<int64_t>(chunks.size()), kPieceChunks, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) map_->Prefetch(chunks[i] * kObjectChunkBytes, kObjectChunkBytes);
    for (int64_t i = begin; i < end; ++i) {
      const absl::Status verified = VerifyChunk(chunks[i]);
      if (verified.ok()) continue;
      absl::MutexLock lock(&mutex);
      first.Update(verified);
      return;
    }
  });
  return first;
}

}  // namespace spotinference
