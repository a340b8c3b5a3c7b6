#include "engine/volume/weights.h"

#include <glog/logging.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "engine/base/http_client.h"
#include "engine/base/status.h"
#include "engine/volume/file_proof.h"
#include "engine/volume/object.h"

namespace spotinference {
namespace {

constexpr ObjectKind kPiecesKind{"pieces", 1}, kSourceKind{"weights source", 1};
constexpr int kMaxRedirects = 5;
constexpr absl::Duration kLongestWait = absl::Minutes(5);

absl::Span<const std::byte> Bytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

bool IsSha256(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
}

std::string Sha256(absl::Span<const std::byte> bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

absl::Status WriteObject(FileSystem& files, const std::string& path, ObjectKind kind, absl::string_view payload) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, ObjectWriter::Create(files, path, kind));
  RETURN_IF_ERROR(writer->Append(Bytes(payload)));
  return writer->Commit();
}

// "" where there is none, or none that is whole.
std::string ReadObject(FileSystem& files, const std::string& path, ObjectKind kind) {
  const absl::StatusOr<std::unique_ptr<Object>> object = Object::Open(files, path, kind);
  if (!object.ok() || !(*object)->VerifyAll(1).ok()) return "";
  return std::string(reinterpret_cast<const char*>((*object)->payload().data()), (*object)->payload().size());
}

// What an answer says, as the hub puts it in a header; outside bytes, made fit to print.
std::string Reason(const HttpResponse& response) {
  const std::string text(FindHeader(response.headers, "x-error-message").value_or(""));
  return absl::StrCat("HTTP ", response.status, text.empty() ? "" : ": ", absl::CHexEscape(text.substr(0, 200)));
}

bool MayPass(int status) { return status == 429 || status == 408 || status >= 500; }

absl::Status StatusOf(const std::string& what, const HttpResponse& response) {
  const std::string message = absl::StrCat("weights '", what, "': ", Reason(response));
  switch (response.status) {
    case 401: return absl::UnauthenticatedError(message);
    case 403: return absl::PermissionDeniedError(message);
    case 404:
    case 410: return absl::NotFoundError(message);
    default: return MayPass(response.status) ? absl::UnavailableError(message) : absl::FailedPreconditionError(message);
  }
}

// In seconds, as servers of files send it; a date counts as none.
absl::Duration RetryAfter(const HttpResponse& response) {
  int64_t seconds;
  const auto header = FindHeader(response.headers, "retry-after");
  if (!header.has_value() || !absl::SimpleAtoi(*header, &seconds) || seconds < 0) return absl::ZeroDuration();
  return std::min(absl::Seconds(seconds), kLongestWait);
}

// The total of "bytes 0-9/100".
std::optional<uint64_t> RangeTotal(const HttpResponse& response) {
  const std::vector<std::string> parts =
      absl::StrSplit(FindHeader(response.headers, "content-range").value_or(""), '/');
  uint64_t total;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &total)) return std::nullopt;
  return total;
}

// What is to be had, and where.
struct Remote {
  std::string url, sha256;
  uint64_t size = 0;
  bool ranges = true;
};

class Download {
 public:
  Download(FileSystem& files, const std::string& root, const WeightsSource& source, const FetchOptions& options)
      : files_(files), options_(options), source_(source), weights_(absl::StrCat(root, "/weights")), root_(root) {
    text_ = source.kind == WeightsSource::Kind::kHub
                ? absl::StrCat("hf://", source.repository, "/", source.file, "@", source.revision)
                : source.url.substr(0, source.url.find('?'));
  }

  absl::StatusOr<FetchedWeights> Fetch() {
    RETURN_IF_ERROR(files_.CreateFolder(weights_));
    RETURN_IF_ERROR(files_.SyncFolder(root_));
    const std::string known = absl::StrCat(weights_, "/sources/", Sha256(Bytes(text_)));
    const bool is_hub = source_.kind == WeightsSource::Kind::kHub;
    remote_.sha256 = is_hub ? ReadObject(files_, known, kSourceKind) : source_.sha256;
    if (IsSha256(remote_.sha256) && IsThere()) {
      files_.Remove(PiecesPath()).IgnoreError();  // the end of its download may have been cut
      return Fetched();
    }

    HttpClient client;
    RETURN_IF_ERROR(is_hub ? AskHub(client) : AskWeb(client));
    if (!IsThere()) {
      RETURN_IF_ERROR(files_.CreateFolder(Folder()));
      RETURN_IF_ERROR(files_.SyncFolder(weights_));
      RETURN_IF_ERROR(Get());
    }
    if (is_hub) {
      RETURN_IF_ERROR(files_.CreateFolder(absl::StrCat(weights_, "/sources")));
      RETURN_IF_ERROR(files_.SyncFolder(weights_));
      RETURN_IF_ERROR(WriteObject(files_, known, kSourceKind, remote_.sha256));
    }
    return Fetched();
  }

 private:
  std::string Folder() const { return absl::StrCat(weights_, "/", remote_.sha256); }
  std::string Path() const { return absl::StrCat(Folder(), "/", source_.file_name()); }
  std::string PartPath() const { return Path() + ".part"; }
  std::string PiecesPath() const { return Path() + ".pieces"; }
  FetchedWeights Fetched() const { return {Path(), remote_.sha256}; }

  bool IsThere() const {
    const absl::StatusOr<std::vector<FolderEntry>> entries = files_.List(Folder());
    return entries.ok() && std::any_of(entries->begin(), entries->end(), [&](const FolderEntry& entry) {
             return !entry.is_folder && entry.name == source_.file_name();
           });
  }

  void Wait(absl::Duration d) const { options_.wait ? options_.wait(d) : absl::SleepFor(d); }

  // Until there is an answer that does not pass by itself.
  absl::StatusOr<HttpResponse> Ask(HttpClient& client, const HttpRequest& request) const {
    for (int attempt = 0;; ++attempt) {
      const absl::StatusOr<HttpResponse> response = client.Do(request);
      if (response.ok() && !MayPass(response->status)) return response;
      if (!response.ok() && !absl::IsUnavailable(response.status()) && !absl::IsDeadlineExceeded(response.status())) {
        return response;
      }
      if (attempt + 1 >= options_.attempts) return response.ok() ? StatusOf(text_, *response) : response;
      Wait(std::max(absl::Seconds(int64_t{1} << std::min(attempt, 6)),
                    response.ok() ? RetryAfter(*response) : absl::ZeroDuration()));
    }
  }

  HttpHeaders Authorization() const {
    if (source_.kind != WeightsSource::Kind::kHub || options_.hub_token.empty()) return {};
    return {{"authorization", absl::StrCat("Bearer ", options_.hub_token)}};
  }

  absl::Status AskHub(HttpClient& client) {
    remote_.url = HubUrl(options_.hub_url, source_);
    HttpRequest request{.method = "HEAD", .headers = Authorization()};
    for (int redirects = 0;; ++redirects) {
      request.url = remote_.url;
      ASSIGN_OR_RETURN(const HttpResponse response, Ask(client, request));
      const auto location = FindHeader(response.headers, "location");
      const bool renamed = response.status >= 300 && response.status < 400 && location.has_value() &&
                           absl::StartsWith(*location, "/") && !absl::StartsWith(*location, "//");
      if (renamed && redirects < kMaxRedirects) {  // of a repository, on the hub itself
        remote_.url = absl::StrCat(options_.hub_url, *location);
        continue;
      }
      if (response.status >= 400 || renamed) return StatusOf(text_, response);
      const std::string tag(absl::StripSuffix(
          absl::StripPrefix(FindHeader(response.headers, "x-linked-etag").value_or(""), "\""), "\""));
      if (!IsSha256(tag) ||
          !absl::SimpleAtoi(FindHeader(response.headers, "x-linked-size").value_or(""), &remote_.size)) {
        return absl::FailedPreconditionError(
            absl::StrCat("weights '", text_, "': the hub names no SHA-256 for it, as it does for files in LFS"));
      }
      remote_.sha256 = absl::AsciiStrToLower(tag);
      return absl::OkStatus();
    }
  }

  absl::Status AskWeb(HttpClient& client) {
    remote_.url = source_.url;
    bool whole = false;
    HttpRequest request{.url = source_.url, .range = ByteRange{0, 0}, .max_redirects = kMaxRedirects};
    request.on_head = [&](const HttpResponse& head) {
      whole = head.status == 200 &&
              absl::SimpleAtoi(FindHeader(head.headers, "content-length").value_or(""), &remote_.size);
      return whole ? absl::CancelledError("the head is all that was wanted") : absl::OkStatus();
    };
    const absl::StatusOr<HttpResponse> response = Ask(client, request);
    if (whole) {
      remote_.ranges = false;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(response.status());
    if (response->status != 206) return StatusOf(text_, *response);
    const std::optional<uint64_t> total = RangeTotal(*response);
    if (!total.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat("weights '", text_, "': of no known size"));
    }
    remote_.size = *total;
    return absl::OkStatus();
  }

  // Which file, and which of its pieces are on the disk: one byte each after the two sizes.
  std::string PiecesHead() const { return absl::StrCat(remote_.size, " ", options_.piece_bytes, "\n"); }

  absl::Status Get() {
    if (remote_.size == 0) return absl::FailedPreconditionError(absl::StrCat("weights '", text_, "': empty"));
    if (remote_.size > uint64_t{1} << 44) {  // 16 TiB: no model, and no count of pieces to allocate
      return absl::FailedPreconditionError(absl::StrCat("weights '", text_, "': ", remote_.size, " bytes, says the server"));
    }
    const uint64_t piece_bytes = remote_.ranges ? options_.piece_bytes : remote_.size;
    done_.assign((remote_.size + piece_bytes - 1) / piece_bytes, '0');
    const std::string kept = ReadObject(files_, PiecesPath(), kPiecesKind), head = PiecesHead();
    absl::StatusOr<std::unique_ptr<WritableFile>> file = absl::NotFoundError("");
    if (remote_.ranges && absl::StartsWith(kept, head) && kept.size() == head.size() + done_.size()) {
      file = files_.Reopen(PartPath());
    }
    if (file.ok()) {
      done_ = kept.substr(head.size());
    } else {
      files_.Remove(PiecesPath()).IgnoreError();  // it speaks of bytes that are gone
      RETURN_IF_ERROR(files_.SyncFolder(Folder()));
    }
    const uint64_t here = std::min<uint64_t>(std::count(done_.begin(), done_.end(), '1') * piece_bytes, remote_.size);
    RETURN_IF_ERROR(MakeRoom(remote_.size - here));
    if (!file.ok()) file = files_.Create(PartPath());
    RETURN_IF_ERROR(file.status());
    file_ = *std::move(file);
    bytes_done_ = std::count(done_.begin(), done_.end(), '1') * piece_bytes;
    LOG(INFO) << "weights " << text_ << ": " << remote_.size / 1000000 << " MB, " << bytes_done_ / 1000000
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
      if (!folder.is_folder || folder.name == remote_.sha256 || folder.name == "sources") continue;
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
    uint64_t at = piece * piece_bytes;
    const uint64_t end = std::min(at + piece_bytes, remote_.size);
    for (int attempt = 0; at < end;) {
      const uint64_t before = at;
      absl::Duration wait;
      const absl::Status got = GetRange(client, at, end, wait);
      if (at == end) break;
      if (!remote_.ranges) at = 0;
      if (!absl::IsUnavailable(got) && !absl::IsDeadlineExceeded(got)) return got;
      attempt = at > before ? 0 : attempt + 1;
      if (attempt >= options_.attempts) return got;
      Wait(std::max(wait, absl::Seconds(int64_t{1} << std::min(attempt, 6))));
    }
    RETURN_IF_ERROR(file_->Sync());
    absl::MutexLock lock(&mutex_);
    done_[piece] = '1';
    return remote_.ranges ? WriteObject(files_, PiecesPath(), kPiecesKind, PiecesHead() + done_) : absl::OkStatus();
  }

  // Bytes at … end, as far as they come; `at` moves along. UNAVAILABLE: they may come another time, after `wait` at the
  // earliest.
  absl::Status GetRange(HttpClient& client, uint64_t& at, uint64_t end, absl::Duration& wait) {
    HttpRequest request{.url = remote_.url, .headers = Authorization(), .max_redirects = kMaxRedirects};
    if (remote_.ranges) request.range = ByteRange{static_cast<int64_t>(at), static_cast<int64_t>(end - 1)};
    request.timeout = absl::InfiniteDuration();
    request.max_body_bytes = static_cast<int64_t>(end - at);
    request.on_head = [&, first = at](const HttpResponse& head) -> absl::Status {
      wait = RetryAfter(head);
      // A signature of a CDN has run out: the hub gives another.
      if (head.status == 403 && source_.kind == WeightsSource::Kind::kHub) return absl::UnavailableError(Reason(head));
      if (head.status != (remote_.ranges ? 206 : 200)) return StatusOf(text_, head);
      const auto range = FindHeader(head.headers, "content-range").value_or("");
      if (remote_.ranges && range != absl::StrCat("bytes ", first, "-", end - 1, "/", remote_.size)) {
        return absl::FailedPreconditionError(absl::StrCat("weights '", text_, "': another range than was asked for: ",
                                                          absl::CHexEscape(range.substr(0, 99))));
      }
      return absl::OkStatus();
    };
    request.on_body = [&](absl::string_view piece) -> absl::Status {
      if (piece.size() > end - at) {
        return absl::FailedPreconditionError(absl::StrCat("weights '", text_, "': too many bytes"));
      }
      RETURN_IF_ERROR(file_->Write(at, Bytes(piece)));
      at += piece.size();
      absl::MutexLock lock(&mutex_);
      bytes_done_ += piece.size();
      if (options_.on_progress) options_.on_progress(std::min(bytes_done_, remote_.size), remote_.size);
      return absl::OkStatus();
    };
    const absl::StatusOr<HttpResponse> response = client.Do(request);
    if (response.ok() && at < end) return absl::UnavailableError(absl::StrCat("weights '", text_, "': cut short"));
    return response.status();
  }

  absl::Status Prove() const {
    ASSIGN_OR_RETURN(const std::unique_ptr<MappedBytes> map, files_.Map(PartPath()));
    map->Prefetch(0, remote_.size);
    RETURN_IF_ERROR(map->Populate(0, remote_.size));
    const std::string sha256 = Sha256(map->bytes());
    if (sha256 != remote_.sha256) {
      files_.Remove(PiecesPath()).IgnoreError();
      files_.Remove(PartPath()).IgnoreError();
      return absl::FailedPreconditionError(
          absl::StrCat("weights '", text_, "': SHA-256 ", sha256, ", not ", remote_.sha256));
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
  Remote remote_;
  std::unique_ptr<WritableFile> file_;
  absl::Mutex mutex_;
  std::string done_ ABSL_GUARDED_BY(mutex_);  // '1' for each piece that was synced
  uint64_t bytes_done_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

absl::StatusOr<FetchedWeights> FetchWeights(FileSystem& files, const std::string& root, const WeightsSource& source,
                                            const FetchOptions& options) {
  if (source.kind == WeightsSource::Kind::kFile) return FetchedWeights{source.path, ""};
  return Download(files, root, source, options).Fetch();
}

}  // namespace spotinference
