// One remote file, to a path of the volume, in pieces over several connections:
//
//   PATH          whole and proved: it gets its name only then; with PATH.hashes (file_proof.h)
//   PATH.part     coming, with PATH.pieces: an object that says which pieces were synced, so that the next try asks for
//                 the others alone
#ifndef ENGINE_VOLUME_DOWNLOAD_H_
#define ENGINE_VOLUME_DOWNLOAD_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/http_client.h"
#include "engine/volume/file_proof.h"
#include "engine/volume/file_system.h"
#include "engine/volume/remote_file.h"

namespace spotinference {

// Gives the file at PATH.part, which was proved by these, its name and its hashes.
absl::Status FinishDownload(FileSystem& files, const std::string& path, const FileHashes& hashes);
// The same with the file's bytes.
absl::Status WriteDownload(FileSystem& files, const std::string& path, absl::string_view bytes);
// Whether another one's files may be called so, which no use is left for.
bool IsHalfDownload(absl::string_view name);
// Removes what a download that was cut after its end may have left beside the file.
void ClearDownload(FileSystem& files, const std::string& path);

class Download {
 public:
  // Called by one thread at a time. Without ranges it goes back with a cut.
  using Progress = absl::FunctionRef<void(uint64_t bytes_here)>;

  // Finds what an earlier try has left. `files` and `remote`, which has a SHA-256, outlive it.
  Download(FileSystem& files, const std::string& path, const RemoteFile& remote, uint64_t piece_bytes);

  uint64_t bytes_here() const;

  // Once. Errors: those of FetchWeights (weights.h).
  absl::Status Run(int connections, Progress progress);

 private:
  std::string PartPath() const { return path_ + ".part"; }
  std::string PiecesPath() const { return path_ + ".pieces"; }
  std::string Folder() const { return path_.substr(0, path_.rfind('/')); }
  std::string PiecesHead() const;
  absl::Status OpenPart();
  absl::Status GetPieces(int connections, Progress progress);
  absl::Status GetPiece(HttpClient& client, uint64_t piece, Progress progress);
  absl::Status Prove() const;

  FileSystem& files_;
  const std::string path_;
  const RemoteFile& remote_;
  const uint64_t piece_bytes_;
  std::unique_ptr<WritableFile> file_;
  mutable absl::Mutex mutex_;
  std::string done_ ABSL_GUARDED_BY(mutex_);  // '1' for each piece that was synced
  uint64_t bytes_here_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_DOWNLOAD_H_
