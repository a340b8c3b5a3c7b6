#include "engine/volume/weights.h"

#include <glog/logging.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/http_client.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/volume/file_proof.h"
#include "engine/volume/object.h"

namespace spotinference {
namespace {

constexpr ObjectKind kPiecesKind{"pieces", 1}, kSourceKind{"weights source", 1};

absl::Span<const std::byte> Bytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

bool IsSha256(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
}

class Download {
 public:
  Download(FileSystem& files, const std::string& root, const WeightsSource& source, const FetchOptions& options)
      : files_(files),
        options_(options),
        source_(source),
        weights_(absl::StrCat(root, "/weights")),
        root_(root),
        text_(source.name()) {}

  absl::StatusOr<FetchedWeights> Fetch() {
    RETURN_IF_ERROR(files_.CreateFolder(weights_));
    RETURN_IF_ERROR(files_.SyncFolder(root_));
    const std::string known = absl::StrCat(weights_, "/sources/", Sha256Hex(text_));
    const bool is_hub = source_.kind == WeightsSource::Kind::kHub;
    sha256_ = is_hub ? ReadObject(files_, known, kSourceKind) : source_.sha256;
    if (IsSha256(sha256_) && IsThere()) {
      files_.Remove(PiecesPath()).IgnoreError();  // the end of its download may have been cut
      return Fetched();
    }

    HttpClient client;
    ASSIGN_OR_RETURN(remote_, RemoteFile::Find(client, source_, options_.remote));
    sha256_ = remote_->sha256();
    if (!IsThere()) {
      RETURN_IF_ERROR(files_.CreateFolder(Folder()));
      RETURN_IF_ERROR(files_.SyncFolder(weights_));
      RETURN_IF_ERROR(Get());
    }
    if (is_hub) {
      RETURN_IF_ERROR(files_.CreateFolder(absl::StrCat(weights_, "/sources")));
      RETURN_IF_ERROR(files_.SyncFolder(weights_));
      RETURN_IF_ERROR(WriteObject(files_, known, kSourceKind, sha256_));
    }
    return Fetched();
  }

 private:
  std::string Folder() const { return absl::StrCat(weights_, "/", sha256_); }
  std::string Path() const { return absl::StrCat(Folder(), "/", source_.file_name()); }
  std::string PartPath() const { return Path() + ".part"; }
  std::string PiecesPath() const { return Path() + ".pieces"; }
  FetchedWeights Fetched() const { return {Path(), sha256_, {{Path(), sha256_}}}; }

  bool IsThere() const {
    const absl::StatusOr<std::vector<FolderEntry>> entries = files_.List(Folder());
    return entries.ok() && std::any_of(entries->begin(), entries->end(), [&](const FolderEntry& entry) {
             return !entry.is_folder && entry.name == source_.file_name();
           });
  }

  // Which file, and which of its pieces are on the disk: one byte each after the two sizes.
  std::string PiecesHead() const { return absl::StrCat(remote_->size_bytes(), " ", options_.piece_bytes, "\n"); }

  absl::Status Get() {
    const uint64_t piece_bytes = remote_->ranges() ? options_.piece_bytes : remote_->size_bytes();
    done_.assign((remote_->size_bytes() + piece_bytes - 1) / piece_bytes, '0');
    const std::string kept = ReadObject(files_, PiecesPath(), kPiecesKind), head = PiecesHead();
    absl::StatusOr<std::unique_ptr<WritableFile>> file = absl::NotFoundError("");
    if (remote_->ranges() && absl::StartsWith(kept, head) && kept.size() == head.size() + done_.size()) {
      file = files_.Reopen(PartPath());
    }
    if (file.ok()) {
      done_ = kept.substr(head.size());
    } else {
      files_.Remove(PiecesPath()).IgnoreError();  // it speaks of bytes that are gone
      RETURN_IF_ERROR(files_.SyncFolder(Folder()));
    }
    const uint64_t size = remote_->size_bytes();
    RETURN_IF_ERROR(MakeRoom(size - std::min<uint64_t>(std::count(done_.begin(), done_.end(), '1') * piece_bytes, size)));
    if (!file.ok()) file = files_.Create(PartPath());
    RETURN_IF_ERROR(file.status());
    file_ = *std::move(file);
    bytes_done_ = std::count(done_.begin(), done_.end(), '1') * piece_bytes;
    LOG(INFO) << "weights " << text_ << ": " << remote_->size_bytes() / 1000000 << " MB, " << bytes_done_ / 1000000
              << " MB of them here";
    RETURN_IF_ERROR(GetPieces(piece_bytes));
    file_.reset();
    return Prove();
  }

  struct Other {
    absl::Time modified;  // InfinitePast: what a download left
    std::string path;
    uint64_t size_bytes;
  };

  // Files of other models, the oldest first.
  absl::StatusOr<std::vector<Other>> Others() const {
    std::vector<Other> others;
    ASSIGN_OR_RETURN(const std::vector<FolderEntry> folders, files_.List(weights_));
    for (const FolderEntry& folder : folders) {
      if (!folder.is_folder || folder.name == sha256_ || folder.name == "sources") continue;
      const std::string path = absl::StrCat(weights_, "/", folder.name);
      ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries, files_.List(path));
      for (const FolderEntry& entry : entries) {
        const bool half = absl::EndsWith(entry.name, ".part") || absl::EndsWith(entry.name, ".pieces") ||
                          absl::EndsWith(entry.name, ObjectWriter::kTemporaryEnding);
        others.push_back(
            {half ? absl::InfinitePast() : entry.modified, absl::StrCat(path, "/", entry.name), entry.size_bytes});
      }
    }
    std::sort(others.begin(), others.end(), [](const Other& a, const Other& b) { return a.modified < b.modified; });
    return others;
  }

  // What downloads of others left goes; then, the oldest first, the weights of others, as far as room is needed; but
  // none of these where even all that can go would not be enough.
  absl::Status MakeRoom(uint64_t bytes) const {
    ASSIGN_OR_RETURN(const std::vector<Other> others, Others());
    uint64_t can_go = options_.evictable_bytes;
    for (const Other& other : others) can_go += other.size_bytes;
    const bool in_vain = !HasRoom(bytes - std::min(bytes, can_go)).ok();
    for (const Other& other : others) {
      if (other.modified > absl::InfinitePast() && (in_vain || HasRoom(bytes).ok())) break;
      LOG(INFO) << "weights " << text_ << ": " << other.path << " makes room";
      RETURN_IF_ERROR(files_.Remove(other.path));
      files_.Remove(other.path.substr(0, other.path.rfind('/'))).IgnoreError();  // unless something else is in it
    }
    if (options_.make_room && !in_vain && !HasRoom(bytes).ok()) options_.make_room(bytes);
    return HasRoom(bytes);
  }

  absl::Status HasRoom(uint64_t bytes) const {
    const absl::StatusOr<uint64_t> free = files_.FreeBytes(root_);
    if (!free.ok() || *free >= bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("weights '", text_, "': ", bytes, " bytes, and ", *free, " are free on the volume"));
  }

  absl::Status GetPieces(uint64_t piece_bytes) {
    std::vector<uint64_t> missing;
    for (uint64_t i = 0; i < done_.size(); ++i) {
      if (done_[i] == '0') missing.push_back(i);
    }
    std::atomic<size_t> next = 0;
    absl::Status failed;  // the first
    const auto work = [&] {
      HttpClient client;
      for (size_t i; (i = next++) < missing.size();) {
        const absl::Status got = GetPiece(client, missing[i], piece_bytes);
        if (got.ok()) continue;
        next = missing.size();
        absl::MutexLock lock(&mutex_);
        failed.Update(got);
      }
    };
    std::vector<std::thread> others;
    for (size_t t = 1; t < std::min<size_t>(options_.connections, missing.size()); ++t) others.emplace_back(work);
    work();
    for (std::thread& thread : others) thread.join();
    return failed;
  }

  absl::Status GetPiece(HttpClient& client, uint64_t piece, uint64_t piece_bytes) {
    const uint64_t begin = piece * piece_bytes, end = std::min(begin + piece_bytes, remote_->size_bytes());
    RETURN_IF_ERROR(remote_->Read(client, begin, end, [&](uint64_t at, absl::string_view bytes) -> absl::Status {
      RETURN_IF_ERROR(file_->Write(at, Bytes(bytes)));
      absl::MutexLock lock(&mutex_);
      bytes_done_ = remote_->ranges() ? bytes_done_ + bytes.size() : at + bytes.size();
      if (options_.on_progress) {
        options_.on_progress(std::min(bytes_done_, remote_->size_bytes()), remote_->size_bytes());
      }
      return absl::OkStatus();
    }));
    RETURN_IF_ERROR(file_->Sync());
    absl::MutexLock lock(&mutex_);
    done_[piece] = '1';
    return remote_->ranges() ? WriteObject(files_, PiecesPath(), kPiecesKind, PiecesHead() + done_) : absl::OkStatus();
  }

  absl::Status Prove() const {
    ASSIGN_OR_RETURN(const std::unique_ptr<MappedBytes> map, files_.Map(PartPath()));
    map->Prefetch(0, remote_->size_bytes());
    RETURN_IF_ERROR(map->Populate(0, remote_->size_bytes()));
    const std::string sha256 = Sha256Hex({reinterpret_cast<const char*>(map->bytes().data()), map->bytes().size()});
    if (sha256 != sha256_) {
      files_.Remove(PiecesPath()).IgnoreError();
      files_.Remove(PartPath()).IgnoreError();
      return absl::FailedPreconditionError(
          absl::StrCat("weights '", text_, "': SHA-256 ", sha256, ", not ", sha256_));
    }
    RETURN_IF_ERROR(files_.Rename(PartPath(), Path()));
    files_.Remove(PiecesPath()).IgnoreError();
    LOG(INFO) << "weights " << text_ << ": here and proved";
    RETURN_IF_ERROR(files_.SyncFolder(Folder()));
    const absl::Status hashed = WriteFileProof(files_, Path());
    LOG_IF(WARNING, !hashed.ok()) << "weights " << text_ << ": each boot computes their SHA-256: " << hashed.message();
    return absl::OkStatus();
  }

  FileSystem& files_;
  const FetchOptions& options_;
  const WeightsSource& source_;
  const std::string weights_, root_;
  std::string text_;  // of the source, without what may be secret
  std::string sha256_;               // what it is, once that is known
  std::optional<RemoteFile> remote_;  // once it was asked
  std::unique_ptr<WritableFile> file_;
  absl::Mutex mutex_;
  std::string done_ ABSL_GUARDED_BY(mutex_);  // '1' for each piece that was synced
  uint64_t bytes_done_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

absl::StatusOr<FetchedWeights> FetchWeights(FileSystem& files, const std::string& root, const WeightsSource& source,
                                            const FetchOptions& options) {
  if (source.kind == WeightsSource::Kind::kFile) return FetchedWeights{source.path, "", {}};
  return Download(files, root, source, options).Fetch();
}

}  // namespace spotinference
