#include "engine/volume/download.h"

#include <glog/logging.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/volume/file_proof.h"
#include "engine/volume/object.h"

namespace spotinference {
namespace {

constexpr ObjectKind kPiecesKind{"pieces", 1};
constexpr absl::string_view kPart = ".part", kPieces = ".pieces";

absl::Span<const std::byte> Bytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

absl::Status FinishDownload(FileSystem& files, const std::string& path, const FileHashes& hashes) {
  RETURN_IF_ERROR(files.Rename(absl::StrCat(path, kPart), path));
  ClearDownload(files, path);
  LOG(INFO) << "weights " << path << ": here and proved";
  RETURN_IF_ERROR(files.SyncFolder(path.substr(0, path.rfind('/'))));
  const absl::Status hashed = WriteFileProof(files, path, hashes);
  LOG_IF(WARNING, !hashed.ok()) << "weights " << path << ": each boot computes their SHA-256: " << hashed.message();
  return absl::OkStatus();
}

absl::Status WriteDownload(FileSystem& files, const std::string& path, absl::string_view bytes) {
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files.Create(absl::StrCat(path, kPart)));
    RETURN_IF_ERROR(file->Write(0, Bytes(bytes)));
    RETURN_IF_ERROR(file->Sync());
  }
  ASSIGN_OR_RETURN(const FileHashes hashes, HashFile(files, absl::StrCat(path, kPart)));
  if (hashes.sha256 != Sha256Hex(bytes)) return absl::DataLossError(absl::StrCat("'", path, "' is not what was written"));
  return FinishDownload(files, path, hashes);
}

bool IsHalfDownload(absl::string_view name) {
  return absl::EndsWith(name, kPart) || absl::EndsWith(name, kPieces) ||
         absl::EndsWith(name, ObjectWriter::kTemporaryEnding);
}

void ClearDownload(FileSystem& files, const std::string& path) {
  files.Remove(absl::StrCat(path, kPieces)).IgnoreError();
  files.Remove(absl::StrCat(path, kPieces, ObjectWriter::kTemporaryEnding)).IgnoreError();
}

Download::Download(FileSystem& files, const std::string& path, const RemoteFile& remote, uint64_t piece_bytes)
    : files_(files),
      path_(path),
      remote_(remote),
      piece_bytes_(remote.ranges() ? piece_bytes : remote.size_bytes()),
      done_((remote.size_bytes() + piece_bytes_ - 1) / piece_bytes_, '0') {
  const std::string kept = ReadObject(files_, PiecesPath(), kPiecesKind), head = PiecesHead();
  if (remote_.ranges() && absl::StartsWith(kept, head) && kept.size() == head.size() + done_.size()) {
    absl::StatusOr<std::unique_ptr<WritableFile>> part = files_.Reopen(PartPath());
    if (part.ok()) {
      file_ = *std::move(part);
      done_ = kept.substr(head.size());
    }
  }
  if (file_ == nullptr) files_.Remove(PartPath()).IgnoreError();  // of no use, and it takes room
  bytes_here_ = std::min<uint64_t>(std::count(done_.begin(), done_.end(), '1') * piece_bytes_, remote_.size_bytes());
}

uint64_t Download::bytes_here() const {
  absl::MutexLock lock(&mutex_);
  return bytes_here_;
}

// Of which file, and which of its pieces are on the disk: one byte each after the two sizes.
std::string Download::PiecesHead() const { return absl::StrCat(remote_.size_bytes(), " ", piece_bytes_, "\n"); }

absl::Status Download::Run(int connections, Progress progress) {
  RETURN_IF_ERROR(OpenPart());
  RETURN_IF_ERROR(GetPieces(connections, progress));
  file_.reset();
  return Prove();
}

absl::Status Download::OpenPart() {
  if (file_ != nullptr) return absl::OkStatus();
  ClearDownload(files_, path_);  // it speaks of bytes that are gone
  RETURN_IF_ERROR(files_.SyncFolder(Folder()));
  ASSIGN_OR_RETURN(file_, files_.Create(PartPath()));
  return absl::OkStatus();
}

absl::Status Download::GetPieces(int connections, Progress progress) {
  std::vector<uint64_t> missing;
  {
    absl::MutexLock lock(&mutex_);
    for (uint64_t i = 0; i < done_.size(); ++i) {
      if (done_[i] == '0') missing.push_back(i);
    }
  }
  std::atomic<size_t> next = 0;
  absl::Status failed;  // the first
  const auto work = [&] {
    HttpClient client;
    for (size_t i; (i = next++) < missing.size();) {
      const absl::Status got = GetPiece(client, missing[i], progress);
      if (got.ok()) continue;
      next = missing.size();
      absl::MutexLock lock(&mutex_);
      failed.Update(got);
    }
  };
  std::vector<std::thread> others;
  for (size_t t = 1; t < std::min<size_t>(connections, missing.size()); ++t) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  return failed;
}

absl::Status Download::GetPiece(HttpClient& client, uint64_t piece, Progress progress) {
  const uint64_t begin = piece * piece_bytes_, end = std::min(begin + piece_bytes_, remote_.size_bytes());
  RETURN_IF_ERROR(remote_.Read(client, begin, end, [&](uint64_t at, absl::string_view bytes) -> absl::Status {
    RETURN_IF_ERROR(file_->Write(at, Bytes(bytes)));
    absl::MutexLock lock(&mutex_);
    bytes_here_ = remote_.ranges() ? bytes_here_ + bytes.size() : at + bytes.size();
    progress(std::min(bytes_here_, remote_.size_bytes()));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(file_->Sync());
  absl::MutexLock lock(&mutex_);
  done_[piece] = '1';
  if (!remote_.ranges()) return absl::OkStatus();
  return WriteObject(files_, PiecesPath(), kPiecesKind, PiecesHead() + done_);
}

absl::Status Download::Prove() const {
  ASSIGN_OR_RETURN(const FileHashes hashes, HashFile(files_, PartPath()));
  if (hashes.sha256 == remote_.sha256()) return FinishDownload(files_, path_, hashes);
  ClearDownload(files_, path_);
  files_.Remove(PartPath()).IgnoreError();
  return absl::FailedPreconditionError(absl::StrCat("weights '", remote_.source().name(), "': SHA-256 ", hashes.sha256,
                                                    ", not ", remote_.sha256()));
}

}  // namespace spotinference
