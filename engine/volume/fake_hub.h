// Hugging Face's hub with one file, model.gguf of org/repo, and the CDN behind it; broken where a test says so.
#ifndef ENGINE_VOLUME_FAKE_HUB_H_
#define ENGINE_VOLUME_FAKE_HUB_H_

#include <openssl/evp.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <string>
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

  static std::string Sha256(absl::string_view text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
    return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
  }

  static std::string RandomBytes(size_t size) {
    std::mt19937 random(1);
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

  std::string content = RandomBytes(95000);
  std::string tag = Sha256(content);  // as the hub names it
  std::function<std::optional<FakeHttpReply>(int)> hub_fault, cdn_fault;  // by the number of the request

  int hub_requests() const {
    absl::MutexLock lock(&mutex_);
    return hub_requests_;
  }
  std::vector<std::string> cdn_ranges() const {
    absl::MutexLock lock(&mutex_);
    return cdn_ranges_;
  }

 private:
  FakeHttpReply Hub(const FakeHttpRequest& request) {
    absl::MutexLock lock(&mutex_);
    const int number = hub_requests_++;
    EXPECT_EQ(FindHeader(request.headers, "authorization").value_or(""), absl::StrCat("Bearer ", kToken));
    if (hub_fault) {
      if (const auto fault = hub_fault(number)) return *fault;
    }
    if (request.target == "/old/repo/resolve/main/model.gguf") {
      return {.status = 307, .headers = {{"location", "/org/repo/resolve/main/model.gguf"}}};
    }
    if (request.target != "/org/repo/resolve/main/model.gguf" &&
        request.target != absl::StrCat("/org/repo/resolve/", kCommit, "/model.gguf")) {
      return {.status = 404, .headers = {{"x-error-code", "EntryNotFound"}, {"x-error-message", "Entry not found"}}};
    }
    FakeHttpReply reply{.status = 302, .headers = {{"location", absl::StrCat(cdn_.url(), "/blob?signature=", number)}}};
    if (!tag.empty()) {
      reply.headers.push_back({"x-linked-etag", absl::StrCat("\"", tag, "\"")});
      reply.headers.push_back({"x-linked-size", absl::StrCat(content.size())});
      reply.headers.push_back({"x-repo-commit", kCommit});
    }
    return reply;
  }

  FakeHttpReply Cdn(const FakeHttpRequest& request) {
    absl::MutexLock lock(&mutex_);
    const int number = static_cast<int>(cdn_ranges_.size());
    cdn_ranges_.push_back(std::string(FindHeader(request.headers, "range").value_or("")));
    EXPECT_FALSE(FindHeader(request.headers, "authorization").has_value()) << "the token is the hub's alone";
    FakeHttpReply reply = Ranged(request, content);
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
  std::vector<std::string> cdn_ranges_;
  FakeHttpServer cdn_, hub_;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_FAKE_HUB_H_
