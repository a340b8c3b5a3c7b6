// A file where it comes from, any web server or Hugging Face's hub: what it is, and ranges of it.
//
// The hub answers HEAD …/resolve/… with a redirect to where the bytes lie and, for files in LFS, with their SHA-256 in
// X-Linked-Etag, their size in X-Linked-Size and the commit in X-Repo-Commit
// (huggingface.co/docs/huggingface_hub/package_reference/file_download). The redirect is signed for some minutes only,
// so each range is asked for at the hub, of that commit. The token goes to no other host. Small files lie in Git: the
// hub has the bytes itself, and their ETag is Git's own hash, SHA-1 of "blob SIZE\0" and the bytes.
#ifndef ENGINE_VOLUME_REMOTE_FILE_H_
#define ENGINE_VOLUME_REMOTE_FILE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/http_client.h"
#include "engine/base/weights_source.h"

namespace spotinference {

struct RemoteOptions {
  std::string hub_url = "https://huggingface.co";
  std::string hub_token;  // "": none
  int attempts = 6;  // without a byte of progress, 1, 2, 4 … s apart, or as the server says (Retry-After)
  std::function<void(absl::Duration)> wait;  // sleeps, unless a test says otherwise
};

// Errors: NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED: so says the server. UNAVAILABLE: it cannot be reached, or fails;
// a later try may do better. FAILED_PRECONDITION: its answer is of no use.
//
// Immutable once found: any thread, each with a client of its own.
class RemoteFile {
 public:
  // Asks the source, which is not of this machine. FAILED_PRECONDITION: the hub names no hash, or the file is empty.
  // `is_missing`, where given, becomes true where that is why, or the hub says that the repository has no such file.
  // `options` outlives the result.
  static absl::StatusOr<RemoteFile> Find(HttpClient& client, const WeightsSource& source,
                                         const RemoteOptions& options, bool* is_missing = nullptr);

  const std::string& sha256() const { return sha256_; }  // 64 lower-case hex digits; "" for what lies in Git
  const std::string& commit() const { return commit_; }  // of the hub, where it names one
  uint64_t size_bytes() const { return size_; }
  bool ranges() const { return ranges_; }  // else it comes from its first byte on, whole
  const WeightsSource& source() const { return source_; }  // at the commit, where one is known

  // Reads begin … end, piece by piece, and again from where it was cut. Without ranges `begin` is 0, and what was taken
  // is taken again after a cut. Ends with the error of `take` too.
  absl::Status Read(HttpClient& client, uint64_t begin, uint64_t end,
                    absl::FunctionRef<absl::Status(uint64_t at, absl::string_view piece)> take) const;

  // A small file's bytes, which are what its hash says. FAILED_PRECONDITION: they are others, or more than kMostWhole.
  static constexpr uint64_t kMostWhole = uint64_t{128} << 20;
  absl::StatusOr<std::string> ReadWhole(HttpClient& client) const;

 private:
  RemoteFile(const WeightsSource& source, const RemoteOptions& options) : source_(source), options_(&options) {}

  absl::Status AskHub(HttpClient& client, bool& is_missing);
  absl::Status AskWeb(HttpClient& client);
  absl::StatusOr<HttpResponse> Ask(HttpClient& client, const HttpRequest& request) const;
  absl::Status ReadOnce(HttpClient& client, uint64_t& at, uint64_t end, absl::Duration& wait,
                        absl::FunctionRef<absl::Status(uint64_t at, absl::string_view piece)> take) const;
  HttpHeaders Authorization() const;
  void Wait(absl::Duration d) const;
  absl::Status StatusOf(const HttpResponse& response) const;
  std::string Named(absl::string_view what) const;

  WeightsSource source_;
  const RemoteOptions* options_;
  std::string url_, sha256_, blob_id_, commit_;
  uint64_t size_ = 0;
  bool ranges_ = true;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_REMOTE_FILE_H_
