#include "engine/volume/remote_file.h"

#include <openssl/evp.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr int kMaxRedirects = 5;
constexpr absl::Duration kLongestWait = absl::Minutes(5);
constexpr uint64_t kMaxBytes = uint64_t{1} << 44;  // 16 TiB: no model, and no count of pieces to allocate

// What an answer says, as the hub puts it in a header; outside bytes, made fit to print.
std::string Reason(const HttpResponse& response) {
  const std::string text(FindHeader(response.headers, "x-error-message").value_or(""));
  return absl::StrCat("HTTP ", response.status, text.empty() ? "" : ": ", absl::CHexEscape(text.substr(0, 200)));
}

bool MayPass(int status) { return status == 429 || status == 408 || status >= 500; }

// In seconds, as servers of files send it; a date counts as none.
absl::Duration RetryAfter(const HttpResponse& response) {
  int64_t seconds;
  const auto header = FindHeader(response.headers, "retry-after");
  if (!header.has_value() || !absl::SimpleAtoi(*header, &seconds) || seconds < 0) return absl::ZeroDuration();
  return std::min(absl::Seconds(seconds), kLongestWait);
}

absl::Duration Pause(int attempt, absl::Duration asked) {
  return std::max(asked, absl::Seconds(int64_t{1} << std::min(attempt, 6)));
}

// The total of "bytes 0-9/100".
std::optional<uint64_t> RangeTotal(const HttpResponse& response) {
  const std::vector<std::string> parts =
      absl::StrSplit(FindHeader(response.headers, "content-range").value_or(""), '/');
  uint64_t total;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &total)) return std::nullopt;
  return total;
}

// An entity tag without its quotes, and without what says that it is a weak one.
std::string Tag(const HttpResponse& response, absl::string_view header) {
  const absl::string_view tag = absl::StripPrefix(FindHeader(response.headers, header).value_or(""), "W/");
  return absl::AsciiStrToLower(absl::StripSuffix(absl::StripPrefix(tag, "\""), "\""));
}

std::string GitBlobId(absl::string_view bytes) {
  const std::string blob = absl::StrCat("blob ", bytes.size(), std::string(1, '\0'), bytes);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(blob.data(), blob.size(), digest, &size, EVP_sha1(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

}  // namespace

std::string RemoteFile::Named(absl::string_view what) const {
  return absl::StrCat("weights '", source_.name(), "': ", what);
}

absl::Status RemoteFile::StatusOf(const HttpResponse& response) const {
  const std::string message = Named(Reason(response));
  switch (response.status) {
    case 401: return absl::UnauthenticatedError(message);
    case 403: return absl::PermissionDeniedError(message);
    case 404:
    case 410: return absl::NotFoundError(message);
    default: return MayPass(response.status) ? absl::UnavailableError(message) : absl::FailedPreconditionError(message);
  }
}

absl::StatusOr<RemoteFile> RemoteFile::Find(HttpClient& client, const WeightsSource& source,
                                            const RemoteOptions& options, bool* is_missing) {
  RemoteFile file(source, options);
  bool unused;
  bool& missing = is_missing != nullptr ? *is_missing : unused;
  missing = false;
  RETURN_IF_ERROR(source.kind == WeightsSource::Kind::kHub ? file.AskHub(client, missing) : file.AskWeb(client));
  missing = file.size_ == 0;
  if (missing) return absl::FailedPreconditionError(file.Named("empty"));
  if (file.size_ > kMaxBytes) {
    return absl::FailedPreconditionError(file.Named(absl::StrCat(file.size_, " bytes, says the server")));
  }
  return file;
}

void RemoteFile::Wait(absl::Duration d) const { options_->wait ? options_->wait(d) : absl::SleepFor(d); }

// Until there is an answer that does not pass by itself.
absl::StatusOr<HttpResponse> RemoteFile::Ask(HttpClient& client, const HttpRequest& request) const {
  for (int attempt = 0;; ++attempt) {
    const absl::StatusOr<HttpResponse> response = client.Do(request);
    if (response.ok() && !MayPass(response->status)) return response;
    if (!response.ok() && !absl::IsUnavailable(response.status()) && !absl::IsDeadlineExceeded(response.status())) {
      return response;
    }
    if (attempt + 1 >= options_->attempts) return response.ok() ? StatusOf(*response) : response;
    Wait(Pause(attempt, response.ok() ? RetryAfter(*response) : absl::ZeroDuration()));
  }
}

HttpHeaders RemoteFile::Authorization() const {
  if (source_.kind != WeightsSource::Kind::kHub || options_->hub_token.empty()) return {};
  return {{"authorization", absl::StrCat("Bearer ", options_->hub_token)}};
}

absl::Status RemoteFile::AskHub(HttpClient& client, bool& is_missing) {
  HttpRequest request{.method = "HEAD", .url = HubUrl(options_->hub_url, source_), .headers = Authorization()};
  for (int redirects = 0;; ++redirects) {
    ASSIGN_OR_RETURN(const HttpResponse response, Ask(client, request));
    const absl::string_view commit = FindHeader(response.headers, "x-repo-commit").value_or("");
    if (IsHexHash(commit, 40)) commit_ = absl::AsciiStrToLower(commit);
    const auto location = FindHeader(response.headers, "location");
    const bool moved = response.status >= 300 && response.status < 400 && location.has_value() &&
                       absl::StartsWith(*location, "/") && !absl::StartsWith(*location, "//");
    if (moved && redirects < kMaxRedirects) {  // on the hub itself: a repository's new name, or a file in Git
      request.url = absl::StrCat(options_->hub_url, *location);
      continue;
    }
    is_missing = response.status == 404 && FindHeader(response.headers, "x-error-code") == "EntryNotFound";
    if (response.status >= 400 || moved) return StatusOf(response);
    const bool is_linked = FindHeader(response.headers, "x-linked-etag").has_value();
    const std::string tag = Tag(response, is_linked ? "x-linked-etag" : "etag");
    const absl::string_view size =
        FindHeader(response.headers, is_linked ? "x-linked-size" : "content-length").value_or("");
    if (!absl::SimpleAtoi(size, &size_) || !(IsHexHash(tag, 64) || IsHexHash(tag, 40))) {
      return absl::FailedPreconditionError(Named("the hub names no hash or size of it"));
    }
    (tag.size() == 64 ? sha256_ : blob_id_) = tag;
    ranges_ = tag.size() == 64;
    if (!commit_.empty()) source_.revision = commit_;  // a branch may move before the bytes are here
    url_ = HubUrl(options_->hub_url, source_);
    return absl::OkStatus();
  }
}

absl::Status RemoteFile::AskWeb(HttpClient& client) {
  url_ = source_.url;
  sha256_ = source_.sha256;
  bool whole = false;
  HttpRequest request{.url = url_, .range = HttpRange{0, 0}, .max_redirects = kMaxRedirects};
  request.on_head = [&](const HttpResponse& head) -> absl::Status {
    if (head.status != 200) return absl::OkStatus();
    whole = absl::SimpleAtoi(FindHeader(head.headers, "content-length").value_or(""), &size_);
    if (!whole) return absl::FailedPreconditionError(Named("of no known size"));
    return absl::CancelledError("the head is all that was wanted");
  };
  const absl::StatusOr<HttpResponse> response = Ask(client, request);
  if (whole) {
    ranges_ = false;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(response.status());
  if (response->status != 206) return StatusOf(*response);
  const std::optional<uint64_t> total = RangeTotal(*response);
  if (!total.has_value()) return absl::FailedPreconditionError(Named("of no known size"));
  size_ = *total;
  return absl::OkStatus();
}

absl::StatusOr<std::string> RemoteFile::ReadWhole(HttpClient& client) const {
  if (size_ > kMostWhole) return absl::FailedPreconditionError(Named(absl::StrCat(size_, " bytes of text")));
  std::string bytes;
  RETURN_IF_ERROR(Read(client, 0, size_, [&](uint64_t at, absl::string_view piece) {
    bytes.resize(at);
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  }));
  const std::string hash = blob_id_.empty() ? Sha256Hex(bytes) : GitBlobId(bytes);
  const std::string& wanted = blob_id_.empty() ? sha256_ : blob_id_;
  if (hash == wanted) return bytes;
  return absl::FailedPreconditionError(Named(absl::StrCat("its hash is ", hash, ", not ", wanted)));
}

absl::Status RemoteFile::Read(HttpClient& client, uint64_t begin, uint64_t end,
                              absl::FunctionRef<absl::Status(uint64_t, absl::string_view)> take) const {
  for (int attempt = 0; begin < end;) {
    const uint64_t before = begin;
    absl::Duration wait;
    const absl::Status got = ReadOnce(client, begin, end, wait, take);
    if (begin == end) break;
    const bool came = begin > before;
    if (!ranges_) begin = 0;
    if (!absl::IsUnavailable(got) && !absl::IsDeadlineExceeded(got)) return got;
    attempt = came && ranges_ ? 0 : attempt + 1;
    if (attempt >= options_->attempts) return got;
    Wait(Pause(attempt, wait));
  }
  return absl::OkStatus();
}

// As far as it comes; `at` moves along. UNAVAILABLE: the rest may come another time, after `wait` at the earliest.
absl::Status RemoteFile::ReadOnce(HttpClient& client, uint64_t& at, uint64_t end, absl::Duration& wait,
                                  absl::FunctionRef<absl::Status(uint64_t, absl::string_view)> take) const {
  HttpRequest request{.url = url_, .headers = Authorization(), .max_redirects = kMaxRedirects};
  if (ranges_) request.range = HttpRange{static_cast<int64_t>(at), static_cast<int64_t>(end - 1)};
  request.timeout = absl::InfiniteDuration();
  request.max_body_bytes = std::numeric_limits<int64_t>::max();  // they are counted below
  request.on_head = [&, first = at](const HttpResponse& head) -> absl::Status {
    wait = RetryAfter(head);
    // A signature of a CDN has run out: the hub gives another.
    if (head.status == 403 && source_.kind == WeightsSource::Kind::kHub) return absl::UnavailableError(Reason(head));
    if (head.status != (ranges_ ? 206 : 200)) return StatusOf(head);
    const auto range = FindHeader(head.headers, "content-range").value_or("");
    if (ranges_ && range != absl::StrCat("bytes ", first, "-", end - 1, "/", size_)) {
      return absl::FailedPreconditionError(
          Named(absl::StrCat("another range than was asked for: ", absl::CHexEscape(range.substr(0, 99)))));
    }
    return absl::OkStatus();
  };
  request.on_body = [&](absl::string_view piece) -> absl::Status {
    const bool may_send_on = !ranges_ && end < size_;  // what nobody asked for
    if (piece.size() > end - at && !may_send_on) return absl::FailedPreconditionError(Named("too many bytes"));
    piece = piece.substr(0, end - at);
    RETURN_IF_ERROR(take(at, piece));
    at += piece.size();
    return at == end && may_send_on ? absl::CancelledError("all that was wanted is here") : absl::OkStatus();
  };
  const absl::StatusOr<HttpResponse> response = client.Do(request);
  if (response.ok() && at < end) return absl::UnavailableError(Named("cut short"));
  return response.status();
}

}  // namespace spotinference
