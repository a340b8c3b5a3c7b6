// Hugging Face's hub with one repository, org/repo, and the CDN behind it; broken where a test says so.
#ifndef ENGINE_VOLUME_FAKE_HUB_H_
#define ENGINE_VOLUME_FAKE_HUB_H_

#include <openssl/evp.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_http_server.h"
#include "gtest/gtest.h"

namespace spotinference {

// The hub and the CDN behind it, and what they were asked.
class FakeHub {
 public:
  static constexpr char kToken[] = "hf_secret";
  static constexpr char kCommit[] = "0123456789abcdef0123456789abcdef01234567";
  static constexpr char kNextCommit[] = "89abcdef0123456789abcdef0123456789abcdef";

  static std::string Sha256(absl::string_view text) { return Digest(text, EVP_sha256()); }
  // Git's name of a file.
  static std::string BlobId(absl::string_view text) {
    std::string blob = absl::StrCat("blob ", text.size());
    blob.push_back('\0');
    return Digest(absl::StrCat(blob, text), EVP_sha1());
  }

  // Others for each name.
  static std::string RandomBytes(size_t size, absl::string_view name = "") {
    std::seed_seq seed(name.begin(), name.end());
    std::mt19937 random(seed);
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  }

  // Answers a GET of `content` as a server of files does that knows ranges.
  static FakeHttpReply Ranged(const FakeHttpRequest& request, const std::string& content) {
    absl::string_view range = FindHeader(request.headers, "range").value_or("");
    std::vector<std::string> ends;
    if (absl::ConsumePrefix(&range, "bytes=")) ends = absl::StrSplit(range, '-');
    size_t first = 0, last = content.size() - 1;
    if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &first)) return {.body = content};
    if (absl::SimpleAtoi(ends[1], &last)) last = std::min(last, content.size() - 1);
    return {.status = 206,
            .headers = {{"content-range", absl::StrCat("bytes ", first, "-", last, "/", content.size())}},
            .body = content.substr(first, last - first + 1)};
  }

  FakeHub()
      : cdn_([this](const FakeHttpRequest& request) { return Cdn(request); }),
        hub_([this](const FakeHttpRequest& request) { return Hub(request); }) {}

  std::string url() const { return hub_.url(); }
  std::string cdn_url() const { return cdn_.url(); }

  struct File {
    std::string content;
    std::string tag;  // as the hub names it: SHA-256 in LFS, or Git's hash; "": not at all
  };
  std::map<std::string, File> files = {{"model.gguf", {RandomBytes(95000), Sha256(RandomBytes(95000))}}};  // of kCommit
  std::map<std::string, File> next_files;  // of kNextCommit, to which the branch moves
  int main_moves_at = std::numeric_limits<int>::max();  // with the request of this number, from 0
  std::string &content = files["model.gguf"].content, &tag = files["model.gguf"].tag;
  void AddInLfs(const std::string& name, const std::string& bytes) { files[name] = {bytes, Sha256(bytes)}; }
  void AddInGit(const std::string& name, const std::string& bytes) { files[name] = {bytes, BlobId(bytes)}; }
  std::function<std::optional<FakeHttpReply>(int)> hub_fault, cdn_fault;  // by the number of the request
  std::function<void(int, FakeHttpReply&)> hub_change;  // what else its answer is to say

  int hub_requests() const {
    absl::MutexLock lock(&mutex_);
    return hub_requests_;
  }
  std::vector<std::string> cdn_ranges() const {
    absl::MutexLock lock(&mutex_);
    return cdn_ranges_;
  }
  // The files that a range of which was asked for, once for each range.
  std::vector<std::string> cdn_files() const {
    absl::MutexLock lock(&mutex_);
    return cdn_files_;
  }

 private:
  static std::string Digest(absl::string_view text, const EVP_MD* kind) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest, &size, kind, nullptr);
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
  }

  FakeHttpReply Hub(const FakeHttpRequest& request) {
    absl::MutexLock lock(&mutex_);
    const int number = hub_requests_++;
    EXPECT_EQ(FindHeader(request.headers, "authorization").value_or(""), absl::StrCat("Bearer ", kToken));
    if (hub_fault) {
      if (const auto fault = hub_fault(number)) return *fault;
    }
    FakeHttpReply reply = Answer(request, number);
    if (hub_change) hub_change(number, reply);
    return reply;
  }

  static FakeHttpReply NotFound(absl::string_view code) {
    const HttpHeaders headers = {{"x-error-code", std::string(code)}, {"x-error-message", absl::StrCat("says ", code)}};
    return {.status = 404, .headers = headers};
  }

  FakeHttpReply Answer(const FakeHttpRequest& request, int number) const {
    absl::string_view path = request.target;
    if (absl::ConsumePrefix(&path, "/old/repo/")) {
      return {.status = 307, .headers = {{"location", absl::StrCat("/org/repo/", path)}}};
    }
    const bool is_cached = absl::ConsumePrefix(&path, "/api/resolve-cache/models/org/repo/");
    if (!is_cached && !absl::ConsumePrefix(&path, "/org/repo/resolve/")) return NotFound("RepoNotFound");
    const std::pair<std::string, std::string> parts = absl::StrSplit(path, absl::MaxSplits('/', 1));
    const auto& [revision, name] = parts;
    const std::string commit = revision != "main" ? revision : number < main_moves_at ? kCommit : kNextCommit;
    if (commit != kCommit && commit != kNextCommit) return NotFound("RevisionNotFound");
    const auto& of_commit = commit == kCommit ? files : next_files;
    const auto file = of_commit.find(name);
    if (file == of_commit.end()) return NotFound("EntryNotFound");
    const std::string quoted = absl::StrCat("\"", file->second.tag, "\"");
    HttpHeaders headers = {{"x-repo-commit", commit}};
    if (file->second.tag.size() == 40 && !is_cached) {
      headers.push_back({"location", absl::StrCat("/api/resolve-cache/models/org/repo/", commit, "/", name)});
      return {.status = 307, .headers = headers};
    }
    if (file->second.tag.size() == 40) {
      return {.status = 200, .headers = {{"etag", quoted}}, .body = file->second.content};
    }
    headers.push_back({"location", absl::StrCat(cdn_.url(), "/", commit, "/", name, "?signature=", number)});
    if (!file->second.tag.empty()) {
      headers.push_back({"x-linked-etag", quoted});
      headers.push_back({"x-linked-size", absl::StrCat(file->second.content.size())});
    }
    return {.status = 302, .headers = headers};
  }

  FakeHttpReply Cdn(const FakeHttpRequest& request) {
    absl::MutexLock lock(&mutex_);
    const int number = static_cast<int>(cdn_ranges_.size());
    cdn_ranges_.push_back(std::string(FindHeader(request.headers, "range").value_or("")));
    EXPECT_FALSE(FindHeader(request.headers, "authorization").has_value()) << "the token is the hub's alone";
    const std::string path = request.target.substr(1, request.target.find('?') - 1);
    const std::pair<std::string, std::string> parts = absl::StrSplit(path, absl::MaxSplits('/', 1));
    const auto& [commit, name] = parts;
    cdn_files_.push_back(name);
    FakeHttpReply reply = Ranged(request, (commit == kCommit ? files : next_files)[name].content);
    if (cdn_fault) {
      if (auto fault = cdn_fault(number)) {
        if (fault->status != 206) return *fault;
        reply.cut_after = fault->cut_after;
      }
    }
    return reply;
  }

  mutable absl::Mutex mutex_;
  int hub_requests_ = 0;
  std::vector<std::string> cdn_ranges_, cdn_files_;
  FakeHttpServer cdn_, hub_;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_FAKE_HUB_H_
